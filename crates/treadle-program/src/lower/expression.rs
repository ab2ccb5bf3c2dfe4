//! Expressions, in the order Python evaluates them.

use ruff_python_ast::{
    self as ast, BoolOp, CmpOp, Comprehension, Expr as Tree, ExprContext, InterpolatedStringElement, Number, UnaryOp,
};
use ruff_text_size::Ranged;

use super::builder::{Body, Builder, Pending};
use super::span;
use crate::facts::{
    Argument, ArgumentKind, BindingKind, Call, CallId, CompareOp, ComprehensionKind, ExprId, ExprKind, FileFacts,
    FunctionKind, LoopKind, NodeId, NodeKind, Operator, Param, ParamKind, RegionKind, Run, Usage,
};

impl<'a> Builder<'a> {
    /// Lowers an expression whose value is put to `usage`.
    pub(super) fn expr(&mut self, tree: &'a Tree, usage: Usage, parent: Option<ExprId>) -> ExprId {
        let id = self.reserve(span(tree.range()), usage, parent);
        let kind = self.deeper(ExprKind::Constant, |builder| builder.kind(tree, id));
        self.facts.exprs[id.index()].kind = kind;
        if let ExprKind::Call(call) = kind {
            let node = (!self.in_annotation).then(|| self.add(NodeKind::Call(id)));
            self.facts.calls[call.index()].node = node;
        }
        id
    }

    /// A type: its strings are read as the expressions they spell, and nothing in it happens.
    pub(super) fn annotation(&mut self, tree: &'a Tree) -> ExprId {
        let outer = std::mem::replace(&mut self.in_annotation, true);
        let id = self.expr(tree, Usage::Annotation, None);
        self.in_annotation = outer;
        id
    }

    #[expect(clippy::too_many_lines, reason = "a table: one row for each kind of expression")]
    fn kind(&mut self, tree: &'a Tree, id: ExprId) -> ExprKind {
        let me = Some(id);
        match tree {
            Tree::Name(name) => self.name(name, id),
            Tree::Attribute(attribute) => {
                let base = self.expr(&attribute.value, Usage::AttributeBase, me);
                ExprKind::Attribute { base, name: self.intern(&attribute.attr) }
            }
            Tree::Call(call) => self.call(call, id),
            Tree::Await(tree) => {
                let operand = self.expr(&tree.value, Usage::Awaited, me);
                self.add(NodeKind::Suspend(id));
                ExprKind::Await(operand)
            }
            Tree::Yield(tree) => {
                let value = tree.value.as_ref().map(|value| self.expr(value, Usage::Yielded, me));
                self.add(NodeKind::Yield(id));
                ExprKind::Yield(value)
            }
            Tree::YieldFrom(tree) => {
                let operand = self.expr(&tree.value, Usage::Yielded, me);
                self.add(NodeKind::Yield(id));
                ExprKind::YieldFrom(operand)
            }
            Tree::StringLiteral(literal) => self.string(literal, id),
            Tree::NumberLiteral(literal) => match &literal.value {
                Number::Int(value) => value.as_i64().map_or(ExprKind::Constant, ExprKind::Int),
                Number::Float(value) => ExprKind::Float(*value),
                Number::Complex { .. } => ExprKind::Constant,
            },
            Tree::BooleanLiteral(literal) => ExprKind::Bool(literal.value),
            Tree::NoneLiteral(_) => ExprKind::None,
            Tree::BytesLiteral(_) | Tree::EllipsisLiteral(_) | Tree::IpyEscapeCommand(_) => ExprKind::Constant,
            Tree::FString(string) => {
                let elements: Vec<_> = string.value.elements().collect();
                self.format(elements, id)
            }
            Tree::TString(string) => {
                let elements: Vec<_> = string.value.elements().collect();
                self.format(elements, id)
            }
            Tree::Lambda(lambda) => self.lambda(lambda),
            Tree::List(list) => self.display(&list.elts, id).map_or(ExprKind::Constant, ExprKind::List),
            Tree::Tuple(tuple) => self.display(&tuple.elts, id).map_or(ExprKind::Constant, ExprKind::Tuple),
            Tree::Set(set) => self.display(&set.elts, id).map_or(ExprKind::Constant, ExprKind::Set),
            Tree::Dict(dict) => self.dict(dict, id),
            Tree::ListComp(comp) => self.comprehension(ComprehensionKind::List, None, &comp.elt, &comp.generators, id),
            Tree::SetComp(comp) => self.comprehension(ComprehensionKind::Set, None, &comp.elt, &comp.generators, id),
            Tree::Generator(comp) => {
                self.comprehension(ComprehensionKind::Generator, None, &comp.elt, &comp.generators, id)
            }
            Tree::DictComp(comp) => {
                self.comprehension(ComprehensionKind::Dict, comp.key.as_deref(), &comp.value, &comp.generators, id)
            }
            Tree::Subscript(tree) => {
                let base = self.expr(&tree.value, Usage::SubscriptBase, me);
                let is_literal = self.facts.dotted(base).is_some_and(|name| name.rsplit('.').next() == Some("Literal"));
                let outer = std::mem::replace(&mut self.in_literal, is_literal);
                let index = self.expr(&tree.slice, Usage::Index, me);
                self.in_literal = outer;
                ExprKind::Subscript { base, index }
            }
            Tree::BoolOp(tree) => self.bool_op(tree, id),
            Tree::UnaryOp(tree) if tree.op == UnaryOp::Not => {
                ExprKind::Not(self.expr(&tree.operand, Usage::Condition, me))
            }
            Tree::UnaryOp(tree) => {
                if let (UnaryOp::USub, Tree::NumberLiteral(literal)) = (&tree.op, &*tree.operand) {
                    match &literal.value {
                        Number::Int(value) => value.as_i64().map_or(ExprKind::Constant, |value| ExprKind::Int(-value)),
                        Number::Float(value) => ExprKind::Float(-value),
                        Number::Complex { .. } => ExprKind::Constant,
                    }
                } else {
                    let operand = self.expr(&tree.operand, Usage::Operand, me);
                    ExprKind::Other(self.list(&[operand]))
                }
            }
            Tree::BinOp(tree) => {
                let left = self.expr(&tree.left, Usage::Operand, me);
                let right = self.expr(&tree.right, Usage::Operand, me);
                ExprKind::Binary { op: operator(tree.op), left, right }
            }
            Tree::Compare(tree) => self.compare(tree, id),
            Tree::If(tree) => self.if_else(tree, id),
            Tree::Named(tree) => self.walrus(tree, id),
            Tree::Starred(tree) => ExprKind::Starred(self.expr(&tree.value, Usage::Element, me)),
            Tree::Slice(slice) => {
                let bounds: Vec<ExprId> = [&slice.lower, &slice.upper, &slice.step]
                    .into_iter()
                    .flatten()
                    .map(|bound| self.expr(bound, Usage::Index, me))
                    .collect();
                ExprKind::Other(self.list(&bounds))
            }
        }
    }

    fn name(&mut self, name: &'a ast::ExprName, id: ExprId) -> ExprKind {
        let text = self.intern(&name.id);
        let Some(local) = self.lookup(text) else { return ExprKind::Global(text) };
        let entry = &mut self.facts.locals[local.index()];
        if name.ctx == ExprContext::Load {
            entry.loads += 1;
        }
        let owner = entry.function;
        if owner != self.function {
            self.facts.locals[local.index()].captured = true;
        }
        if self.facts.function(owner).kind != FunctionKind::Module {
            self.add(NodeKind::Use(id));
        }
        ExprKind::Local(local)
    }

    pub(super) fn list(&mut self, ids: &[ExprId]) -> Run {
        let start = self.facts.operands.len() as u32;
        self.facts.operands.extend_from_slice(ids);
        Run { start, end: self.facts.operands.len() as u32 }
    }

    fn string(&mut self, literal: &'a ast::ExprStringLiteral, id: ExprId) -> ExprKind {
        if self.in_annotation
            && !self.in_literal
            && let Some(kind) = self.string_annotation(literal, id)
        {
            return kind;
        }
        if literal.value.len() > FileFacts::LONGEST_STRING {
            return ExprKind::LongString;
        }
        let text = literal.value.to_str();
        ExprKind::String(self.intern(text))
    }

    /// `x: "Pool[Connection]"`: names, attributes, subscripts and `|` of them, lowered in the string's place.
    fn string_annotation(&mut self, literal: &'a ast::ExprStringLiteral, id: ExprId) -> Option<ExprKind> {
        let single = literal.as_single_part_string()?;
        let parsed = ruff_python_parser::parse_string_annotation(self.text, single).ok()?;
        let expression = parsed.expr();
        let inner = self.deeper(None, |builder| builder.spelled(expression, id))?;
        Some(inner)
    }

    /// The kind of an expression that a string spells. The tree lives shorter than the file's, so only types are understood.
    fn spelled(&mut self, tree: &Tree, id: ExprId) -> Option<ExprKind> {
        Some(match tree {
            Tree::Name(name) => {
                let text = self.intern(&name.id);
                match self.lookup(text) {
                    Some(local) => {
                        self.facts.locals[local.index()].loads += 1;
                        ExprKind::Local(local)
                    }
                    None => ExprKind::Global(text),
                }
            }
            Tree::Attribute(attribute) => {
                let base = self.spelled_part(&attribute.value, Usage::AttributeBase, id)?;
                ExprKind::Attribute { base, name: self.intern(&attribute.attr) }
            }
            Tree::Subscript(subscript) => {
                let base = self.spelled_part(&subscript.value, Usage::SubscriptBase, id)?;
                let index = self.spelled_part(&subscript.slice, Usage::Index, id)?;
                ExprKind::Subscript { base, index }
            }
            Tree::BinOp(binary) => {
                let left = self.spelled_part(&binary.left, Usage::Operand, id)?;
                let right = self.spelled_part(&binary.right, Usage::Operand, id)?;
                ExprKind::Binary { op: operator(binary.op), left, right }
            }
            Tree::Tuple(tuple) => {
                let parts: Option<Vec<ExprId>> =
                    tuple.elts.iter().map(|part| self.spelled_part(part, Usage::Element, id)).collect();
                ExprKind::Tuple(self.list(&parts?))
            }
            Tree::NoneLiteral(_) => ExprKind::None,
            Tree::EllipsisLiteral(_) | Tree::List(_) | Tree::StringLiteral(_) => ExprKind::Constant,
            _ => return None,
        })
    }

    fn spelled_part(&mut self, tree: &Tree, usage: Usage, parent: ExprId) -> Option<ExprId> {
        let id = self.reserve(span(tree.range()), usage, Some(parent));
        let kind = self.deeper(None, |builder| builder.spelled(tree, id))?;
        self.facts.exprs[id.index()].kind = kind;
        Some(id)
    }

    fn format<'e>(&mut self, elements: Vec<&'e InterpolatedStringElement>, id: ExprId) -> ExprKind
    where
        'a: 'e,
        'e: 'a,
    {
        let mut parts = Vec::new();
        let mut waiting = elements;
        waiting.reverse();
        while let Some(element) = waiting.pop() {
            if let InterpolatedStringElement::Interpolation(interpolation) = element {
                parts.push(self.expr(&interpolation.expression, Usage::Formatted, Some(id)));
                if let Some(format) = &interpolation.format_spec {
                    waiting.extend(format.elements.iter().rev());
                }
            }
        }
        ExprKind::Format(self.list(&parts))
    }

    fn lambda(&mut self, lambda: &'a ast::ExprLambda) -> ExprKind {
        let params = lambda.parameters.as_ref().map(|parameters| self.params(parameters)).unwrap_or_default();
        let function = self.new_function("<lambda>", FunctionKind::Lambda, span(lambda.range()));
        self.facts.functions[function.index()].params = params;
        self.queue.push_back(Pending {
            function,
            body: Body::Expression(&lambda.body),
            parameters: lambda.parameters.as_deref(),
            overlay: self.overlay.clone(),
        });
        ExprKind::Lambda(function)
    }

    /// Annotations and defaults of parameters; the variables are made when the scope is walked.
    pub(super) fn params(&mut self, parameters: &'a ast::Parameters) -> Run {
        let mut params = Vec::new();
        for param in parameters.iter_source_order() {
            let default = param.default().map(|default| self.expr(default, Usage::Default, None));
            let annotation = param.annotation().map(|annotation| self.annotation(annotation));
            let name = param.name().as_str();
            let is = |list: &[ast::ParameterWithDefault]| list.iter().any(|param| param.name().as_str() == name);
            let kind = if param.is_variadic() {
                if parameters.vararg.as_ref().is_some_and(|vararg| vararg.name.as_str() == name) {
                    ParamKind::Star
                } else {
                    ParamKind::DoubleStar
                }
            } else if is(&parameters.posonlyargs) {
                ParamKind::PositionalOnly
            } else if is(&parameters.kwonlyargs) {
                ParamKind::KeywordOnly
            } else {
                ParamKind::Normal
            };
            params.push(Param { local: crate::facts::LocalId(0), kind, annotation, default });
        }
        let start = self.facts.params.len() as u32;
        self.facts.params.extend(params);
        Run { start, end: self.facts.params.len() as u32 }
    }

    /// The elements of a display, or nothing when all are constants.
    fn display(&mut self, elements: &'a [Tree], id: ExprId) -> Option<Run> {
        if !elements.is_empty() && !self.in_annotation && elements.iter().all(is_constant) {
            return None;
        }
        let ids: Vec<ExprId> = elements.iter().map(|element| self.expr(element, Usage::Element, Some(id))).collect();
        Some(self.list(&ids))
    }

    fn dict(&mut self, dict: &'a ast::ExprDict, id: ExprId) -> ExprKind {
        let constant = |item: &ast::DictItem| item.key.as_ref().is_some_and(is_constant) && is_constant(&item.value);
        if !dict.items.is_empty() && dict.items.iter().all(constant) {
            return ExprKind::Constant;
        }
        let mut ids = Vec::with_capacity(dict.items.len() * 2);
        for item in &dict.items {
            if let Some(key) = &item.key {
                ids.push(self.expr(key, Usage::Element, Some(id)));
                ids.push(self.expr(&item.value, Usage::Element, Some(id)));
            } else {
                let star = self.reserve(span(item.value.range()), Usage::Element, Some(id));
                let inner = self.expr(&item.value, Usage::Element, Some(star));
                self.facts.exprs[star.index()].kind = ExprKind::Starred(inner);
                ids.push(star);
            }
        }
        ExprKind::Dict(self.list(&ids))
    }

    fn call(&mut self, call: &'a ast::ExprCall, id: ExprId) -> ExprKind {
        let callee = self.expr(&call.func, Usage::Callee, Some(id));
        let arguments = self.arguments(&call.arguments, Usage::Argument, Some(id));
        let number = CallId(self.facts.calls.len() as u32);
        self.facts.calls.push(Call { expr: id, callee, arguments, node: None });
        ExprKind::Call(number)
    }

    pub(super) fn arguments(&mut self, arguments: &'a ast::Arguments, usage: Usage, parent: Option<ExprId>) -> Run {
        let mut lowered = Vec::with_capacity(arguments.args.len() + arguments.keywords.len());
        for argument in arguments.iter_source_order() {
            let whole = span(argument.range());
            let (kind, value) = match argument {
                ast::ArgOrKeyword::Arg(Tree::Starred(starred)) => (ArgumentKind::Star, &*starred.value),
                ast::ArgOrKeyword::Arg(value) => (ArgumentKind::Positional, value),
                ast::ArgOrKeyword::Keyword(keyword) => match &keyword.arg {
                    Some(name) => (ArgumentKind::Keyword(self.intern(name)), &keyword.value),
                    None => (ArgumentKind::DoubleStar, &keyword.value),
                },
            };
            lowered.push(Argument { kind, value: self.expr(value, usage, parent), span: whole });
        }
        let start = self.facts.arguments.len() as u32;
        self.facts.arguments.extend(lowered);
        Run { start, end: self.facts.arguments.len() as u32 }
    }

    fn bool_op(&mut self, tree: &'a ast::ExprBoolOp, id: ExprId) -> ExprKind {
        let mut ids = Vec::with_capacity(tree.values.len());
        let mut ends = Vec::new();
        let last = tree.values.len().saturating_sub(1);
        for (position, value) in tree.values.iter().enumerate() {
            let usage = if position == last { Usage::Result } else { Usage::Junction };
            ids.push(self.expr(value, usage, Some(id)));
            ends.push(self.here);
        }
        ends.dedup();
        if ends.len() > 1 && !self.in_annotation {
            self.join(&ends);
        }
        ExprKind::Bool2 { and: tree.op == BoolOp::And, operands: self.list(&ids) }
    }

    fn if_else(&mut self, tree: &'a ast::ExprIf, id: ExprId) -> ExprKind {
        let test = self.expr(&tree.test, Usage::Condition, Some(id));
        let mut arms = [None, None];
        let mut ends = [self.here; 2];
        let sides = if self.in_annotation { (self.here, self.here) } else { self.decide(test) };
        for (arm, (tree, when)) in [(&tree.body, true), (&tree.orelse, false)].into_iter().enumerate() {
            let region = self.inner_region(RegionKind::Branch { test, when }, span(tree.range()));
            self.here = if when { sides.0 } else { sides.1 };
            arms[arm] = Some(self.within(region, |builder| builder.expr(tree, Usage::Result, Some(id))));
            ends[arm] = self.here;
        }
        if !self.in_annotation {
            self.join_reachable(&ends);
        }
        let operands: Vec<ExprId> = [Some(test), arms[0], arms[1]].into_iter().flatten().collect();
        ExprKind::IfElse(self.list(&operands))
    }

    fn walrus(&mut self, tree: &'a ast::ExprNamed, id: ExprId) -> ExprKind {
        let value = self.expr(&tree.value, Usage::Result, Some(id));
        if let Tree::Name(name) = &*tree.target {
            // A walrus in a comprehension binds around it.
            let overlay = std::mem::take(&mut self.overlay);
            let local = self.target(&name.id);
            self.overlay = overlay;
            let kind = BindingKind::Value { value, annotation: None };
            let binding = self.bind(local, kind, span(name.range()));
            self.facts.exprs[value.index()].usage = Usage::Bound(binding);
        }
        ExprKind::Walrus(value)
    }

    fn compare(&mut self, tree: &'a ast::ExprCompare, id: ExprId) -> ExprKind {
        let left = self.expr(&tree.left, Usage::Compared, Some(id));
        let rest: Vec<ExprId> =
            tree.comparators.iter().map(|operand| self.expr(operand, Usage::Compared, Some(id))).collect();
        if let ([op], [right]) = (&*tree.ops, &*rest) {
            ExprKind::Compare { op: compare_op(*op), left, right: *right }
        } else {
            let mut operands = vec![left];
            operands.extend(rest);
            ExprKind::Other(self.list(&operands))
        }
    }

    fn comprehension(
        &mut self,
        kind: ComprehensionKind,
        key: Option<&'a Tree>,
        element: &'a Tree,
        generators: &'a [Comprehension],
        id: ExprId,
    ) -> ExprKind {
        let whole = self.facts.expr(id).span;
        let (overlaid, outer_region) = (self.overlay.len(), self.region);
        let mut heads: Vec<NodeId> = Vec::new();
        for generator in generators {
            let iterable_usage = if generator.is_async { Usage::AsyncIterated } else { Usage::Iterated };
            let iterable = self.expr(&generator.iter, iterable_usage, Some(id));
            let kind = if generator.is_async { LoopKind::AsyncComprehension } else { LoopKind::Comprehension };
            self.region = self.inner_region(RegionKind::Loop { kind, control: iterable }, whole);
            let region = self.region;
            heads.push(self.add(NodeKind::Iterate(region)));
            self.comprehension_targets(&generator.target);
            self.for_target(&generator.target, iterable, generator.is_async);
            for test in &generator.ifs {
                let test = self.expr(test, Usage::Condition, Some(id));
                let decided = self.add(NodeKind::Test(test));
                self.add(NodeKind::Join);
                if let Some(head) = heads.last().copied().filter(|_| !self.in_annotation) {
                    self.edge(decided, head);
                }
            }
        }
        if let Some(key) = key {
            self.expr(key, Usage::Collected, Some(id));
        }
        let element = self.expr(element, Usage::Collected, Some(id));
        self.overlay.truncate(overlaid);
        self.region = outer_region;
        if !self.in_annotation {
            // The innermost loop goes round; each exhausted loop goes on with the one around it.
            let mut from = self.here;
            for head in heads.iter().rev() {
                self.edge(from, *head);
                from = *head;
            }
            self.here = from;
            self.add(NodeKind::Join);
        }
        ExprKind::Comprehension { kind, element }
    }

    /// Variables of a comprehension's own.
    fn comprehension_targets(&mut self, target: &'a Tree) {
        match target {
            Tree::Name(name) => {
                let name = self.intern(&name.id);
                let local = self.new_local(name);
                self.overlay.push((name, local));
            }
            Tree::Tuple(tuple) => tuple.elts.iter().for_each(|part| self.comprehension_targets(part)),
            Tree::List(list) => list.elts.iter().for_each(|part| self.comprehension_targets(part)),
            Tree::Starred(starred) => self.comprehension_targets(&starred.value),
            _ => {}
        }
    }
}

fn is_constant(tree: &Tree) -> bool {
    match tree {
        Tree::StringLiteral(_)
        | Tree::BytesLiteral(_)
        | Tree::NumberLiteral(_)
        | Tree::BooleanLiteral(_)
        | Tree::NoneLiteral(_)
        | Tree::EllipsisLiteral(_) => true,
        Tree::Tuple(tuple) => tuple.elts.iter().all(is_constant),
        Tree::List(list) => list.elts.iter().all(is_constant),
        Tree::UnaryOp(unary) => matches!(&*unary.operand, Tree::NumberLiteral(_)),
        _ => false,
    }
}

pub(super) fn operator(op: ast::Operator) -> Operator {
    match op {
        ast::Operator::Add => Operator::Add,
        ast::Operator::Sub => Operator::Subtract,
        ast::Operator::Mult => Operator::Multiply,
        ast::Operator::MatMult => Operator::MatMultiply,
        ast::Operator::Div => Operator::Divide,
        ast::Operator::Mod => Operator::Modulo,
        ast::Operator::Pow => Operator::Power,
        ast::Operator::LShift => Operator::LeftShift,
        ast::Operator::RShift => Operator::RightShift,
        ast::Operator::BitOr => Operator::BitOr,
        ast::Operator::BitXor => Operator::BitXor,
        ast::Operator::BitAnd => Operator::BitAnd,
        ast::Operator::FloorDiv => Operator::FloorDivide,
    }
}

fn compare_op(op: CmpOp) -> CompareOp {
    match op {
        CmpOp::Eq => CompareOp::Equal,
        CmpOp::NotEq => CompareOp::NotEqual,
        CmpOp::Lt => CompareOp::Less,
        CmpOp::LtE => CompareOp::LessEqual,
        CmpOp::Gt => CompareOp::Greater,
        CmpOp::GtE => CompareOp::GreaterEqual,
        CmpOp::Is => CompareOp::Is,
        CmpOp::IsNot => CompareOp::IsNot,
        CmpOp::In => CompareOp::In,
        CmpOp::NotIn => CompareOp::NotIn,
    }
}
