//! Where long-lived objects are kept, and what is done with them there.

use std::collections::{BTreeMap, BTreeSet};

use bitcode::{Decode, Encode};
use rustc_hash::FxHashSet;

use super::reads::{Parts, note};
use super::{Ancestor, Program};
use crate::facts::{BindingKind, CallId, ExprId, ExprKind, FunctionKind, NameId, StoreTarget, Usage};
use crate::ids::{CallRef, ClassRef, ExprRef, FileId, In, LocalRef};
use crate::infer::Infer;
use crate::knowledge::claim::Primitive;
use crate::ty::Ty;

/// A variable or attribute that holds one object for long.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub enum Place {
    /// A variable, of a function or of the module.
    Variable(LocalRef),
    /// An attribute of the instances of a class, by the class that stores it.
    Attribute(ClassRef, Box<str>),
}

impl Place {
    /// The file of the variable or class.
    pub fn file(&self) -> FileId {
        match self {
            Self::Variable(local) => local.file,
            Self::Attribute(class, _) => class.file,
        }
    }
}

/// Everything the program does with the primitive at one place.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct PrimitiveUse {
    /// What kind of primitive.
    pub primitive: Primitive,
    /// The calls that make one and put it there.
    pub created: Vec<CallRef>,
    /// What is done with it.
    pub operations: Vec<Operation>,
    /// Whether it is handed to code, or to another place, where treadle does not follow it.
    pub escapes: bool,
    /// The files that hand it on, in their order.
    pub(super) escapes_in: Vec<FileId>,
    /// Whether different kinds are put there.
    pub(super) is_mixed: bool,
}

/// One thing done with a primitive.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Operation {
    /// The method's name, or `with`, `async with`, `for`, `async for`.
    pub name: Box<str>,
    /// The call or the context expression.
    pub at: ExprRef,
}

/// All primitives of the program by place.
#[derive(Clone, Copy, Debug)]
pub struct Primitives<'p>(&'p Program);

impl<'p> Primitives<'p> {
    pub(super) fn new(program: &'p Program) -> Self {
        Self(program)
    }

    /// What is known of the primitive at a place.
    pub fn at(self, place: &Place) -> Option<&'p PrimitiveUse> {
        let primitives = self.in_file(place.file());
        primitives.binary_search_by(|(other, _)| other.cmp(place)).ok().map(|at| &primitives[at].1)
    }

    /// The places that belong to a file, sorted. A place belongs to the file that makes what it holds, to the first one if
    /// several do: the class that stores it may be a library's.
    pub fn of_file(self, file: FileId) -> impl Iterator<Item = (&'p Place, &'p PrimitiveUse)> {
        note(file, Parts::PRIMITIVES);
        let places: BTreeSet<&Place> = self.0.tables(file).created.iter().map(|(place, ..)| place).collect();
        let used = places.into_iter().filter_map(move |place| Some((place, self.at(place)?)));
        used.filter(move |(_, used)| used.created.first().is_some_and(|first| first.file == file))
    }

    /// The primitives that are kept in a file's variables and classes, sorted by place.
    pub fn in_file(self, file: FileId) -> &'p [(Place, PrimitiveUse)] {
        note(file, Parts::PRIMITIVES);
        &self.0.tables(file).primitives
    }
}

/// A primitive that a call makes and puts somewhere.
pub(super) type Created = (Place, Primitive, CallRef);

/// The primitives of one file by what makes them, in the order of files.
pub(super) fn made<'c>(created: impl Iterator<Item = &'c Created>) -> Vec<(Place, PrimitiveUse)> {
    let mut by_place: BTreeMap<Place, PrimitiveUse> = BTreeMap::new();
    for (place, primitive, call) in created {
        let entry = by_place.entry(place.clone()).or_insert_with(|| PrimitiveUse {
            primitive: *primitive,
            created: Vec::new(),
            operations: Vec::new(),
            escapes: false,
            escapes_in: Vec::new(),
            is_mixed: false,
        });
        entry.is_mixed |= entry.primitive != *primitive;
        entry.created.push(*call);
    }
    by_place.into_iter().collect()
}

impl Program {
    /// The place an expression names: a variable that is not a parameter, or an attribute of a known class.
    pub fn place_of(&self, expr: ExprRef) -> Option<Place> {
        self.place_with(&mut Infer::new(self, expr.file), expr)
    }

    fn place_with(&self, infer: &mut Infer<'_>, expr: ExprRef) -> Option<Place> {
        let facts = self.facts(expr.file);
        match facts.expr(expr.id).kind {
            ExprKind::Local(local) => {
                let binding = facts.binding(facts.local(local).first_binding?);
                match binding.kind {
                    BindingKind::Param(_) => None,
                    BindingKind::Import(_) => self.imported_place(expr.file, local),
                    _ => Some(Place::Variable(expr.with(local))),
                }
            }
            ExprKind::Attribute { base, name } => match infer.expr(base) {
                Ty::Instance(class) | Ty::Class(class) => self.attribute_place(class, facts.name(name)),
                Ty::Module(file) => self.module_place(file, facts.name(name)),
                _ => None,
            },
            _ => None,
        }
    }

    /// `from .state import lock`: the variable of the other module.
    fn imported_place(&self, file: FileId, local: crate::facts::LocalId) -> Option<Place> {
        let facts = self.facts(file);
        let binding = facts.binding(facts.local(local).first_binding?);
        let BindingKind::Import(import) = binding.kind else { return None };
        let crate::facts::ImportKind::From { module, level, name } = facts.imports[import.index()].kind else {
            return None;
        };
        let module = super::absolute(self.file(file), level, facts.name(module))?;
        match self.modules().find_from(self.file(file), &module)? {
            super::Module::File(target) => self.module_place(target, facts.name(name)),
            super::Module::Namespace(_) => None,
        }
    }

    fn module_place(&self, file: FileId, name: &str) -> Option<Place> {
        let local = super::find_by_name(self.surface(file), &self.scopes(file).module, name)?;
        Some(Place::Variable(In::new(file, local)))
    }

    fn attribute_place(&self, class: ClassRef, name: &str) -> Option<Place> {
        // The class furthest up that has it: what its methods do, they do to the same object.
        let mut having = self.classes().order(class).iter().filter_map(|ancestor| match ancestor {
            Ancestor::Own(own) => {
                let stored = self.attributes(*own).is_some_and(|attributes| attributes.contains_key(name));
                (stored || self.own_member(*own, name).is_some()).then_some(*own)
            }
            _ => None,
        });
        having.next_back().map(|own| Place::Attribute(own, name.into()))
    }

    /// The name people know a place by: `self.lock`, `LOCK`.
    pub fn place_name(&self, place: &Place) -> String {
        match place {
            Place::Variable(local) => {
                let facts = self.surface(local.file);
                facts.name(facts.local(local.id).name).to_owned()
            }
            Place::Attribute(class, name) => {
                let facts = self.surface(class.file);
                format!("{}.{name}", facts.name(facts.class(class.id).name))
            }
        }
    }
}

/// What a file makes, and where it puts it.
pub(super) fn created_in(program: &Program, file: FileId) -> Vec<Created> {
    let facts = program.facts(file);
    let mut infer = Infer::new(program, file);
    let mut found = Vec::new();
    for (number, call) in facts.calls.iter().enumerate() {
        let reference = In::new(file, CallId(number as u32));
        let Some(primitive) = program.claim(reference).and_then(|(_, known)| known.claim.primitive) else { continue };
        let place = match facts.expr(call.expr).usage {
            Usage::Bound(binding) => {
                let local = facts.binding(binding).local;
                let owner = facts.function(facts.local(local).function);
                match (owner.kind, owner.class) {
                    (crate::facts::FunctionKind::ClassBody, Some(class)) => {
                        let name = facts.name(facts.local(local).name);
                        Some(Place::Attribute(In::new(file, class), name.into()))
                    }
                    _ => Some(Place::Variable(In::new(file, local))),
                }
            }
            Usage::Stored(store) => match facts.store(store).target {
                StoreTarget::Attribute { base, name } => stored_place(program, &mut infer, file, base, name),
                StoreTarget::Subscript { .. } => None,
            },
            _ => None,
        };
        if let Some(place) = place {
            found.push((place, primitive, reference));
        }
    }
    found
}

fn stored_place(program: &Program, infer: &mut Infer<'_>, file: FileId, base: ExprId, name: NameId) -> Option<Place> {
    let name = program.facts(file).name(name);
    match infer.expr(base) {
        Ty::Instance(class) | Ty::Class(class) => program.attribute_place(class, name),
        _ => None,
    }
}

/// Enters one use among the primitives of the file it is about.
pub(super) fn enter(primitives: &mut [(Place, PrimitiveUse)], user: FileId, used: Used) {
    let Some(place) = used.place() else { return };
    let Ok(at) = primitives.binary_search_by(|(other, _)| other.cmp(place)) else { return };
    let entry = &mut primitives[at].1;
    match used {
        Used::Done(_, operation) => entry.operations.push(operation),
        Used::Escapes(_) if entry.escapes_in.last() != Some(&user) => entry.escapes_in.push(user),
        Used::Escapes(_) | Used::Unresolved(_) => {}
    }
}

/// The names of places with primitives: attributes, and variables of modules.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub(super) struct Names {
    pub(super) attributes: FxHashSet<Box<str>>,
    pub(super) variables: FxHashSet<Box<str>>,
}

impl Names {
    /// Adds the name of a place.
    pub(super) fn add(&mut self, program: &Program, place: &Place) {
        match place {
            Place::Attribute(_, name) => drop(self.attributes.insert(name.clone())),
            Place::Variable(local) => {
                let facts = program.facts(local.file);
                let entry = facts.local(local.id);
                if facts.function(entry.function).kind == FunctionKind::Module {
                    self.variables.insert(facts.name(entry.name).into());
                }
            }
        }
    }
}

/// What a file does with primitives.
pub(super) fn uses_in(program: &Program, file: FileId, names: &Names) -> Vec<Used> {
    let facts = program.facts(file);
    let mut infer = Infer::new(program, file);
    let mut found = Vec::new();
    for (position, expr) in facts.exprs.iter().enumerate() {
        let here = In::new(file, ExprId(position as u32));
        let candidate = match expr.kind {
            ExprKind::Local(local) => {
                let imported = facts
                    .local(local)
                    .first_binding
                    .is_some_and(|binding| matches!(facts.binding(binding).kind, BindingKind::Import(_)));
                imported || program.primitives().at(&Place::Variable(In::new(file, local))).is_some()
            }
            ExprKind::Attribute { name, .. } => {
                let name = facts.name(name);
                names.attributes.contains(name) || names.variables.contains(name)
            }
            _ => false,
        };
        if !candidate || matches!(expr.usage, Usage::Annotation | Usage::Callee) {
            continue;
        }
        if let Some(place) = program.place_with(&mut infer, here)
            && program.primitives().at(&place).is_some()
        {
            match operation(program, here) {
                Done::Operation(operation) => found.push(Used::Done(place, operation)),
                Done::Escapes => found.push(Used::Escapes(place)),
                Done::Nothing => {}
            }
        } else if let ExprKind::Attribute { base, name } = expr.kind
            && names.attributes.contains(facts.name(name))
            && infer.expr(base).is_unknown()
        {
            // `something.lock` of an object treadle cannot tell may be any of the places of that name.
            found.push(Used::Unresolved(facts.name(name).into()));
        }
    }
    found
}

/// One thing a file does with a primitive.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(super) enum Used {
    /// Something that is understood.
    Done(Place, Operation),
    /// It is handed on.
    Escapes(Place),
    /// An attribute of that name of who knows what.
    Unresolved(Box<str>),
}

impl Used {
    /// The name of an attribute of who knows what.
    pub(super) fn unresolved(&self) -> Option<&str> {
        match self {
            Self::Unresolved(name) => Some(name),
            _ => None,
        }
    }

    /// The place, where it is known.
    pub(super) fn place(&self) -> Option<&Place> {
        match self {
            Self::Done(place, _) | Self::Escapes(place) => Some(place),
            Self::Unresolved(_) => None,
        }
    }
}

enum Done {
    Operation(Operation),
    Escapes,
    Nothing,
}

fn operation(program: &Program, here: ExprRef) -> Done {
    let facts = program.facts(here.file);
    let expr = facts.expr(here.id);
    let entered = |name: &str| Done::Operation(Operation { name: name.into(), at: here });
    match expr.usage {
        Usage::Entered => entered("with"),
        Usage::AsyncEntered => entered("async with"),
        Usage::Iterated => entered("for"),
        Usage::AsyncIterated => entered("async for"),
        Usage::Awaited => entered("await"),
        Usage::Condition | Usage::Compared | Usage::Junction | Usage::Formatted | Usage::Discarded => Done::Nothing,
        Usage::AttributeBase => {
            // As the base of a store (`self.lock = …`) it has no parent.
            let Some(parent) = expr.parent else { return Done::Nothing };
            let ExprKind::Attribute { name, .. } = facts.expr(parent).kind else { return Done::Escapes };
            match (facts.expr(parent).usage, facts.expr(parent).parent) {
                (Usage::Callee, Some(call)) => {
                    Done::Operation(Operation { name: facts.name(name).into(), at: here.with(call) })
                }
                // The bound method is handed on: it may be called by anybody.
                (Usage::Argument | Usage::Bound(_) | Usage::Stored(_) | Usage::Returned | Usage::Element, _) => {
                    Done::Operation(Operation { name: facts.name(name).into(), at: here.with(parent) })
                }
                _ => Done::Nothing,
            }
        }
        _ => Done::Escapes,
    }
}
