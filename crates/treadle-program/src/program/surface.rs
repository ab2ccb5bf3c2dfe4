//! What other files can see of a file: its module and class variables, the headers of its functions and classes.
//!
//! Most changes are made in the body of a function. Who has only looked at the surface of the file need not be asked
//! again then, however many look at it.

use rustc_hash::FxHashSet;

use super::rename::Rename;
use crate::facts::{
    ArgumentKind, BindingId, BindingKind, ExprId, ExprKind, FileFacts, FunctionId, FunctionKind, ImportKind, LocalId,
    RegionId, RegionKind, Run,
};

/// The names that are new on the surface of a file; `None` when something else about it has changed, or is too involved to
/// be compared.
pub(super) fn added<'f>(old: &'f FileFacts, new: &'f FileFacts, rename: &'f Rename) -> Option<Vec<&'f str>> {
    let kept = rename.locals.iter().flatten().copied().collect();
    let both = Both { old, new, rename, kept };
    if !(both.functions() && both.classes() && both.variables() && both.stars()) {
        return None;
    }
    let locals = (0..).map(LocalId).zip(&new.locals);
    let open = locals.filter(|(_, local)| is_open(new, local.function));
    let added = open.filter(|(id, _)| !both.kept.contains(id));
    Some(added.map(|(_, local)| new.name(local.name)).collect())
}

struct Both<'f> {
    old: &'f FileFacts,
    new: &'f FileFacts,
    rename: &'f Rename,
    /// The variables that were there before.
    kept: FxHashSet<LocalId>,
}

fn is_open(facts: &FileFacts, function: FunctionId) -> bool {
    matches!(facts.function(function).kind, FunctionKind::Module | FunctionKind::ClassBody)
}

impl Both<'_> {
    fn functions(&self) -> bool {
        (0..self.old.functions.len() as u32).map(FunctionId).all(|id| {
            let Some(now) = self.rename.functions[id.index()] else { return false };
            let (old, new) = (self.old.function(id), self.new.function(now));
            let params = self.old.params[old.params.range()].iter().zip(&self.new.params[new.params.range()]);
            let mut params = params.map(|(old, new)| {
                old.kind == new.kind
                    && self.local(old.local, new.local)
                    && self.option(old.annotation, new.annotation)
                    && old.default.is_some() == new.default.is_some()
            });
            (old.kind, old.is_async, old.is_generator, old.is_stub)
                == (new.kind, new.is_async, new.is_generator, new.is_stub)
                && old.class.map(|class| self.rename.classes[class.index()]) == new.class.map(Some)
                && old.params.len() == new.params.len()
                && params.all(|is_same| is_same)
                // What defaults, decorators and annotations of results come to stands in tables.
                && old.decorators.is_empty() == new.decorators.is_empty()
                && old.returns.is_some() == new.returns.is_some()
        })
    }

    fn classes(&self) -> bool {
        self.old.classes.iter().zip(&self.rename.classes).all(|(old, now)| {
            let Some(new) = now.map(|now| self.new.class(now)) else { return false };
            self.bases(old.bases, new.bases) && old.decorators.is_empty() == new.decorators.is_empty()
        })
    }

    /// Bases as others see them, by their names; what they are stands in tables.
    fn bases(&self, old: Run, new: Run) -> bool {
        let words = |facts: &FileFacts, run: Run| {
            let arguments = facts.arguments[run.range()].iter();
            let word = |argument: &crate::facts::Argument| {
                let value = match facts.expr(argument.value).kind {
                    ExprKind::Subscript { base, .. } => base,
                    _ => argument.value,
                };
                let is_keyword = argument.kind != ArgumentKind::Positional;
                (
                    is_keyword,
                    facts.dotted(argument.value),
                    facts.dotted(value),
                    facts.last_name(value).map(str::to_owned),
                )
            };
            arguments.map(word).collect::<Vec<_>>()
        };
        words(self.old, old) == words(self.new, new)
    }

    fn variables(&self) -> bool {
        let order = |facts: &FileFacts, renamed: &dyn Fn(LocalId) -> Option<LocalId>| {
            let open = facts.bindings.iter().filter(|binding| is_open(facts, facts.local(binding.local).function));
            open.filter_map(|binding| renamed(binding.local)).collect::<Vec<LocalId>>()
        };
        let is_old = |local: LocalId| self.kept.contains(&local).then_some(local);
        let open = (0..self.old.locals.len() as u32).map(LocalId);
        let mut open = open.filter(|local| is_open(self.old, self.old.local(*local).function));
        open.all(|local| self.rename.locals[local.index()].is_some_and(|now| self.bindings(local, now)))
            && order(self.old, &|local| self.rename.locals[local.index()]) == order(self.new, &is_old)
    }

    fn bindings(&self, old: LocalId, new: LocalId) -> bool {
        let old: Vec<BindingId> = self.old.bindings_of(old).map(|(id, _)| id).collect();
        let new: Vec<BindingId> = self.new.bindings_of(new).map(|(id, _)| id).collect();
        old.len() == new.len() && old.into_iter().zip(new).all(|(old, new)| self.binding(old, new))
    }

    fn binding(&self, old: BindingId, new: BindingId) -> bool {
        let (old, new) = (self.old.binding(old), self.new.binding(new));
        // What a function binds by `global` counts wherever it stands in its body.
        let is_own = self.old.region(old.region).function == self.old.local(old.local).function;
        (!is_own || self.region(old.region, new.region)) && self.binding_kind(old.kind, new.kind)
    }

    fn binding_kind(&self, old: BindingKind, new: BindingKind) -> bool {
        use BindingKind as B;
        match (old, new) {
            (B::Value { value, annotation }, B::Value { value: other, annotation: others }) => {
                self.expr(value, other) && self.option(annotation, others)
            }
            (B::Declared(old), B::Declared(new)) => self.expr(old, new),
            (B::Augmented { op, value }, B::Augmented { op: others, value: other }) => {
                op == others && self.expr(value, other)
            }
            (B::Unpacked { value, index }, B::Unpacked { value: other, index: others }) => {
                index == others && self.expr(value, other)
            }
            (
                B::Iterated { iterable, is_async, index, nested },
                B::Iterated { iterable: other, is_async: other_async, index: other_index, nested: other_nested },
            ) => (is_async, index, nested) == (other_async, other_index, other_nested) && self.expr(iterable, other),
            (
                B::Entered { context, is_async, whole },
                B::Entered { context: other, is_async: other_async, whole: other_whole },
            ) => (is_async, whole) == (other_async, other_whole) && self.expr(context, other),
            (B::Caught(old), B::Caught(new)) => self.option(self.old.handler(old).caught, self.new.handler(new).caught),
            (B::Import(old), B::Import(new)) => {
                self.import(self.old.imports[old.index()].kind, self.new.imports[new.index()].kind)
            }
            (B::Function(old), B::Function(new)) => self.rename.functions[old.index()] == Some(new),
            (B::Class(old), B::Class(new)) => self.rename.classes[old.index()] == Some(new),
            (B::Deleted, B::Deleted) | (B::Opaque, B::Opaque) => true,
            _ => false,
        }
    }

    fn import(&self, old: ImportKind, new: ImportKind) -> bool {
        let text = |facts: &FileFacts, kind: ImportKind| match kind {
            ImportKind::Module { path, renamed } => (facts.name(path).to_owned(), String::new(), u32::from(renamed)),
            ImportKind::From { module, level, name } => {
                (facts.name(module).to_owned(), facts.name(name).to_owned(), level)
            }
            ImportKind::Star { module, level } => (facts.name(module).to_owned(), "*".to_owned(), level),
        };
        std::mem::discriminant(&old) == std::mem::discriminant(&new) && text(self.old, old) == text(self.new, new)
    }

    /// Star imports and `__all__`.
    fn stars(&self) -> bool {
        fn stars(facts: &FileFacts) -> Vec<ImportKind> {
            let kinds = facts.imports.iter().map(|import| import.kind);
            kinds.filter(|kind| matches!(kind, ImportKind::Star { .. })).collect()
        }
        let exported = |facts: &FileFacts| {
            let names = facts.exported.as_ref();
            names.map(|names| names.iter().map(|name| facts.name(*name).to_owned()).collect::<Vec<_>>())
        };
        let (old, new) = (stars(self.old), stars(self.new));
        old.len() == new.len()
            && old.into_iter().zip(new).all(|(old, new)| self.import(old, new))
            && exported(self.old) == exported(self.new)
    }

    fn region(&self, old: RegionId, new: RegionId) -> bool {
        let (old, new) = (self.old.region(old), self.new.region(new));
        let is_same = match (old.kind, new.kind) {
            (RegionKind::Branch { test, when }, RegionKind::Branch { test: other, when: others }) => {
                when == others && self.expr(test, other)
            }
            (RegionKind::Loop { kind, control }, RegionKind::Loop { kind: others, control: other }) => {
                kind == others && self.expr(control, other)
            }
            (RegionKind::With { context, is_async }, RegionKind::With { context: other, is_async: others }) => {
                is_async == others && self.expr(context, other)
            }
            (old, new) => std::mem::discriminant(&old) == std::mem::discriminant(&new),
        };
        is_same
            && match (old.parent, new.parent) {
                (Some(old), Some(new)) => self.region(old, new),
                (None, None) => true,
                _ => false,
            }
    }

    fn local(&self, old: LocalId, new: LocalId) -> bool {
        self.rename.locals[old.index()] == Some(new)
    }

    /// Whether what a variable is does not depend on the body of a function: one of the module or a class, or a type
    /// parameter.
    fn is_settled(&self, old: LocalId) -> bool {
        is_open(self.old, self.old.local(old).function)
            || self.old.bindings_of(old).all(|(_, binding)| binding.kind == BindingKind::Opaque)
    }

    fn option(&self, old: Option<ExprId>, new: Option<ExprId>) -> bool {
        match (old, new) {
            (Some(old), Some(new)) => self.expr(old, new),
            (None, None) => true,
            _ => false,
        }
    }

    fn run(&self, old: Run, new: Run) -> bool {
        let (old, new) = (self.old.operands(old), self.new.operands(new));
        old.len() == new.len() && old.iter().zip(new).all(|(old, new)| self.expr(*old, *new))
    }

    fn arguments(&self, old: Run, new: Run) -> bool {
        let (old, new) = (&self.old.arguments[old.range()], &self.new.arguments[new.range()]);
        old.len() == new.len()
            && old.iter().zip(new).all(|(old, new)| {
                let is_same = match (old.kind, new.kind) {
                    (ArgumentKind::Keyword(old), ArgumentKind::Keyword(new)) => {
                        self.old.name(old) == self.new.name(new)
                    }
                    (old, new) => std::mem::discriminant(&old) == std::mem::discriminant(&new),
                };
                is_same && self.expr(old.value, new.value)
            })
    }

    fn expr(&self, old: ExprId, new: ExprId) -> bool {
        use ExprKind as E;
        let name = |old, new| self.old.name(old) == self.new.name(new);
        match (self.old.expr(old).kind, self.new.expr(new).kind) {
            (E::Local(old), E::Local(new)) => self.local(old, new) && self.is_settled(old),
            (E::Global(old), E::Global(new)) | (E::String(old), E::String(new)) => name(old, new),
            (E::Attribute { base, name: old }, E::Attribute { base: other, name: new }) => {
                name(old, new) && self.expr(base, other)
            }
            (E::Call(old), E::Call(new)) => {
                let (old, new) = (self.old.call(old), self.new.call(new));
                self.expr(old.callee, new.callee) && self.arguments(old.arguments, new.arguments)
            }
            (E::Yield(old), E::Yield(new)) => self.option(old, new),
            (E::Await(old), E::Await(new))
            | (E::YieldFrom(old), E::YieldFrom(new))
            | (E::Not(old), E::Not(new))
            | (E::Walrus(old), E::Walrus(new))
            | (E::Starred(old), E::Starred(new)) => self.expr(old, new),
            (E::Format(old), E::Format(new))
            | (E::List(old), E::List(new))
            | (E::Tuple(old), E::Tuple(new))
            | (E::Set(old), E::Set(new))
            | (E::Dict(old), E::Dict(new))
            | (E::IfElse(old), E::IfElse(new))
            | (E::Other(old), E::Other(new)) => self.run(old, new),
            (E::Int(old), E::Int(new)) => old == new,
            (E::Float(old), E::Float(new)) => old.to_bits() == new.to_bits(),
            (E::Bool(old), E::Bool(new)) => old == new,
            (E::None, E::None) | (E::Constant, E::Constant) | (E::LongString, E::LongString) => true,
            (E::Lambda(old), E::Lambda(new)) => self.rename.functions[old.index()] == Some(new),
            (E::Comprehension { kind, element }, E::Comprehension { kind: others, element: other }) => {
                kind == others && self.expr(element, other)
            }
            (E::Subscript { base, index }, E::Subscript { base: other, index: others }) => {
                self.expr(base, other) && self.expr(index, others)
            }
            (E::Bool2 { and, operands }, E::Bool2 { and: others, operands: other }) => {
                and == others && self.run(operands, other)
            }
            (E::Binary { op, left, right }, E::Binary { op: others, left: other, right: another }) => {
                op == others && self.expr(left, other) && self.expr(right, another)
            }
            (E::Compare { op, left, right }, E::Compare { op: others, left: other, right: another }) => {
                op == others && self.expr(left, other) && self.expr(right, another)
            }
            _ => false,
        }
    }
}
