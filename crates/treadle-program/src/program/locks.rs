//! Which locks functions hold, and which are taken while which are held.
//!
//! What a function takes itself is found first, file by file; then what it holds through context managers of the
//! program's own, which asks what those take. Nothing here says whether any of it is wrong.

use std::collections::{BTreeMap, BTreeSet};

use bitcode::{Decode, Encode};
use rustc_hash::FxHashSet;

use super::reads::{Parts, note};
use super::{Edge, EdgeKind, Place, Program, Wrapping};
use crate::Types;
use crate::facts::{ExprId, ExprKind, FunctionId, NodeKind, RegionId, RegionKind, Usage};
use crate::ids::{CallRef, ExprRef, FileId, FunctionRef, In};
use crate::knowledge::claim::Primitive;
use crate::ty::Ty;

/// A lock that a function holds in a block of its body.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(super) struct Held {
    /// The lock.
    pub(super) place: Place,
    /// Where it is taken.
    pub(super) at: ExprRef,
    /// The block.
    pub(super) region: RegionId,
    /// Whether it is a variable, or taken on the method's own receiver.
    pub(super) on_self: bool,
}

/// One lock taken while another is held.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Nesting {
    /// The lock that is held.
    pub outer: Place,
    /// The lock that is taken.
    pub inner: Place,
    /// Where the outer one is taken.
    pub outer_at: ExprRef,
    /// Where the inner one is taken.
    pub inner_at: ExprRef,
    /// The call in the outer one's block through which the inner one is taken, if not there itself.
    pub via: Option<ExprRef>,
    /// Other locks held around both.
    pub gates: BTreeSet<Place>,
    /// Whether the block under the outer lock gives control to the loop besides taking locks.
    pub suspends: bool,
    /// Whether both are taken on the same object: the same variable, or `self` all the way.
    pub same_object: bool,
}

/// What the functions of one file hold.
pub(super) type ByFunction = BTreeMap<FunctionId, Vec<Held>>;

impl Program {
    /// The locks a function holds in blocks of its body.
    fn held(&self, function: FunctionRef) -> &[Held] {
        self.held_in(function.file).get(&function.id).map_or(&[], Vec::as_slice)
    }

    fn held_in(&self, file: FileId) -> &ByFunction {
        static NONE: ByFunction = ByFunction::new();
        note(file, Parts::LOCKS);
        self.progress.held.checked_sub(1).map_or(&NONE, |version| &self.tables(file).held[version])
    }

    /// The locks taken while functions of a file hold others, in the order of functions.
    pub fn nestings_in(&self, file: FileId) -> Vec<Nesting> {
        let mut found = Vec::new();
        for (function, held) in self.held_in(file) {
            let function = In::new(file, *function);
            for outer in held {
                self.taken_within(function, outer, &mut found);
                self.taken_through_calls(function, outer, &mut found);
            }
        }
        // A lock's place is a number of a file that nothing else may have looked into.
        for place in found.iter().flat_map(|nesting| [&nesting.outer, &nesting.inner].into_iter().chain(&nesting.gates))
        {
            note(place.file(), Parts::BODY);
        }
        found
    }

    /// Locks that a function takes itself in the block of `outer`.
    fn taken_within(&self, function: FunctionRef, outer: &Held, found: &mut Vec<Nesting>) {
        let facts = self.facts(function.file);
        let inside = |inner: &&Held| inner.region != outer.region && facts.region_within(inner.region, outer.region);
        for inner in self.held(function).iter().filter(inside) {
            found.push(Nesting {
                outer: outer.place.clone(),
                inner: inner.place.clone(),
                outer_at: outer.at,
                inner_at: inner.at,
                via: None,
                gates: self.gates(function, outer),
                suspends: self.suspends_besides_locks(function, outer.region),
                same_object: facts.dotted(outer.at.id) == facts.dotted(inner.at.id),
            });
        }
    }

    /// Locks that are taken by what a function calls in the block of `outer`.
    fn taken_through_calls(&self, function: FunctionRef, outer: &Held, found: &mut Vec<Nesting>) {
        let facts = self.facts(function.file);
        for edge in self.graph().from(function) {
            if !facts.region_within(facts.expr(edge.at).region, outer.region) || !self.runs_here(function, edge) {
                continue;
            }
            let own =
                outer.on_self && (matches!(outer.place, Place::Variable(_)) || is_self_call(self, function, edge.at));
            for (inner, on_same) in self.taken_by(edge.callee, own) {
                if self.function_of(inner.at) == edge.callee && self.is_kept_away(edge, &[inner.at.id]) {
                    continue;
                }
                found.push(Nesting {
                    outer: outer.place.clone(),
                    inner: inner.place.clone(),
                    outer_at: outer.at,
                    inner_at: inner.at,
                    via: Some(function.with(edge.at)),
                    gates: self.gates(function, outer),
                    suspends: true,
                    same_object: on_same && inner.on_self,
                });
            }
        }
    }

    /// The locks a function holds around the block of `outer`.
    fn gates(&self, function: FunctionRef, outer: &Held) -> BTreeSet<Place> {
        let facts = self.facts(function.file);
        let around = |gate: &&Held| gate.region != outer.region && facts.region_within(outer.region, gate.region);
        self.held(function).iter().filter(around).map(|gate| gate.place.clone()).collect()
    }

    /// Whether a block gives control to the loop otherwise than by entering and leaving a `with`.
    fn suspends_besides_locks(&self, function: FunctionRef, region: RegionId) -> bool {
        let facts = self.facts(function.file);
        self.nodes(function).any(|(node, kind)| {
            !matches!(kind, NodeKind::Enter(_) | NodeKind::Leave(_) | NodeKind::LeaveRaising(_))
                && facts.may_suspend(function.id, kind)
                && facts.region_within(facts.node(node.id).region, region)
        })
    }

    /// Whether the callee's body runs before the expression is done: a plain call, or a coroutine awaited in place.
    fn runs_here(&self, function: FunctionRef, edge: &Edge) -> bool {
        match edge.kind {
            EdgeKind::Sync => true,
            EdgeKind::Coroutine => self.facts(function.file).expr(edge.at).usage == Usage::Awaited,
            _ => false,
        }
    }

    /// Locks that a function takes, itself or through what it calls, and whether on the receiver it was called on.
    fn taken_by(&self, function: FunctionRef, on_same: bool) -> Vec<(&Held, bool)> {
        let mut found = Vec::new();
        let mut met = FxHashSet::default();
        let mut waiting = vec![(function, on_same)];
        while let Some((here, same)) = waiting.pop() {
            // Deeper than this, what holds on every path is too uncertain to accuse anybody.
            if met.len() > 200 || !met.insert(here) {
                continue;
            }
            found.extend(self.held(here).iter().map(|held| (held, same)));
            for edge in self.graph().from(here) {
                if self.runs_here(here, edge) {
                    let keeps = same && is_self_call(self, here, edge.at);
                    waiting.push((edge.callee, keeps || (same && self.function(edge.callee).class.is_none())));
                }
            }
        }
        found
    }
}

/// Whether locks of a file count: findings may be reported on it, and its coroutines are asyncio's.
fn counts(program: &Program, file: FileId) -> bool {
    !program.file(file).installed && !program.is_foreign(file)
}

/// What the functions of a file take themselves.
pub(super) fn taken_in(program: &Program, file: FileId) -> ByFunction {
    let mut held = ByFunction::new();
    if !counts(program, file) {
        return held;
    }
    let facts = program.facts(file);
    let mut types = Types::new(program, file);
    for region in (0..facts.regions.len() as u32).map(RegionId) {
        let RegionKind::With { context, .. } = facts.region(region).kind else { continue };
        let at = In::new(file, context);
        let ty = types.of(context);
        let Some(place) = program.place_of(at) else { continue };
        if !is_lock(program, &ty) && !is_single(program, &place) {
            continue;
        }
        let on_self = is_on_self(program, &place, at);
        held.entry(facts.region(region).function).or_default().push(Held { place, at, region, on_self });
    }
    for (function, taken) in acquired(program, &mut types, file) {
        held.entry(function).or_default().push(taken);
    }
    held
}

/// What the functions of a file hold: what they take themselves, and through `async with self.frozen():` where the
/// generator behind it holds a lock while it yields.
pub(super) fn held_by(program: &Program, file: FileId) -> ByFunction {
    let mut found = program.held_in(file).clone();
    if !counts(program, file) {
        return found;
    }
    let facts = program.facts(file);
    for region in (0..facts.regions.len() as u32).map(RegionId) {
        let RegionKind::With { context, .. } = facts.region(region).kind else { continue };
        let at = In::new(file, context);
        let Some(manager) = program.call_of(at).and_then(|call| program.callee(call).function()) else { continue };
        if !matches!(program.decoration(manager).wrapping, Wrapping::ContextManager { .. }) {
            continue;
        }
        let function = facts.region(region).function;
        let own = is_self_call(program, In::new(file, function), context);
        for held in program.held(manager).iter().filter(|held| is_held_at_yield(program, manager, held)) {
            let through = Held { place: held.place.clone(), at, region, on_self: held.on_self && own };
            found.entry(function).or_default().push(through);
        }
    }
    found
}

fn is_held_at_yield(program: &Program, manager: FunctionRef, held: &Held) -> bool {
    let facts = program.facts(manager.file);
    program.nodes(manager).any(|(node, kind)| {
        matches!(kind, NodeKind::Yield(_)) && facts.region_within(facts.node(node.id).region, held.region)
    })
}

/// `await lock.acquire()`, and then a `try` whose `finally` releases it: held in the `try`.
fn acquired(program: &Program, types: &mut Types<'_>, file: FileId) -> Vec<(FunctionId, Held)> {
    let facts = program.facts(file);
    let mut found = Vec::new();
    for entry in &facts.tries {
        let Some(finally) = entry.finally else { continue };
        let function = facts.region(entry.body).function;
        let in_finally = |region: RegionId| facts.region_within(region, finally);
        for (_, call) in facts.calls_of(function) {
            let ExprKind::Attribute { base, name } = facts.expr(call.callee).kind else { continue };
            if facts.name(name) != "release"
                || !in_finally(facts.expr(call.expr).region)
                || !is_lock(program, &types.of(base))
            {
                continue;
            }
            let Some(receiver) = facts.dotted(base) else { continue };
            let start = facts.region(entry.body).span.start;
            let taken = facts
                .calls_of(function)
                .filter(|(_, other)| facts.expr(other.expr).span.end <= start)
                .find_map(|(_, other)| {
                    let ExprKind::Attribute { base, name } = facts.expr(other.callee).kind else { return None };
                    (facts.name(name) == "acquire" && facts.dotted(base).as_deref() == Some(receiver.as_str()))
                        .then_some(base)
                });
            let Some(at) = taken.map(|base| In::new(file, base)) else { continue };
            let Some(place) = program.place_of(at) else { continue };
            let on_self = is_on_self(program, &place, at);
            found.push((function, Held { place, at, region: entry.body, on_self }));
        }
    }
    found
}

/// Locks that wait for whoever holds them, their own holder included: a condition's lock is one too.
fn is_lock(program: &Program, ty: &Ty) -> bool {
    let Ty::KnownInstance(item) = ty else { return false };
    let primitive = program.knowledge().claim(*item).and_then(|known| known.claim.primitive);
    matches!(primitive, Some(Primitive::AsyncLock | Primitive::ThreadLock | Primitive::AsyncCondition))
}

/// A semaphore with one permit.
fn is_single(program: &Program, place: &Place) -> bool {
    let Some(used) = program.primitives().at(place) else { return false };
    let is_one = |call: &CallRef| {
        let facts = program.facts(call.file);
        let value = facts.argument(facts.call(call.id), 0, "value");
        value.is_none_or(|value| facts.expr(value).kind == ExprKind::Int(1))
    };
    used.primitive == Primitive::AsyncSemaphore && !used.created.is_empty() && used.created.iter().all(is_one)
}

/// A variable, of which there is one, or `self.lock` in a method.
fn is_on_self(program: &Program, place: &Place, at: ExprRef) -> bool {
    let own_attribute = || match program.facts(at.file).expr(at.id).kind {
        ExprKind::Attribute { base, .. } => is_receiver(program, at.file, base),
        _ => false,
    };
    matches!(place, Place::Variable(_)) || own_attribute()
}

fn is_receiver(program: &Program, file: FileId, base: ExprId) -> bool {
    let facts = program.facts(file);
    let ExprKind::Local(local) = facts.expr(base).kind else { return false };
    matches!(facts.name(facts.local(local).name), "self" | "cls")
}

/// `self.method(…)`.
fn is_self_call(program: &Program, function: FunctionRef, at: ExprId) -> bool {
    let facts = program.facts(function.file);
    let Some(call) = facts.as_call(at) else { return false };
    match facts.expr(call.callee).kind {
        ExprKind::Attribute { base, .. } => is_receiver(program, function.file, base),
        // A module's function on a module's lock: there is only one object.
        ExprKind::Local(_) => true,
        _ => false,
    }
}
