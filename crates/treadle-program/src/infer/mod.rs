//! Types of expressions, from the facts of the file, the linked tables and the claims.
//!
//! Evaluation never fails and never loops: what is not understood is `Unknown`, a cycle is `Never`. Results of other
//! functions, classes and parameters come from the tables of the round before, so one evaluation stays within one file
//! but for module-level variables it imports.

mod annotation;
mod attribute;
mod call;
mod protocol;
#[cfg(test)]
mod tests;

use rustc_hash::FxHashMap;

use crate::facts::{
    Binding, BindingId, BindingKind, ComprehensionKind, ExprId, ExprKind, FileFacts, FunctionKind, ImportKind, LocalId,
    Operator, Param, ParamKind, RegionKind, Run, Usage,
};
use crate::ids::{BindingRef, FileId, FunctionRef, In};
use crate::knowledge::Knowledge;
use crate::knowledge::types::Shape;
use crate::program::absolute;
use crate::program::{Ancestor, Module, Program, find_by_name};
use crate::ty::Ty;

/// Deeper than this, an expression or a chain of imports is not understood.
const DEEPEST: u32 = 60;

/// Types of one file's expressions, for who asks about many of them.
pub struct Types<'p>(Infer<'p>);

impl<'p> Types<'p> {
    /// Answers about one file.
    pub fn new(program: &'p Program, file: FileId) -> Self {
        Self(Infer::new(program, file))
    }

    /// The type of an expression.
    pub fn of(&mut self, expr: ExprId) -> Ty {
        self.0.expr(expr)
    }

    /// The type of what a binding gives its variable.
    pub fn of_binding(&mut self, binding: BindingId) -> Ty {
        self.0.binding(binding)
    }
}

/// Evaluates expressions of one file, remembering what variables are.
pub(crate) struct Infer<'p> {
    program: &'p Program,
    file: FileId,
    facts: &'p FileFacts,
    remembered: FxHashMap<BindingRef, Ty>,
    /// What star imports of a file bring for a name; nothing while that is being found out.
    starred: FxHashMap<(FileId, Box<str>), Option<Ty>>,
    depth: u32,
}

impl<'p> Infer<'p> {
    pub(crate) fn new(program: &'p Program, file: FileId) -> Self {
        Self {
            program,
            file,
            facts: program.surface(file),
            remembered: FxHashMap::default(),
            starred: FxHashMap::default(),
            depth: 0,
        }
    }

    /// Evaluates in another file for a moment.
    fn in_file<T>(&mut self, file: FileId, job: impl FnOnce(&mut Self) -> T) -> T {
        let (here, facts) = (self.file, self.facts);
        self.file = file;
        self.facts = self.program.surface(file);
        let result = job(self);
        self.file = here;
        self.facts = facts;
        result
    }

    fn deeper(&mut self, job: impl FnOnce(&mut Self) -> Ty) -> Ty {
        if self.depth >= DEEPEST {
            return Ty::Unknown;
        }
        self.depth += 1;
        let result = job(self);
        self.depth -= 1;
        result
    }

    /// The type of an expression.
    pub(crate) fn expr(&mut self, id: ExprId) -> Ty {
        self.deeper(|infer| infer.expr_at(id))
    }

    #[expect(clippy::too_many_lines, reason = "a table: one row for each kind of expression")]
    fn expr_at(&mut self, id: ExprId) -> Ty {
        let facts = self.facts;
        match facts.expr(id).kind {
            ExprKind::Local(local) => self.load(local, id),
            ExprKind::Global(name) => self.global(facts.name(name)),
            ExprKind::Attribute { base, name } => {
                let base = self.expr(base);
                self.attribute(&base, facts.name(name))
            }
            ExprKind::Call(call) => {
                let callee = self.expr(facts.call(call).callee);
                self.call(&callee, Some(call))
            }
            ExprKind::Await(operand) => {
                let operand = self.expr(operand);
                self.awaited(&operand)
            }
            ExprKind::String(_) | ExprKind::LongString | ExprKind::Format(_) => self.builtin("str"),
            ExprKind::Int(_) => self.builtin("int"),
            ExprKind::Float(_) => self.builtin("float"),
            ExprKind::Bool(_) | ExprKind::Not(_) | ExprKind::Compare { .. } => self.builtin("bool"),
            ExprKind::None => Ty::None,
            ExprKind::Lambda(function) => Ty::Function(In::new(self.file, function)),
            ExprKind::List(items) => self.display(Shape::List, facts.operands(items)),
            ExprKind::Set(items) => self.display(Shape::Set, facts.operands(items)),
            ExprKind::Dict(items) => self.dict(facts.operands(items)),
            ExprKind::Tuple(items) => {
                let items = facts.operands(items);
                if items.len() > 12 || items.iter().any(|item| matches!(facts.expr(*item).kind, ExprKind::Starred(_))) {
                    return Ty::Unknown;
                }
                Ty::Tuple(items.iter().map(|item| self.expr(*item)).collect())
            }
            ExprKind::Comprehension { kind, element } => {
                let element = self.expr(element);
                let is_async = kind == ComprehensionKind::Generator && self.holds_async(id);
                Ty::of(
                    match kind {
                        ComprehensionKind::List => Shape::List,
                        ComprehensionKind::Set => Shape::Set,
                        ComprehensionKind::Dict => Shape::Dict,
                        ComprehensionKind::Generator if is_async => Shape::AsyncIter,
                        ComprehensionKind::Generator => Shape::Iter,
                    },
                    element,
                )
            }
            ExprKind::Subscript { base, index } => {
                let base = self.expr(base);
                self.subscript(&base, index)
            }
            ExprKind::Bool2 { operands, .. } => {
                let operands = facts.operands(operands);
                Ty::any(operands.iter().map(|operand| self.expr(*operand)))
            }
            ExprKind::IfElse(operands) => {
                let arms = &facts.operands(operands)[1..];
                Ty::any(arms.iter().map(|arm| self.expr(*arm)))
            }
            ExprKind::Binary { op, left, right } => self.binary(op, left, right),
            ExprKind::Walrus(value) => self.expr(value),
            ExprKind::Yield(_)
            | ExprKind::YieldFrom(_)
            | ExprKind::Constant
            | ExprKind::Starred(_)
            | ExprKind::Other(_) => Ty::Unknown,
        }
    }

    /// A class of builtins as the type of its instances.
    pub(crate) fn builtin(&self, name: &str) -> Ty {
        let knowledge = self.program.knowledge();
        knowledge
            .find("builtins")
            .and_then(|builtins| knowledge.child(builtins, name))
            .map_or(Ty::Unknown, Ty::KnownInstance)
    }

    /// A comprehension evaluated here that awaits or iterates asynchronously.
    fn holds_async(&self, comprehension: ExprId) -> bool {
        let facts = self.facts;
        let span = facts.expr(comprehension).span;
        let function = facts.function(facts.function_of(comprehension));
        facts.regions[function.regions.range()].iter().any(|region| {
            span.contains(region.span)
                && matches!(region.kind, RegionKind::Loop { kind: crate::facts::LoopKind::AsyncComprehension, .. })
        })
    }

    fn display(&mut self, shape: Shape, items: &[ExprId]) -> Ty {
        // The first few say what kind of list it is; a long table is not worth more.
        let element = Ty::any(items.iter().take(8).map(|item| match self.facts.expr(*item).kind {
            ExprKind::Starred(inner) => self.expr(inner).element(),
            _ => self.expr(*item),
        }));
        Ty::of(shape, element)
    }

    fn dict(&mut self, items: &[ExprId]) -> Ty {
        if items.iter().any(|item| matches!(self.facts.expr(*item).kind, ExprKind::Starred(_))) {
            return Ty::of(Shape::Dict, Ty::Unknown);
        }
        let values = items.iter().skip(1).step_by(2).take(8);
        let element = Ty::any(values.map(|value| self.expr(*value)));
        Ty::of(Shape::Dict, element)
    }

    fn binary(&mut self, op: Operator, left: ExprId, right: ExprId) -> Ty {
        let left = self.expr(left);
        let dunder = match op {
            Operator::Divide => "__truediv__",
            Operator::Add => "__add__",
            Operator::Modulo => "__mod__",
            Operator::Multiply => "__mul__",
            Operator::Subtract => "__sub__",
            _ => return Ty::Unknown,
        };
        if let Ty::Of(shape @ (Shape::List | Shape::Set), element) = &left
            && op == Operator::Add
        {
            let other = self.expr(right).element();
            return Ty::of(*shape, (**element).clone().or(other));
        }
        let method = self.attribute(&left, dunder);
        if method.is_unknown() && op == Operator::Divide {
            // `"directory" / Path("x")`
            let right = self.expr(right);
            let method = self.attribute(&right, "__rtruediv__");
            return self.call(&method, None);
        }
        self.call(&method, None)
    }

    fn subscript(&mut self, base: &Ty, index: ExprId) -> Ty {
        match base {
            Ty::Tuple(members) => match self.facts.expr(index).kind {
                ExprKind::Int(position) => usize::try_from(position)
                    .ok()
                    .and_then(|position| members.get(position))
                    .cloned()
                    .unwrap_or(Ty::Unknown),
                _ => Ty::Unknown,
            },
            Ty::Of(Shape::List | Shape::Dict, element) => match self.facts.expr(index).kind {
                // A slice of a list is a list; `-i` and `a < b < c` are `Other` too.
                ExprKind::Other(bounds) if self.is_slice(bounds) => base.clone(),
                _ => (**element).clone(),
            },
            Ty::Class(class) if self.is_enumeration(*class) => Ty::Unknown,
            // `Queue[int]()`: a generic class is called like the class.
            Ty::Class(_) | Ty::Known(_) => base.clone(),
            Ty::Instance(_) | Ty::KnownInstance(_) => {
                let method = self.attribute(base, "__getitem__");
                self.call(&method, None)
            }
            Ty::Union(_) => {
                let only = base.without_none();
                if only == *base { Ty::Unknown } else { self.subscript(&only, index) }
            }
            _ => Ty::Unknown,
        }
    }

    fn is_slice(&self, bounds: Run) -> bool {
        self.facts.operands(bounds).iter().all(|bound| self.facts.expr(*bound).usage == Usage::Index)
    }

    fn global(&mut self, name: &str) -> Ty {
        let knowledge = self.program.knowledge();
        if name == "super" {
            return knowledge.find("builtins.super").map_or(Ty::Unknown, Ty::Known);
        }
        if let Some(starred) = self.star_imported(name) {
            return starred;
        }
        let builtin = knowledge.find("builtins").and_then(|builtins| knowledge.child(builtins, name));
        builtin.map_or(Ty::Unknown, Ty::Known)
    }

    /// A variable as read at `at`: the binding that surely reaches it, or all of them.
    fn load(&mut self, local: LocalId, at: ExprId) -> Ty {
        let Some(binding) = self.reaching(local, at) else { return self.local(local) };
        match self.facts.binding(binding).kind {
            BindingKind::Augmented { .. } => self.local(local),
            BindingKind::Deleted => Ty::Unknown,
            _ => self.binding(binding),
        }
    }

    /// The one binding whose value a read must see, where the structure of the code shows it.
    pub(crate) fn reaching(&self, local: LocalId, at: ExprId) -> Option<BindingId> {
        let facts = self.facts;
        let entry = facts.local(local);
        let first = entry.first_binding?;
        facts.binding(first).next_of_local?;
        let read = facts.expr(at);
        if entry.captured || facts.region(read.region).function != entry.function {
            return None;
        }
        let mut last: Option<(BindingId, &Binding)> = None;
        for (id, binding) in facts.bindings_of(local) {
            if value_end(facts, binding) <= read.span.start {
                last = Some((id, binding));
            }
        }
        let (id, binding) = last?;
        if !facts.region_within(read.region, binding.region) {
            return None;
        }
        // A later binding inside a loop around the read comes round again, unless the found one is in that loop too.
        let carried = facts
            .regions_around(read.region)
            .take_while(|(region, _)| *region != binding.region)
            .filter(|(_, region)| matches!(region.kind, RegionKind::Loop { .. }))
            .any(|(_, region)| {
                facts.bindings_of(local).any(|(other, later)| other != id && region.span.contains(later.span))
            });
        // `try: x = a()` … `except: x = b()` are siblings; only an enclosing binding counts, and one in a `try` body may not have happened when a handler reads it.
        (!carried).then_some(id)
    }

    /// A variable over all its bindings.
    pub(crate) fn local(&mut self, local: LocalId) -> Ty {
        let facts = self.facts;
        let mut found = Ty::Never;
        for (id, binding) in facts.bindings_of(local) {
            if matches!(binding.kind, BindingKind::Deleted | BindingKind::Augmented { .. })
                || self.program.is_redefined(In::new(self.file, id))
            {
                continue;
            }
            found = found.or(self.binding(id));
            if found == Ty::Unknown {
                break;
            }
        }
        if let Some(patched) = self.program.patched(In::new(self.file, local)) {
            found = found.or(patched.clone());
        }
        if found == Ty::Never { Ty::Unknown } else { found }
    }

    /// What a binding gives its variable.
    pub(crate) fn binding(&mut self, id: BindingId) -> Ty {
        let key = In::new(self.file, id);
        if let Some(known) = self.remembered.get(&key) {
            return known.clone();
        }
        self.remembered.insert(key, Ty::Never);
        let found = self.deeper(|infer| infer.binding_at(id));
        self.remembered.insert(key, found.clone());
        found
    }

    fn binding_at(&mut self, id: BindingId) -> Ty {
        let facts = self.facts;
        let binding = facts.binding(id);
        match binding.kind {
            BindingKind::Param(position) => {
                let function = facts.local(binding.local).function;
                let position = position - facts.function(function).params.start;
                self.param(In::new(self.file, function), position)
            }
            BindingKind::Value { value, annotation } => {
                let declared = annotation.map_or(Ty::Unknown, |annotation| self.annotation(annotation));
                if declared.is_unknown() { self.expr(value) } else { declared }
            }
            BindingKind::Declared(annotation) => self.annotation(annotation),
            BindingKind::Unpacked { value, index } => {
                let value = self.expr(value);
                part(&value, index)
            }
            BindingKind::Iterated { iterable, is_async, index, nested } => {
                let iterable = self.expr(iterable);
                let element = if is_async { self.async_iterated(&iterable) } else { self.iterated(&iterable) };
                match index {
                    None if nested => Ty::Unknown,
                    None => element,
                    Some(_) => part(&element, index),
                }
            }
            BindingKind::Entered { context, is_async, whole } => {
                let context = self.expr(context);
                if whole { self.entered(&context, is_async) } else { Ty::Unknown }
            }
            // `except*` binds a group.
            BindingKind::Caught(handler) if facts.try_(facts.handler(handler).try_).is_star => Ty::Unknown,
            BindingKind::Caught(handler) => match facts.handler(handler).caught.map(|caught| self.expr(caught)) {
                Some(Ty::Class(class)) => Ty::Instance(class),
                Some(Ty::Known(item)) => Ty::KnownInstance(item),
                _ => Ty::Unknown,
            },
            BindingKind::Import(import) => self.import(facts.imports[import.index()].kind),
            BindingKind::Function(function) => Ty::Function(In::new(self.file, function)),
            BindingKind::Class(class) => Ty::Class(In::new(self.file, class)),
            BindingKind::Augmented { .. } | BindingKind::Deleted => Ty::Never,
            BindingKind::Opaque => Ty::Unknown,
        }
    }

    /// The type of parameter number `position`: its annotation, the receiver of a method, or what calls pass.
    pub(crate) fn param(&mut self, function: FunctionRef, position: u32) -> Ty {
        let program = self.program;
        let facts = program.surface(function.file);
        let entry = facts.function(function.id);
        if entry.kind != FunctionKind::Def && entry.kind != FunctionKind::Lambda {
            return Ty::Unknown;
        }
        let Some(param) = facts.params[entry.params.range()].get(position as usize) else { return Ty::Unknown };
        if let Some(annotation) = param.annotation {
            let declared = self.in_file(function.file, |infer| infer.annotation(annotation));
            return Self::variadic(param, declared);
        }
        if position == 0
            && entry.kind == FunctionKind::Def
            && matches!(param.kind, ParamKind::PositionalOnly | ParamKind::Normal)
            && let Some(class) = entry.class
            && !program.decoration(function).is_static
        {
            let class = In::new(function.file, class);
            let name = facts.name(entry.name);
            let on_class = program.decoration(function).is_class || matches!(name, "__new__" | "__init_subclass__");
            return if on_class { Ty::Class(class) } else { Ty::Instance(class) };
        }
        let index = (entry.params.start + position) as usize;
        program.passed(function.file, index).clone()
    }

    fn variadic(param: &Param, element: Ty) -> Ty {
        match param.kind {
            ParamKind::Star => Ty::of(Shape::List, element),
            ParamKind::DoubleStar => Ty::of(Shape::Dict, element),
            _ => element,
        }
    }

    /// What an import binds.
    fn import(&mut self, kind: ImportKind) -> Ty {
        let facts = self.facts;
        match kind {
            ImportKind::Module { path, renamed } => {
                let path = facts.name(path);
                let bound = if renamed { path } else { path.split('.').next().unwrap_or(path) };
                self.module(bound)
            }
            ImportKind::From { module, level, name } => {
                let source = self.program.file(self.file);
                let Some(module) = absolute(source, level, facts.name(module)) else { return Ty::Unknown };
                let module = self.module(&module);
                // `from . import part` in a package's own `__init__` is not the variable it binds there.
                if module == Ty::Module(self.file)
                    && let Some(part) = self.submodule(self.file, facts.name(name))
                {
                    return part;
                }
                self.attribute(&module, facts.name(name))
            }
            ImportKind::Star { .. } => Ty::Unknown,
        }
    }

    /// A module by its absolute name: the program's own first, then what claims speak of, then installed ones.
    fn module(&mut self, name: &str) -> Ty {
        let program = self.program;
        let found = program.modules().find_from(program.file(self.file), name);
        let own = match found {
            Some(Module::File(file)) if !program.file(file).installed => return Ty::Module(file),
            Some(Module::File(file)) => Some(Ty::Module(file)),
            Some(Module::Namespace(namespace)) => Some(Ty::Namespace(namespace)),
            None => None,
        };
        match program.knowledge().find(name) {
            Some(Knowledge::ROOT) | None => own.unwrap_or(Ty::Unknown),
            Some(item) => Ty::Known(item),
        }
    }

    /// A name that some star import of this file's module level provides.
    fn star_imported(&mut self, name: &str) -> Option<Ty> {
        let facts = self.facts;
        let stars: Vec<(u32, &str)> = facts
            .imports
            .iter()
            .filter_map(|import| match import.kind {
                ImportKind::Star { module, level } => Some((level, facts.name(module))),
                _ => None,
            })
            .collect();
        if stars.is_empty() {
            return None;
        }
        // Packages whose parts import everything of each other would lead round and round.
        let key = (self.file, name.into());
        if let Some(known) = self.starred.get(&key) {
            return known.clone();
        }
        self.starred.insert(key.clone(), None);
        let found = self.first_starred(stars, name);
        self.starred.insert(key, found.clone());
        found
    }

    /// What the last star import brings hides what those before it brought.
    fn first_starred(&mut self, stars: Vec<(u32, &str)>, name: &str) -> Option<Ty> {
        for (level, module) in stars.into_iter().rev() {
            let source = self.program.file(self.file);
            let Some(module) = absolute(source, level, module) else { continue };
            let found = self.deeper(|infer| match infer.module(&module) {
                Ty::Module(file) if !infer.is_exported(file, name) => Ty::Unknown,
                module => infer.attribute(&module, name),
            });
            if !found.is_unknown() {
                return Some(found);
            }
        }
        None
    }

    /// Whether `from … import *` brings a name: one of `__all__`, or any public one.
    fn is_exported(&self, file: FileId, name: &str) -> bool {
        let facts = self.program.surface(file);
        if let Some(names) = &facts.exported {
            return names.iter().any(|exported| facts.name(*exported) == name);
        }
        // An `__all__` that is computed may name anything.
        let module = &self.program.scopes(file).module;
        !name.starts_with('_') || find_by_name(facts, module, "__all__").is_some()
    }

    /// What a class header's base is.
    pub(crate) fn base_class(&mut self, id: ExprId) -> Option<Ancestor> {
        let knowledge = self.program.knowledge();
        match self.expr(id) {
            Ty::Class(class) => Some(Ancestor::Own(class)),
            Ty::Known(item) => {
                // `object` and the typing machinery add nothing.
                let path = knowledge.path(item);
                let ignored = path == "builtins.object"
                    || matches!(
                        path.strip_prefix("typing."),
                        Some("Generic" | "Protocol" | "NamedTuple" | "TypedDict")
                    );
                (!ignored).then_some(Ancestor::Known(item))
            }
            _ => {
                let name = self.facts.dotted(self.subscripted(id)).unwrap_or_default();
                let last = name.rsplit('.').next().unwrap_or_default();
                (!matches!(
                    last,
                    "object" | "Generic" | "Protocol" | "ABC" | "NamedTuple" | "TypedDict" | "Enum" | "IntEnum"
                ))
                .then_some(Ancestor::Unknown)
            }
        }
    }

    fn subscripted(&self, id: ExprId) -> ExprId {
        match self.facts.expr(id).kind {
            ExprKind::Subscript { base, .. } => base,
            _ => id,
        }
    }
}

/// Where a binding's value has been computed: reads before this byte cannot see it.
fn value_end(facts: &FileFacts, binding: &Binding) -> u32 {
    let computed = match binding.kind {
        BindingKind::Value { value, .. }
        | BindingKind::Augmented { value, .. }
        | BindingKind::Unpacked { value, .. } => value,
        BindingKind::Iterated { iterable, .. } => iterable,
        BindingKind::Entered { context, .. } => context,
        _ => return binding.span.end,
    };
    facts.expr(computed).span.end.max(binding.span.end)
}

/// The part of a value that an unpacking gives to one name.
pub(crate) fn part(value: &Ty, index: Option<u32>) -> Ty {
    match (value, index) {
        (Ty::Tuple(members), Some(index)) => members.get(index as usize).cloned().unwrap_or(Ty::Unknown),
        (Ty::Of(Shape::List | Shape::Set | Shape::Iter, element), Some(_)) => (**element).clone(),
        _ => Ty::Unknown,
    }
}
