//! The class table: bases, method resolution order, members, subclasses.

use std::hash::BuildHasher;

use bitcode::{Decode, Encode};
use rustc_hash::FxBuildHasher;

use crate::facts::{ArgumentKind, ClassId, FileFacts, FunctionId, LocalId};
use crate::ids::{ClassRef, FileId, In};
use crate::infer::Infer;
use crate::knowledge::ItemId;
use crate::program::Program;
use crate::program::reads::{Parts, note};
use crate::ty::Ty;

/// One entry of a method resolution order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub enum Ancestor {
    /// A class of the program.
    Own(ClassRef),
    /// A class that claims speak of.
    Known(ItemId),
    /// Some class treadle cannot see.
    Unknown,
}

/// Every class of the program.
#[derive(Clone, Copy, Debug)]
pub struct Classes<'p>(&'p Program);

impl<'p> Classes<'p> {
    pub(super) fn new(program: &'p Program) -> Self {
        Self(program)
    }

    /// The class itself, then its ancestors, nearest first.
    pub fn order(self, class: ClassRef) -> &'p [Ancestor] {
        note(class.file, Parts::CLASSES);
        if !self.0.progress.classes {
            return &[];
        }
        &self.0.tables(class.file).orders[class.id.index()]
    }

    /// Every class of the program that inherits from `class`, at any distance.
    pub fn subclasses(self, class: ClassRef) -> &'p [ClassRef] {
        note(class.file, Parts::SUBCLASSES);
        self.0.tables(class.file).subclasses.get(class.id.index()).map_or(&[], Vec::as_slice)
    }

    /// Whether every ancestor is visible.
    pub fn is_fully_known(self, class: ClassRef) -> bool {
        !self.order(class).contains(&Ancestor::Unknown)
    }
}

/// What stands in the headers of a file's classes.
pub(super) fn direct_bases(program: &Program, file: FileId) -> Vec<Vec<Ancestor>> {
    let facts = program.facts(file);
    let mut infer = Infer::new(program, file);
    let of_class = |infer: &mut Infer<'_>, class: ClassId| {
        let arguments = &facts.arguments[facts.class(class).bases.range()];
        let positional = arguments.iter().filter(|argument| argument.kind == ArgumentKind::Positional);
        positional.filter_map(|argument| infer.base_class(argument.value)).collect()
    };
    (0..facts.classes.len() as u32).map(|class| of_class(&mut infer, ClassId(class))).collect()
}

/// Lines up the ancestors of a file's classes.
pub(super) fn orders(program: &Program, file: FileId) -> Vec<Box<[Ancestor]>> {
    let classes = 0..program.facts(file).classes.len() as u32;
    classes.map(|class| order(program, In::new(file, ClassId(class))).into_boxed_slice()).collect()
}

/// Depth first, left to right, a class met twice kept at its last place: Python's order for every hierarchy whose order
/// does not depend on the finer rules of C3.
fn order(program: &Program, class: ClassRef) -> Vec<Ancestor> {
    let mut met = Vec::new();
    let mut path = Vec::new();
    visit(program, Ancestor::Own(class), &mut path, &mut met);
    let mut order: Vec<Ancestor> = Vec::with_capacity(met.len());
    for (position, ancestor) in met.iter().enumerate() {
        // Two classes that cannot be seen are not the same.
        if *ancestor == Ancestor::Unknown || !met[position + 1..].contains(ancestor) {
            order.push(*ancestor);
        }
    }
    // A class that is its own ancestor through a cycle (broken code) still comes first.
    order.retain(|ancestor| *ancestor != Ancestor::Own(class));
    order.insert(0, Ancestor::Own(class));
    order
}

/// More ancestors than this mean generated code; the rest is unknown.
const MOST_ANCESTORS: usize = 200;

fn visit(program: &Program, here: Ancestor, path: &mut Vec<Ancestor>, met: &mut Vec<Ancestor>) {
    if path.contains(&here) || met.len() >= MOST_ANCESTORS {
        met.push(Ancestor::Unknown);
        return;
    }
    met.push(here);
    if let Ancestor::Own(class) = here {
        path.push(here);
        note(class.file, Parts::CLASSES);
        for base in &program.tables(class.file).bases[class.id.index()] {
            visit(program, *base, path, met);
        }
        path.pop();
    }
}

/// A variable under the hash of its name: comparing numbers first spares most of the walks to the texts, which are a tenth
/// of linking a large program.
pub(crate) type Named = (u32, LocalId);

/// A number for a name; two names that share one are rare, and have to be told apart by their text or do no harm.
pub(super) fn hash_of(name: &str) -> u32 {
    FxBuildHasher.hash_one(name) as u32
}

/// The variable named `name` of a scope whose variables are `sorted`.
pub(crate) fn find_by_name(facts: &FileFacts, sorted: &[Named], name: &str) -> Option<LocalId> {
    let hash = hash_of(name);
    let first = sorted.partition_point(|(other, _)| *other < hash);
    let same_hash = sorted[first..].iter().take_while(|(other, _)| *other == hash);
    same_hash.map(|(_, local)| *local).find(|local| facts.name(facts.local(*local).name) == name)
}

/// The variables of a scope, sorted by the hash of their name.
pub(crate) fn sorted_locals(facts: &FileFacts, function: FunctionId) -> Box<[Named]> {
    let run = facts.function(function).locals;
    let named = |local: LocalId| (hash_of(facts.name(facts.local(local).name)), local);
    let mut locals: Vec<Named> = (run.start..run.end).map(LocalId).map(named).collect();
    // Comprehension variables may repeat a name of their scope; the scope's own comes first.
    locals.sort_unstable();
    locals.into()
}

impl Program {
    /// What `name` means on an instance or class of the program: the first ancestor whose body binds it, and that variable.
    /// `None` where a class that cannot be seen, or a library's, may come first.
    pub fn class_member(&self, class: ClassRef, name: &str) -> Option<(ClassRef, LocalId)> {
        for ancestor in self.classes().order(class) {
            match ancestor {
                Ancestor::Own(own) => {
                    if let Some(local) = self.own_member(*own, name) {
                        return Some((*own, local));
                    }
                }
                Ancestor::Known(item) if self.knowledge().member(*item, name).is_none() => {}
                Ancestor::Known(_) | Ancestor::Unknown => return None,
            }
        }
        None
    }

    /// The variable of a class's own body.
    pub fn own_member(&self, class: ClassRef, name: &str) -> Option<LocalId> {
        let facts = self.surface(class.file);
        find_by_name(facts, &self.scopes(class.file).classes[class.id.index()], name)
    }

    /// The method a class's own body or an ancestor of the program defines.
    pub fn method(&self, class: ClassRef, name: &str) -> Option<crate::ids::FunctionRef> {
        let (owner, local) = self.class_member(class, name)?;
        self.function_bound_to(In::new(owner.file, local))
    }

    /// Whether a class is, or inherits from, one of the claimed classes `is` accepts.
    pub fn inherits(&self, class: ClassRef, is: impl Fn(&str) -> bool) -> bool {
        self.classes().order(class).iter().any(|ancestor| match ancestor {
            Ancestor::Known(item) => {
                self.knowledge().ancestors(*item).iter().any(|base| is(self.knowledge().path(*base)))
            }
            _ => false,
        })
    }

    /// The type an attribute of an instance has, looked up along the order of its class.
    pub fn instance_attribute(&self, class: ClassRef, name: &str) -> Option<Ty> {
        self.classes().order(class).iter().find_map(|ancestor| match ancestor {
            Ancestor::Own(own) => self.attributes(*own)?.get(name).cloned(),
            _ => None,
        })
    }
}
