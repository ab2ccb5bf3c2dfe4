//! What code on the loop reaches through plain functions, grouped by the function that does it.

use rayon::prelude::*;
use rustc_hash::{FxHashMap, FxHashSet};

use super::{Context, Edge, EdgeKind, Program};
use crate::facts::CallId;
use crate::ids::{CallRef, FunctionRef, In};
use crate::knowledge::ItemId;
use crate::knowledge::claim::Blocking;

/// A plain function whose own body does something a rule looks for, and everything on the loop that reaches it.
#[derive(Clone, Debug)]
pub struct Chain {
    /// The plain function.
    pub function: FunctionRef,
    /// The calls in its body that are looked for, in source order; never empty.
    pub leaves: Vec<CallRef>,
    /// Where code on the loop enters the chain, the shortest first; never empty.
    pub entries: Vec<Entry>,
}

/// One way from code on the loop down to such a function.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The edges from the coroutine or callback down to the function, in order; never empty.
    pub path: Vec<Edge>,
}

impl Program {
    /// Every blocking call in a function's own body that a claim stands behind.
    pub fn blocking_calls(&self, function: FunctionRef) -> Vec<(CallRef, Blocking, ItemId)> {
        let facts = self.facts(function.file);
        let run = facts.function(function.id).calls;
        (run.start..run.end)
            .filter_map(|call| {
                let call = In::new(function.file, CallId(call));
                facts.call(call.id).node?;
                self.blocking(call).map(|(blocking, item, _)| (call, blocking, item))
            })
            .collect()
    }

    /// Chains from the loop to plain functions for whose bodies `leaves` finds calls.
    pub fn chains(&self, leaves: impl Fn(FunctionRef) -> Vec<CallRef> + Sync) -> Vec<Chain> {
        let reached = self.reached_from_loop();
        let mut functions: Vec<FunctionRef> = reached.iter().copied().collect();
        functions.sort_unstable();
        functions
            .into_par_iter()
            .filter_map(|function| {
                let leaves = leaves(function);
                if leaves.is_empty() {
                    return None;
                }
                let entries = self.entries_to(function, &reached);
                (!entries.is_empty()).then_some(Chain { function, leaves, entries })
            })
            .collect()
    }

    /// Whether calling code of a function puts it on the loop's thread by itself.
    fn is_root(&self, function: FunctionRef) -> bool {
        self.context(function) == Context::Loop && !self.file(function.file).installed && !self.is_foreign(function.file)
    }

    /// Whether a chain may go through a function: plain, and not known to run elsewhere.
    fn carries(&self, function: FunctionRef) -> bool {
        !self.function(function).is_async && self.context(function) == Context::Caller
    }

    /// The plain functions that code on the loop runs.
    fn reached_from_loop(&self) -> FxHashSet<FunctionRef> {
        let mut reached = FxHashSet::default();
        let mut waiting: Vec<FunctionRef> = Vec::new();
        for edge in self.graph().edges() {
            if edge.kind == EdgeKind::Sync && self.is_root(edge.caller) && self.carries(edge.callee) {
                waiting.push(edge.callee);
            }
        }
        while let Some(function) = waiting.pop() {
            if !reached.insert(function) {
                continue;
            }
            let edges = self.graph().from(function).iter();
            waiting.extend(edges.filter(|edge| edge.kind == EdgeKind::Sync && self.carries(edge.callee)).map(|edge| edge.callee));
        }
        reached
    }

    /// Breadth first from the function back to the loop: the first way found to a caller is a shortest one.
    fn entries_to(&self, function: FunctionRef, reached: &FxHashSet<FunctionRef>) -> Vec<Entry> {
        let mut towards: FxHashMap<FunctionRef, Edge> = FxHashMap::default();
        let mut met: FxHashSet<FunctionRef> = FxHashSet::default();
        met.insert(function);
        let mut level = vec![function];
        let mut entries = Vec::new();
        while !level.is_empty() {
            let mut next = Vec::new();
            for callee in level {
                let mut edges: Vec<&Edge> = self.graph().to(callee).filter(|edge| edge.kind == EdgeKind::Sync).collect();
                edges.sort_by_key(|edge| (edge.caller, edge.at));
                for edge in edges {
                    if self.is_root(edge.caller) {
                        entries.push(Entry { path: self.path_down(*edge, function, &towards) });
                    } else if reached.contains(&edge.caller) && met.insert(edge.caller) {
                        towards.insert(edge.caller, *edge);
                        next.push(edge.caller);
                    }
                }
            }
            level = next;
        }
        // One coroutine that enters several times counts once, by its shortest way.
        let mut callers = FxHashSet::default();
        entries.retain(|entry: &Entry| callers.insert(entry.path[0].caller));
        entries
    }

    fn path_down(&self, first: Edge, function: FunctionRef, towards: &FxHashMap<FunctionRef, Edge>) -> Vec<Edge> {
        let mut path = vec![first];
        let mut here = first.callee;
        while here != function {
            let Some(edge) = towards.get(&here) else { break };
            path.push(*edge);
            here = edge.callee;
        }
        path
    }
}
