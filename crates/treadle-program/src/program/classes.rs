//! The class table: bases, method resolution order, members, subclasses.

use std::hash::BuildHasher;

use rustc_hash::{FxBuildHasher, FxHashMap};

use crate::facts::{ArgumentKind, ClassId, FileFacts, FunctionId, LocalId};
use crate::ids::{ClassRef, FileId, In};
use crate::infer::Infer;
use crate::knowledge::ItemId;
use crate::program::Program;
use crate::ty::Ty;

/// One entry of a method resolution order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ancestor {
    /// A class of the program.
    Own(ClassRef),
    /// A class that claims speak of.
    Known(ItemId),
    /// Some class treadle cannot see.
    Unknown,
}

/// Every class of the program.
#[derive(Debug, Default)]
pub struct Classes {
    /// By file and class: the class itself, then its ancestors, nearest first.
    orders: Vec<Vec<Box<[Ancestor]>>>,
    subclasses: FxHashMap<ClassRef, Vec<ClassRef>>,
}

impl Classes {
    /// Resolves the bases of every class and lines up their ancestors.
    pub(crate) fn new(program: &Program) -> Self {
        let bases: Vec<Vec<Vec<Ancestor>>> = program.each_file(direct_bases);
        let mut subclasses: FxHashMap<ClassRef, Vec<ClassRef>> = FxHashMap::default();
        let mut orders = Vec::with_capacity(bases.len());
        for (file, classes) in bases.iter().enumerate() {
            let file = FileId(file as u32);
            let mut of_file = Vec::with_capacity(classes.len());
            for class in 0..classes.len() as u32 {
                let class = In::new(file, ClassId(class));
                let order = order(&bases, class);
                for ancestor in &order[1..] {
                    if let Ancestor::Own(base) = ancestor {
                        subclasses.entry(*base).or_default().push(class);
                    }
                }
                of_file.push(order.into_boxed_slice());
            }
            orders.push(of_file);
        }
        Self { orders, subclasses }
    }

    /// The class itself, then its ancestors, nearest first.
    pub fn order(&self, class: ClassRef) -> &[Ancestor] {
        self.orders.get(class.file.index()).map_or(&[], |classes| &classes[class.id.index()])
    }

    /// Every class of the program that inherits from `class`, at any distance.
    pub fn subclasses(&self, class: ClassRef) -> &[ClassRef] {
        self.subclasses.get(&class).map_or(&[], Vec::as_slice)
    }

    /// Whether every ancestor is visible.
    pub fn is_fully_known(&self, class: ClassRef) -> bool {
        !self.order(class).contains(&Ancestor::Unknown)
    }
}

fn direct_bases(program: &Program, file: FileId) -> Vec<Vec<Ancestor>> {
    let facts = program.facts(file);
    let mut infer = Infer::new(program, file);
    let of_class = |infer: &mut Infer<'_>, class: ClassId| {
        let arguments = &facts.arguments[facts.class(class).bases.range()];
        let positional = arguments.iter().filter(|argument| argument.kind == ArgumentKind::Positional);
        positional.filter_map(|argument| infer.base_class(argument.value)).collect()
    };
    (0..facts.classes.len() as u32).map(|class| of_class(&mut infer, ClassId(class))).collect()
}

/// Depth first, left to right, a class met twice kept at its last place: Python's order for every hierarchy whose order
/// does not depend on the finer rules of C3.
fn order(bases: &[Vec<Vec<Ancestor>>], class: ClassRef) -> Vec<Ancestor> {
    let mut met = Vec::new();
    let mut path = Vec::new();
    visit(bases, Ancestor::Own(class), &mut path, &mut met);
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

fn visit(bases: &[Vec<Vec<Ancestor>>], here: Ancestor, path: &mut Vec<Ancestor>, met: &mut Vec<Ancestor>) {
    if path.contains(&here) || met.len() >= MOST_ANCESTORS {
        met.push(Ancestor::Unknown);
        return;
    }
    met.push(here);
    if let Ancestor::Own(class) = here {
        path.push(here);
        for base in &bases[class.file.index()][class.id.index()] {
            visit(bases, *base, path, met);
        }
        path.pop();
    }
}

/// A variable under the hash of its name: comparing numbers first spares most of the walks to the texts, which are a tenth
/// of linking a large program.
pub(crate) type Named = (u32, LocalId);

fn hash_of(name: &str) -> u32 {
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
        let sorted = &self.scopes[class.file.index()].classes[class.id.index()];
        find_by_name(self.facts(class.file), sorted, name)
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
            Ancestor::Own(own) => self.tables.attributes[own.file.index()][own.id.index()].get(name).cloned(),
            _ => None,
        })
    }
}
