//! Who calls whom, and how.

use bitcode::{Decode, Encode};

use super::reads::{Parts, note};
use super::{ParamEffects, Program, Wrapping};
use crate::facts::{ArgumentKind, CallId, ExprId, ExprKind, FunctionId, RegionKind, Usage};
use crate::ids::{CallRef, ClassRef, ExprRef, FileId, FunctionRef, In};
use crate::infer::Infer;
use crate::knowledge::claim::Protocol;
use crate::ty::Ty;

/// One way from one function to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Edge {
    /// Whose body holds the call.
    pub caller: FunctionRef,
    /// What it leads to.
    pub callee: FunctionRef,
    /// The call, `with` context or attribute that leads there; in the caller's file.
    pub at: ExprId,
    /// How.
    pub kind: EdgeKind,
}

/// How one function leads to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub enum EdgeKind {
    /// The callee's body runs before the expression is done, on the same thread.
    Sync,
    /// The callee is a coroutine function; its body runs when the result is awaited or scheduled.
    Coroutine,
    /// The callee runs in another thread or process.
    Offloaded,
    /// The callee is called by the loop, later.
    LoopCallback,
}

impl ExprRef {
    /// Where an edge's expression is.
    pub fn of_edge(edge: &Edge) -> Self {
        edge.caller.with(edge.at)
    }
}

/// All edges, by caller and by callee.
#[derive(Clone, Copy, Debug)]
pub struct CallGraph<'p>(&'p Program);

impl<'p> CallGraph<'p> {
    pub(super) fn new(program: &'p Program) -> Self {
        Self(program)
    }

    /// What a function leads to, in source order.
    pub fn from(self, function: FunctionRef) -> &'p [Edge] {
        note(function.file, Parts::EDGES);
        run(&self.0.tables(function.file).edges, |edge| edge.caller.id, function.id)
    }

    /// What leads to a function, in the order of files.
    pub fn to(self, function: FunctionRef) -> std::slice::Iter<'p, Edge> {
        let edges = run(self.into_file(function.file), |edge| edge.callee.id, function.id);
        // Their places are numbers of the files they stand in.
        for edge in edges {
            note(edge.caller.file, Parts::BODY);
        }
        edges.iter()
    }

    /// All edges.
    #[cfg(test)]
    pub(crate) fn edges(self) -> impl Iterator<Item = &'p Edge> {
        (0..self.0.files().len() as u32).flat_map(move |file| &self.0.tables(FileId(file)).edges)
    }

    /// What leads to the functions of a file.
    pub(super) fn into_file(self, file: FileId) -> &'p [Edge] {
        note(file, Parts::INCOMING);
        &self.0.tables(file).incoming
    }
}

/// The edges of one function among those of a file, which are sorted by it.
fn run(edges: &[Edge], key: impl Fn(&Edge) -> FunctionId, function: FunctionId) -> &[Edge] {
    let start = edges.partition_point(|edge| key(edge) < function);
    &edges[start..start + edges[start..].partition_point(|edge| key(edge) == function)]
}

/// Names of the properties of a file.
pub(super) fn properties_of_file(program: &Program, file: FileId) -> Vec<Box<str>> {
    let facts = program.facts(file);
    let is_property =
        |position: usize| program.decoration(In::new(file, FunctionId(position as u32))).wrapping == Wrapping::Property;
    let names = facts.functions.iter().enumerate().filter(|(position, _)| is_property(*position));
    let mut names: Vec<Box<str>> = names.map(|(_, function)| facts.name(function.name).into()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// What the functions of a file lead to, by caller and place.
pub(super) fn edges_of_file(program: &Program, file: FileId) -> Vec<Edge> {
    let facts = program.facts(file);
    let mut found = Found { program, file, edges: Vec::new() };
    // Attributes by other names than those of properties need no look.
    let properties = &program.whole.properties;
    if program.file(file).installed && !program.options().follow_installed {
        return found.edges;
    }
    for number in 0..facts.calls.len() as u32 {
        found.call(In::new(file, CallId(number)));
    }
    let mut infer = Infer::new(program, file);
    for (position, region) in facts.regions.iter().enumerate() {
        if let RegionKind::With { context, is_async } = region.kind
            && position > 0
        {
            let entered = infer.expr(context);
            found.with(&entered, context, is_async);
        }
    }
    for (position, expr) in facts.exprs.iter().enumerate() {
        if let ExprKind::Attribute { base, name } = expr.kind
            && expr.usage != Usage::Callee
            && properties.contains(facts.name(name))
        {
            let base = infer.expr(base);
            found.property(&base, facts.name(name), ExprId(position as u32));
        }
    }
    found.edges.sort_by_key(|edge| (edge.caller, facts.expr(edge.at).span.start, edge.callee));
    found.edges.dedup();
    found.edges
}

struct Found<'p> {
    program: &'p Program,
    file: FileId,
    edges: Vec<Edge>,
}

impl Found<'_> {
    fn push(&mut self, at: ExprId, callee: FunctionRef, kind: EdgeKind) {
        let caller = self.program.function_of(In::new(self.file, at));
        self.edges.push(Edge { caller, callee, at, kind });
    }

    fn call(&mut self, call: CallRef) {
        let program = self.program;
        let facts = program.facts(self.file);
        let entry = facts.call(call.id);
        if entry.node.is_none() {
            return;
        }
        let at = entry.expr;
        self.callee(program.callee(call), at);
        for (callback, value, effects) in program.callbacks(call) {
            let kind = if effects.has(ParamEffects::OFFLOADED) {
                EdgeKind::Offloaded
            } else if effects.has(ParamEffects::LOOP_CALLBACK) {
                EdgeKind::LoopCallback
            } else if effects.has(ParamEffects::CALLED) && !effects.has(ParamEffects::ESCAPES) {
                EdgeKind::Sync
            } else {
                continue;
            };
            let _ = value;
            if let Some(function) = callback.function() {
                let is_async = program.is_coroutine_function(function) != Some(false);
                match kind {
                    EdgeKind::Sync if is_async => self.push(at, function, EdgeKind::Coroutine),
                    _ => self.push(at, function, kind),
                }
            }
        }
    }

    fn callee(&mut self, callee: &Ty, at: ExprId) {
        match callee {
            Ty::Function(function) => self.function(*function, at),
            Ty::Method(function, receiver) => self.method(*function, receiver, at),
            Ty::Class(class) => {
                for name in ["__init__", "__post_init__"] {
                    if let Some(function) = self.program.method(*class, name) {
                        self.function(function, at);
                    }
                }
            }
            Ty::Instance(class) => {
                if let Some(function) = self.program.method(*class, "__call__") {
                    self.function(function, at);
                }
            }
            Ty::Partial(inner) => self.callee(inner, at),
            // Of `SyncClient | AsyncClient` one waits here and the other does not: neither is taken to be the one.
            Ty::Union(members) if !self.differ_in_kind(members) => {
                members.iter().for_each(|member| self.callee(member, at));
            }
            _ => {}
        }
    }

    fn differ_in_kind(&self, members: &[Ty]) -> bool {
        let mut kinds =
            members.iter().filter_map(Ty::function).map(|function| self.program.is_coroutine_function(function));
        kinds.next().is_some_and(|first| kinds.any(|other| other != first))
    }

    /// `await f()` where `f` gives nothing that can be awaited: the receiver is of another class than it seems.
    fn is_contradicted(&self, function: FunctionRef, at: ExprId) -> bool {
        let program = self.program;
        program.facts(self.file).expr(at).usage == Usage::Awaited
            && !program.function(function).is_async
            && program.decoration(function).wrapping == Wrapping::Same
            && program.supports(program.returns(function), Protocol::Await) == Some(false)
    }

    fn function(&mut self, function: FunctionRef, at: ExprId) {
        let program = self.program;
        if self.is_contradicted(function, at) {
            return;
        }
        let entry = program.function(function);
        let decoration = program.decoration(function);
        let waits_for_who_iterates = entry.is_generator && !entry.is_async && decoration.wrapping == Wrapping::Same;
        if waits_for_who_iterates && !self.is_iterated(at) {
            return;
        }
        let kind = match decoration.wrapping {
            Wrapping::Thread => EdgeKind::Offloaded,
            Wrapping::Opaque | Wrapping::Async { calls: false } => return,
            _ if entry.is_async => EdgeKind::Coroutine,
            _ => EdgeKind::Sync,
        };
        self.push(at, function, kind);
        if let Some(wrapper) = decoration.wrapper
            && kind == EdgeKind::Sync
        {
            self.push(at, wrapper, EdgeKind::Sync);
        }
    }

    /// Whether the value of an expression, a generator, surely runs in the same function.
    fn is_iterated(&self, at: ExprId) -> bool {
        let facts = self.program.facts(self.file);
        let expr = facts.expr(at);
        match expr.usage {
            Usage::Iterated => true,
            Usage::Element | Usage::Yielded => expr
                .parent
                .is_some_and(|parent| matches!(facts.expr(parent).kind, ExprKind::Starred(_) | ExprKind::YieldFrom(_))),
            Usage::Argument => {
                expr.parent.and_then(|parent| self.program.call_of(In::new(self.file, parent))).is_some_and(|call| {
                    let arguments = facts.arguments(facts.call(call.id));
                    let consumed = self.program.callee(call).item();
                    arguments.iter().any(|argument| argument.kind == ArgumentKind::Star && argument.value == at)
                        || consumed.is_some_and(|item| consumes(self.program.knowledge().path(item)))
                })
            }
            Usage::Bound(binding) => {
                let local = facts.binding(binding).local;
                let owner = facts.local(local).function;
                facts
                    .exprs_of(owner)
                    .any(|(_, read)| read.kind == ExprKind::Local(local) && read.usage == Usage::Iterated)
            }
            _ => false,
        }
    }

    /// A method that only says what subclasses do leads to what the subclasses in use do.
    fn method(&mut self, function: FunctionRef, receiver: &Ty, at: ExprId) {
        let program = self.program;
        let entry = program.function(function);
        if !entry.is_stub {
            self.function(function, at);
            return;
        }
        let Ty::Instance(class) = receiver else { return };
        let name = program.surface(function.file).name(entry.name);
        let mut overrides: Vec<FunctionRef> = Vec::new();
        let like_it = program.whole.conformers.get(class).into_iter().flatten();
        for subclass in program.classes().subclasses(*class).iter().chain(like_it) {
            if let Some(found) = program.method(*subclass, name)
                && !program.function(found).is_stub
                && program.function(found).is_async == entry.is_async
                && !overrides.contains(&found)
            {
                overrides.push(found);
            }
        }
        // Up to three implementations say what happens; of many, none can be told to be the one.
        if overrides.len() <= 3 {
            for found in overrides {
                self.function(found, at);
            }
        }
    }

    fn with(&mut self, entered: &Ty, at: ExprId, is_async: bool) {
        let Ty::Instance(class) = entered else { return };
        let names = if is_async { ["__aenter__", "__aexit__"] } else { ["__enter__", "__exit__"] };
        for name in names {
            if let Some(function) = self.program.method(*class, name) {
                self.function(function, at);
            }
        }
    }

    fn property(&mut self, base: &Ty, name: &str, at: ExprId) {
        let class: Option<ClassRef> = Infer::own_class(base);
        if let Some(function) = class.and_then(|class| self.program.method(class, name))
            && self.program.decoration(function).wrapping == Wrapping::Property
        {
            self.push(at, function, EdgeKind::Sync);
        }
    }
}

/// Functions that run a generator they are given to its end, or to its first item.
fn consumes(path: &str) -> bool {
    let Some(name) = path.strip_prefix("builtins.") else { return false };
    matches!(
        name,
        "list"
            | "tuple"
            | "set"
            | "dict"
            | "frozenset"
            | "sorted"
            | "sum"
            | "min"
            | "max"
            | "any"
            | "all"
            | "next"
            | "str.join"
    )
}
