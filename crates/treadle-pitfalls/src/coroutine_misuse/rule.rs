//! A coroutine is used where its result was meant.

use treadle_finding::{Finding, Findings, Fix};
use treadle_program::facts::{BindingId, BindingKind, CompareOp, ExprId, ExprKind, FileFacts, LocalId, Usage};
use treadle_program::ids::{FileId, In};
use treadle_program::knowledge::types::Shape;
use treadle_program::ty::Ty;
use treadle_program::{Program, Types};

use super::COROUTINE_MISUSE;
use crate::{cure, lookup};

pub(super) fn check(program: &Program, file: FileId, findings: &mut Findings) {
    if program.is_foreign(file) {
        return;
    }
    let facts = program.facts(file);
    let mut types = Types::new(program, file);
    for (position, expr) in facts.exprs.iter().enumerate() {
        let may_be_one = match expr.kind {
            ExprKind::Call(_) => true,
            ExprKind::Local(local) => holds_a_value(facts, local),
            _ => false,
        };
        if !may_be_one {
            continue;
        }
        let id = ExprId(position as u32);
        let Some(words) = misuse(program, file, id) else { continue };
        let ty = types.of(id);
        let is_future = matches!(ty, Ty::Of(Shape::Future | Shape::Task, _)) && fits_no_future(expr.usage);
        if !(ty.is_coroutine() || is_future) || differs_below(program, file, id) || is_asked_about(facts, id) {
            continue;
        }
        let at = In::new(file, id);
        let name = match facts.as_call(id) {
            Some(call) => facts.dotted(call.callee).unwrap_or_else(|| "the call".to_owned()),
            None => facts.dotted(id).unwrap_or_default(),
        };
        let kind = if is_future { "future" } else { "coroutine" };
        let mut finding =
            Finding::new(&COROUTINE_MISUSE.about, program.location_of(at), format!("the {kind} of `{name}` {words}"))
                .label(format!("this is a {kind}, not its result"));
        if lookup::may_await(program, at) {
            finding = finding.help(format!(
                "`await` it: `{}`",
                if facts.as_call(id).is_some() { format!("await {name}(…)") } else { format!("await {name}") }
            ));
            if facts.as_call(id).is_some() {
                finding = finding.fix(Fix::safe("await the coroutine", cure::await_it(program, at)));
            }
        }
        findings.push(finding);
    }
}

/// Whether a variable is bound by more than a parameter or an import: most reads in a program are of those, `self` first.
fn holds_a_value(facts: &FileFacts, local: LocalId) -> bool {
    facts.bindings_of(local).any(|(_, binding)| {
        !matches!(
            binding.kind,
            BindingKind::Param(_) | BindingKind::Import(_) | BindingKind::Function(_) | BindingKind::Class(_)
        )
    })
}

/// Uses that neither a future nor a task is fit for.
fn fits_no_future(usage: Usage) -> bool {
    matches!(usage, Usage::Iterated | Usage::SubscriptBase | Usage::Operand)
}

/// `first, second = work()`.
fn is_unpacked(facts: &FileFacts, binding: BindingId, id: ExprId) -> bool {
    matches!(facts.binding(binding).kind, BindingKind::Unpacked { value, .. } if value == id)
}

/// `if not iscoroutine(work): raise TypeError(f"{work} …")`: what the value is, is known there better than here.
fn is_asked_about(facts: &FileFacts, id: ExprId) -> bool {
    let ExprKind::Local(local) = facts.expr(id).kind else { return false };
    facts.calls_of(facts.function_of(id)).any(|(_, call)| {
        let asks = matches!(
            facts.last_name(call.callee),
            Some(
                "iscoroutine"
                    | "isawaitable"
                    | "isfuture"
                    | "isinstance"
                    | "iscoroutinefunction"
                    | "hasattr"
                    | "callable"
            )
        );
        asks && facts.argument(call, 0, "\0").is_some_and(|value| facts.expr(value).kind == ExprKind::Local(local))
    })
}

fn differs_below(program: &Program, file: FileId, id: ExprId) -> bool {
    program
        .call_of(In::new(file, id))
        .is_some_and(|call| lookup::overridden_differently(program, program.callee(call), true))
}

/// How the value is used as if it were the result; `None` for uses a coroutine object is fit for.
fn misuse(program: &Program, file: FileId, id: ExprId) -> Option<&'static str> {
    let facts = program.facts(file);
    let expr = facts.expr(id);
    let parent = expr.parent.map(|parent| facts.expr(parent));
    match expr.usage {
        Usage::Condition | Usage::Junction => Some("is used as a condition, and is always true"),
        Usage::Bound(binding) if is_unpacked(facts, binding, id) => Some("is unpacked"),
        // `while line := reader.readline():`
        Usage::Bound(_) if matches!(parent.map(|parent| parent.kind), Some(ExprKind::Walrus(_))) => {
            misuse(program, file, expr.parent?)
        }
        Usage::SubscriptBase => Some("is indexed"),
        Usage::Formatted => Some("is formatted, not its result"),
        Usage::Iterated => Some("is iterated"),
        Usage::Operand => Some("is used in arithmetic"),
        Usage::Compared => match parent.map(|parent| parent.kind) {
            Some(ExprKind::Compare { op: CompareOp::Is | CompareOp::IsNot, left, right }) => {
                let is_none = [left, right].iter().any(|side| facts.expr(*side).kind == ExprKind::None);
                is_none.then_some("is compared with `None`, which it never is")
            }
            None => None,
            Some(_) => Some("is compared, not its result"),
        },
        Usage::AttributeBase => match parent.map(|parent| parent.kind) {
            Some(ExprKind::Attribute { name, .. }) if !is_coroutine_attribute(facts.name(name)) => {
                Some("has no such attribute; its result may have")
            }
            _ => None,
        },
        Usage::Argument => argument_misuse(program, facts, file, id),
        _ => None,
    }
}

fn is_coroutine_attribute(name: &str) -> bool {
    matches!(name, "send" | "throw" | "close") || name.starts_with("cr_") || name.starts_with("__")
}

fn argument_misuse(program: &Program, facts: &FileFacts, file: FileId, id: ExprId) -> Option<&'static str> {
    let call = program.call_of(In::new(file, facts.expr(id).parent?))?;
    let path = lookup::known_path(program, call)?;
    matches!(
        path,
        "builtins.len"
            | "builtins.str"
            | "builtins.int"
            | "builtins.float"
            | "builtins.bool"
            | "builtins.list"
            | "builtins.dict"
            | "builtins.set"
            | "builtins.tuple"
            | "builtins.sorted"
            | "builtins.sum"
            | "builtins.min"
            | "builtins.max"
            | "builtins.any"
            | "builtins.all"
            | "builtins.enumerate"
            | "builtins.zip"
            | "builtins.abs"
            | "builtins.round"
            | "builtins.print"
            | "builtins.range"
            | "json.dumps"
            | "json.loads"
    )
    .then_some("is passed where its result is meant")
}
