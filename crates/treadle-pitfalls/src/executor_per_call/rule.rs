//! A pool of threads or processes that is made, and torn down, for each call.

use treadle_finding::{Finding, Findings};
use treadle_program::Program;
use treadle_program::facts::{CallId, Usage};
use treadle_program::ids::In;

use super::EXECUTOR_PER_CALL;
use crate::lookup;

pub(super) fn check(program: &Program, findings: &mut Findings) {
    for function in lookup::async_functions(program) {
        if lookup::runs_once(program, function) {
            continue;
        }
        let facts = program.facts(function.file);
        let run = facts.function(function.id).calls;
        for call in (run.start..run.end).map(|call| In::new(function.file, CallId(call))) {
            let Some((item, known)) = program.claim(call) else { continue };
            let at = program.call_expr(call);
            if !known.claim.executor || !lookup::stays_local(program, at) {
                continue;
            }
            let name = program.knowledge().path(item).rsplit('.').next().unwrap_or_default();
            let mut finding = Finding::new(
                &EXECUTOR_PER_CALL.about,
                program.location_of(at),
                format!("`{name}` is made for every call of {}", lookup::name_of(program, function)),
            )
            .label("starts its workers anew each time")
            .help("make it once and share it, or use the default one: `await asyncio.to_thread(…)`");
            if facts.expr(at.id).usage == Usage::Entered {
                finding = finding.note("leaving the `with` waits for all workers, and the event loop with it");
            }
            findings.push(finding);
        }
    }
}
