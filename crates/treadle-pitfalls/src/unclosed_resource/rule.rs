//! Something that must be closed is opened into a variable, and some path leaves without closing it.

use treadle_finding::{Edit, Finding, Findings, Fix, Span};
use treadle_program::facts::{
    Binding, BindingId, BindingKind, CallId, ExprId, ExprKind, LocalId, NodeId, NodeKind, RegionKind, Usage,
};
use treadle_program::ids::{CallRef, ExprRef, FileId, FunctionRef, In};
use treadle_program::knowledge::claim::{Claim, Protocol};
use treadle_program::program::{Context, Paths};
use treadle_program::ty::Ty;
use treadle_program::{Program, Types};

use super::UNCLOSED_RESOURCE;
use crate::{cure, lookup};

pub(super) fn check(program: &Program, file: FileId, findings: &mut Findings) {
    for function in lookup::plain_and_async_functions(program, file) {
        let run = program.function(function).calls;
        let is_on_loop = program.function(function).is_async && program.context(function) == Context::Loop;
        let mut types = Types::new(program, function.file);
        for call in (run.start..run.end).map(|call| In::new(function.file, CallId(call))) {
            let is_opener = |claim: &Claim| claim.opens && (is_on_loop || claim.goes_on);
            if program.claim(call).is_some_and(|(_, known)| is_opener(&known.claim))
                && let Some(finding) = judge(program, &mut types, function, call)
            {
                findings.push(finding);
            }
        }
    }
}

fn judge(program: &Program, types: &mut Types<'_>, function: FunctionRef, call: CallRef) -> Option<Finding> {
    let facts = program.facts(function.file);
    let at = program.call_expr(call);
    let value = lookup::awaited_or_self(facts, at.id);
    let (binding, local, closes) = held_by(program, types, function, value)?;
    if facts.local(local).captured || facts.local(local).function != function.id {
        return None;
    }
    let closing = closing_uses(program, function, local, &closes);
    if closing.escapes {
        return None;
    }
    let bound =
        program.nodes(function).find(|(_, kind)| matches!(kind, NodeKind::Bind(found) if *found == binding))?.0.id;
    let name = facts.name(facts.local(local).name);
    let what = lookup::spelled(program, call);
    let is_closing = |id: NodeId| closing.nodes.contains(&id);
    let ends = |kind: &NodeKind| matches!(kind, NodeKind::Exit);
    let words = if closing.nodes.is_empty() {
        format!("`{name}`, opened by `{what}`, is never closed")
    } else if facts.find_on_path(bound, Paths::Normal, |_, kind| ends(kind), |id, _| is_closing(id)).is_some() {
        if closing.is_conditional {
            return None;
        }
        format!("`{name}`, opened by `{what}`, is not closed on every path")
    } else if leaks_on_error(program, function, bound, &closing.nodes) {
        format!("`{name}`, opened by `{what}`, is not closed when something on the way raises")
    } else {
        return None;
    };
    let finding = Finding::new(&UNCLOSED_RESOURCE.about, program.location_of(at), words)
        .label("must be closed")
        .help(how(program, types, value, name));
    Some(match enter_it(program, types, function.with(value), name).filter(|_| closing.nodes.is_empty()) {
        Some(fix) => finding.fix(fix),
        None => finding,
    })
}

/// Whether an exception from a wait behind the opening, a cancellation for one, leaves the function without closing.
fn leaks_on_error(program: &Program, function: FunctionRef, bound: NodeId, closing: &[NodeId]) -> bool {
    let facts = program.facts(function.file);
    let is_closing = |id: NodeId, _: &NodeKind| closing.contains(&id);
    let waits = |id: NodeId, kind: &NodeKind| {
        facts.may_suspend(function.id, kind)
            && facts.node(id).raises.is_some_and(|to| {
                matches!(facts.node(to).kind, NodeKind::Unwind)
                    || facts
                        .find_on_path(to, Paths::Normal, |_, kind| matches!(kind, NodeKind::Unwind), is_closing)
                        .is_some()
            })
    };
    facts.find_on_path(bound, Paths::Normal, waits, is_closing).is_some()
}

/// `name = open_it()` becomes `async with open_it() as name:` around the rest of the block.
fn enter_it(program: &Program, types: &mut Types<'_>, value: ExprRef, name: &str) -> Option<Fix> {
    let facts = program.facts(value.file);
    let ty = types.of(value.id);
    let keyword = if program.supports(&ty, Protocol::AsyncWith) == Some(true) {
        "async with"
    } else if program.supports(&ty, Protocol::With) == Some(true) {
        "with"
    } else {
        return None;
    };
    let entry = facts.expr(value.id);
    let statement = facts.statement_around(entry.span)?;
    let (_, region) = facts.regions_around(entry.region).next()?;
    // Only the plain form: name, equals sign, value.
    if statement.end != entry.span.end || (entry.span.start - statement.start) as usize != name.len() + " = ".len() {
        return None;
    }
    let mut edits = vec![
        Edit::replace(Span::new(statement.start, entry.span.start), format!("{keyword} ")),
        Edit::insert(entry.span.end, format!(" as {name}:")),
    ];
    let rest = cure::indent_rest(facts, statement, region.span.end)?;
    if rest.is_empty() {
        return None;
    }
    edits.extend(rest);
    Some(Fix::unsafe_(format!("close it with `{keyword}`"), edits))
}

/// The variable that holds what is opened, and the names of the methods that close it.
fn held_by(
    program: &Program,
    types: &mut Types<'_>,
    function: FunctionRef,
    value: ExprId,
) -> Option<(BindingId, LocalId, Vec<String>)> {
    let facts = program.facts(function.file);
    let Usage::Bound(first) = facts.expr(value).usage else { return None };
    let run = facts.function(function.id).bindings;
    let of_value = |binding: &Binding| match binding.kind {
        BindingKind::Value { value: found, .. } | BindingKind::Unpacked { value: found, .. } => found == value,
        _ => false,
    };
    (first.0..run.end).map(BindingId).filter(|id| of_value(facts.binding(*id))).find_map(|id| {
        let closes = close_methods(program, &types.of_binding(id))?;
        Some((id, facts.binding(id).local, closes))
    })
}

fn close_methods(program: &Program, ty: &Ty) -> Option<Vec<String>> {
    let Ty::KnownInstance(item) = ty else { return None };
    let closes: Vec<String> = program
        .knowledge()
        .ancestors(*item)
        .into_iter()
        .filter_map(|class| program.knowledge().claim(class))
        .flat_map(|known| known.claim.close.iter().cloned())
        .collect();
    (!closes.is_empty()).then_some(closes)
}

struct Closing {
    nodes: Vec<NodeId>,
    /// Given to somebody else, who may close it.
    escapes: bool,
    /// Closed under a condition that may be the right one.
    is_conditional: bool,
}

fn closing_uses(program: &Program, function: FunctionRef, local: LocalId, closes: &[String]) -> Closing {
    let facts = program.facts(function.file);
    let mut closing = Closing { nodes: Vec::new(), escapes: false, is_conditional: false };
    for id in lookup::uses_of(facts, local) {
        let entry = facts.expr(id);
        match entry.usage {
            Usage::AttributeBase => {
                let Some(parent) = entry.parent else { continue };
                let ExprKind::Attribute { name, .. } = facts.expr(parent).kind else { continue };
                let name = facts.name(name);
                if closes.iter().any(|close| close == name) || matches!(name, "close" | "aclose" | "stop") {
                    match facts.expr(parent).parent.and_then(|call| facts.as_call(call)).and_then(|call| call.node) {
                        Some(node) => closing.nodes.extend(copies(program, function, node)),
                        // `stack.push_async_callback(session.close)`
                        None => closing.escapes = true,
                    }
                    closing.escapes |= facts.expr(parent).usage != Usage::Callee;
                    let around = facts.regions_around(entry.region);
                    closing.is_conditional |=
                        around.into_iter().any(|(_, region)| matches!(region.kind, RegionKind::Branch { .. }));
                }
            }
            Usage::Formatted | Usage::Compared | Usage::Condition | Usage::SubscriptBase | Usage::Discarded => {}
            _ => closing.escapes = true,
        }
    }
    closing
}

/// A node in a `finally` block stands once for each way into it.
fn copies(program: &Program, function: FunctionRef, node: NodeId) -> Vec<NodeId> {
    let kind = program.facts(function.file).node(node).kind;
    program.nodes(function).filter(|(_, other)| **other == kind).map(|(node, _)| node.id).collect()
}

fn how(program: &Program, types: &mut Types<'_>, value: ExprId, name: &str) -> String {
    let ty = types.of(value);
    if program.supports(&ty, Protocol::AsyncWith) == Some(true) {
        format!("`async with … as {name}:`")
    } else if program.supports(&ty, Protocol::With) == Some(true) {
        format!("`with … as {name}:`")
    } else {
        format!("close `{name}` in a `finally`")
    }
}
