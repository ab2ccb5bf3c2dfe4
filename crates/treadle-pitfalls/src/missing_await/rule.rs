//! A coroutine is made, and nothing can ever run it.

use treadle_finding::{Finding, Findings, Fix};
use treadle_program::facts::{BindingKind, CallId, ExprId, ExprKind, FunctionKind, Usage};
use treadle_program::ids::{CallRef, FileId, In};
use treadle_program::knowledge::claim::Protocol;
use treadle_program::program::ParamEffects;
use treadle_program::ty::Ty;
use treadle_program::{Program, Types};

use super::MISSING_AWAIT;
use crate::{cure, lookup};

pub(super) fn check(program: &Program, file: FileId, findings: &mut Findings) {
    if program.is_foreign(file) {
        return;
    }
    let facts = program.facts(file);
    let mut types = Types::new(program, file);
    for (number, call) in facts.calls.iter().enumerate() {
        let fate = fate(program, file, call.expr);
        if fate == Fate::Lives || call.node.is_none() {
            continue;
        }
        let ty = types.of(call.expr);
        // `session.get(…)`: no coroutine, but nothing is sent before it is awaited or entered either.
        let only_awaited = fate == Fate::Dropped
            && matches!(ty, Ty::KnownInstance(_))
            && program.supports(&ty, Protocol::Await) == Some(true);
        if !ty.is_coroutine() && !only_awaited {
            continue;
        }
        let reference = In::new(file, CallId(number as u32));
        if lookup::overridden_differently(program, program.callee(reference), true) {
            continue;
        }
        let at = In::new(file, call.expr);
        let name = lookup::spelled(program, reference);
        let message = match fate {
            Fate::Bound => format!("the coroutine of `{name}` is stored and never awaited"),
            _ => format!("the coroutine of `{name}` is never awaited"),
        };
        let mut finding = Finding::new(&MISSING_AWAIT.about, program.location_of(at), message)
            .label("makes a coroutine and runs nothing");
        if lookup::may_await(program, at) {
            let fix = Fix::safe("await the coroutine", cure::await_it(program, at));
            finding = finding.help(format!("`await {name}(…)`")).fix(fix);
        } else {
            finding =
                finding.help("make the function around it `async def`, or schedule the coroutine and keep the task");
        }
        findings.push(finding);
    }
    for call in program.calls(file) {
        handed_on(program, call, findings);
    }
}

/// A coroutine function given to something that calls it and looks at nothing it returns.
fn handed_on(program: &Program, call: CallRef, findings: &mut Findings) {
    let Some(path) = lookup::known_path(program, call) else { return };
    let Some((who, help)) = caller(path) else { return };
    for (callback, value, effects) in program.callbacks(call) {
        let is_called = effects.has(ParamEffects::LOOP_CALLBACK) || effects.has(ParamEffects::OFFLOADED);
        let Some(function) = callback.function().filter(|_| is_called) else { continue };
        if program.is_coroutine_function(function) != Some(true) || may_be_awaited(program, call, path) {
            continue;
        }
        let at = In::new(call.file, value);
        let name = lookup::name_of(program, function);
        let message = format!("the coroutine of {name} is never awaited: {who} only calls it");
        findings.push(
            Finding::new(&MISSING_AWAIT.about, program.location_of(at), message)
                .label("a coroutine function; calling it makes a coroutine and runs nothing")
                .help(help),
        );
    }
}

/// Who calls plain functions, and what to give it instead of a coroutine function.
fn caller(path: &str) -> Option<(&'static str, &'static str)> {
    let schedule = "give it a plain function that schedules the coroutine and keeps the task";
    let on_loop = "call it on the loop, and `await` it there";
    Some(match path.rsplit('.').next()? {
        "call_later" | "call_at" | "call_soon" | "call_soon_threadsafe" if path.starts_with("asyncio.") => {
            ("the loop", schedule)
        }
        "add_signal_handler" | "add_reader" | "add_writer" | "add_done_callback" if path.starts_with("asyncio.") => {
            ("the loop", schedule)
        }
        "to_thread" | "run_in_executor" if path.starts_with("asyncio.") => ("the thread", on_loop),
        "to_thread" | "to_interpreter" if path.starts_with("treadle.") => ("the thread", on_loop),
        "to_process" if path.starts_with("treadle.") => ("the process", on_loop),
        "to_executor" if path.starts_with("treadle.") => ("the pool", on_loop),
        "Thread" | "Timer" if path.starts_with("threading.") => ("the thread", "run it there with `asyncio.run`"),
        "submit" if path.starts_with("concurrent.futures.") => ("the pool", on_loop),
        _ => return None,
    })
}

/// `await (await to_thread(f))`, or a result that somebody may still await: the pools hand the coroutine back.
fn may_be_awaited(program: &Program, call: CallRef, path: &str) -> bool {
    let facts = program.facts(call.file);
    let gives_it_back =
        matches!(path.rsplit('.').next(), Some("to_thread" | "to_executor" | "run_in_executor" | "submit"));
    let outer = lookup::awaited_or_self(facts, program.call_expr(call).id);
    gives_it_back && facts.expr(outer).usage != Usage::Discarded
}

#[derive(PartialEq)]
enum Fate {
    Dropped,
    Bound,
    Lives,
}

/// What can become of the value of an expression.
fn fate(program: &Program, file: FileId, expr: ExprId) -> Fate {
    let facts = program.facts(file);
    let entry = facts.expr(expr);
    match entry.usage {
        Usage::Discarded => Fate::Dropped,
        // `await first(), second()` is a tuple, and awaits the first only.
        Usage::Element if entry.parent.is_some_and(|parent| facts.expr(parent).usage == Usage::Discarded) => {
            Fate::Dropped
        }
        // A list of coroutines as a statement of its own.
        Usage::Collected if entry.parent.is_some_and(|parent| facts.expr(parent).usage == Usage::Discarded) => {
            let parent = entry.parent.map(|parent| facts.expr(parent).kind);
            if matches!(parent, Some(ExprKind::Comprehension { .. })) { Fate::Dropped } else { Fate::Lives }
        }
        Usage::Bound(binding) => {
            let binding = facts.binding(binding);
            let local = facts.local(binding.local);
            let owner = facts.function(local.function);
            let plain = matches!(binding.kind, BindingKind::Value { value, .. } if value == expr);
            let alone = facts.bindings_of(binding.local).count() == 1;
            let unread = local.loads == 0 && !local.captured && owner.kind == FunctionKind::Def;
            if plain && alone && unread { Fate::Bound } else { Fate::Lives }
        }
        _ => Fate::Lives,
    }
}
