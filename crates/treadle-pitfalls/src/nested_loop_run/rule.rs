//! A loop is run where one is running already: in a coroutine itself, or in a plain function below one.

use treadle_finding::{Edit, Finding, Findings, Fix, Span};
use treadle_program::Program;
use treadle_program::facts::{ArgumentKind, CallId};
use treadle_program::ids::{CallRef, ExprRef, FileId, FunctionRef, In};
use treadle_program::program::Chain;

use super::NESTED_LOOP_RUN;
use crate::lookup;

pub(super) fn check(program: &Program, file: FileId, findings: &mut Findings) {
    // `nest_asyncio` makes it work, for better or worse.
    if program.uses_nest_asyncio() {
        return;
    }
    for function in lookup::loop_functions(program, file) {
        for call in runs_in(program, function) {
            findings.push(direct(program, call));
        }
    }
}

pub(super) fn leaves(program: &Program, function: FunctionRef) -> Vec<CallRef> {
    let mut calls = if program.uses_nest_asyncio() { Vec::new() } else { runs_in(program, function) };
    if !calls.is_empty() && lookup::asks_for_its_thread(program, function) {
        calls.clear();
    }
    calls
}

pub(super) fn report(program: &Program, chains: &[&Chain], findings: &mut Findings) {
    for chain in chains {
        let path = &chain.path;
        let leaf = chain.leaves[0];
        let Some(first) = path.first() else { continue };
        let message = format!(
            "{} runs an event loop inside the running one: it reaches `{}`",
            lookup::name_of(program, first.callee),
            lookup::spelled(program, leaf)
        );
        let mut finding = Finding::new(&NESTED_LOOP_RUN.about, program.location_of(ExprRef::of_edge(first)), message)
            .label(format!("called on the loop by {}", lookup::name_of(program, first.caller)));
        for edge in &path[1..] {
            let words =
                format!("{} calls {}", lookup::name_of(program, edge.caller), lookup::name_of(program, edge.callee));
            finding = finding.step(program.location_of(ExprRef::of_edge(edge)), words);
        }
        finding = finding
            .step(program.location_of(program.call_expr(leaf)), "raises `RuntimeError` while a loop is running")
            .help("make the function `async def` and `await` it");
        finding.also = chain.others.iter().map(|edge| program.location_of(ExprRef::of_edge(edge))).collect();
        finding.also.retain(|location| *location != finding.primary);
        findings.push(finding);
    }
}

fn runs_in(program: &Program, function: FunctionRef) -> Vec<CallRef> {
    let run = program.function(function).calls;
    let runs = |call: &CallRef| {
        lookup::known_path(program, *call).is_some_and(|path| {
            matches!(
                path,
                "asyncio.run"
                    | "asyncio.AbstractEventLoop.run_until_complete"
                    | "asyncio.AbstractEventLoop.run_forever"
                    | "asyncio.Runner.run"
                    | "anyio.run"
            )
        })
    };
    (run.start..run.end).map(|call| In::new(function.file, CallId(call))).filter(runs).collect()
}

fn direct(program: &Program, call: CallRef) -> Finding {
    let at = program.call_expr(call);
    let finding = Finding::new(
        &NESTED_LOOP_RUN.about,
        program.location_of(at),
        format!("`{}` raises `RuntimeError` inside a running event loop", lookup::spelled(program, call)),
    )
    .help("`await` the coroutine");
    let facts = program.facts(call.file);
    let arguments = facts.arguments(facts.call(call.id));
    match arguments {
        [only] if only.kind == ArgumentKind::Positional && lookup::may_await(program, at) => {
            let whole = facts.expr(at.id).span;
            let edits = vec![
                Edit::replace(Span::new(whole.start, only.span.start), "(await "),
                Edit::replace(Span::new(only.span.end, whole.end), ")"),
            ];
            let bare = matches!(
                facts.expr(at.id).usage,
                treadle_program::facts::Usage::Discarded
                    | treadle_program::facts::Usage::Bound(_)
                    | treadle_program::facts::Usage::Returned
            );
            let edits = if bare {
                vec![
                    Edit::replace(Span::new(whole.start, only.span.start), "await "),
                    Edit::delete(Span::new(only.span.end, whole.end)),
                ]
            } else {
                edits
            };
            finding.fix(Fix::safe("await the coroutine", edits))
        }
        _ => finding,
    }
}
