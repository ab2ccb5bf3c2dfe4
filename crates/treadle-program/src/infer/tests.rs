//! What expressions of small programs are. `reveal(…)` marks what is asked about.

mod classes;
mod containers;
mod functions;
mod imports;
mod libraries;
mod protocols;
mod variables;

use crate::testing::{linked, revealed};

/// Asserts the types that `reveal` asks for in a program of several files.
fn reveals_in(files: &[(&str, &str)], expected: &[&str]) {
    assert_eq!(revealed(&linked(files)), expected, "{files:#?}");
}

/// Asserts the types that `reveal` asks for in a program of one file.
fn reveals(text: &str, expected: &[&str]) {
    reveals_in(&[("main.py", text)], expected);
}
