//! A pool of threads or processes that is made, and torn down, for each call.

use treadle_finding::{Edit, Finding, Findings, Fix, Span};
use treadle_program::Program;
use treadle_program::facts::{BindingKind, CallId, ExprId, FileFacts, RegionKind, Usage};
use treadle_program::ids::{FileId, In};

use super::EXECUTOR_PER_CALL;
use crate::lookup;

pub(super) fn check(program: &Program, file: FileId, findings: &mut Findings) {
    for function in lookup::async_functions(program, file) {
        let runs_once = lookup::runs_once(program, function);
        let facts = program.facts(function.file);
        let run = facts.function(function.id).calls;
        for call in (run.start..run.end).map(|call| In::new(function.file, CallId(call))) {
            let Some((item, known)) = program.claim(call) else { continue };
            let at = program.call_expr(call);
            let is_once = runs_once && !lookup::is_in_loop(program, at);
            if !known.claim.executor || is_once || !lookup::stays_local(program, at) {
                continue;
            }
            // One pool for a whole batch is made once for many calls.
            let from = facts.expr(at.id).span.start;
            let serves_loop = facts.regions[facts.function(function.id).regions.range()]
                .iter()
                .any(|region| matches!(region.kind, RegionKind::Loop { .. }) && region.span.start > from);
            if serves_loop {
                continue;
            }
            let name = program.knowledge().path(item).rsplit('.').next().unwrap_or_default();
            let is_of_threads = name == "ThreadPoolExecutor" || program.knowledge().path(item) == "treadle.ThreadPool";
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
            findings.push(match default_instead(facts, at.id).filter(|_| is_of_threads) {
                Some(edits) => finding.fix(Fix::unsafe_("use the loop's own threads", edits)),
                None => finding,
            });
        }
    }
}

/// `run_in_executor(None, …)` in the place of the pool: where it is the argument itself, or is entered around one statement.
fn default_instead(facts: &FileFacts, made: ExprId) -> Option<Vec<Edit>> {
    let entry = facts.expr(made);
    match entry.usage {
        Usage::Argument if is_first_of_run(facts, made) => Some(vec![Edit::replace(entry.span, "None")]),
        Usage::Entered => {
            let run = facts.function(facts.function_of(made)).regions;
            let block = facts.regions[run.range()]
                .iter()
                .find(|region| matches!(region.kind, RegionKind::With { context, .. } if context == made))?;
            let statement = facts.statement_around(entry.span)?;
            let mut within =
                facts.statements.iter().filter(|other| statement.contains(**other) && **other != statement);
            let (Some(only), None) = (within.next(), within.next()) else { return None };
            let local = facts.bindings.iter().find_map(|binding| match binding.kind {
                BindingKind::Entered { context, .. } if context == made => Some(binding.local),
                _ => None,
            })?;
            let uses: Vec<ExprId> = lookup::uses_of(facts, local).collect();
            if !block.span.contains(*only) || uses.iter().any(|id| !is_first_of_run(facts, *id)) {
                return None;
            }
            let mut edits = vec![Edit::delete(Span::new(statement.start, only.start))];
            edits.extend(uses.iter().map(|id| Edit::replace(facts.expr(*id).span, "None")));
            Some(edits)
        }
        _ => None,
    }
}

/// The first argument of `run_in_executor`.
fn is_first_of_run(facts: &FileFacts, id: ExprId) -> bool {
    let call = facts.expr(id).parent.and_then(|parent| facts.as_call(parent));
    call.is_some_and(|call| {
        facts.last_name(call.callee) == Some("run_in_executor") && facts.argument(call, 0, "executor") == Some(id)
    })
}
