//! Which classes do what a `typing.Protocol` asks, without inheriting from it: those that have methods of all its names.

use rustc_hash::{FxHashMap, FxHashSet};

use super::Program;
use crate::facts::{ArgumentKind, BindingKind, ClassId, ExprKind};
use crate::ids::{ClassRef, FileId, In};

/// A protocol with the names of its methods.
pub(super) type ProtocolClass = (ClassRef, Vec<Box<str>>);

/// Of more classes than this, none can be told to be the one meant.
const MOST: usize = 3;

/// The classes that conform to each protocol of the program, in the order of files.
pub(super) fn conformers(
    program: &Program,
    protocols: &[ProtocolClass],
    methods: &[(Box<str>, ClassRef)],
) -> FxHashMap<ClassRef, Vec<ClassRef>> {
    let mut having: FxHashMap<&str, Vec<ClassRef>> = FxHashMap::default();
    for (name, class) in methods {
        having.entry(name).or_default().push(*class);
    }
    let is_protocol: FxHashSet<ClassRef> = protocols.iter().map(|(class, _)| *class).collect();
    let mut found = FxHashMap::default();
    for (protocol, members) in protocols {
        let Some(rarest) = members.iter().min_by_key(|name| having.get(name.as_ref()).map_or(0, Vec::len)) else {
            continue;
        };
        let candidates = having.get(rarest.as_ref()).into_iter().flatten();
        let mut fit: Vec<ClassRef> = candidates
            .copied()
            .filter(|class| !is_protocol.contains(class))
            .filter(|class| members.iter().all(|name| program.method(*class, name).is_some()))
            .collect();
        fit.dedup();
        if !fit.is_empty() && fit.len() <= MOST {
            found.insert(*protocol, fit);
        }
    }
    found
}

impl Program {
    /// Whether a class says what others must have, rather than what it is: `class Store(Protocol)`.
    pub(crate) fn is_protocol(&self, class: ClassRef) -> bool {
        let facts = self.surface(class.file);
        let bases = &facts.arguments[facts.class(class.id).bases.range()];
        bases.iter().filter(|base| base.kind == ArgumentKind::Positional).any(|base| {
            let base = match facts.expr(base.value).kind {
                ExprKind::Subscript { base, .. } => base,
                _ => base.value,
            };
            facts.last_name(base) == Some("Protocol")
        })
    }
}

/// Protocols with the names of their methods.
pub(super) fn protocols_of_file(program: &Program, file: FileId) -> Vec<ProtocolClass> {
    let facts = program.facts(file);
    let mut found = Vec::new();
    for class in (0..facts.classes.len() as u32).map(ClassId) {
        if program.is_protocol(In::new(file, class)) {
            found.push((In::new(file, class), methods(program, In::new(file, class))));
        }
    }
    found
}

fn methods(program: &Program, class: ClassRef) -> Vec<Box<str>> {
    let facts = program.surface(class.file);
    let body = facts.class(class.id).body;
    let run = facts.function(body).bindings;
    let names = facts.bindings[run.range()].iter().filter_map(|binding| {
        let is_method = matches!(binding.kind, BindingKind::Function(_));
        is_method.then(|| facts.name(facts.local(binding.local).name))
    });
    names.filter(|name| !name.starts_with("__")).map(Into::into).collect()
}

/// The classes of a file with a method of one of the names in their own body.
pub(super) fn methods_named(program: &Program, file: FileId) -> Vec<(Box<str>, ClassRef)> {
    let facts = program.facts(file);
    let members = &program.whole.members;
    let classes = (0..facts.classes.len() as u32).map(|id| In::new(file, ClassId(id)));
    let named = |class| methods(program, class).into_iter().map(move |name| (name, class));
    classes.flat_map(named).filter(|(name, _)| members.contains(name)).collect()
}
