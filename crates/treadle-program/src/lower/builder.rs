//! The tables while they grow: names, scopes, expressions, nodes.

use std::collections::VecDeque;

use ruff_python_ast::{Expr as Tree, Parameters, Stmt};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use treadle_finding::Span;

use super::jumps::Frame;
use super::names::Names;
use crate::facts::{
    Binding, BindingId, BindingKind, ClassId, Expr, ExprId, ExprKind, FileFacts, Function, FunctionId, FunctionKind,
    Local, LocalId, NameId, Node, NodeId, NodeKind, Region, RegionId, RegionKind, Run, Store, StoreId, Usage,
};

/// Deeper than this, parts of an expression or nested blocks are left out and the file says so.
const DEEPEST: u32 = 400;

/// A scope waiting to be walked.
pub(super) struct Pending<'a> {
    pub(super) function: FunctionId,
    pub(super) body: Body<'a>,
    pub(super) parameters: Option<&'a Parameters>,
    /// Variables of comprehensions and type parameters around it.
    pub(super) overlay: Vec<(NameId, LocalId)>,
}

/// What a scope is made of.
#[derive(Clone, Copy)]
pub(super) enum Body<'a> {
    Statements(&'a [Stmt]),
    Expression(&'a Tree),
}

pub(super) struct Builder<'a> {
    pub(super) text: &'a str,
    pub(super) facts: FileFacts,
    pub(super) too_deep: bool,
    interned: FxHashMap<Box<str>, NameId>,
    /// For each function the names visible as its own, `global` and `nonlocal` ones included.
    scopes: Vec<FxHashMap<NameId, LocalId>>,
    last_binding: Vec<Option<BindingId>>,
    pub(super) queue: VecDeque<Pending<'a>>,
    // The scope being walked.
    pub(super) function: FunctionId,
    pub(super) overlay: Vec<(NameId, LocalId)>,
    pub(super) region: RegionId,
    pub(super) in_annotation: bool,
    /// Within the brackets of `Literal[…]`, where strings are values.
    pub(super) in_literal: bool,
    depth: u32,
    first_node: u32,
    pub(super) successors: Vec<SmallVec<[NodeId; 2]>>,
    /// Whether an edge leads to the node.
    pub(super) entered: Vec<bool>,
    pub(super) here: NodeId,
    pub(super) raises: NodeId,
    pub(super) frames: Vec<Frame>,
    pub(super) exit: NodeId,
}

impl<'a> Builder<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let line_starts = line_starts(text);
        Self {
            text,
            facts: FileFacts {
                line_starts,
                length: text.len() as u32,
                tabs: text.contains("\n\t"),
                ..FileFacts::default()
            },
            too_deep: false,
            interned: FxHashMap::default(),
            scopes: Vec::new(),
            last_binding: Vec::new(),
            queue: VecDeque::new(),
            function: FileFacts::MODULE,
            overlay: Vec::new(),
            region: RegionId(0),
            in_annotation: false,
            in_literal: false,
            depth: 0,
            first_node: 0,
            successors: Vec::new(),
            entered: Vec::new(),
            here: NodeId(0),
            raises: NodeId(0),
            frames: Vec::new(),
            exit: NodeId(0),
        }
    }

    pub(super) fn finish(mut self) -> FileFacts {
        self.facts.statements.sort_unstable_by_key(|span| (span.start, std::cmp::Reverse(span.end)));
        self.facts
    }

    /// The whole file, scope after scope.
    pub(super) fn module(&mut self, body: &'a [Stmt]) {
        let whole = Span::new(0, self.text.len() as u32);
        let function = self.new_function("<module>", FunctionKind::Module, whole);
        self.queue.push_back(Pending { function, body: Body::Statements(body), parameters: None, overlay: Vec::new() });
        while let Some(pending) = self.queue.pop_front() {
            self.scope(pending);
        }
    }

    /// A new entry for a scope; its body is walked later.
    pub(super) fn new_function(&mut self, name: &str, kind: FunctionKind, span: Span) -> FunctionId {
        let id = FunctionId(self.facts.functions.len() as u32);
        let name = self.intern(name);
        self.facts.functions.push(Function {
            kind,
            name,
            is_async: false,
            is_generator: false,
            is_stub: false,
            parent: (id != FileFacts::MODULE).then_some(self.function),
            class: None,
            span,
            name_span: Span::new(span.start, span.start),
            header: Span::new(span.start, span.start),
            decorators: Run::default(),
            params: Run::default(),
            returns: None,
            exprs: Run::default(),
            calls: Run::default(),
            locals: Run::default(),
            bindings: Run::default(),
            stores: Run::default(),
            regions: Run::default(),
            tries: Run::default(),
            nodes: Run::default(),
            entry: NodeId(0),
            exit: NodeId(0),
            unwind: NodeId(0),
        });
        self.scopes.push(FxHashMap::default());
        id
    }

    fn lengths(&self) -> [u32; 8] {
        let facts = &self.facts;
        [
            facts.exprs.len() as u32,
            facts.calls.len() as u32,
            facts.locals.len() as u32,
            facts.bindings.len() as u32,
            facts.stores.len() as u32,
            facts.regions.len() as u32,
            facts.tries.len() as u32,
            facts.nodes.len() as u32,
        ]
    }

    fn scope(&mut self, pending: Pending<'a>) {
        let before = self.lengths();
        self.function = pending.function;
        self.overlay = pending.overlay;
        self.frames.clear();
        self.successors.clear();
        self.entered.clear();
        self.first_node = self.facts.nodes.len() as u32;
        let span = self.facts.function(self.function).span;
        self.region = self.new_region(RegionKind::Body, None, span);
        let entry = self.detached(NodeKind::Entry);
        self.exit = self.detached(NodeKind::Exit);
        let unwind = self.detached(NodeKind::Unwind);
        self.raises = unwind;
        self.here = entry;
        let mut names = match pending.body {
            Body::Statements(body) => Names::of_statements(body),
            Body::Expression(body) => Names::of_expression(body),
        };
        if let Body::Statements(body) = pending.body
            && self.function == FileFacts::MODULE
            && self.text.contains("global")
        {
            names.add_globals_within(body);
        }
        self.declare(&names, pending.parameters);
        let own = &self.scopes[self.function.index()];
        self.overlay.retain(|(name, _)| !own.contains_key(name));
        let is_scope = !matches!(self.facts.function(self.function).kind, FunctionKind::Module);
        self.facts.functions[self.function.index()].is_generator = names.yields && is_scope;
        match pending.body {
            Body::Statements(body) => {
                self.statements(body);
                let exit = self.exit;
                self.edge(self.here, exit);
            }
            Body::Expression(body) => {
                let value = self.expr(body, Usage::Returned, None);
                self.add(NodeKind::Return(Some(value)));
                let exit = self.exit;
                self.edge(self.here, exit);
            }
        }
        self.flatten_successors();
        let after = self.lengths();
        let run = |table: usize| Run { start: before[table], end: after[table] };
        let function = &mut self.facts.functions[pending.function.index()];
        function.exprs = run(0);
        function.calls = run(1);
        function.locals = run(2);
        function.bindings = run(3);
        function.stores = run(4);
        function.regions = run(5);
        function.tries = run(6);
        function.nodes = run(7);
        function.entry = entry;
        function.exit = self.exit;
        function.unwind = unwind;
    }

    fn flatten_successors(&mut self) {
        for (offset, successors) in self.successors.iter().enumerate() {
            let start = self.facts.edges.len() as u32;
            self.facts.edges.extend_from_slice(successors);
            let end = self.facts.edges.len() as u32;
            self.facts.nodes[self.first_node as usize + offset].next = Run { start, end };
        }
    }

    /// Makes the variables of the scope being entered.
    fn declare(&mut self, names: &Names<'a>, parameters: Option<&'a Parameters>) {
        for name in &names.global {
            let name = self.intern(name);
            let local = match self.scopes[0].get(&name) {
                Some(local) => *local,
                None => continue,
            };
            self.scopes[self.function.index()].insert(name, local);
        }
        for name in &names.nonlocal {
            let name = self.intern(name);
            let parent = self.facts.function(self.function).parent;
            if let Some(local) = parent.and_then(|parent| self.lookup_from(parent, name)) {
                self.scopes[self.function.index()].insert(name, local);
            }
        }
        if let Some(parameters) = parameters {
            self.parameters(parameters);
        }
        for name in &names.bound {
            let name = self.intern(name);
            self.own_local(name);
        }
    }

    fn parameters(&mut self, parameters: &'a Parameters) {
        // Annotations and defaults were walked with the enclosing scope, which left entries without variables.
        let run = self.facts.function(self.function).params;
        for (position, param) in (run.start..run.end).zip(parameters.iter_source_order()) {
            let name = self.intern(param.name());
            let local = self.own_local(name);
            self.facts.params[position as usize].local = local;
            let span = super::span(param.name().range);
            self.bind(local, BindingKind::Param(position), span);
        }
    }

    /// The variable `name` of the scope being walked, made if need be.
    fn own_local(&mut self, name: NameId) -> LocalId {
        if let Some(local) = self.scopes[self.function.index()].get(&name) {
            return *local;
        }
        let local = self.new_local(name);
        self.scopes[self.function.index()].insert(name, local);
        local
    }

    pub(super) fn new_local(&mut self, name: NameId) -> LocalId {
        let local = LocalId(self.facts.locals.len() as u32);
        self.facts.locals.push(Local { name, function: self.function, first_binding: None, loads: 0, captured: false });
        self.last_binding.push(None);
        local
    }

    pub(super) fn intern(&mut self, text: &str) -> NameId {
        if let Some(id) = self.interned.get(text) {
            return *id;
        }
        let id = self.facts.names.add(text);
        self.interned.insert(text.into(), id);
        id
    }

    /// The variable a name means here.
    pub(super) fn lookup(&self, name: NameId) -> Option<LocalId> {
        if let Some((_, local)) = self.overlay.iter().rev().find(|(overlaid, _)| *overlaid == name) {
            return Some(*local);
        }
        if let Some(local) = self.scopes[self.function.index()].get(&name) {
            return Some(*local);
        }
        self.lookup_from(self.facts.function(self.function).parent?, name)
    }

    fn lookup_from(&self, from: FunctionId, name: NameId) -> Option<LocalId> {
        let mut next = Some(from);
        while let Some(function) = next {
            let entry = self.facts.function(function);
            if entry.kind != FunctionKind::ClassBody
                && let Some(local) = self.scopes[function.index()].get(&name)
            {
                return Some(*local);
            }
            next = entry.parent;
        }
        None
    }

    /// The variable an assignment to `name` writes.
    pub(super) fn target(&mut self, name: &str) -> LocalId {
        let name = self.intern(name);
        if let Some((_, local)) = self.overlay.iter().rev().find(|(overlaid, _)| *overlaid == name) {
            return *local;
        }
        let local = self.own_local(name);
        if self.facts.local(local).function != self.function {
            self.facts.locals[local.index()].captured = true;
        }
        local
    }

    /// A binding of a variable, with its node.
    pub(super) fn bind(&mut self, local: LocalId, kind: BindingKind, span: Span) -> BindingId {
        let id = BindingId(self.facts.bindings.len() as u32);
        self.facts.bindings.push(Binding { local, kind, span, region: self.region, next_of_local: None });
        match self.last_binding[local.index()] {
            Some(last) => self.facts.bindings[last.index()].next_of_local = Some(id),
            None => self.facts.locals[local.index()].first_binding = Some(id),
        }
        self.last_binding[local.index()] = Some(id);
        self.add(NodeKind::Bind(id));
        id
    }

    /// An attribute or subscript store, with its node.
    pub(super) fn store(&mut self, store: Store) -> StoreId {
        let id = StoreId(self.facts.stores.len() as u32);
        self.facts.stores.push(store);
        self.add(NodeKind::Store(id));
        id
    }

    /// An empty place for an expression, so that its parts can name it.
    pub(super) fn reserve(&mut self, span: Span, usage: Usage, parent: Option<ExprId>) -> ExprId {
        let id = ExprId(self.facts.exprs.len() as u32);
        self.facts.exprs.push(Expr { kind: ExprKind::Constant, span, usage, parent, region: self.region });
        id
    }

    pub(super) fn new_region(&mut self, kind: RegionKind, parent: Option<RegionId>, span: Span) -> RegionId {
        let id = RegionId(self.facts.regions.len() as u32);
        self.facts.regions.push(Region { kind, parent, function: self.function, span });
        id
    }

    /// A new region within the current one.
    pub(super) fn inner_region(&mut self, kind: RegionKind, span: Span) -> RegionId {
        self.new_region(kind, Some(self.region), span)
    }

    /// Walks something with another region current.
    pub(super) fn within<T>(&mut self, region: RegionId, job: impl FnOnce(&mut Self) -> T) -> T {
        let outer = std::mem::replace(&mut self.region, region);
        let result = job(self);
        self.region = outer;
        result
    }

    /// A node nothing leads to yet.
    pub(super) fn detached(&mut self, kind: NodeKind) -> NodeId {
        let id = NodeId(self.facts.nodes.len() as u32);
        let can_raise = matches!(
            kind,
            NodeKind::Call(_)
                | NodeKind::Suspend(_)
                | NodeKind::Yield(_)
                | NodeKind::Store(_)
                | NodeKind::Enter(_)
                | NodeKind::Leave(_)
                | NodeKind::Iterate(_)
                | NodeKind::Raise(_)
        );
        let raises = can_raise.then_some(self.raises);
        self.facts.nodes.push(Node { kind, region: self.region, next: Run::default(), raises });
        self.successors.push(SmallVec::new());
        self.entered.push(false);
        id
    }

    /// A node that follows the current one and becomes it. Annotations and types make none.
    pub(super) fn add(&mut self, kind: NodeKind) -> NodeId {
        if self.in_annotation {
            return self.here;
        }
        let node = self.detached(kind);
        self.edge(self.here, node);
        self.here = node;
        node
    }

    pub(super) fn edge(&mut self, from: NodeId, to: NodeId) {
        self.entered[(to.0 - self.first_node) as usize] = true;
        let successors = &mut self.successors[(from.0 - self.first_node) as usize];
        if !successors.contains(&to) {
            successors.push(to);
        }
    }

    pub(super) fn successors_of(&mut self, node: NodeId) -> &mut SmallVec<[NodeId; 2]> {
        &mut self.successors[(node.0 - self.first_node) as usize]
    }

    /// What follows cannot be reached from here.
    pub(super) fn dead_end(&mut self) {
        self.here = self.detached(NodeKind::Join);
    }

    /// Whether something leads to the current node.
    pub(super) fn is_reachable(&self) -> bool {
        let here = self.here;
        if self.facts.node(here).kind != NodeKind::Join {
            return true;
        }
        self.entered[(here.0 - self.first_node) as usize]
    }

    /// Continues where all of `ends` meet.
    pub(super) fn join(&mut self, ends: &[NodeId]) {
        let join = self.detached(NodeKind::Join);
        for end in ends {
            self.edge(*end, join);
        }
        self.here = join;
    }

    /// Walks a level deeper, or gives up on what is nested beyond reason.
    pub(super) fn deeper<T>(&mut self, otherwise: T, job: impl FnOnce(&mut Self) -> T) -> T {
        if self.depth >= DEEPEST {
            self.too_deep = true;
            return otherwise;
        }
        self.depth += 1;
        let result = job(self);
        self.depth -= 1;
        result
    }

    pub(super) fn new_class_id(&self) -> ClassId {
        ClassId(self.facts.classes.len() as u32)
    }
}

fn line_starts(text: &str) -> Vec<u32> {
    let mut starts = vec![0];
    starts.extend(text.match_indices('\n').map(|(at, _)| at as u32 + 1));
    if text.contains('\r') {
        let bytes = text.as_bytes();
        let lone = |at: &usize| bytes[*at] == b'\r' && bytes.get(at + 1) != Some(&b'\n');
        starts.extend((0..bytes.len()).filter(lone).map(|at| at as u32 + 1));
        starts.sort_unstable();
    }
    starts
}
