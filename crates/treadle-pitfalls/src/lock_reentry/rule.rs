//! A lock that is not re-entrant, taken again by the task that holds it.

use treadle_finding::{Finding, Findings};
use treadle_program::Program;
use treadle_program::program::Nesting;

use super::LOCK_REENTRY;
use crate::lookup;

pub(super) fn check(program: &Program, nestings: &[&Nesting], findings: &mut Findings) {
    let mut told = std::collections::BTreeSet::new();
    for nesting in nestings {
        if nesting.outer != nesting.inner || !nesting.same_object {
            continue;
        }
        let facts = program.facts(nesting.outer_at.file);
        let name = facts.dotted(nesting.outer_at.id).unwrap_or_else(|| program.place_name(&nesting.outer));
        let at = nesting.via.unwrap_or(nesting.inner_at);
        if !told.insert(at) {
            continue;
        }
        let mut finding = Finding::new(
            &LOCK_REENTRY.about,
            program.location_of(at),
            format!("`{name}` is taken again by the task that holds it, which waits for ever"),
        )
        .step(program.location_of(nesting.outer_at), "taken here first");
        if nesting.via.is_some() {
            let taker = program.function_of(nesting.inner_at);
            finding = finding
                .step(
                    program.location_of(nesting.inner_at),
                    format!("{} takes it again", lookup::name_of(program, taker)),
                )
                .help("move the work to a method that expects the lock to be held, and call that one from both");
        } else {
            finding = finding.help("take the lock once");
        }
        findings.push(finding);
    }
}
