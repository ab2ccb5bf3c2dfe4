//! What the functions, classes and variables of a changed file were called by number before, and are now.

use rustc_hash::FxHashMap;

use super::places::{Place, PrimitiveUse, Used};
use super::tables::{Outside, Tables};
use super::{Ancestor, Edge};
use crate::facts::{ClassId, FileFacts, FunctionId, LocalId};
use crate::ids::{ClassRef, FileId, FunctionRef, LocalRef};

/// A number that nothing has: that of what is no more.
const GONE: u32 = u32::MAX;

/// The changed numbers, by file.
#[derive(Debug, Default)]
pub(super) struct Renames(FxHashMap<FileId, Rename>);

/// The new numbers of what is in one file.
#[derive(Debug)]
pub(super) struct Rename {
    pub(super) functions: Vec<Option<FunctionId>>,
    pub(super) classes: Vec<Option<ClassId>>,
    pub(super) locals: Vec<Option<LocalId>>,
}

impl Renames {
    /// Takes in a changed file. What has the same name in the same place, counted among its like, is the same.
    pub(super) fn add(&mut self, file: FileId, old: &FileFacts, new: &FileFacts) {
        let functions = functions(old, new);
        let classes = classes(old, new, &functions);
        let locals = locals(old, new, &functions);
        self.0.insert(file, Rename { functions, classes, locals });
    }

    /// The new numbers of what is in a file, if it is one of the changed.
    pub(super) fn of(&self, file: FileId) -> Option<&Rename> {
        self.0.get(&file)
    }

    /// What a function of before is now. One that is no more is none there is: what speaks of it never equals what is
    /// said now, so that whoever read it is asked.
    pub(super) fn function(&self, function: FunctionRef) -> FunctionRef {
        let Some(rename) = self.0.get(&function.file) else { return function };
        let id = rename.functions.get(function.id.index()).copied().flatten();
        function.with(id.unwrap_or(FunctionId(GONE)))
    }

    /// What a class of before is now.
    pub(super) fn class(&self, class: ClassRef) -> ClassRef {
        let Some(rename) = self.0.get(&class.file) else { return class };
        let id = rename.classes.get(class.id.index()).copied().flatten();
        class.with(id.unwrap_or(ClassId(GONE)))
    }

    fn local(&self, local: LocalRef) -> LocalRef {
        let Some(rename) = self.0.get(&local.file) else { return local };
        let id = rename.locals.get(local.id.index()).copied().flatten();
        local.with(id.unwrap_or(LocalId(GONE)))
    }

    fn rename_function(&self, function: &mut FunctionRef) {
        *function = self.function(*function);
    }

    fn rename_class(&self, class: &mut ClassRef) {
        *class = self.class(*class);
    }

    fn rename_place(&self, place: &mut Place) {
        match place {
            Place::Variable(local) => *local = self.local(*local),
            Place::Attribute(class, _) => self.rename_class(class),
        }
    }

    fn rename_edge(&self, edge: &mut Edge) {
        self.rename_function(&mut edge.caller);
        self.rename_function(&mut edge.callee);
    }
}

fn functions(old: &FileFacts, new: &FileFacts) -> Vec<Option<FunctionId>> {
    let mut counts: FxHashMap<(Option<FunctionId>, &str), u32> = FxHashMap::default();
    let mut known: FxHashMap<(Option<FunctionId>, &str, u32), FunctionId> = FxHashMap::default();
    for (number, function) in new.functions.iter().enumerate() {
        let name = new.name(function.name);
        let count = counts.entry((function.parent, name)).or_default();
        known.insert((function.parent, name, *count), FunctionId(number as u32));
        *count += 1;
    }
    counts.clear();
    let mut found: Vec<Option<FunctionId>> = Vec::with_capacity(old.functions.len());
    for function in &old.functions {
        let parent = function.parent.map(|parent| found.get(parent.index()).copied().flatten());
        let name = old.name(function.name);
        let count = counts.entry((function.parent, name)).or_default();
        found.push(match parent {
            // What stood in something that is no more is no more either.
            Some(None) => None,
            Some(parent) => known.get(&(parent, name, *count)).copied(),
            None => known.get(&(None, name, *count)).copied(),
        });
        *count += 1;
    }
    found
}

fn classes(old: &FileFacts, new: &FileFacts, functions: &[Option<FunctionId>]) -> Vec<Option<ClassId>> {
    let bodies: FxHashMap<FunctionId, ClassId> =
        new.classes.iter().enumerate().map(|(number, class)| (class.body, ClassId(number as u32))).collect();
    let renamed =
        |class: &crate::facts::Class| bodies.get(&functions.get(class.body.index()).copied().flatten()?).copied();
    old.classes.iter().map(renamed).collect()
}

fn locals(old: &FileFacts, new: &FileFacts, functions: &[Option<FunctionId>]) -> Vec<Option<LocalId>> {
    let mut counts: FxHashMap<(FunctionId, &str), u32> = FxHashMap::default();
    let mut known: FxHashMap<(FunctionId, &str, u32), LocalId> = FxHashMap::default();
    for (number, local) in new.locals.iter().enumerate() {
        let name = new.name(local.name);
        let count = counts.entry((local.function, name)).or_default();
        known.insert((local.function, name, *count), LocalId(number as u32));
        *count += 1;
    }
    counts.clear();
    let mut renamed = |local: &crate::facts::Local| {
        let name = old.name(local.name);
        let count = counts.entry((local.function, name)).or_default();
        let ordinal = *count;
        *count += 1;
        let function = functions.get(local.function.index()).copied().flatten()?;
        known.get(&(function, name, ordinal)).copied()
    };
    old.locals.iter().map(&mut renamed).collect()
}

impl Tables {
    /// Renames every reference that is no type.
    pub(super) fn rename(&mut self, renames: &Renames) {
        let ancestors = self.bases.iter_mut().flatten().chain(self.orders.iter_mut().flatten());
        for ancestor in ancestors {
            if let Ancestor::Own(class) = ancestor {
                renames.rename_class(class);
            }
        }
        self.subclasses.iter_mut().flatten().for_each(|class| renames.rename_class(class));
        for decoration in self.decorations.iter_mut().flatten() {
            decoration.wrapper.iter_mut().for_each(|wrapper| renames.rename_function(wrapper));
        }
        for (place, _) in self.rounds.iter_mut().flat_map(|round| &mut round.outside) {
            match place {
                Outside::Variable(local) => *local = renames.local(*local),
                Outside::Attribute(class, _) => renames.rename_class(class),
            }
        }
        self.protocols.iter_mut().for_each(|(class, _)| renames.rename_class(class));
        self.methods.iter_mut().for_each(|(_, class)| renames.rename_class(class));
        self.edges.iter_mut().chain(&mut self.incoming).for_each(|edge| renames.rename_edge(edge));
        self.created.iter_mut().for_each(|(place, ..)| renames.rename_place(place));
        for used in &mut self.uses {
            if let Used::Done(place, _) | Used::Escapes(place) = used {
                renames.rename_place(place);
            }
        }
        let held = self.held.iter_mut().flat_map(|held| held.values_mut()).flatten();
        held.for_each(|held| renames.rename_place(&mut held.place));
        self.primitives.iter_mut().for_each(|(place, _): &mut (Place, PrimitiveUse)| renames.rename_place(place));
    }
}

impl super::link::Whole {
    /// Renames the classes of protocols.
    pub(super) fn rename(&mut self, renames: &Renames) {
        self.protocols.iter_mut().for_each(|(class, _)| renames.rename_class(class));
        self.methods.iter_mut().for_each(|(_, class)| renames.rename_class(class));
        let conformers = std::mem::take(&mut self.conformers);
        for (mut protocol, mut classes) in conformers {
            renames.rename_class(&mut protocol);
            for class in &mut classes {
                renames.rename_class(class);
            }
            self.conformers.insert(protocol, classes);
        }
    }
}
