//! A coroutine is made, and nothing can ever run it.

use treadle_finding::{Finding, Findings, Fix};
use treadle_program::facts::{BindingKind, CallId, ExprId, ExprKind, FunctionKind, Usage};
use treadle_program::ids::{FileId, In};
use treadle_program::{Program, Types};

use super::MISSING_AWAIT;
use crate::{cure, lookup};

pub(super) fn check(program: &Program, findings: &mut Findings) {
    for file in lookup::files(program) {
        let facts = program.facts(file);
        let mut types = Types::new(program, file);
        for (number, call) in facts.calls.iter().enumerate() {
            let fate = fate(program, file, call.expr);
            if fate == Fate::Lives || call.node.is_none() || !types.of(call.expr).is_coroutine() {
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
                finding = finding
                    .help("make the function around it `async def`, or schedule the coroutine and keep the task");
            }
            findings.push(finding);
        }
    }
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
