//! What linking makes of small programs: who calls whom, where, and with what.

mod again;
mod chains;
mod contexts;
mod edges;
mod effects;
mod places;

use crate::Program;
use crate::testing::linked;

/// A program of one file.
fn program(text: &str) -> Program {
    linked(&[("main.py", text)])
}
