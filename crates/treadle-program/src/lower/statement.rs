//! Statements: the dispatch, and those that hold no others.

use ruff_python_ast::{self as ast, Expr as Tree, Stmt};
use ruff_text_size::Ranged;

use super::builder::Builder;
use super::expression::operator;
use super::jumps::Jump;
use super::span;
use crate::facts::{BindingKind, ExprId, NodeKind, Store, StoreKind, StoreTarget, Usage};

impl<'a> Builder<'a> {
    pub(super) fn statements(&mut self, body: &'a [Stmt]) {
        for stmt in body {
            self.deeper((), |builder| builder.statement(stmt));
        }
    }

    fn statement(&mut self, stmt: &'a Stmt) {
        self.facts.statements.push(span(stmt.range()));
        match stmt {
            Stmt::Expr(stmt) => {
                self.expr(&stmt.value, Usage::Discarded, None);
            }
            Stmt::Assign(stmt) => self.assign(stmt),
            Stmt::AugAssign(stmt) => self.augmented(stmt),
            Stmt::AnnAssign(stmt) => self.annotated(stmt),
            Stmt::Return(stmt) => {
                let value = stmt.value.as_ref().map(|value| self.expr(value, Usage::Returned, None));
                self.add(NodeKind::Return(value));
                self.jump(Jump::Return);
            }
            Stmt::Raise(stmt) => self.raise(stmt),
            Stmt::If(stmt) => self.if_statement(stmt),
            Stmt::While(stmt) => self.while_statement(stmt),
            Stmt::For(stmt) => self.for_statement(stmt),
            Stmt::With(stmt) => self.with_items(&stmt.items, stmt),
            Stmt::Try(stmt) => self.try_statement(stmt),
            Stmt::FunctionDef(def) => self.function_def(def),
            Stmt::ClassDef(class) => self.class_def(class),
            Stmt::Import(stmt) => self.import(stmt),
            Stmt::ImportFrom(stmt) => self.import_from(stmt),
            Stmt::Match(stmt) => self.match_statement(stmt),
            Stmt::Assert(stmt) => self.assert(stmt),
            Stmt::Delete(stmt) => stmt.targets.iter().for_each(|target| self.delete(target)),
            Stmt::Break(_) => self.jump(Jump::Break),
            Stmt::Continue(_) => self.jump(Jump::Continue),
            Stmt::TypeAlias(alias) => {
                let outer = self.type_params(alias.type_params.as_deref());
                self.annotation(&alias.value);
                self.overlay.truncate(outer);
                if let Tree::Name(name) = &*alias.name {
                    let local = self.target(&name.id);
                    self.bind(local, BindingKind::Opaque, span(name.range()));
                }
            }
            Stmt::Global(_) | Stmt::Nonlocal(_) | Stmt::Pass(_) | Stmt::IpyEscapeCommand(_) => {}
        }
    }

    fn assign(&mut self, stmt: &'a ast::StmtAssign) {
        let value = self.expr(&stmt.value, Usage::Other, None);
        for (position, target) in stmt.targets.iter().enumerate() {
            self.assign_target(target, value, None, position == 0);
        }
        if let [target] = stmt.targets.as_slice() {
            self.exported(target, &stmt.value);
        }
    }

    fn exported(&mut self, target: &'a Tree, value: &'a Tree) {
        let is_all = matches!(target, Tree::Name(name) if name.id.as_str() == "__all__");
        if !is_all || self.function != crate::facts::FileFacts::MODULE {
            return;
        }
        let elements = match value {
            Tree::List(list) => &list.elts,
            Tree::Tuple(tuple) => &tuple.elts,
            _ => return,
        };
        let names = elements.iter().map(|element| match element {
            Tree::StringLiteral(literal) => Some(self.intern(literal.value.to_str())),
            _ => None,
        });
        self.facts.exported = names.collect();
    }

    pub(super) fn assign_target(
        &mut self,
        target: &'a Tree,
        value: ExprId,
        annotation: Option<ExprId>,
        names_usage: bool,
    ) {
        match target {
            Tree::Name(name) => {
                let local = self.target(&name.id);
                let binding = self.bind(local, BindingKind::Value { value, annotation }, span(name.range()));
                if names_usage {
                    self.facts.exprs[value.index()].usage = Usage::Bound(binding);
                }
            }
            Tree::Tuple(_) | Tree::List(_) => self.unpack(target, value, None, names_usage),
            Tree::Starred(starred) => self.assign_target(&starred.value, value, annotation, names_usage),
            _ => {
                let store = self.store_target(target, StoreKind::Value { value, annotation });
                if let Some(store) = store.filter(|_| names_usage) {
                    self.facts.exprs[value.index()].usage = Usage::Stored(store);
                }
            }
        }
    }

    /// `a, (b, *c) = value`; `position` is the place at the outermost level when already inside one.
    pub(super) fn unpack(&mut self, target: &'a Tree, value: ExprId, nested: Option<()>, names_usage: bool) {
        let elements = match target {
            Tree::Tuple(tuple) => &tuple.elts,
            Tree::List(list) => &list.elts,
            _ => return,
        };
        let mut starred_before = false;
        for (position, element) in elements.iter().enumerate() {
            let (element, starred) = match element {
                Tree::Starred(starred) => (&*starred.value, true),
                other => (other, false),
            };
            starred_before |= starred;
            let index = (!starred_before && nested.is_none()).then_some(position as u32);
            match element {
                Tree::Name(name) => {
                    let local = self.target(&name.id);
                    let binding = self.bind(local, BindingKind::Unpacked { value, index }, span(name.range()));
                    if names_usage && position == 0 {
                        self.facts.exprs[value.index()].usage = Usage::Bound(binding);
                    }
                }
                Tree::Tuple(_) | Tree::List(_) => self.unpack(element, value, Some(()), names_usage && position == 0),
                _ => {
                    let store = self.store_target(element, StoreKind::Unpacked { value, index });
                    if let Some(store) = store.filter(|_| names_usage && position == 0) {
                        self.facts.exprs[value.index()].usage = Usage::Stored(store);
                    }
                }
            }
        }
    }

    pub(super) fn store_target(&mut self, target: &'a Tree, kind: StoreKind) -> Option<crate::facts::StoreId> {
        let whole = span(target.range());
        let target = self.place(target)?;
        Some(self.store(Store { target, kind, span: whole, region: self.region }))
    }

    /// The parts of an attribute or subscript that is written.
    fn place(&mut self, target: &'a Tree) -> Option<StoreTarget> {
        match target {
            Tree::Attribute(attribute) => {
                let base = self.expr(&attribute.value, Usage::AttributeBase, None);
                Some(StoreTarget::Attribute { base, name: self.intern(&attribute.attr) })
            }
            Tree::Subscript(subscript) => {
                let base = self.expr(&subscript.value, Usage::SubscriptBase, None);
                let index = self.expr(&subscript.slice, Usage::Index, None);
                Some(StoreTarget::Subscript { base, index })
            }
            _ => None,
        }
    }

    /// Unlike that of a plain assignment, the target is evaluated before the value.
    fn augmented(&mut self, stmt: &'a ast::StmtAugAssign) {
        let target = self.place(&stmt.target);
        let value = self.expr(&stmt.value, Usage::Operand, None);
        let op = operator(stmt.op);
        let whole = span(stmt.target.range());
        if let Tree::Name(name) = &*stmt.target {
            let local = self.target(&name.id);
            self.bind(local, BindingKind::Augmented { op, value }, whole);
        } else if let Some(target) = target {
            self.store(Store { target, kind: StoreKind::Augmented { op, value }, span: whole, region: self.region });
        }
    }

    fn annotated(&mut self, stmt: &'a ast::StmtAnnAssign) {
        let annotation = self.annotation(&stmt.annotation);
        match &stmt.value {
            Some(tree) => {
                let value = self.expr(tree, Usage::Other, None);
                self.assign_target(&stmt.target, value, Some(annotation), true);
                self.exported(&stmt.target, tree);
            }
            None => {
                if let Tree::Name(name) = &*stmt.target {
                    let local = self.target(&name.id);
                    self.bind(local, BindingKind::Declared(annotation), span(name.range()));
                } else {
                    self.store_target(&stmt.target, StoreKind::Declared(annotation));
                }
            }
        }
    }

    fn raise(&mut self, stmt: &'a ast::StmtRaise) {
        let value = stmt.exc.as_ref().map(|value| self.expr(value, Usage::Raised, None));
        if let Some(cause) = &stmt.cause {
            self.expr(cause, Usage::Raised, None);
        }
        self.add(NodeKind::Raise(value));
        let raises = self.raises;
        self.edge(self.here, raises);
        self.dead_end();
    }

    fn assert(&mut self, stmt: &'a ast::StmtAssert) {
        let test = self.expr(&stmt.test, Usage::Condition, None);
        let (holds, fails) = self.decide(test);
        self.here = fails;
        if let Some(message) = &stmt.msg {
            self.expr(message, Usage::Other, None);
        }
        self.add(NodeKind::Raise(None));
        let raises = self.raises;
        self.edge(self.here, raises);
        self.here = holds;
    }

    pub(super) fn delete(&mut self, target: &'a Tree) {
        match target {
            Tree::Name(name) => {
                let local = self.target(&name.id);
                self.bind(local, BindingKind::Deleted, span(name.range()));
            }
            Tree::Tuple(tuple) => tuple.elts.iter().for_each(|part| self.delete(part)),
            Tree::List(list) => list.elts.iter().for_each(|part| self.delete(part)),
            _ => {
                self.store_target(target, StoreKind::Deleted);
            }
        }
    }
}

pub(super) fn deeper(kind: BindingKind) -> BindingKind {
    match kind {
        BindingKind::Iterated { iterable, is_async, .. } => {
            BindingKind::Iterated { iterable, is_async, index: None, nested: true }
        }
        other => other,
    }
}
