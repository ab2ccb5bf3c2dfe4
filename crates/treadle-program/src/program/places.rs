//! Where long-lived objects are kept, and what is done with them there.

use rustc_hash::{FxHashMap, FxHashSet};

use super::{Ancestor, Program};
use crate::facts::{BindingKind, CallId, ExprId, ExprKind, NameId, StoreTarget, Usage};
use crate::ids::{CallRef, ClassRef, ExprRef, FileId, In, LocalRef};
use crate::infer::Infer;
use crate::knowledge::claim::Primitive;
use crate::ty::Ty;

/// A variable or attribute that holds one object for long.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// A variable, of a function or of the module.
    Variable(LocalRef),
    /// An attribute of the instances of a class, by the class that stores it.
    Attribute(ClassRef, Box<str>),
}

/// Everything the program does with the primitive at one place.
#[derive(Clone, Debug)]
pub struct PrimitiveUse {
    /// What kind of primitive.
    pub primitive: Primitive,
    /// The calls that make one and put it there.
    pub created: Vec<CallRef>,
    /// What is done with it.
    pub operations: Vec<Operation>,
    /// Whether it is handed to code, or to another place, where treadle does not follow it.
    pub escapes: bool,
}

/// One thing done with a primitive.
#[derive(Clone, Debug)]
pub struct Operation {
    /// The method's name, or `with`, `async with`, `for`, `async for`.
    pub name: Box<str>,
    /// The call or the context expression.
    pub at: ExprRef,
}

/// All primitives of the program by place.
#[derive(Debug, Default)]
pub struct Primitives {
    by_place: FxHashMap<Place, PrimitiveUse>,
    /// The places by the file that first makes what they hold; sorted.
    by_file: FxHashMap<FileId, Vec<Place>>,
}

impl Primitives {
    pub(super) fn new(program: &Program) -> Self {
        let mut by_place: FxHashMap<Place, PrimitiveUse> = FxHashMap::default();
        for (place, primitive, call) in program.each_file(created_in).into_iter().flatten() {
            let entry = by_place.entry(place).or_insert_with(|| PrimitiveUse {
                primitive,
                created: Vec::new(),
                operations: Vec::new(),
                escapes: false,
            });
            entry.escapes |= entry.primitive != primitive;
            entry.created.push(call);
        }
        let mut names: FxHashSet<&str> = FxHashSet::default();
        let mut variables: FxHashSet<LocalRef> = FxHashSet::default();
        for place in by_place.keys() {
            match place {
                Place::Attribute(_, name) => drop(names.insert(name)),
                Place::Variable(local) => drop(variables.insert(*local)),
            }
        }
        let uses = program.each_file(|program, file| uses_in(program, file, &names, &variables));
        let mut unresolved: FxHashSet<Box<str>> = FxHashSet::default();
        for used in uses.into_iter().flatten() {
            match used {
                Used::Done(place, operation) => {
                    if let Some(entry) = by_place.get_mut(&place) {
                        entry.operations.push(operation);
                    }
                }
                Used::Escapes(place) => {
                    if let Some(entry) = by_place.get_mut(&place) {
                        entry.escapes = true;
                    }
                }
                Used::Unresolved(name) => drop(unresolved.insert(name)),
            }
        }
        for (place, entry) in &mut by_place {
            entry.escapes |= matches!(place, Place::Attribute(_, name) if unresolved.contains(name));
        }
        let mut by_file: FxHashMap<FileId, Vec<Place>> = FxHashMap::default();
        for (place, entry) in &by_place {
            by_file.entry(entry.created[0].file).or_default().push(place.clone());
        }
        for places in by_file.values_mut() {
            places.sort_unstable();
        }
        Self { by_place, by_file }
    }

    /// The places that belong to a file, in a stable order. A place belongs to the file that makes what it holds, to the
    /// first one if several do: the class that stores it may be a library's.
    pub fn in_file(&self, file: FileId) -> impl Iterator<Item = (&Place, &PrimitiveUse)> {
        self.by_file.get(&file).into_iter().flatten().map(|place| (place, &self.by_place[place]))
    }

    /// What is known of the primitive at a place.
    pub fn at(&self, place: &Place) -> Option<&PrimitiveUse> {
        self.by_place.get(place)
    }

    /// Every place with a primitive, in a stable order.
    pub fn iter(&self) -> impl Iterator<Item = (&Place, &PrimitiveUse)> {
        let mut places: Vec<_> = self.by_place.iter().collect();
        places.sort_by_key(|(place, _)| *place);
        places.into_iter()
    }
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
        let sorted = &self.scopes[file.index()].module;
        let local = super::find_by_name(self.facts(file), sorted, name)?;
        Some(Place::Variable(In::new(file, local)))
    }

    fn attribute_place(&self, class: ClassRef, name: &str) -> Option<Place> {
        // The class furthest up that has it: what its methods do, they do to the same object.
        let mut having = self.classes().order(class).iter().filter_map(|ancestor| match ancestor {
            Ancestor::Own(own) => {
                let stored = self.tables.attributes[own.file.index()][own.id.index()].contains_key(name);
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
                let facts = self.facts(local.file);
                facts.name(facts.local(local.id).name).to_owned()
            }
            Place::Attribute(class, name) => {
                let facts = self.facts(class.file);
                format!("{}.{name}", facts.name(facts.class(class.id).name))
            }
        }
    }
}

fn created_in(program: &Program, file: FileId) -> Vec<(Place, Primitive, CallRef)> {
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

fn uses_in(program: &Program, file: FileId, names: &FxHashSet<&str>, variables: &FxHashSet<LocalRef>) -> Vec<Used> {
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
                imported || variables.contains(&In::new(file, local))
            }
            ExprKind::Attribute { name, .. } => names.contains(facts.name(name)) || !variables.is_empty(),
            _ => false,
        };
        if !candidate || matches!(expr.usage, Usage::Annotation | Usage::Callee) {
            continue;
        }
        if let Some(place) = program.place_with(&mut infer, here)
            && (matches!(&place, Place::Variable(local) if variables.contains(local))
                || matches!(&place, Place::Attribute(_, name) if names.contains(&**name)))
        {
            match operation(program, here) {
                Done::Operation(operation) => found.push(Used::Done(place, operation)),
                Done::Escapes => found.push(Used::Escapes(place)),
                Done::Nothing => {}
            }
        } else if let ExprKind::Attribute { base, name } = expr.kind
            && names.contains(facts.name(name))
            && infer.expr(base).is_unknown()
        {
            // `something.lock` of an object treadle cannot tell may be any of the places of that name.
            found.push(Used::Unresolved(facts.name(name).into()));
        }
    }
    found
}

enum Used {
    Done(Place, Operation),
    Escapes(Place),
    Unresolved(Box<str>),
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
