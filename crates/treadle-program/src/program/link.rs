//! The stages of linking, in their order.
//!
//! A stage asks every file about what the stages before it came to, in parallel, and enters the answers: no answer
//! depends on the order in which files are asked.

use std::sync::{Mutex, OnceLock};

use rayon::prelude::*;
use rustc_hash::{FxHashMap, FxHashSet};

use super::places::{Names, created_in, made, uses_in};
use super::reads::{Parts, Reads, noted};
use super::tables::{DECORATIONS, EFFECTS, Outside, PASSES, ROUNDS, Tables};
use super::{
    Ancestor, Edge, Modules, Options, Place, Program, Progress, SourceFile, Used, callgraph, classes, contexts,
    parameters, places, protocols, rounds,
};
use crate::facts::LocalId;
use crate::ids::{ClassRef, FileId, In};
use crate::knowledge::{Knowledge, KnowledgeError};
use crate::ty::Ty;

/// What is true of the program as a whole and belongs to no file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Whole {
    /// Names of attributes that code outside of their class stores.
    pub(super) outside: FxHashSet<Box<str>>,
    /// Names of properties.
    pub(super) properties: FxHashSet<Box<str>>,
    /// Protocols with the names of their methods.
    pub(super) protocols: Vec<(ClassRef, Vec<Box<str>>)>,
    /// The classes that conform to each protocol.
    pub(super) conformers: FxHashMap<ClassRef, Vec<ClassRef>>,
    /// Names of places with primitives.
    pub(super) names: Names,
    /// Attributes of unknown objects that may be primitives.
    pub(super) unresolved: FxHashSet<Box<str>>,
}

/// How a program is being linked.
#[derive(Debug, Default)]
pub(super) struct Link {
    /// What each file read so far, where that is noted.
    reads: Vec<Mutex<FxHashMap<FileId, Parts>>>,
}

impl Program {
    /// Links files into a program.
    ///
    /// # Errors
    ///
    /// A claim in `options` is wrong.
    pub fn link(files: Vec<SourceFile>, options: Options) -> Result<Self, KnowledgeError> {
        let mut program = Self::unlinked(files, options)?;
        program.link_all();
        Ok(program)
    }

    fn unlinked(files: Vec<SourceFile>, options: Options) -> Result<Self, KnowledgeError> {
        let knowledge = Knowledge::new(&options.books)?;
        let modules = Modules::new(&files);
        let each = || 0..files.len();
        Ok(Self {
            scopes: each().map(|_| OnceLock::new()).collect(),
            tables: each().map(|_| OnceLock::from(Box::default())).collect(),
            files,
            options,
            knowledge,
            modules,
            whole: Whole::default(),
            progress: Progress::default(),
            link: Link::default(),
        })
    }

    pub(super) fn tables(&self, file: FileId) -> &Tables {
        self.tables[file.index()].get_or_init(Box::default)
    }

    pub(super) fn tables_mut(&mut self, file: FileId) -> &mut Tables {
        self.tables(file);
        self.tables[file.index()].get_mut().expect("just filled")
    }

    /// Asks files in parallel; answers in the order of files.
    fn stage<T: Send>(&self, job: impl Fn(&Self, FileId) -> T + Sync) -> Vec<(FileId, T)> {
        let todo: Vec<FileId> = (0..self.files.len() as u32).map(FileId).collect();
        todo.into_par_iter().map(|file| (file, self.noting(file, || job(self, file)))).collect()
    }

    /// Notes for a file what a job about it reads.
    fn noting<T>(&self, file: FileId, job: impl FnOnce() -> T) -> T {
        let Some(slot) = self.link.reads.get(file.index()) else { return job() };
        let (value, reads): (T, Reads) = noted(job);
        if let Ok(mut known) = slot.lock() {
            for (file, parts) in reads {
                known.entry(file).or_default().add(parts);
            }
        }
        value
    }

    fn enter<T>(&mut self, answers: Vec<(FileId, T)>, slot: impl Fn(&mut Tables) -> &mut T) {
        for (file, answer) in answers {
            *slot(self.tables_mut(file)) = answer;
        }
    }

    fn link_all(&mut self) {
        self.link_classes();
        self.decorate();
        self.round();
        self.round();
        self.decorate();
        self.pass();
        self.round();
        self.pass();
        self.round();
        debug_assert_eq!(
            (self.progress.decorations, self.progress.rounds, self.progress.passes),
            (DECORATIONS, ROUNDS, PASSES)
        );
        let callees = self.stage(rounds::callees_of_file);
        self.enter(callees, |tables| &mut tables.callees);
        self.link_effects();
        self.link_graph();
        let contexts = self.stage(contexts::contexts_of_file);
        self.enter(contexts, |tables| &mut tables.contexts);
        let foreign = self.stage(contexts::is_foreign);
        self.enter(foreign, |tables| &mut tables.is_foreign);
        self.link_primitives();
    }

    fn link_classes(&mut self) {
        let bases = self.stage(classes::direct_bases);
        self.enter(bases, |tables| &mut tables.bases);
        let orders = self.stage(classes::orders);
        let mut below: FxHashMap<ClassRef, Vec<ClassRef>> = FxHashMap::default();
        for (file, orders) in &orders {
            for (class, order) in (0..).map(|id| In::new(*file, crate::facts::ClassId(id))).zip(orders) {
                for ancestor in &order[1..] {
                    if let Ancestor::Own(base) = ancestor {
                        below.entry(*base).or_default().push(class);
                    }
                }
            }
        }
        for (file, orders) in &orders {
            let classes = (0..orders.len() as u32).map(|id| In::new(*file, crate::facts::ClassId(id)));
            let subclasses = classes.map(|class| below.remove(&class).unwrap_or_default()).collect();
            self.tables_mut(*file).subclasses = subclasses;
        }
        self.enter(orders, |tables| &mut tables.orders);
        self.progress.classes = true;
    }

    fn decorate(&mut self) {
        let version = self.progress.decorations;
        let decorations = self.stage(Self::decorations_of_file);
        self.enter(decorations, |tables| &mut tables.decorations[version]);
        self.progress.decorations += 1;
    }

    fn round(&mut self) {
        let version = self.progress.rounds;
        let rounds = self.stage(rounds::round_of_file);
        self.enter(rounds, |tables| &mut tables.rounds[version]);
        self.progress.rounds += 1;
        // Whose attributes they are is settled before any of them is entered.
        let mut outside = Vec::new();
        for file in (0..self.files.len() as u32).map(FileId) {
            let stored = std::mem::take(&mut self.tables_mut(file).rounds[version].outside);
            outside.extend(stored.iter().map(|(place, ty)| (self.owned(place.clone()), ty.clone())));
        }
        let mut patched: FxHashMap<FileId, FxHashMap<LocalId, Ty>> = FxHashMap::default();
        for (place, ty) in outside {
            match place {
                Outside::Variable(local) => {
                    let slot = patched.entry(local.file).or_default().entry(local.id).or_insert(Ty::Never);
                    *slot = std::mem::replace(slot, Ty::Unknown).or(ty);
                }
                Outside::Attribute(class, name) => {
                    let round = &mut self.tables_mut(class.file).rounds[version];
                    let attributes = &mut std::sync::Arc::make_mut(&mut round.attributes)[class.id.index()];
                    let slot = attributes.entry(name).or_insert(Ty::Never);
                    *slot = std::mem::replace(slot, Ty::Unknown).or(ty);
                }
            }
        }
        for (file, patched) in patched {
            let mut patched: Vec<(LocalId, Ty)> = patched.into_iter().collect();
            patched.sort_unstable_by_key(|(local, _)| *local);
            self.tables_mut(file).rounds[version].patched = patched;
        }
    }

    fn pass(&mut self) {
        let version = self.progress.passes;
        let answers = self.stage(rounds::pass_of_file);
        let mut sent: Vec<Vec<(u32, &Ty)>> = vec![Vec::new(); self.files.len()];
        for (file, param, ty) in answers.iter().flat_map(|(_, pass)| &pass.sent) {
            sent[file.index()].push((*param, ty));
        }
        let params: Vec<_> = answers
            .par_iter()
            .map(|(file, pass)| {
                let count = self.facts(*file).params.len();
                rounds::params_from(count, sent[file.index()].iter().copied(), &pass.defaults)
            })
            .collect();
        for ((file, _), params) in answers.into_iter().zip(params) {
            self.tables_mut(file).passes[version].params = params;
        }
        self.progress.passes += 1;
    }

    fn link_effects(&mut self) {
        for version in 0..EFFECTS {
            let effects = self.stage(parameters::effects_of_file);
            self.enter(effects, |tables| &mut tables.effects[version]);
            self.progress.effects += 1;
        }
    }

    fn link_graph(&mut self) {
        let properties = self.stage(callgraph::properties_of_file);
        self.whole.properties = properties.into_iter().flat_map(|(_, names)| names).collect();
        let protocols = self.stage(protocols::protocols_of_file);
        self.whole.protocols = protocols.into_iter().flat_map(|(_, protocols)| protocols).collect();
        let names = self.whole.protocols.iter().flat_map(|(_, names)| names).cloned().collect();
        let methods = self.stage(|program, file| protocols::methods_named(program, file, &names));
        let methods: Vec<_> = methods.into_iter().flat_map(|(_, methods)| methods).collect();
        self.whole.conformers = protocols::conformers(self, &self.whole.protocols, &methods);
        let edges = self.stage(callgraph::edges_of_file);
        let mut incoming: Vec<Vec<Edge>> = vec![Vec::new(); self.files.len()];
        for edge in edges.iter().flat_map(|(_, edges)| edges) {
            incoming[edge.callee.file.index()].push(*edge);
        }
        self.enter(edges, |tables| &mut tables.edges);
        for (file, mut incoming) in (0..).map(FileId).zip(incoming) {
            incoming.sort_by_key(|edge| edge.callee.id);
            self.tables_mut(file).incoming = incoming;
        }
    }

    fn link_primitives(&mut self) {
        let created = self.stage(created_in);
        let mut by_owner: FxHashMap<FileId, Vec<_>> = FxHashMap::default();
        let mut names = Names::default();
        for made in created.iter().flat_map(|(_, created)| created) {
            by_owner.entry(made.0.file()).or_default().push(made);
            names.add(self, &made.0);
        }
        let made: Vec<_> = by_owner.into_iter().map(|(file, created)| (file, made(created.into_iter()))).collect();
        self.enter(made, |tables| &mut tables.primitives);
        self.whole.names = names;
        let uses = self.stage(|program, file| uses_in(program, file, &program.whole.names));
        let mut unresolved = FxHashSet::default();
        let mut by_owner: FxHashMap<FileId, Vec<(FileId, Used)>> = FxHashMap::default();
        for (file, used) in uses.into_iter().flat_map(|(file, uses)| uses.into_iter().map(move |used| (file, used))) {
            match used.place() {
                Some(place) => by_owner.entry(place.file()).or_default().push((file, used)),
                None => {
                    if let Used::Unresolved(name) = used {
                        unresolved.insert(name);
                    }
                }
            }
        }
        for (owner, uses) in by_owner {
            let primitives = &mut self.tables_mut(owner).primitives;
            for (file, used) in uses {
                places::enter(primitives, file, used);
            }
        }
        for tables in self.tables.iter_mut().filter_map(OnceLock::get_mut) {
            for (place, used) in &mut tables.primitives {
                let is_in_doubt = matches!(&*place, Place::Attribute(_, name) if unresolved.contains(name));
                used.escapes = used.is_mixed || is_in_doubt || !used.escapes_in.is_empty();
            }
        }
        self.whole.unresolved = unresolved;
    }
}
