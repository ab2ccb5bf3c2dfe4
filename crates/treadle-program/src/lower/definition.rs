//! Functions, classes and imports: what a module defines and where its names come from.

use ruff_python_ast::{self as ast, Expr as Tree, Stmt};
use ruff_text_size::Ranged;
use treadle_finding::Span;

use super::builder::{Body, Builder, Pending};
use super::span;
use crate::facts::{BindingKind, Class, ExprId, FunctionId, FunctionKind, Import, ImportId, ImportKind, Run, Usage};

impl<'a> Builder<'a> {
    pub(super) fn function_def(&mut self, def: &'a ast::StmtFunctionDef) {
        let decorators = self.decorators(&def.decorator_list);
        let outer = self.type_params(def.type_params.as_deref());
        let params = self.params(&def.parameters);
        let returns = def.returns.as_ref().map(|returns| self.annotation(returns));
        let function = self.new_function(&def.name, FunctionKind::Def, span(def.range()));
        let class = {
            let here = self.facts.function(self.function);
            here.class.filter(|_| here.kind == FunctionKind::ClassBody)
        };
        let name_span = span(def.name.range);
        let after = def.returns.as_ref().map_or(span(def.parameters.range()).end, |returns| span(returns.range()).end);
        let header = self.header(def.decorator_list.last(), def.range(), after);
        let is_stub = is_stub(&def.body);
        let entry = &mut self.facts.functions[function.index()];
        entry.is_async = def.is_async;
        entry.is_stub = is_stub;
        entry.class = class;
        entry.name_span = name_span;
        entry.header = header;
        entry.decorators = decorators;
        entry.params = params;
        entry.returns = returns;
        self.queue_body(function, &def.body, Some(&def.parameters));
        self.overlay.truncate(outer);
        let local = self.target(&def.name);
        self.bind(local, BindingKind::Function(function), name_span);
    }

    /// Makes the type parameters of a function, class or alias visible; how many names were before.
    pub(super) fn type_params(&mut self, params: Option<&'a ast::TypeParams>) -> usize {
        let outer = self.overlay.len();
        let params = params.map_or(&[][..], |params| &params.type_params);
        for param in params {
            let name = param.name();
            let text = self.intern(name);
            let local = self.new_local(text);
            self.overlay.push((text, local));
            self.bind(local, BindingKind::Opaque, span(name.range));
        }
        for param in params {
            let bound = match param {
                ast::TypeParam::TypeVar(variable) => variable.bound.as_deref(),
                _ => None,
            };
            for part in bound.into_iter().chain(param.default()) {
                self.annotation(part);
            }
        }
        outer
    }

    pub(super) fn queue_body(
        &mut self,
        function: FunctionId,
        body: &'a [Stmt],
        parameters: Option<&'a ast::Parameters>,
    ) {
        let overlay = self.overlay.clone();
        self.queue.push_back(Pending { function, body: Body::Statements(body), parameters, overlay });
    }

    /// From `async`, `def` or `class` to the colon after `after`.
    fn header(&self, decorator: Option<&ast::Decorator>, whole: ruff_text_size::TextRange, after: u32) -> Span {
        let mut start = decorator.map_or(whole.start(), |decorator| decorator.range().end()).to_usize();
        // Between the last decorator and the keyword stand only line ends, blanks and comments.
        while let Some(rest) = self.text.get(start..) {
            let skipped = rest.len() - rest.trim_start().len();
            start += skipped;
            if !rest[skipped..].starts_with('#') {
                break;
            }
            start += rest[skipped..].find('\n').unwrap_or(rest.len() - skipped);
        }
        let colon = self.text[after as usize..].find(':').map_or(after, |at| after + at as u32 + 1);
        Span::new(start as u32, colon.max(start as u32))
    }

    pub(super) fn decorators(&mut self, decorators: &'a [ast::Decorator]) -> Run {
        let ids: Vec<ExprId> =
            decorators.iter().map(|decorator| self.expr(&decorator.expression, Usage::Decorator, None)).collect();
        self.list(&ids)
    }

    pub(super) fn class_def(&mut self, class: &'a ast::StmtClassDef) {
        let decorators = self.decorators(&class.decorator_list);
        let outer = self.type_params(class.type_params.as_deref());
        let bases = match &class.arguments {
            Some(arguments) => self.arguments(arguments, Usage::Base, None),
            None => Run::default(),
        };
        let name_span = span(class.name.range);
        let whole = span(class.range());
        let body = self.new_function(&class.name, FunctionKind::ClassBody, whole);
        let id = self.new_class_id();
        let after = class.arguments.as_ref().map(|arguments| span(arguments.range()).end);
        let after =
            after.or(class.type_params.as_ref().map(|params| span(params.range()).end)).unwrap_or(name_span.end);
        let header = self.header(class.decorator_list.last(), class.range(), after);
        let name = self.intern(&class.name);
        let parent = self.function;
        self.facts.classes.push(Class { name, span: whole, name_span, parent, body, bases, decorators });
        let entry = &mut self.facts.functions[body.index()];
        entry.class = Some(id);
        entry.name_span = name_span;
        entry.header = header;
        self.queue_body(body, &class.body, None);
        self.overlay.truncate(outer);
        let local = self.target(&class.name);
        self.bind(local, BindingKind::Class(id), name_span);
    }

    pub(super) fn import(&mut self, stmt: &'a ast::StmtImport) {
        for alias in &stmt.names {
            let path = self.intern(&alias.name);
            let renamed = alias.asname.is_some();
            let bound = alias.asname.as_ref().unwrap_or(&alias.name).as_str();
            let bound = if renamed { bound } else { bound.split('.').next().unwrap_or(bound) };
            self.bind_import(ImportKind::Module { path, renamed }, alias, span(stmt.range()), Some(bound));
        }
    }

    pub(super) fn import_from(&mut self, stmt: &'a ast::StmtImportFrom) {
        let module = self.intern(stmt.module.as_ref().map_or("", |module| module.as_str()));
        let level = stmt.level;
        for alias in &stmt.names {
            if alias.name.as_str() == "*" {
                self.bind_import(ImportKind::Star { module, level }, alias, span(stmt.range()), None);
                continue;
            }
            let name = self.intern(&alias.name);
            let bound = alias.asname.as_ref().unwrap_or(&alias.name).as_str();
            self.bind_import(ImportKind::From { module, level, name }, alias, span(stmt.range()), Some(bound));
        }
    }

    fn bind_import(&mut self, kind: ImportKind, alias: &'a ast::Alias, statement: Span, bound: Option<&str>) {
        let id = ImportId(self.facts.imports.len() as u32);
        let name_span = span(alias.range());
        self.facts.imports.push(Import { kind, span: name_span, statement, region: self.region });
        if let Some(bound) = bound {
            let local = self.target(bound);
            self.bind(local, BindingKind::Import(id), name_span);
        }
    }
}

/// Nothing but a docstring, `pass`, `...` or `raise NotImplementedError`.
fn is_stub(body: &[Stmt]) -> bool {
    body.iter().all(|stmt| match stmt {
        Stmt::Pass(_) => true,
        Stmt::Expr(stmt) => matches!(&*stmt.value, Tree::StringLiteral(_) | Tree::EllipsisLiteral(_)),
        Stmt::Raise(stmt) => stmt.exc.as_ref().is_some_and(|raised| {
            let raised = match &**raised {
                Tree::Call(call) => &*call.func,
                other => other,
            };
            matches!(raised, Tree::Name(name) if name.id.as_str() == "NotImplementedError")
        }),
        _ => false,
    })
}
