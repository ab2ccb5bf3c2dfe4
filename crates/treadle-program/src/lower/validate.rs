//! Whether a file's tables hold together.

use crate::facts::{ExprKind, FileFacts, NodeKind};

/// Checks every promise that `facts` makes about ids, runs and spans.
///
/// # Errors
///
/// The first broken promise, in words. Facts read from a damaged cache could break them; facts from lowering never do.
pub fn validate(facts: &FileFacts) -> Result<(), String> {
    expressions(facts)?;
    functions(facts)?;
    let nodes = facts.nodes.len() as u32;
    for (position, node) in facts.nodes.iter().enumerate() {
        check(node.region.index() < facts.regions.len(), "node's region", position)?;
        check(node.raises.is_none_or(|node| node.0 < nodes), "node's raise", position)?;
        let next = facts.edges.get(node.next.range()).ok_or_else(|| format!("edges of node {position}"))?;
        check(next.iter().all(|node| node.0 < nodes), "node's successor", position)?;
        if let NodeKind::Bind(binding) = node.kind {
            check(binding.index() < facts.bindings.len(), "node's binding", position)?;
        }
    }
    for (position, binding) in facts.bindings.iter().enumerate() {
        check(binding.local.index() < facts.locals.len(), "binding's variable", position)?;
        check(binding.next_of_local.is_none_or(|next| next.index() > position), "binding's next", position)?;
    }
    for (position, region) in facts.regions.iter().enumerate() {
        check(region.parent.is_none_or(|parent| parent.index() < position), "region's parent", position)?;
        check(region.function.index() < facts.functions.len(), "region's function", position)?;
    }
    let sorted = facts.statements.windows(2).all(|pair| pair[0].start <= pair[1].start);
    check(sorted, "statements' order", 0)
}

fn expressions(facts: &FileFacts) -> Result<(), String> {
    for (position, expr) in facts.exprs.iter().enumerate() {
        check(expr.span.start <= expr.span.end && expr.span.end <= facts.length, "expression's span", position)?;
        check(expr.parent.is_none_or(|parent| parent.index() < position), "expression's parent", position)?;
        check(expr.region.index() < facts.regions.len(), "expression's region", position)?;
        if let ExprKind::Call(call) = expr.kind {
            let call = facts.calls.get(call.index()).ok_or_else(|| format!("call of expression {position}"))?;
            check(call.expr.index() == position, "call's expression", position)?;
            check(facts.arguments.get(call.arguments.range()).is_some(), "call's arguments", position)?;
        }
    }
    Ok(())
}

fn functions(facts: &FileFacts) -> Result<(), String> {
    let mut exprs = 0;
    let mut nodes = 0;
    for (position, function) in facts.functions.iter().enumerate() {
        check(function.exprs.start == exprs && function.nodes.start == nodes, "function's runs", position)?;
        exprs = function.exprs.end;
        nodes = function.nodes.end;
        for node in &facts.nodes[function.nodes.range()] {
            let inside = |node: &crate::facts::NodeId| function.nodes.contains(node.0);
            check(facts.edges[node.next.range()].iter().all(inside), "function's edges", position)?;
            check(node.raises.as_ref().is_none_or(inside), "function's raises", position)?;
        }
        let own = |run: crate::facts::Run| facts.exprs.get(run.range());
        let regions = own(function.exprs).ok_or_else(|| format!("expressions of function {position}"))?;
        check(regions.iter().all(|expr| function.regions.contains(expr.region.0)), "function's regions", position)?;
        check(facts.params.get(function.params.range()).is_some(), "function's parameters", position)?;
    }
    check(exprs as usize == facts.exprs.len() && nodes as usize == facts.nodes.len(), "functions' cover", 0)
}

fn check(holds: bool, what: &str, position: usize) -> Result<(), String> {
    if holds { Ok(()) } else { Err(format!("{what} does not hold at {position}")) }
}
