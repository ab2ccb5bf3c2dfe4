//! Which locks are taken while which are held: the table behind `lock-order` and `lock-reentry`.

use std::collections::BTreeSet;

use rustc_hash::{FxHashMap, FxHashSet};
use treadle_program::facts::{ExprId, ExprKind, NodeKind, RegionId, RegionKind, Usage};
use treadle_program::ids::{CallRef, ExprRef, FileId, FunctionRef, In};
use treadle_program::knowledge::claim::Primitive;
use treadle_program::program::{Edge, EdgeKind, Place, Wrapping};
use treadle_program::ty::Ty;
use treadle_program::{Program, Types};

use crate::lookup;

/// One lock taken while another is held.
#[derive(Clone, Debug)]
pub(crate) struct Nesting {
    pub(crate) outer: Place,
    pub(crate) inner: Place,
    /// Where the outer one is taken.
    pub(crate) outer_at: ExprRef,
    /// Where the inner one is taken.
    pub(crate) inner_at: ExprRef,
    /// The call in the outer one's block through which the inner one is taken, if not there itself.
    pub(crate) via: Option<ExprRef>,
    /// Other locks held around both.
    pub(crate) gates: BTreeSet<Place>,
    /// Whether the block around the inner lock gives control to the loop besides taking locks.
    pub(crate) suspends: bool,
    /// Whether both are taken on the same object: the same variable, or `self` all the way.
    pub(crate) same_object: bool,
}

#[derive(Clone, Debug)]
struct Held {
    place: Place,
    at: ExprRef,
    region: RegionId,
    /// Taken on the method's own receiver.
    on_self: bool,
}

/// Every block under a lock.
pub(crate) struct Locks<'p> {
    program: &'p Program,
    held: FxHashMap<FunctionRef, Vec<Held>>,
}

impl<'p> Locks<'p> {
    pub(crate) fn new(program: &'p Program) -> Self {
        let mut held: FxHashMap<FunctionRef, Vec<Held>> = FxHashMap::default();
        for file in lookup::files(program) {
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
                let function = In::new(file, facts.region(region).function);
                let on_self = matches!(place, Place::Variable(_)) || is_own_attribute(program, at);
                held.entry(function).or_default().push(Held { place, at, region, on_self });
            }
            for (function, taken) in acquired(program, &mut types, file) {
                held.entry(function).or_default().push(taken);
            }
        }
        let mut locks = Self { program, held };
        let through = locks.through_context_managers();
        for (function, taken) in through {
            locks.held.entry(function).or_default().push(taken);
        }
        locks
    }

    /// `async with self.frozen():` where the generator behind it holds a lock while it yields.
    fn through_context_managers(&self) -> Vec<(FunctionRef, Held)> {
        let program = self.program;
        let mut found = Vec::new();
        for file in lookup::files(program) {
            let facts = program.facts(file);
            for region in (0..facts.regions.len() as u32).map(RegionId) {
                let RegionKind::With { context, .. } = facts.region(region).kind else { continue };
                let Some(call) = program.call_of(In::new(file, context)) else { continue };
                let Some(manager) = program.callee(call).function() else { continue };
                if !matches!(program.decoration(manager).wrapping, Wrapping::ContextManager { .. }) {
                    continue;
                }
                let function = In::new(file, facts.region(region).function);
                let own = is_self_call(program, function, context);
                for held in
                    self.held.get(&manager).into_iter().flatten().filter(|held| self.is_held_at_yield(manager, held))
                {
                    let on_self = held.on_self && own;
                    found.push((
                        function,
                        Held { place: held.place.clone(), at: In::new(file, context), region, on_self },
                    ));
                }
            }
        }
        found
    }

    fn is_held_at_yield(&self, manager: FunctionRef, held: &Held) -> bool {
        let facts = self.program.facts(manager.file);
        self.program.nodes(manager).any(|(node, kind)| {
            matches!(kind, NodeKind::Yield(_)) && facts.region_within(facts.node(node.id).region, held.region)
        })
    }

    /// All nestings, in the order of files and functions.
    pub(crate) fn nestings(&self) -> Vec<Nesting> {
        let mut functions: Vec<&FunctionRef> = self.held.keys().collect();
        functions.sort_unstable();
        let mut found = Vec::new();
        for function in functions {
            for outer in &self.held[function] {
                self.within(*function, outer, &mut found);
            }
        }
        found
    }

    fn within(&self, function: FunctionRef, outer: &Held, found: &mut Vec<Nesting>) {
        let facts = self.program.facts(function.file);
        let inside = |region: RegionId| region != outer.region && facts.region_within(region, outer.region);
        let gates = || {
            let around = self.held[&function]
                .iter()
                .filter(|gate| gate.region != outer.region && facts.region_within(outer.region, gate.region));
            around.map(|gate| gate.place.clone()).collect::<BTreeSet<Place>>()
        };
        let takes_locks =
            |kind: &NodeKind| matches!(kind, NodeKind::Enter(_) | NodeKind::Leave(_) | NodeKind::LeaveRaising(_));
        let suspensions = lookup::suspensions_within(self.program, function, outer.region);
        let suspends = suspensions.iter().any(|(_, kind)| !takes_locks(kind));
        for inner in self.held[&function].iter().filter(|inner| inside(inner.region)) {
            found.push(Nesting {
                outer: outer.place.clone(),
                inner: inner.place.clone(),
                outer_at: outer.at,
                inner_at: inner.at,
                via: None,
                gates: gates(),
                suspends,
                same_object: facts.dotted(outer.at.id) == facts.dotted(inner.at.id),
            });
        }
        for edge in self.program.graph().from(function) {
            let region = facts.expr(edge.at).region;
            if (region == outer.region || inside(region)) && self.runs_here(function, edge) {
                let own = outer.on_self
                    && (matches!(outer.place, Place::Variable(_)) || is_self_call(self.program, function, edge.at));
                for (inner, on_same) in self.taken_by(edge.callee, own) {
                    let function_of_inner = self.program.function_of(inner.at);
                    if function_of_inner == edge.callee && self.program.is_kept_away(edge, &[inner.at.id]) {
                        continue;
                    }
                    found.push(Nesting {
                        outer: outer.place.clone(),
                        inner: inner.place.clone(),
                        outer_at: outer.at,
                        inner_at: inner.at,
                        via: Some(function.with(edge.at)),
                        gates: gates(),
                        suspends: true,
                        same_object: on_same && inner.on_self,
                    });
                }
            }
        }
    }

    /// Whether the callee's body runs before the expression is done: a plain call, or a coroutine awaited in place.
    fn runs_here(&self, function: FunctionRef, edge: &Edge) -> bool {
        match edge.kind {
            EdgeKind::Sync => true,
            EdgeKind::Coroutine => self.program.facts(function.file).expr(edge.at).usage == Usage::Awaited,
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
            found.extend(self.held.get(&here).into_iter().flatten().map(|held| (held, same)));
            for edge in self.program.graph().from(here) {
                if self.runs_here(here, edge) {
                    let keeps = same && is_self_call(self.program, here, edge.at);
                    waiting.push((edge.callee, keeps || (same && self.program.function(edge.callee).class.is_none())));
                }
            }
        }
        found
    }
}

/// `await lock.acquire()`, and then a `try` whose `finally` releases it: held in the `try`.
fn acquired(program: &Program, types: &mut Types<'_>, file: FileId) -> Vec<(FunctionRef, Held)> {
    let facts = program.facts(file);
    let mut found = Vec::new();
    for entry in &facts.tries {
        let Some(finally) = entry.finally else { continue };
        let function = In::new(file, facts.region(entry.body).function);
        let in_finally = |region: RegionId| facts.region_within(region, finally);
        for (_, call) in facts.calls_of(function.id) {
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
                .calls_of(function.id)
                .filter(|(_, other)| facts.expr(other.expr).span.end <= start)
                .find_map(|(_, other)| {
                    let ExprKind::Attribute { base, name } = facts.expr(other.callee).kind else { return None };
                    (facts.name(name) == "acquire" && facts.dotted(base).as_deref() == Some(receiver.as_str()))
                        .then_some(base)
                });
            let Some(at) = taken.map(|base| In::new(file, base)) else { continue };
            let Some(place) = program.place_of(at) else { continue };
            let on_self = matches!(place, Place::Variable(_)) || is_own_attribute(program, at);
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

/// `self.lock` in a method.
fn is_own_attribute(program: &Program, at: ExprRef) -> bool {
    let facts = program.facts(at.file);
    match facts.expr(at.id).kind {
        ExprKind::Attribute { base, .. } => is_receiver(program, at.file, base),
        _ => false,
    }
}

fn is_receiver(program: &Program, file: treadle_program::ids::FileId, base: ExprId) -> bool {
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
