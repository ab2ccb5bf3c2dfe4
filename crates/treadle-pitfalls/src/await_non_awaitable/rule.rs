//! `await` on what cannot be awaited, or on one coroutine for the second time.

use treadle_finding::{Edit, Finding, Findings, Fix, Span};
use treadle_program::facts::{BindingKind, ExprId, ExprKind, FunctionKind, LocalId, NodeId, NodeKind, Usage};
use treadle_program::ids::{FileId, FunctionRef, In};
use treadle_program::knowledge::claim::Protocol;
use treadle_program::program::{Paths, Wrapping};
use treadle_program::ty::Ty;
use treadle_program::{Program, Types};

use super::AWAIT_NON_AWAITABLE;
use crate::lookup;

pub(super) fn check(program: &Program, findings: &mut Findings) {
    for file in lookup::files(program) {
        let facts = program.facts(file);
        let mut types = Types::new(program, file);
        for (position, expr) in facts.exprs.iter().enumerate() {
            if let ExprKind::Await(operand) = expr.kind {
                plain_value(program, &mut types, file, ExprId(position as u32), operand, findings);
            }
        }
    }
    for function in lookup::async_functions(program) {
        awaited_twice(program, function, findings);
    }
}

fn plain_value(
    program: &Program,
    types: &mut Types<'_>,
    file: FileId,
    awaits: ExprId,
    operand: ExprId,
    findings: &mut Findings,
) {
    let facts = program.facts(file);
    let spelled = facts.dotted(operand).unwrap_or_else(|| "this".to_owned());
    let (message, help) = if let Some(call) = program.call_of(In::new(file, operand)) {
        if !gives_no_awaitable(program, &program.callee(call).clone(), &types.of(operand)) {
            return;
        }
        let name = lookup::spelled(program, call);
        (format!("`{name}` returns nothing that can be awaited"), "call it without `await`".to_owned())
    } else {
        match types.of(operand) {
            Ty::Function(function) if program.is_coroutine_function(function) == Some(true) => {
                (format!("`{spelled}` is a coroutine function that is not called"), format!("`await {spelled}()`"))
            }
            Ty::Method(function, _) if program.is_coroutine_function(function) == Some(true) => {
                (format!("`{spelled}` is a coroutine method that is not called"), format!("`await {spelled}()`"))
            }
            _ if is_display(&facts.expr(operand).kind) => (
                "a plain value cannot be awaited".to_owned(),
                "gather coroutines first: `await asyncio.gather(*coroutines)`".to_owned(),
            ),
            _ => return,
        }
    };
    let at = In::new(file, awaits);
    let mut finding = Finding::new(&AWAIT_NON_AWAITABLE.about, program.location_of(at), message)
        .label("raises `TypeError`")
        .help(help);
    let (whole, inner) = (facts.expr(awaits).span, facts.expr(operand).span);
    if facts.as_call(operand).is_some() && whole.end == inner.end {
        let edit = Edit::delete(Span::new(whole.start, inner.start));
        finding = finding.fix(Fix::safe("call without `await`", vec![edit]));
    }
    findings.push(finding);
}

fn is_display(kind: &ExprKind) -> bool {
    use treadle_program::facts::ComprehensionKind;
    match kind {
        ExprKind::List(_)
        | ExprKind::Tuple(_)
        | ExprKind::Set(_)
        | ExprKind::Dict(_)
        | ExprKind::None
        | ExprKind::Int(_)
        | ExprKind::String(_)
        | ExprKind::Bool(_) => true,
        ExprKind::Comprehension { kind, .. } => *kind != ComprehensionKind::Generator,
        _ => false,
    }
}

/// Whether a call surely gives something that `await` refuses.
fn gives_no_awaitable(program: &Program, callee: &Ty, result: &Ty) -> bool {
    match callee {
        Ty::Function(function) | Ty::Method(function, _) => {
            let entry = program.function(*function);
            let decoration = program.decoration(*function);
            entry.kind == FunctionKind::Def
                && !entry.is_async
                && !entry.is_stub
                && decoration.wrapping == Wrapping::Same
                && entry.decorators.is_empty()
                && !lookup::overridden_differently(program, callee, false)
                && program.supports(result, Protocol::Await) == Some(false)
        }
        // The receiver's class may come from an annotation that `await` proves wrong.
        Ty::Known(item) => match program.knowledge().claim(*item) {
            Some(known) if !known.claim.is_async && !known.claim.class => {
                known.claim.blocks.is_some() || program.supports(result, Protocol::Await) == Some(false)
            }
            _ => false,
        },
        _ => false,
    }
}

/// `work = f()`, then `await work` at two places one of which follows the other.
fn awaited_twice(program: &Program, function: FunctionRef, findings: &mut Findings) {
    let facts = program.facts(function.file);
    let run = facts.function(function.id).locals;
    let mut types = Types::new(program, function.file);
    for local in (run.start..run.end).map(LocalId) {
        let entry = facts.local(local);
        if entry.captured {
            continue;
        }
        let mut bindings = facts.bindings_of(local);
        let (Some((binding, first)), None) = (bindings.next(), bindings.next()) else { continue };
        if !matches!(first.kind, BindingKind::Value { value, .. } if facts.as_call(value).is_some()) {
            continue;
        }
        if !types.of_binding(binding).is_coroutine() {
            continue;
        }
        let awaited = |kind: &NodeKind| match *kind {
            NodeKind::Use(expr) => {
                facts.expr(expr).usage == Usage::Awaited && facts.expr(expr).kind == ExprKind::Local(local)
            }
            _ => false,
        };
        let uses: Vec<NodeId> =
            program.nodes(function).filter(|(_, kind)| awaited(kind)).map(|(node, _)| node.id).collect();
        let rebinds = |kind: &NodeKind| matches!(kind, NodeKind::Bind(found) if *found == binding);
        let second = uses.iter().find_map(|first| {
            let found = facts.find_on_path(*first, Paths::Normal, |_, kind| awaited(kind), |_, kind| rebinds(kind));
            found.map(|second| (*first, second))
        });
        if let Some((first, second)) = second
            && let (NodeKind::Use(first), NodeKind::Use(second)) = (facts.node(first).kind, facts.node(second).kind)
        {
            let name = facts.name(entry.name);
            let words = if first == second { "made here, before the loop" } else { "awaited here before" };
            let before = if first == second {
                program.location(function.file, facts.binding(binding).span)
            } else {
                program.location_of(function.with(first))
            };
            findings.push(
                Finding::new(
                    &AWAIT_NON_AWAITABLE.about,
                    program.location_of(function.with(second)),
                    format!("the coroutine `{name}` is awaited a second time"),
                )
                .label("raises `RuntimeError: cannot reuse already awaited coroutine`")
                .step(before, words)
                .help(format!("keep the result, or make a task: `{name} = asyncio.create_task(…)`")),
            );
        }
    }
}
