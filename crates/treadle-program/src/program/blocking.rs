//! What code on the loop reaches through plain functions, grouped by the function that does it.

use bitcode::{Decode, Encode};
use rustc_hash::FxHashMap;

use super::{Context, Edge, EdgeKind, Program};
use crate::facts::{CallId, ExprId};
use crate::ids::{CallRef, FileId, FunctionRef, In};
use crate::knowledge::ItemId;
use crate::knowledge::claim::Blocking;

/// A plain function whose own body does something a rule looks for, and everything on the loop that reaches it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Chain {
    /// The plain function.
    pub function: FunctionRef,
    /// The calls in its body that are looked for, in source order; never empty.
    pub leaves: Vec<CallRef>,
    /// The shortest way: the edges from a coroutine or callback down to the function, in order; never empty.
    pub path: Vec<Edge>,
    /// The first edges of all other ways, those of the same coroutine included.
    pub others: Vec<Edge>,
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

    /// Chains from the loop to plain functions of a file for whose bodies `leaves` finds calls, in the order of functions.
    pub fn chains_in(&self, file: FileId, leaves: impl Fn(FunctionRef) -> Vec<CallRef>) -> Vec<Chain> {
        let is_called = |function: &FunctionRef| self.graph().to(*function).any(|edge| edge.kind == EdgeKind::Sync);
        self.functions_in(file)
            .filter(|function| self.carries(*function) && is_called(function))
            .filter_map(|function| {
                let leaves = leaves(function);
                if leaves.is_empty() {
                    return None;
                }
                let sites: Vec<ExprId> = leaves.iter().map(|leaf| self.call_expr(*leaf).id).collect();
                let (path, others) = self.entries_to(function, &sites)?;
                Some(Chain { function, leaves, path, others })
            })
            .collect()
    }

    /// Whether chains go through a file: one that findings may be reported on, or an installed one if those are followed.
    pub fn is_followed(&self, file: FileId) -> bool {
        !self.file(file).installed || self.options().follow_installed
    }

    /// Whether calling code of a function puts it on the loop's thread by itself.
    fn is_root(&self, function: FunctionRef) -> bool {
        self.context(function) == Context::Loop
            && !self.file(function.file).installed
            && !self.is_foreign(function.file)
    }

    /// Whether a chain may go through a function: one that is plain. That a thread runs it at some other place does not
    /// help where it is called.
    fn carries(&self, function: FunctionRef) -> bool {
        self.is_followed(function.file) && !self.function(function).is_async && !self.is_root(function)
    }

    /// Breadth first from the function back to the loop: the first way found to a caller is a shortest one.
    fn entries_to(&self, function: FunctionRef, sites: &[ExprId]) -> Option<(Vec<Edge>, Vec<Edge>)> {
        let mut towards: FxHashMap<FunctionRef, Edge> = FxHashMap::default();
        let mut entries: Vec<Edge> = Vec::new();
        let mut level = vec![function];
        while !level.is_empty() {
            let mut next = Vec::new();
            for callee in level {
                let onward = towards.get(&callee).map(|edge| [edge.at]);
                let sites = onward.as_ref().map_or(sites, |onward| onward.as_slice());
                for edge in self.graph().to(callee).filter(|edge| edge.kind == EdgeKind::Sync) {
                    let is_entry = self.is_root(edge.caller);
                    let is_met = edge.caller == function || towards.contains_key(&edge.caller);
                    // The constants are looked at last: that takes the longest.
                    let leads_on = is_entry || (!is_met && self.carries(edge.caller));
                    if !leads_on || self.is_kept_away(edge, sites) {
                        continue;
                    }
                    if is_entry {
                        entries.push(*edge);
                    } else {
                        towards.insert(edge.caller, *edge);
                        next.push(edge.caller);
                    }
                }
            }
            level = next;
        }
        let (first, others) = entries.split_first()?;
        Some((path_down(*first, function, &towards), others.to_vec()))
    }
}

fn path_down(first: Edge, function: FunctionRef, towards: &FxHashMap<FunctionRef, Edge>) -> Vec<Edge> {
    let mut path = vec![first];
    let mut here = first.callee;
    while here != function {
        let Some(edge) = towards.get(&here) else { break };
        path.push(*edge);
        here = edge.callee;
    }
    path
}
