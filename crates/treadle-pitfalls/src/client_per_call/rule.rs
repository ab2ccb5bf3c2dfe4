//! A client with a pool of connections of its own, made for a single operation.

use treadle_finding::{Finding, Findings};
use treadle_program::Program;
use treadle_program::facts::{CallId, ExprId, RegionKind, Usage};
use treadle_program::ids::{FileId, FunctionRef, In};

use super::CLIENT_PER_CALL;
use crate::lookup;

pub(super) fn check(program: &Program, file: FileId, findings: &mut Findings) {
    for function in lookup::async_functions(program, file) {
        let entry = program.function(function);
        // A generator hands the client to others: a fixture, a dependency, a lifespan.
        if entry.is_generator {
            continue;
        }
        let runs_once = lookup::runs_once(program, function);
        let run = entry.calls;
        for call in (run.start..run.end).map(|call| In::new(function.file, CallId(call))) {
            let Some((item, known)) = program.claim(call) else { continue };
            let at = program.call_expr(call);
            let is_once = runs_once && !lookup::is_in_loop(program, at);
            if !known.claim.pooled_client || is_once || !is_for_one_operation(program, function, at.id) {
                continue;
            }
            let name = program.knowledge().path(item);
            findings.push(
                Finding::new(
                    &CLIENT_PER_CALL.about,
                    program.location_of(at),
                    format!("`{name}` is made for every call of {}", lookup::name_of(program, function)),
                )
                .label("connects anew each time; its pool is never used twice")
                .help("make it once, when the program starts, and share it"),
            );
        }
    }
}

/// The client lives in the function and serves no loop there.
fn is_for_one_operation(program: &Program, function: FunctionRef, at: ExprId) -> bool {
    let facts = program.facts(function.file);
    let value = lookup::awaited_or_self(facts, at);
    if !lookup::stays_local(program, function.with(value)) {
        return false;
    }
    if may_be_given(facts, value) {
        return false;
    }
    let is_loop = |kind: &RegionKind| matches!(kind, RegionKind::Loop { .. });
    let from = facts.expr(at).span.start;
    let serves_loop = facts.regions[facts.function(function.id).regions.range()]
        .iter()
        .any(|region| is_loop(&region.kind) && region.span.start > from);
    // `gather(*(fetch(session, url) for url in urls))` is a loop too, and so is handing the client on.
    let handed_on = match facts.expr(value).usage {
        Usage::AsyncEntered | Usage::Entered => {
            let bound = facts.bindings[facts.function(function.id).bindings.range()].iter().find(|binding| {
                matches!(binding.kind, treadle_program::facts::BindingKind::Entered { context, .. } if context == value)
            });
            bound.is_some_and(|binding| {
                facts.local(binding.local).captured
                    || lookup::uses_of(facts, binding.local)
                        .any(|id| !matches!(facts.expr(id).usage, Usage::AttributeBase))
            })
        }
        _ => false,
    };
    // A route or handler makes it for each request, however many it sends.
    let is_handler = !facts.function(function.id).decorators.is_empty();
    (!serves_loop || is_handler) && !handed_on
}

/// `if session is None: session = ClientSession()` where `session` is a parameter.
fn may_be_given(facts: &treadle_program::facts::FileFacts, value: ExprId) -> bool {
    use treadle_program::facts::BindingKind;
    let Usage::Bound(binding) = facts.expr(value).usage else { return false };
    let local = facts.binding(binding).local;
    facts.bindings_of(local).any(|(_, binding)| matches!(binding.kind, BindingKind::Param(_)))
}
