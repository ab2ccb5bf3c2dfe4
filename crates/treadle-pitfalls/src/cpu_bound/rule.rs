//! Functions that claims call expensive by purpose, on the loop's thread.

use treadle_finding::{Finding, Findings};
use treadle_program::Program;
use treadle_program::ids::FileId;
use treadle_program::knowledge::claim::Blocking;

use super::CPU_BOUND;
use crate::{cure, lookup};

pub(super) fn check(program: &Program, file: FileId, findings: &mut Findings) {
    for function in lookup::loop_functions(program, file) {
        for (call, blocking, item) in program.blocking_calls(function) {
            if blocking != Blocking::Cpu {
                continue;
            }
            let path = program.knowledge().path(item);
            let claim = program.knowledge().claim(item).map(|known| &known.claim);
            let cure = claim.and_then(|claim| claim.cure.clone()).unwrap_or_else(|| cure::thread_words(program, call));
            let message = format!("`{path}` computes on the event loop");
            let location = program.location_of(program.call_expr(call));
            findings.push(
                Finding::new(&CPU_BOUND.about, location, message)
                    .label("every task of the loop waits while this computes")
                    .help(cure),
            );
        }
    }
}
