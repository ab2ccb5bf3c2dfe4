//! Statements that hold other statements: branches, loops, `with`, `try` and `match`, with the flow between them.

use ruff_python_ast::{self as ast, ExceptHandler, Expr as Tree, Pattern, Stmt};
use ruff_text_size::Ranged;
use treadle_finding::Span;

use super::builder::Builder;
use super::jumps::Frame;
use super::span;
use super::statement::deeper;
use crate::facts::{
    BindingKind, ExprId, ExprKind, Handler, HandlerId, LoopKind, NodeId, NodeKind, RegionId, RegionKind, Run,
    StoreKind, Try, TryId, Usage,
};

impl<'a> Builder<'a> {
    /// A condition is decided: the nodes where its true and its false side start.
    pub(super) fn decide(&mut self, test: ExprId) -> (NodeId, NodeId) {
        let constant = match self.facts.expr(test).kind {
            ExprKind::Bool(value) => Some(value),
            ExprKind::Int(value) => Some(value != 0),
            _ => None,
        };
        let decided = self.add(NodeKind::Test(test));
        let sides = (self.detached(NodeKind::Join), self.detached(NodeKind::Join));
        if constant != Some(false) {
            self.edge(decided, sides.0);
        }
        if constant != Some(true) {
            self.edge(decided, sides.1);
        }
        sides
    }

    pub(super) fn block(&mut self, kind: RegionKind, body: &'a [Stmt]) -> RegionId {
        let region = self.inner_region(kind, block_span(body));
        self.within(region, |builder| builder.statements(body));
        region
    }

    pub(super) fn if_statement(&mut self, stmt: &'a ast::StmtIf) {
        let mut ends = Vec::new();
        let mut test = self.expr(&stmt.test, Usage::Condition, None);
        let (holds, mut fails) = self.decide(test);
        self.here = holds;
        self.branch(test, &stmt.body);
        ends.push(self.here);
        let mut complete = false;
        for clause in &stmt.elif_else_clauses {
            self.here = fails;
            if let Some(condition) = &clause.test {
                test = self.expr(condition, Usage::Condition, None);
                let sides = self.decide(test);
                self.here = sides.0;
                fails = sides.1;
                self.branch(test, &clause.body);
            } else {
                self.block(RegionKind::Branch { test, when: false }, &clause.body);
                complete = true;
            }
            ends.push(self.here);
        }
        if !complete {
            ends.push(fails);
        }
        self.join_reachable(&ends);
    }

    fn branch(&mut self, test: ExprId, body: &'a [Stmt]) {
        let dotted = self.facts.dotted(test).unwrap_or_default();
        let kind = if dotted.rsplit('.').next() == Some("TYPE_CHECKING") {
            RegionKind::TypeChecking
        } else {
            RegionKind::Branch { test, when: true }
        };
        self.block(kind, body);
    }

    /// Continues where those of `ends` meet that something leads to.
    pub(super) fn join_reachable(&mut self, ends: &[NodeId]) {
        let mut reachable = Vec::with_capacity(ends.len());
        for end in ends {
            self.here = *end;
            if self.is_reachable() {
                reachable.push(*end);
            }
        }
        self.join(&reachable);
    }

    pub(super) fn while_statement(&mut self, stmt: &'a ast::StmtWhile) {
        let head = self.add(NodeKind::Join);
        let whole = Span::new(span(stmt.test.range()).start, block_span(&stmt.body).end);
        let placeholder = RegionKind::Loop { kind: LoopKind::While, control: ExprId(0) };
        let region = self.inner_region(placeholder, whole);
        let test = self.within(region, |builder| builder.expr(&stmt.test, Usage::Condition, None));
        self.facts.regions[region.index()].kind = RegionKind::Loop { kind: LoopKind::While, control: test };
        let (holds, fails) = self.decide(test);
        self.here = holds;
        let breaks = self.loop_body(head, region, &stmt.body);
        self.after_loop(fails, &stmt.orelse, breaks);
    }

    pub(super) fn for_statement(&mut self, stmt: &'a ast::StmtFor) {
        let usage = if stmt.is_async { Usage::AsyncIterated } else { Usage::Iterated };
        let iterable = self.expr(&stmt.iter, usage, None);
        let kind = if stmt.is_async { LoopKind::AsyncFor } else { LoopKind::For };
        let region = self.inner_region(RegionKind::Loop { kind, control: iterable }, block_span(&stmt.body));
        let head = self.within(region, |builder| builder.add(NodeKind::Iterate(region)));
        let item = self.detached(NodeKind::Join);
        let done = self.detached(NodeKind::Join);
        self.edge(head, item);
        self.edge(head, done);
        self.here = item;
        self.within(region, |builder| builder.for_target(&stmt.target, iterable, stmt.is_async));
        let breaks = self.loop_body(head, region, &stmt.body);
        self.after_loop(done, &stmt.orelse, breaks);
    }

    fn loop_body(&mut self, head: NodeId, region: RegionId, body: &'a [Stmt]) -> Vec<NodeId> {
        self.frames.push(Frame::Loop { head, breaks: Vec::new() });
        self.within(region, |builder| builder.statements(body));
        self.edge(self.here, head);
        match self.frames.pop() {
            Some(Frame::Loop { breaks, .. }) => breaks,
            _ => Vec::new(),
        }
    }

    fn after_loop(&mut self, done: NodeId, orelse: &'a [Stmt], mut ends: Vec<NodeId>) {
        self.here = done;
        if !orelse.is_empty() {
            self.block(RegionKind::LoopElse, orelse);
        }
        ends.push(self.here);
        self.join_reachable(&ends);
    }

    /// The target of a `for`, in statements and comprehensions.
    pub(super) fn for_target(&mut self, target: &'a Tree, iterable: ExprId, is_async: bool) {
        let elements = match target {
            Tree::Tuple(tuple) => &tuple.elts,
            Tree::List(list) => &list.elts,
            other => {
                let kind = BindingKind::Iterated { iterable, is_async, index: None, nested: false };
                self.bind_target(other, kind);
                return;
            }
        };
        let mut starred_before = false;
        for (position, element) in elements.iter().enumerate() {
            starred_before |= matches!(element, Tree::Starred(_));
            let index = (!starred_before).then_some(position as u32);
            let kind = BindingKind::Iterated { iterable, is_async, index, nested: index.is_none() };
            self.bind_target(element, kind);
        }
    }

    fn bind_target(&mut self, target: &'a Tree, kind: BindingKind) {
        match target {
            Tree::Name(name) => {
                let local = self.target(&name.id);
                self.bind(local, kind, span(name.range()));
            }
            Tree::Starred(starred) => self.bind_target(&starred.value, kind),
            Tree::Tuple(tuple) => tuple.elts.iter().for_each(|part| self.bind_target(part, deeper(kind))),
            Tree::List(list) => list.elts.iter().for_each(|part| self.bind_target(part, deeper(kind))),
            _ => {
                self.store_target(target, StoreKind::Opaque);
            }
        }
    }

    pub(super) fn with_items(&mut self, items: &'a [ast::WithItem], stmt: &'a ast::StmtWith) {
        let Some((item, rest)) = items.split_first() else {
            self.statements(&stmt.body);
            return;
        };
        let is_async = stmt.is_async;
        let usage = if is_async { Usage::AsyncEntered } else { Usage::Entered };
        let context = self.expr(&item.context_expr, usage, None);
        let start = item.context_expr.range().end().to_u32();
        let whole = Span::new(start, block_span(&stmt.body).end.max(start));
        let region = self.inner_region(RegionKind::With { context, is_async }, whole);
        self.add(NodeKind::Enter(region));
        let outer = self.raises;
        let leaving = self.detached(NodeKind::LeaveRaising(region));
        self.raises = leaving;
        self.frames.push(Frame::With { region, raises: outer });
        self.within(region, |builder| {
            if let Some(target) = &item.optional_vars {
                builder.with_target(target, context, is_async);
            }
            builder.deeper((), |builder| builder.with_items(rest, stmt));
        });
        self.frames.pop();
        self.raises = outer;
        let mut ends = Vec::new();
        if self.is_reachable() {
            self.add(NodeKind::Leave(region));
            ends.push(self.here);
        }
        self.edge(leaving, outer);
        if self.suppresses(context) {
            ends.push(leaving);
        }
        self.join(&ends);
    }

    /// Whether a context manager is one of the well-known ones that swallow exceptions.
    fn suppresses(&self, context: ExprId) -> bool {
        let Some(call) = self.facts.as_call(context) else { return false };
        let name = self.facts.dotted(call.callee).unwrap_or_default();
        matches!(name.rsplit('.').next(), Some("suppress" | "raises" | "move_on_after" | "move_on_at"))
    }

    fn with_target(&mut self, target: &'a Tree, context: ExprId, is_async: bool) {
        match target {
            Tree::Name(_) => self.bind_target(target, BindingKind::Entered { context, is_async, whole: true }),
            Tree::Tuple(_) | Tree::List(_) => {
                self.bind_target(target, BindingKind::Entered { context, is_async, whole: false });
            }
            _ => {
                self.store_target(target, StoreKind::Entered { context, is_async });
            }
        }
    }

    pub(super) fn try_statement(&mut self, stmt: &'a ast::StmtTry) {
        let id = TryId(self.facts.tries.len() as u32);
        self.facts.tries.push(Try {
            span: span(stmt.range()),
            body: self.region,
            handlers: Run::default(),
            orelse: None,
            finally: None,
            is_star: stmt.is_star,
        });
        if stmt.finalbody.is_empty() {
            self.try_and_handlers(id, stmt);
        } else {
            let block = block_span(&stmt.finalbody);
            let region = self.with_finally(id, &stmt.finalbody, block, |builder| builder.try_and_handlers(id, stmt));
            self.facts.tries[id.index()].finally = Some(region);
        }
    }

    fn try_and_handlers(&mut self, id: TryId, stmt: &'a ast::StmtTry) {
        let outer = self.raises;
        let dispatch = self.detached(NodeKind::Dispatch(id));
        self.raises = if stmt.handlers.is_empty() { outer } else { dispatch };
        let body = self.block(RegionKind::Try(id), &stmt.body);
        self.facts.tries[id.index()].body = body;
        self.raises = outer;
        if !stmt.orelse.is_empty() {
            let orelse = self.block(RegionKind::TryElse(id), &stmt.orelse);
            self.facts.tries[id.index()].orelse = Some(orelse);
        }
        if stmt.handlers.is_empty() {
            return;
        }
        let mut ends = vec![self.here];
        let start = self.facts.handlers.len() as u32;
        self.facts.tries[id.index()].handlers = Run { start, end: start + stmt.handlers.len() as u32 };
        for ExceptHandler::ExceptHandler(clause) in &stmt.handlers {
            self.facts.handlers.push(Handler {
                try_: id,
                span: span(clause.range()),
                header: Span::default(),
                caught: None,
                binding: None,
                region: self.region,
                entry: dispatch,
            });
        }
        let mut catches_all = false;
        for (number, ExceptHandler::ExceptHandler(clause)) in stmt.handlers.iter().enumerate() {
            let handler = HandlerId(start + number as u32);
            catches_all |= self.handler(handler, clause, dispatch);
            ends.push(self.here);
        }
        if !catches_all || stmt.is_star {
            self.edge(dispatch, outer);
        }
        self.join_reachable(&ends);
    }

    /// Lowers an `except` clause; whether it catches everything.
    fn handler(&mut self, id: HandlerId, clause: &'a ast::ExceptHandlerExceptHandler, dispatch: NodeId) -> bool {
        let region = self.inner_region(RegionKind::Handler(id), block_span(&clause.body));
        let entry = self.within(region, |builder| builder.detached(NodeKind::Handle(id)));
        self.edge(dispatch, entry);
        self.here = entry;
        // The types are computed while the handler is looked for; here the handler's own path says so.
        let caught = clause.type_.as_ref().map(|caught| self.expr(caught, Usage::Caught, None));
        let whole = span(clause.range());
        let after = clause.name.as_ref().map(|name| span(name.range).end);
        let after = after.or(clause.type_.as_ref().map(|caught| span(caught.range()).end)).unwrap_or(whole.start + 6);
        let colon = self.text[after as usize..].find(':').map_or(after, |at| after + at as u32 + 1);
        let catches_all = caught.is_none_or(|caught| {
            self.facts.dotted(caught).is_some_and(|name| name.rsplit('.').next() == Some("BaseException"))
        });
        let entry_of = &mut self.facts.handlers[id.index()];
        entry_of.caught = caught;
        entry_of.header = Span::new(whole.start, colon);
        entry_of.region = region;
        entry_of.entry = entry;
        self.within(region, |builder| {
            if let Some(name) = &clause.name {
                let local = builder.target(name);
                let binding = builder.bind(local, BindingKind::Caught(id), span(name.range));
                builder.facts.handlers[id.index()].binding = Some(binding);
            }
            builder.statements(&clause.body);
        });
        catches_all
    }

    pub(super) fn match_statement(&mut self, stmt: &'a ast::StmtMatch) {
        self.expr(&stmt.subject, Usage::Condition, None);
        // Where the cases so far are left that do not match.
        let mut failed = vec![self.here];
        let mut ends = Vec::new();
        for case in &stmt.cases {
            self.join(&failed);
            if case.pattern.is_irrefutable() {
                failed.clear();
            }
            let region = self.inner_region(RegionKind::Case, block_span(&case.body));
            self.within(region, |builder| {
                builder.pattern(&case.pattern);
                if let Some(guard) = &case.guard {
                    let guard = builder.expr(guard, Usage::Condition, None);
                    let (holds, fails) = builder.decide(guard);
                    failed.push(fails);
                    builder.here = holds;
                }
                builder.statements(&case.body);
            });
            ends.push(self.here);
        }
        ends.extend(failed);
        self.join_reachable(&ends);
    }

    fn pattern(&mut self, pattern: &'a Pattern) {
        let capture = |builder: &mut Self, name: &'a ast::Identifier| {
            let local = builder.target(name);
            builder.bind(local, BindingKind::Opaque, span(name.range));
        };
        match pattern {
            Pattern::MatchValue(value) => {
                self.expr(&value.value, Usage::Other, None);
            }
            Pattern::MatchSequence(sequence) => sequence.patterns.iter().for_each(|part| self.inner_pattern(part)),
            Pattern::MatchMapping(mapping) => {
                mapping.patterns.iter().for_each(|part| self.inner_pattern(part));
                if let Some(rest) = &mapping.rest {
                    capture(self, rest);
                }
            }
            Pattern::MatchClass(class) => {
                self.expr(&class.cls, Usage::Other, None);
                class.arguments.patterns.iter().for_each(|part| self.inner_pattern(part));
                class.arguments.keywords.iter().for_each(|part| self.inner_pattern(&part.pattern));
            }
            Pattern::MatchStar(star) => {
                if let Some(name) = &star.name {
                    capture(self, name);
                }
            }
            Pattern::MatchAs(alias) => {
                if let Some(inner) = &alias.pattern {
                    self.inner_pattern(inner);
                }
                if let Some(name) = &alias.name {
                    capture(self, name);
                }
            }
            Pattern::MatchOr(or) => or.patterns.iter().for_each(|part| self.inner_pattern(part)),
            Pattern::MatchSingleton(_) => {}
        }
    }

    fn inner_pattern(&mut self, pattern: &'a Pattern) {
        self.deeper((), |builder| builder.pattern(pattern));
    }
}

fn block_span(body: &[Stmt]) -> Span {
    match (body.first(), body.last()) {
        (Some(first), Some(last)) => Span::new(span(first.range()).start, span(last.range()).end),
        _ => Span::default(),
    }
}
