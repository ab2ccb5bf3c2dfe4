//! Questions about the flow graph of one function.

use super::Program;
use crate::facts::{FileFacts, FunctionId, LoopKind, NodeId, NodeKind, RegionKind};
use crate::ids::{FunctionRef, NodeRef};

/// Which edges a walk follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paths {
    /// Only normal execution.
    Normal,
    /// Also exceptions, from every node that may raise.
    WithExceptions,
}

impl FileFacts {
    /// The first node for which `goal` holds on some path that starts after `from` and passes no node for which `stop` holds.
    /// `goal` is asked before `stop`.
    pub fn find_on_path(
        &self,
        from: NodeId,
        paths: Paths,
        goal: impl Fn(NodeId, &NodeKind) -> bool,
        stop: impl Fn(NodeId, &NodeKind) -> bool,
    ) -> Option<NodeId> {
        let mut waiting: Vec<NodeId> = self.next(from).to_vec();
        if paths == Paths::WithExceptions {
            waiting.extend(self.node(from).raises);
        }
        let mut met = rustc_hash::FxHashSet::default();
        waiting.reverse();
        while let Some(id) = waiting.pop() {
            if !met.insert(id) {
                continue;
            }
            let node = self.node(id);
            if goal(id, &node.kind) {
                return Some(id);
            }
            if stop(id, &node.kind) {
                continue;
            }
            waiting.extend(self.next(id).iter().rev().copied());
            if paths == Paths::WithExceptions {
                waiting.extend(node.raises);
            }
        }
        None
    }

    /// The nodes of a function that anything leads to.
    pub fn reachable_nodes(&self, function: FunctionId) -> rustc_hash::FxHashSet<NodeId> {
        let entry = self.function(function).entry;
        let mut met = rustc_hash::FxHashSet::default();
        let mut waiting = vec![entry];
        while let Some(id) = waiting.pop() {
            if met.insert(id) {
                waiting.extend(self.next(id).iter().copied());
                waiting.extend(self.node(id).raises);
            }
        }
        met
    }

    /// Whether control may be given to the loop at a node: `await`, `async with`, `async for`, and `yield` of an asynchronous generator.
    pub fn may_suspend(&self, function: FunctionId, kind: &NodeKind) -> bool {
        match *kind {
            NodeKind::Suspend(_) => true,
            NodeKind::Yield(_) => self.function(function).is_async,
            NodeKind::Enter(region) | NodeKind::Leave(region) | NodeKind::LeaveRaising(region) => {
                matches!(self.region(region).kind, RegionKind::With { is_async: true, .. })
            }
            NodeKind::Iterate(region) => matches!(
                self.region(region).kind,
                RegionKind::Loop { kind: LoopKind::AsyncFor | LoopKind::AsyncComprehension, .. }
            ),
            _ => false,
        }
    }

    /// The node that evaluates an expression: its own call or `await`, or the first of the function that names it.
    pub fn node_of(&self, expr: crate::facts::ExprId) -> Option<NodeId> {
        if let Some(call) = self.as_call(expr) {
            return call.node;
        }
        let run = self.function(self.function_of(expr)).nodes;
        (run.start..run.end).map(NodeId).find(|id| match self.node(*id).kind {
            NodeKind::Use(found) | NodeKind::Call(found) | NodeKind::Suspend(found) | NodeKind::Yield(found) => {
                found == expr
            }
            _ => false,
        })
    }
}

impl Program {
    /// The nodes of a function, in the order lowering made them.
    pub fn nodes(&self, function: FunctionRef) -> impl Iterator<Item = (NodeRef, &NodeKind)> {
        let facts = self.facts(function.file);
        let run = facts.function(function.id).nodes;
        (run.start..run.end).map(move |id| (function.with(NodeId(id)), &facts.node(NodeId(id)).kind))
    }

    /// Whether a function's own body can give control to the loop.
    pub fn suspends(&self, function: FunctionRef) -> bool {
        let facts = self.facts(function.file);
        self.nodes(function).any(|(_, kind)| facts.may_suspend(function.id, kind))
    }
}
