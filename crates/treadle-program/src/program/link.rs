//! The stages of linking, in their order.
//!
//! A stage asks every file about what the stages before it came to, in parallel, and enters the answers: no answer
//! depends on the order in which files are asked. Linking again after a few files changed goes through the same stages and
//! asks those files, and whoever read something that has changed since ([`super::again`]).

use std::sync::{Arc, Mutex, OnceLock};

use bitcode::{Decode, Encode};
use rayon::prelude::*;
use rustc_hash::{FxHashMap, FxHashSet};

use super::again::Again;
use super::moved::{Table, Unit};
use super::places::{Names, created_in, made, uses_in};
use super::protocols::ProtocolClass;
use super::reads::{Parts, Reads, noted};
use super::tables::{Attributes, EFFECTS, Outside, Received, Round, Tables};
use super::{
    Ancestor, Edge, Modules, Options, Place, Program, Progress, SourceFile, Used, callgraph, classes, contexts,
    decoration, locks, nest_asyncio, parameters, places, protocols, rounds,
};
use crate::facts::{ClassId, LocalId};
use crate::ids::{ClassRef, FileId, In};
use crate::knowledge::{Knowledge, KnowledgeError};
use crate::ty::Ty;

/// What files answer at a stage, in their order.
pub(super) type Answers<T> = Vec<(FileId, T)>;

/// What is true of the program as a whole and belongs to no file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub(super) struct Whole {
    /// Names of attributes that code outside of their class stores.
    pub(super) outside: FxHashSet<Box<str>>,
    /// Names of properties.
    pub(super) properties: FxHashSet<Box<str>>,
    /// Protocols with the names of their methods.
    pub(super) protocols: Vec<ProtocolClass>,
    /// Those names.
    pub(super) members: FxHashSet<Box<str>>,
    /// Methods of those names, with their classes, in the order of files.
    pub(super) methods: Vec<(Box<str>, ClassRef)>,
    /// The classes that conform to each protocol.
    pub(super) conformers: FxHashMap<ClassRef, Vec<ClassRef>>,
    /// What those were made from, where that is noted.
    pub(super) conforming: Reads,
    /// Names of places with primitives.
    pub(super) names: Names,
    /// Attributes of unknown objects that may be primitives.
    pub(super) unresolved: FxHashSet<Box<str>>,
    /// Whether a file applies `nest_asyncio`.
    pub(super) uses_nest_asyncio: bool,
    /// The hashes of all names that stand in any file, sorted, where notes are kept.
    pub(super) mentioned: Vec<u32>,
}

/// How a program is being linked.
#[derive(Debug, Default)]
pub(super) struct Link {
    /// What each file read so far, where that is noted.
    pub(super) reads: Vec<Mutex<FxHashMap<FileId, Parts>>>,
    /// The link before, where this one goes on from it.
    pub(super) again: Option<Box<Again>>,
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

    /// Links files into a program that keeps what a later link needs to go on from it ([`Program::memory`]).
    ///
    /// # Errors
    ///
    /// A claim in `options` is wrong.
    pub fn link_noting(files: Vec<SourceFile>, options: Options) -> Result<Self, KnowledgeError> {
        let mut program = Self::unlinked(files, options)?;
        program.link.reads = program.files.iter().map(|_| Mutex::default()).collect();
        program.link_all();
        let mentions = |file: &SourceFile| file.facts.names.iter().map(classes::hash_of).collect::<Vec<u32>>();
        let mut mentioned: Vec<u32> = program.files.par_iter().flat_map_iter(mentions).collect();
        mentioned.par_sort_unstable();
        mentioned.dedup();
        program.whole.mentioned = mentioned;
        Ok(program)
    }

    pub(super) fn unlinked(files: Vec<SourceFile>, options: Options) -> Result<Self, KnowledgeError> {
        let knowledge = Knowledge::new(&options.books)?;
        let modules = Modules::new(&files);
        Ok(Self {
            scopes: files.iter().map(|_| OnceLock::new()).collect(),
            tables: files.iter().map(|_| OnceLock::new()).collect(),
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
        self.tables[file.index()].get_or_init(|| match &self.link.again {
            Some(again) => Box::new(again.tables(self, file)),
            None => Box::default(),
        })
    }

    #[expect(clippy::expect_used, reason = "the line before fills it")]
    pub(super) fn tables_mut(&mut self, file: FileId) -> &mut Tables {
        self.tables(file);
        self.tables[file.index()].get_mut().expect("filled by the line before")
    }

    /// Whether what files send to each other, and what they read, is kept for a later link.
    fn keeps_notes(&self) -> bool {
        !self.link.reads.is_empty()
    }

    /// Every file.
    pub fn all_files(&self) -> impl Iterator<Item = FileId> + use<> {
        (0..self.files.len() as u32).map(FileId)
    }

    /// Asks files in parallel; answers in the order of files.
    pub(super) fn stage<T: Send>(&mut self, job: impl Fn(&Self, FileId) -> T + Sync) -> Answers<T> {
        let todo: Vec<FileId> = match &mut self.link.again {
            Some(again) => again.todo(),
            None => self.all_files().collect(),
        };
        let program = &*self;
        todo.into_par_iter().map(|file| (file, program.noting(file, || job(program, file)))).collect()
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

    /// Runs a job and says what of the program it read. The job must stay on its thread.
    pub fn reads_of<T>(&self, job: impl FnOnce() -> T) -> (T, Reads) {
        noted(job)
    }

    /// Enters the answers of a stage; which files' `parts` they change is noted for the stages after it.
    pub(super) fn enter<T: PartialEq>(
        &mut self,
        answers: Answers<T>,
        parts: Parts,
        slot: impl Fn(&mut Tables) -> &mut T,
    ) {
        for (file, answer) in answers {
            let slot = slot(self.tables_mut(file));
            if *slot != answer {
                *slot = answer;
                self.changed(file, parts);
            }
        }
    }

    /// Enters the answers of a stage whose entries belong to functions, classes or parameters: those that nobody can have
    /// looked at before make no difference.
    pub(super) fn enter_by<T: PartialEq + Table>(
        &mut self,
        unit: Unit,
        mut answers: Answers<T>,
        parts: Parts,
        slot: impl Fn(&mut Tables) -> &mut T,
    ) {
        for (file, answer) in &mut answers {
            if let Some(fresh) = self.fresh(*file) {
                let fresh = fresh.of(unit).to_vec();
                slot(self.tables_mut(*file)).align(answer, &fresh);
            }
        }
        self.enter(answers, parts, slot);
    }

    pub(super) fn changed(&mut self, file: FileId, parts: Parts) {
        if let Some(again) = &mut self.link.again {
            again.changed(file, parts);
        }
    }

    pub(super) fn link_all(&mut self) {
        self.link_classes();
        self.decorate();
        self.round();
        self.round();
        // Decorators of the program's own are understood by what they return.
        self.decorate();
        self.pass();
        self.round();
        self.pass();
        self.round();
        let callees = self.stage(rounds::callees_of_file);
        self.enter(callees, Parts::CALLEES, |tables| &mut tables.callees);
        for version in 0..EFFECTS {
            let effects = self.stage(parameters::effects_of_file);
            self.enter_by(Unit::Params, effects, Parts::EFFECTS, |tables| &mut tables.effects[version]);
            self.progress.effects += 1;
        }
        self.link_names();
        self.link_graph();
        let foreign = self.stage(contexts::is_foreign);
        self.enter(foreign, Parts::CONTEXTS, |tables| &mut tables.is_foreign);
        let contexts = self.stage(contexts::contexts_of_file);
        self.enter_by(Unit::Functions, contexts, Parts::CONTEXTS, |tables| &mut tables.contexts);
        self.link_primitives();
        let taken = self.stage(locks::taken_in);
        self.enter(taken, Parts::LOCKS, |tables| &mut tables.held[0]);
        self.progress.held = 1;
        let held = self.stage(locks::held_by);
        self.enter(held, Parts::LOCKS, |tables| &mut tables.held[1]);
        self.progress.held = 2;
    }

    fn link_classes(&mut self) {
        let habits = self.stage(decoration::habits_of_file);
        self.enter_by(Unit::Functions, habits, Parts::TYPES, |tables| &mut tables.habits);
        let bases = self.stage(classes::direct_bases);
        self.enter_by(Unit::Classes, bases, Parts::CLASSES, |tables| &mut tables.bases);
        let orders = self.stage(classes::orders);
        if self.link.again.is_some() {
            self.subclasses_again(&orders);
        } else {
            let mut below: FxHashMap<ClassRef, Vec<ClassRef>> = FxHashMap::default();
            for (base, class) in orders.iter().flat_map(|(file, orders)| inheritance(*file, orders)) {
                below.entry(base).or_default().push(class);
            }
            for (file, orders) in &orders {
                self.tables_mut(*file).subclasses = subclasses(*file, orders.len(), &mut below);
            }
        }
        self.enter_by(Unit::Classes, orders, Parts::CLASSES, |tables| &mut tables.orders);
        self.progress.classes = true;
    }

    fn decorate(&mut self) {
        let version = self.progress.decorations;
        let decorations = self.stage(Self::decorations_of_file);
        self.enter_by(Unit::Functions, decorations, Parts::TYPES, |tables| &mut tables.decorations[version]);
        self.progress.decorations += 1;
    }

    fn round(&mut self) {
        let version = self.progress.rounds;
        let rounds = self.stage(rounds::round_of_file);
        if self.link.again.is_some() {
            self.round_again(rounds);
            return;
        }
        for (file, round) in rounds {
            self.tables_mut(file).rounds[version] = round;
        }
        self.progress.rounds += 1;
        // Whose attributes they are is settled before any of them is entered.
        let mut stored: Vec<(Outside, Ty)> = Vec::new();
        for file in self.all_files() {
            let outside = &self.tables(file).rounds[version].outside;
            stored.extend(outside.iter().map(|(place, ty)| (self.owned(place.clone()), ty.clone())));
            if !self.keeps_notes() {
                self.tables_mut(file).rounds[version].outside = Vec::new();
            }
        }
        let mut patched: FxHashMap<FileId, FxHashMap<LocalId, Ty>> = FxHashMap::default();
        for (place, ty) in stored {
            match place {
                Outside::Variable(local) => {
                    let slot = patched.entry(local.file).or_default().entry(local.id).or_insert(Ty::Never);
                    *slot = std::mem::replace(slot, Ty::Unknown).or(ty);
                }
                Outside::Attribute(class, name) => self.receive(version, class, name, ty),
            }
        }
        for (file, patched) in patched {
            let mut patched: Vec<(LocalId, Ty)> = patched.into_iter().collect();
            patched.sort_unstable_by_key(|(local, _)| *local);
            self.tables_mut(file).rounds[version].patched = patched;
        }
    }

    /// Enters what code outside of a class stores in an attribute of its instances.
    fn receive(&mut self, version: usize, class: ClassRef, name: Box<str>, ty: Ty) {
        let keeps_notes = self.keeps_notes();
        let round = &mut self.tables_mut(class.file).rounds[version];
        let received =
            Received { class: class.id, is_own: round.attributes[class.id.index()].contains_key(&name), name, ty };
        merge(round, &received);
        if keeps_notes {
            round.received.push(received.clone());
            self.whole.outside.insert(received.name);
        }
    }

    fn pass(&mut self) {
        let version = self.progress.passes;
        let answers = self.stage(rounds::pass_of_file);
        if self.link.again.is_some() {
            self.pass_again(answers);
            return;
        }
        let mut received: Vec<Vec<(FileId, u32, Ty)>> = self.files.iter().map(|_| Vec::new()).collect();
        let mut defaults = Vec::with_capacity(answers.len());
        for (file, passed) in answers {
            if self.keeps_notes() {
                self.tables_mut(file).passes[version].sent_to = passed.sent_to();
            }
            for (target, param, ty) in passed.sent {
                received[target.index()].push((file, param, ty));
            }
            defaults.push(passed.defaults);
        }
        let params: Vec<Arc<[Ty]>> = (received.par_iter().zip(&defaults))
            .enumerate()
            .map(|(file, (received, defaults))| self.params_from(FileId(file as u32), received, defaults))
            .collect();
        let keeps_notes = self.keeps_notes();
        for (file, ((received, defaults), params)) in
            self.all_files().zip(received.into_iter().zip(defaults).zip(params))
        {
            let pass = &mut self.tables_mut(file).passes[version];
            pass.params = params;
            if keeps_notes {
                pass.received = received;
                pass.defaults = defaults;
            }
        }
        self.progress.passes += 1;
    }

    fn link_names(&mut self) {
        let properties = self.stage(callgraph::properties_of_file);
        let protocols = self.stage(protocols::protocols_of_file);
        let nesting = self.stage(nest_asyncio::is_applied_in);
        if self.link.again.is_some() {
            self.names_again(properties, protocols, nesting);
            return;
        }
        self.whole.properties = properties.iter().flat_map(|(_, names)| names).cloned().collect();
        self.whole.protocols = protocols.iter().flat_map(|(_, protocols)| protocols).cloned().collect();
        self.whole.members = self.whole.protocols.iter().flat_map(|(_, names)| names).cloned().collect();
        let methods = self.stage(protocols::methods_named);
        self.whole.methods = methods.iter().flat_map(|(_, methods)| methods).cloned().collect();
        let (conformers, conforming) =
            noted(|| protocols::conformers(self, &self.whole.protocols, &self.whole.methods));
        self.whole.conformers = conformers;
        self.whole.conforming = conforming;
        self.whole.uses_nest_asyncio = nesting.iter().any(|(_, applies)| *applies);
        self.enter(nesting, Parts::TYPES, |tables| &mut tables.applies_nest_asyncio);
        self.enter(properties, Parts::TYPES, |tables| &mut tables.properties);
        self.enter(protocols, Parts::TYPES, |tables| &mut tables.protocols);
        self.enter(methods, Parts::TYPES, |tables| &mut tables.methods);
    }

    fn link_graph(&mut self) {
        let edges = self.stage(callgraph::edges_of_file);
        if self.link.again.is_some() {
            self.graph_again(edges);
            return;
        }
        let mut incoming: Vec<Vec<Edge>> = vec![Vec::new(); self.files.len()];
        for edge in edges.iter().flat_map(|(_, edges)| edges) {
            incoming[edge.callee.file.index()].push(*edge);
        }
        self.enter(edges, Parts::EDGES, |tables| &mut tables.edges);
        for (file, mut incoming) in self.all_files().zip(incoming) {
            incoming.sort_by_key(|edge| edge.callee.id);
            self.tables_mut(file).incoming = incoming;
        }
    }

    fn link_primitives(&mut self) {
        let created = self.stage(created_in);
        if self.link.again.is_some() {
            self.primitives_again(created);
            return;
        }
        let mut by_owner: FxHashMap<FileId, Vec<_>> = FxHashMap::default();
        let mut names = Names::default();
        for made in created.iter().flat_map(|(_, created)| created) {
            by_owner.entry(made.0.file()).or_default().push(made);
            names.add(self, &made.0);
        }
        let made = by_owner.into_iter().map(|(file, created)| (file, made(created.into_iter()))).collect();
        self.enter(made, Parts::PRIMITIVES, |tables| &mut tables.primitives);
        self.whole.names = names;
        let uses = self.stage(|program, file| uses_in(program, file, &program.whole.names));
        self.whole.unresolved =
            uses.iter().flat_map(|(_, uses)| uses).filter_map(Used::unresolved).map(Into::into).collect();
        for (file, used) in uses.iter().flat_map(|(file, uses)| uses.iter().map(move |used| (*file, used))) {
            if let Some(owner) = used.place().map(Place::file) {
                places::enter(&mut self.tables_mut(owner).primitives, file, used.clone());
            }
        }
        for file in self.all_files() {
            self.judge_escapes(file);
        }
        self.enter(created, Parts::PRIMITIVES, |tables| &mut tables.created);
        if self.keeps_notes() {
            self.enter(uses, Parts::PRIMITIVES, |tables| &mut tables.uses);
        }
    }

    /// Settles which primitives of a file go where treadle does not follow.
    pub(super) fn judge_escapes(&mut self, file: FileId) {
        let mut primitives = std::mem::take(&mut self.tables_mut(file).primitives);
        for (place, used) in &mut primitives {
            let in_doubt = matches!(&*place, Place::Attribute(_, name) if self.whole.unresolved.contains(name));
            used.escapes = used.is_mixed || in_doubt || !used.escapes_in.is_empty();
        }
        self.tables_mut(file).primitives = primitives;
    }

    /// The parameters of a file by what it receives and its defaults.
    pub(super) fn params_from(
        &self,
        file: FileId,
        received: &[(FileId, u32, Ty)],
        defaults: &[(u32, Ty)],
    ) -> Arc<[Ty]> {
        rounds::params_from(self.facts(file).params.len(), received, defaults)
    }
}

/// Which class of the program inherits from which, at any distance, by the orders of a file: base and class.
pub(super) fn inheritance(file: FileId, orders: &[Box<[Ancestor]>]) -> impl Iterator<Item = (ClassRef, ClassRef)> + '_ {
    let classes = (0..).map(move |id| In::new(file, ClassId(id)));
    classes.zip(orders).flat_map(|(class, order)| {
        order[1..].iter().filter_map(move |ancestor| match ancestor {
            Ancestor::Own(base) => Some((*base, class)),
            _ => None,
        })
    })
}

/// What stands below each class of a file.
pub(super) fn subclasses(
    file: FileId,
    count: usize,
    below: &mut FxHashMap<ClassRef, Vec<ClassRef>>,
) -> Vec<Vec<ClassRef>> {
    (0..count as u32).map(|id| below.remove(&In::new(file, ClassId(id))).unwrap_or_default()).collect()
}

/// Adds what comes from outside to an attribute of a class.
pub(super) fn merge(round: &mut Round, received: &Received) {
    let attributes: &mut Attributes = &mut Arc::make_mut(&mut round.attributes)[received.class.index()];
    let slot = attributes.entry(received.name.clone()).or_insert(Ty::Never);
    *slot = std::mem::replace(slot, Ty::Unknown).or(received.ty.clone());
}
