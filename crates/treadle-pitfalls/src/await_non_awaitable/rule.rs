//! `await` on what cannot be awaited, or on one coroutine for the second time.

use treadle_finding::{Edit, Finding, Findings, Fix, Span};
use treadle_program::facts::{
    BindingKind, ExprId, ExprKind, FileFacts, FunctionKind, LocalId, NodeId, NodeKind, Usage,
};
use treadle_program::ids::{CallRef, FileId, FunctionRef, In};
use treadle_program::knowledge::ItemId;
use treadle_program::knowledge::claim::Protocol;
use treadle_program::program::{Paths, Wrapping};
use treadle_program::ty::Ty;
use treadle_program::{Program, Types};

use super::AWAIT_NON_AWAITABLE;
use crate::lookup;

pub(super) fn check(program: &Program, file: FileId, findings: &mut Findings) {
    if program.is_foreign(file) {
        return;
    }
    let facts = program.facts(file);
    let mut types = Types::new(program, file);
    for (position, expr) in facts.exprs.iter().enumerate() {
        if let ExprKind::Await(operand) = expr.kind {
            plain_value(program, &mut types, file, ExprId(position as u32), operand, findings);
        }
    }
    for function in lookup::async_functions(program, file) {
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
    let ty = types.of(operand);
    let (message, help) = if let Some(call) = program.call_of(In::new(file, operand)) {
        if !gives_no_awaitable(program, types, call, &ty) {
            return;
        }
        let name = lookup::spelled(program, call);
        (format!("`{name}` returns nothing that can be awaited"), "call it without `await`".to_owned())
    } else {
        match ty {
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
            Ty::KnownInstance(item)
                if program.knowledge().path(item) == "concurrent.futures.Future" && is_made_here(facts, operand) =>
            {
                let help = format!("`await asyncio.wrap_future({spelled})`");
                (format!("`{spelled}` is a future for threads, which cannot be awaited"), help)
            }
            _ if is_plain_attribute(program, types, file, operand) => {
                (format!("`{spelled}` is a plain value, which cannot be awaited"), "read it without `await`".to_owned())
            }
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

/// A variable whose only value is that of a call, or a call's value itself: its type is no guess of an annotation.
fn is_made_here(facts: &FileFacts, id: ExprId) -> bool {
    match facts.expr(id).kind {
        ExprKind::Call(_) => true,
        ExprKind::Await(operand) => is_made_here(facts, operand),
        ExprKind::Local(local) => {
            let mut bindings = facts.bindings_of(local).map(|(_, binding)| binding.kind);
            match (bindings.next(), bindings.next()) {
                (Some(BindingKind::Value { value, .. }), None) => value < id && is_made_here(facts, value),
                (Some(BindingKind::Entered { .. }), None) => true,
                _ => false,
            }
        }
        _ => false,
    }
}

/// `response.status`: an attribute that a claim says is a number or a text.
fn is_plain_attribute(program: &Program, types: &mut Types<'_>, file: FileId, id: ExprId) -> bool {
    let ExprKind::Attribute { base, .. } = program.facts(file).expr(id).kind else { return false };
    let (Ty::KnownInstance(_), Ty::KnownInstance(value)) = (types.of(base), types.of(id)) else { return false };
    let path = program.knowledge().path(value);
    matches!(path, "builtins.str" | "builtins.int" | "builtins.float" | "builtins.bool" | "builtins.bytes")
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
fn gives_no_awaitable(program: &Program, types: &mut Types<'_>, call: CallRef, result: &Ty) -> bool {
    let callee = program.callee(call);
    if is_guessed(program.facts(call.file), program.facts(call.file).call(call.id).callee) {
        return false;
    }
    match callee {
        Ty::Function(function) | Ty::Method(function, _) => {
            let entry = program.function(*function);
            let decoration = program.decoration(*function);
            // An asynchronous generator gives no coroutine either.
            let is_plain = !entry.is_async || entry.is_generator;
            entry.kind == FunctionKind::Def
                && is_plain
                && (!entry.is_stub || entry.returns.is_some())
                && decoration.wrapping == Wrapping::Same
                && entry.decorators.is_empty()
                && !lookup::overridden_differently(program, callee, false)
                && program.supports(result, Protocol::Await) == Some(false)
        }
        Ty::Known(item) => refuses(program, *item, result),
        Ty::KnownMethod(item, _) => {
            // The receiver's class may come from an annotation that `await` proves wrong; asyncio's own are not mistaken.
            let facts = program.facts(call.file);
            let ExprKind::Attribute { base: receiver, .. } = facts.expr(facts.call(call.id).callee).kind else {
                return false;
            };
            let is_sure = program.knowledge().path(*item).starts_with("asyncio.") || is_made_here(facts, receiver);
            is_sure && !types.of(receiver).is_unknown() && refuses(program, *item, result)
        }
        _ => false,
    }
}

/// A parameter without annotation, or something of it: what calls in the program pass is not all that may be passed.
fn is_guessed(facts: &FileFacts, id: ExprId) -> bool {
    match facts.expr(id).kind {
        ExprKind::Attribute { base, .. } => is_guessed(facts, base),
        ExprKind::Local(local) => facts.bindings_of(local).any(|(_, binding)| match binding.kind {
            BindingKind::Param(param) => {
                let name = facts.name(facts.local(local).name);
                facts.params[param as usize].annotation.is_none() && !matches!(name, "self" | "cls")
            }
            _ => false,
        }),
        _ => false,
    }
}

fn refuses(program: &Program, item: ItemId, result: &Ty) -> bool {
    program.knowledge().claim(item).is_some_and(|known| {
        let is_plain = !known.claim.class || program.knowledge().path(item).starts_with("builtins.");
        !known.claim.is_async
            && is_plain
            && (known.claim.blocks.is_some() || program.supports(result, Protocol::Await) == Some(false))
    })
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
