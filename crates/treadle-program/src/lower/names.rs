//! The names a scope binds, collected before it is walked.

use ruff_python_ast::visitor::{self, Visitor};
use ruff_python_ast::{Comprehension, ExceptHandler, Expr, ExprContext, Parameters, Pattern, Stmt};

/// What the statements of one scope say about its names.
#[derive(Default)]
pub(super) struct Names<'a> {
    pub(super) bound: Vec<&'a str>,
    pub(super) global: Vec<&'a str>,
    pub(super) nonlocal: Vec<&'a str>,
    /// Contains `yield`.
    pub(super) yields: bool,
}

impl<'a> Names<'a> {
    pub(super) fn of_statements(body: &'a [Stmt]) -> Self {
        let mut names = Self::default();
        names.visit_body(body);
        names
    }

    pub(super) fn of_expression(body: &'a Expr) -> Self {
        let mut names = Self::default();
        names.visit_expr(body);
        names
    }

    /// Adds the names that scopes within bind for the module with `global`.
    pub(super) fn add_globals_within(&mut self, body: &'a [Stmt]) {
        Globals(self).visit_body(body);
    }

    fn defaults(&mut self, parameters: &'a Parameters) {
        for default in parameters.iter_non_variadic_params().filter_map(|param| param.default()) {
            self.visit_expr(default);
        }
    }

    /// The scope of a comprehension is its own, but a walrus within binds around it.
    fn comprehension(&mut self, generators: &'a [Comprehension]) {
        for generator in generators {
            self.visit_expr(&generator.iter);
            for test in &generator.ifs {
                self.visit_expr(test);
            }
        }
    }
}

struct Globals<'n, 'a>(&'n mut Names<'a>);

impl<'a> Visitor<'a> for Globals<'_, 'a> {
    fn visit_stmt(&mut self, stmt: &'a Stmt) {
        let body = match stmt {
            Stmt::FunctionDef(def) => &def.body,
            Stmt::ClassDef(class) => &class.body,
            _ => return visitor::walk_stmt(self, stmt),
        };
        let names = Names::of_statements(body);
        self.0.bound.extend(names.global.iter().filter(|name| names.bound.contains(name)));
        self.visit_body(body);
    }

    fn visit_expr(&mut self, _: &'a Expr) {}
}

impl<'a> Visitor<'a> for Names<'a> {
    fn visit_stmt(&mut self, stmt: &'a Stmt) {
        match stmt {
            Stmt::FunctionDef(def) => {
                self.bound.push(&def.name);
                for decorator in &def.decorator_list {
                    self.visit_expr(&decorator.expression);
                }
                self.defaults(&def.parameters);
            }
            Stmt::ClassDef(class) => {
                self.bound.push(&class.name);
                for decorator in &class.decorator_list {
                    self.visit_expr(&decorator.expression);
                }
                if let Some(arguments) = &class.arguments {
                    self.visit_arguments(arguments);
                }
            }
            Stmt::Import(import) => {
                for alias in &import.names {
                    let name = alias.asname.as_ref().unwrap_or(&alias.name).as_str();
                    self.bound.push(name.split('.').next().unwrap_or(name));
                }
            }
            Stmt::ImportFrom(import) => {
                for alias in import.names.iter().filter(|alias| alias.name.as_str() != "*") {
                    self.bound.push(alias.asname.as_ref().unwrap_or(&alias.name).as_str());
                }
            }
            Stmt::Global(stmt) => self.global.extend(stmt.names.iter().map(ruff_python_ast::Identifier::as_str)),
            Stmt::Nonlocal(stmt) => self.nonlocal.extend(stmt.names.iter().map(ruff_python_ast::Identifier::as_str)),
            _ => visitor::walk_stmt(self, stmt),
        }
    }

    fn visit_annotation(&mut self, _: &'a Expr) {}

    fn visit_expr(&mut self, expr: &'a Expr) {
        match expr {
            Expr::Name(name) => {
                if matches!(name.ctx, ExprContext::Store | ExprContext::Del) {
                    self.bound.push(&name.id);
                }
            }
            Expr::Lambda(lambda) => {
                if let Some(parameters) = &lambda.parameters {
                    self.defaults(parameters);
                }
            }
            Expr::ListComp(comp) => {
                self.comprehension(&comp.generators);
                self.visit_expr(&comp.elt);
            }
            Expr::SetComp(comp) => {
                self.comprehension(&comp.generators);
                self.visit_expr(&comp.elt);
            }
            Expr::Generator(comp) => {
                self.comprehension(&comp.generators);
                self.visit_expr(&comp.elt);
            }
            Expr::DictComp(comp) => {
                self.comprehension(&comp.generators);
                if let Some(key) = &comp.key {
                    self.visit_expr(key);
                }
                self.visit_expr(&comp.value);
            }
            // Literals hold nothing; large tables are made of them.
            Expr::StringLiteral(_) | Expr::NumberLiteral(_) | Expr::BytesLiteral(_) | Expr::BooleanLiteral(_) => {}
            Expr::Yield(_) | Expr::YieldFrom(_) => {
                self.yields = true;
                visitor::walk_expr(self, expr);
            }
            _ => visitor::walk_expr(self, expr),
        }
    }

    fn visit_except_handler(&mut self, handler: &'a ExceptHandler) {
        let ExceptHandler::ExceptHandler(clause) = handler;
        if let Some(name) = &clause.name {
            self.bound.push(name);
        }
        visitor::walk_except_handler(self, handler);
    }

    fn visit_pattern(&mut self, pattern: &'a Pattern) {
        let captured = match pattern {
            Pattern::MatchAs(capture) => capture.name.as_ref(),
            Pattern::MatchStar(capture) => capture.name.as_ref(),
            Pattern::MatchMapping(mapping) => mapping.rest.as_ref(),
            _ => None,
        };
        if let Some(name) = captured {
            self.bound.push(name);
        }
        visitor::walk_pattern(self, pattern);
    }
}
