//! Linking again, after a few files have changed.
//!
//! The link before left its tables, by file, and what each file read to come to them. The same stages run again, but ask
//! only the changed files and those that read something that is not as it was; whatever else is looked into comes from
//! the tables before. What files say about each other (who passes what, what leads where) is taken out and put in anew for
//! those that were asked. The few things that hold for the program as a whole, such as which names properties have, are
//! only checked: a change that touches one of them ends the attempt, and everything is linked anew.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use rustc_hash::{FxHashMap, FxHashSet};

use super::classes::hash_of;
use super::link::{Answers, Whole, inheritance, merge, subclasses};
use super::moved::{Fresh, Table};
use super::places::{Created, Operation, PrimitiveUse, made, uses_in};
use super::protocols::ProtocolClass;
use super::reads::{Parts, Reads};
use super::rename::{Rename, Renames};
use super::rounds::Passed;
use super::tables::{Outside, Round, Tables};
use super::{Ancestor, Edge, Facts, Options, Place, Program, SourceFile, Used, places, protocols, surface};
use crate::facts::{ClassId, FileFacts};
use crate::ids::{ClassRef, FileId};
use crate::knowledge::KnowledgeError;
use crate::ty::Ty;

/// What a link before left.
pub trait Earlier: Send + Sync + std::fmt::Debug {
    /// The tables of a file, as [`super::Memory`] had them.
    fn tables(&self, file: FileId) -> Option<Vec<u8>>;
}

/// Where a link stands that goes on from another.
#[derive(Debug)]
pub(super) struct Again {
    earlier: Arc<dyn Earlier>,
    reads: Vec<Reads>,
    renames: Renames,
    /// The tables before of the files that changed on their surface.
    before: FxHashMap<FileId, Tables>,
    /// What is fresh in files that changed below their surface.
    fresh: FxHashMap<FileId, Fresh>,
    changed: Vec<Parts>,
    is_asked: Vec<bool>,
    is_stale: bool,
    failed: OnceLock<&'static str>,
}

/// Why everything has to be linked anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anew(pub &'static str);

/// A file that more files than this look at is compared with what it was: only where its surface differs are they asked
/// again.
const WIDELY: usize = 40;

/// Of more files than this, linking all is as fast.
const MOST_ASKED: usize = 600;

impl Again {
    /// The files to ask at a stage: those that changed, and who read what has changed by now.
    pub(super) fn todo(&mut self) -> Vec<FileId> {
        if std::mem::take(&mut self.is_stale) {
            for (file, reads) in self.reads.iter().enumerate() {
                self.is_asked[file] = self.is_asked[file] || concerns(&self.changed, reads);
            }
        }
        let asked = self.is_asked.iter().enumerate().filter(|(_, asked)| **asked);
        let asked: Vec<FileId> = asked.map(|(file, _)| FileId(file as u32)).collect();
        if asked.len() > MOST_ASKED {
            self.fail("the change concerns many files");
        }
        if self.failed.get().is_some() {
            return Vec::new();
        }
        asked
    }

    /// How many files look at a file.
    fn readers(&self, file: FileId) -> usize {
        let reads = |reads: &&Reads| reads.binary_search_by_key(&file, |(file, _)| *file).is_ok();
        self.reads.iter().filter(reads).count()
    }

    pub(super) fn changed(&mut self, file: FileId, parts: Parts) {
        self.changed[file.index()].add(parts);
        self.is_stale = true;
    }

    /// The tables before of a file.
    pub(super) fn tables(&self, program: &Program, file: FileId) -> Tables {
        if self.before.contains_key(&file) {
            return Tables::default();
        }
        self.load(file).unwrap_or_else(|| {
            self.fail("the tables of a file cannot be read");
            Tables::blank(program.facts(file))
        })
    }

    fn load(&self, file: FileId) -> Option<Tables> {
        Tables::decoded(&self.earlier.tables(file)?, &self.renames)
    }

    /// The attempt comes to nothing.
    fn fail(&self, why: &'static str) {
        self.failed.get_or_init(|| why);
    }
}

fn concerns(changed: &[Parts], reads: &Reads) -> bool {
    reads.iter().any(|(file, parts)| changed[file.index()].meets(*parts))
}

impl Program {
    /// Links files again of which some, given with what they said before, have changed. The inner error says why
    /// everything has to be linked anew.
    ///
    /// # Errors
    ///
    /// A claim in `options` is wrong.
    pub fn link_again(
        files: Vec<SourceFile>,
        options: Options,
        whole: &[u8],
        earlier: Arc<dyn Earlier>,
        changed: &[(FileId, Facts)],
    ) -> Result<Result<Self, Anew>, KnowledgeError> {
        Self::link_again_from(files, options, whole, earlier, changed, WIDELY)
    }

    /// [`Program::link_again`], comparing the surfaces of files that more than `widely` files look at.
    pub(super) fn link_again_from(
        files: Vec<SourceFile>,
        options: Options,
        whole: &[u8],
        earlier: Arc<dyn Earlier>,
        changed: &[(FileId, Facts)],
        widely: usize,
    ) -> Result<Result<Self, Anew>, KnowledgeError> {
        let mut program = Self::unlinked(files, options)?;
        let Ok((mut whole, reads)) = bitcode::decode::<(Whole, Vec<Reads>)>(whole) else {
            return Ok(Err(Anew("what the last run left cannot be read")));
        };
        if reads.len() != program.files.len() {
            return Ok(Err(Anew("there are other files")));
        }
        let mut renames = Renames::default();
        for (file, before) in changed {
            renames.add(*file, before, program.facts(*file));
        }
        whole.rename(&renames);
        program.whole = whole;
        let mut again = Again {
            earlier,
            reads,
            renames,
            before: FxHashMap::default(),
            fresh: FxHashMap::default(),
            changed: vec![Parts::default(); program.files.len()],
            is_asked: vec![false; program.files.len()],
            is_stale: true,
            failed: OnceLock::new(),
        };
        for (file, before) in changed {
            let Some(tables) = again.load(*file) else {
                return Ok(Err(Anew("the tables of a file cannot be read")));
            };
            again.is_asked[file.index()] = true;
            if (again.readers(*file) > widely || tables.is_stored_into())
                && let Some(rename) = again.renames.of(*file)
                && program.whole.keeps_surface(before, program.surface(*file), rename)
            {
                let (tables, fresh) = tables.moved(*file, before, program.surface(*file), rename);
                program.tables[file.index()] = OnceLock::from(Box::new(tables));
                again.fresh.insert(*file, fresh);
                again.changed[file.index()] = Parts::BODY;
            } else {
                again.before.insert(*file, tables);
                again.changed[file.index()] = Parts::ALL;
            }
        }
        program.link.again = Some(Box::new(again));
        program.link_all();
        let failed = program.link.again.as_ref().and_then(|again| again.failed.get().copied());
        Ok(failed.map_or(Ok(program), |why| Err(Anew(why))))
    }

    /// Whether something that was read before is not as it was. Always, in a link that does not go on from another.
    pub fn concerns(&self, reads: &Reads) -> bool {
        self.link.again.as_ref().is_none_or(|again| concerns(&again.changed, reads))
    }

    /// What is fresh in a file that changed below its surface.
    pub(super) fn fresh(&self, file: FileId) -> Option<&Fresh> {
        self.link.again.as_ref()?.fresh.get(&file)
    }

    /// Gives up where something does not hold.
    fn require(&self, holds: bool, why: &'static str) {
        if let Some(again) = self.link.again.as_ref().filter(|_| !holds) {
            again.fail(why);
        }
    }

    fn has_failed(&self) -> bool {
        self.link.again.as_ref().is_some_and(|again| again.failed.get().is_some())
    }

    fn is_replaced(&self, file: FileId) -> bool {
        self.link.again.as_ref().is_some_and(|again| again.before.contains_key(&file))
    }

    /// The tables of a file that was asked as they were before; its own, where it is not one of the changed.
    fn before(&self, file: FileId) -> &Tables {
        let again = self.link.again.as_ref();
        again.and_then(|again| again.before.get(&file)).unwrap_or_else(|| self.tables(file))
    }

    /// What a class by its number of before is now.
    fn renamed(&self, class: ClassRef) -> ClassRef {
        let again = self.link.again.as_ref().filter(|_| self.is_replaced(class.file));
        again.map_or(class, |again| again.renames.class(class))
    }

    pub(super) fn subclasses_again(&mut self, orders: &[(FileId, Vec<Box<[Ancestor]>>)]) {
        let mut below: FxHashMap<ClassRef, Vec<ClassRef>> = FxHashMap::default();
        for (file, orders) in orders {
            let elsewhere = |(base, _): &(ClassRef, ClassRef)| !self.is_replaced(base.file);
            let now = inheritance(*file, orders).filter(elsewhere);
            let before = inheritance(*file, &self.before(*file).orders).filter(elsewhere);
            let before = before.map(|(base, class)| (base, self.renamed(class)));
            self.require(now.eq(before), "a class inherits from others");
            for (base, class) in inheritance(*file, orders).filter(|(base, _)| self.is_replaced(base.file)) {
                below.entry(base).or_default().push(class);
            }
        }
        for (file, orders) in orders {
            if self.is_replaced(*file) {
                self.tables_mut(*file).subclasses = subclasses(*file, orders.len(), &mut below);
            }
        }
    }

    pub(super) fn round_again(&mut self, rounds: Answers<Round>) {
        let version = self.progress.rounds;
        for (file, mut round) in rounds {
            let is_replaced = self.is_replaced(file);
            let before = &self.before(file).rounds[version];
            // What is stored in a changed file from outside would have to be sorted out anew.
            let is_apart = !is_replaced || (before.received.is_empty() && before.patched.is_empty());
            let place_of = |(place, _): &(Outside, Ty)| match place {
                Outside::Variable(local) => local.file,
                Outside::Attribute(class, _) => class.file,
            };
            let stays_out = round.outside.iter().all(|stored| !self.is_replaced(place_of(stored)));
            let is_same = round.outside == before.outside;
            self.require(is_apart && stays_out && is_same, "attributes are stored from outside of their class");
            let keeps_names = self.keeps_names(before, &round);
            self.require(keeps_names, "attributes that are stored from outside of their class");
            if !is_replaced {
                round.patched.clone_from(&before.patched);
                round.received.clone_from(&before.received);
                for received in before.received.clone() {
                    merge(&mut round, &received);
                }
            }
            let mut before = before.clone();
            if let Some(fresh) = self.fresh(file) {
                before.returns.align(&round.returns, &fresh.functions);
                before.attributes.align(&round.attributes, &fresh.classes);
            }
            let is_same = before.returns == round.returns && before.attributes == round.attributes;
            self.tables_mut(file).rounds[version] = round;
            if !is_same {
                self.changed(file, Parts::TYPES);
            }
        }
        self.progress.rounds += 1;
    }

    /// Whether of the attributes that code outside of its class stores, classes store those they stored before.
    fn keeps_names(&self, before: &Round, now: &Round) -> bool {
        let mut received: FxHashMap<(ClassId, &str), bool> = FxHashMap::default();
        for one in &before.received {
            received.entry((one.class, &one.name)).or_insert(one.is_own);
        }
        let is_kept = |(class, name): &(ClassId, &str), is_own: bool| {
            now.attributes.get(class.index()).is_some_and(|of| of.contains_key(*name)) == is_own
        };
        let others = |round: &Round| {
            let classes = (0..).map(ClassId).zip(round.attributes.iter());
            let names = classes.flat_map(|(class, of)| of.keys().map(move |name| (class, name)));
            let mut names: Vec<Box<str>> = names
                .filter(|(class, name)| {
                    self.whole.outside.contains(*name) && !received.contains_key(&(*class, &***name))
                })
                .map(|(_, name)| name.clone())
                .collect();
            names.sort_unstable();
            names
        };
        received.iter().all(|(key, is_own)| is_kept(key, *is_own)) && others(before) == others(now)
    }

    pub(super) fn pass_again(&mut self, answers: Answers<Passed>) {
        let version = self.progress.passes;
        let mut to_count: BTreeSet<FileId> = BTreeSet::new();
        for (file, passed) in answers {
            let sent_to = passed.sent_to();
            let mut targets: BTreeSet<FileId> = self.before(file).passes[version].sent_to.iter().copied().collect();
            targets.extend(&sent_to);
            for target in targets {
                let sent: Vec<(FileId, u32, Ty)> = (passed.sent.iter())
                    .filter(|(to, ..)| *to == target)
                    .map(|(_, param, ty)| (file, *param, ty.clone()))
                    .collect();
                let received = &mut self.tables_mut(target).passes[version].received;
                if replace(received, |(from, ..)| *from, file, sent) {
                    to_count.insert(target);
                }
            }
            let pass = &mut self.tables_mut(file).passes[version];
            pass.sent_to = sent_to;
            if pass.defaults != passed.defaults || self.is_replaced(file) {
                self.tables_mut(file).passes[version].defaults = passed.defaults;
                to_count.insert(file);
            }
        }
        for file in to_count {
            let pass = &self.tables(file).passes[version];
            let params = self.params_from(file, &pass.received, &pass.defaults);
            let mut before = pass.params.clone();
            if let Some(fresh) = self.fresh(file) {
                before.align(&params, &fresh.params);
            }
            if before == params {
                self.tables_mut(file).passes[version].params = params;
            } else {
                self.tables_mut(file).passes[version].params = params;
                self.changed(file, Parts::PARAMS);
            }
        }
        self.progress.passes += 1;
    }

    pub(super) fn names_again(
        &mut self,
        properties: Answers<Vec<Box<str>>>,
        protocols: Answers<Vec<ProtocolClass>>,
        nesting: Answers<bool>,
    ) {
        for (file, applies) in &nesting {
            self.require(self.before(*file).applies_nest_asyncio == *applies, "`nest_asyncio`");
        }
        for (file, names) in &properties {
            let before = &self.before(*file).properties;
            let is_known = names.iter().all(|name| self.whole.properties.contains(name));
            let is_same = is_known && before.iter().all(|name| names.contains(name));
            self.require(is_same, "the names of properties");
        }
        for (file, protocols) in &protocols {
            self.require(self.before(*file).protocols == *protocols, "protocols");
        }
        let methods = self.stage(protocols::methods_named);
        for (file, methods) in &methods {
            self.require(self.before(*file).methods == *methods, "methods that protocols ask for");
        }
        if !self.has_failed() && self.concerns(&self.whole.conforming) {
            let conformers = protocols::conformers(self, &self.whole.protocols, &self.whole.methods);
            self.require(conformers == self.whole.conformers, "classes that do what protocols ask");
        }
        self.enter(nesting, Parts::TYPES, |tables| &mut tables.applies_nest_asyncio);
        self.enter(properties, Parts::TYPES, |tables| &mut tables.properties);
        self.enter(protocols, Parts::TYPES, |tables| &mut tables.protocols);
        self.enter(methods, Parts::TYPES, |tables| &mut tables.methods);
    }

    pub(super) fn graph_again(&mut self, edges: Answers<Vec<Edge>>) {
        let mut to_sort: FxHashSet<FileId> = FxHashSet::default();
        for (file, edges) in edges {
            let before = &self.before(file).edges;
            let files = before.iter().chain(&edges).map(|edge| edge.callee.file);
            let targets: BTreeSet<FileId> = files.collect();
            for target in targets {
                let mut to_target: Vec<Edge> =
                    edges.iter().filter(|edge| edge.callee.file == target).copied().collect();
                to_target.sort_by_key(|edge| edge.callee.id);
                let incoming = &mut self.tables_mut(target).incoming;
                // Who looks at the places of calls has read the file they stand in.
                let words = |edge: &Edge| (edge.caller, edge.callee, edge.kind);
                let from_file = incoming.iter().filter(|edge| edge.caller.file == file).map(words);
                let is_same = from_file.eq(to_target.iter().map(words));
                if replace(incoming, |edge| edge.caller.file, file, to_target) {
                    to_sort.insert(target);
                    if !is_same {
                        self.changed(target, Parts::INCOMING);
                    }
                }
            }
            if self.tables(file).edges != edges {
                self.tables_mut(file).edges = edges;
                self.changed(file, Parts::EDGES);
            }
        }
        for file in to_sort {
            self.tables_mut(file).incoming.sort_by_key(|edge| (edge.callee.id, edge.caller.file));
        }
    }

    pub(super) fn primitives_again(&mut self, created: Answers<Vec<Created>>) {
        for (file, created) in &created {
            let elsewhere = |created: &&Created| !self.is_replaced(created.0.file());
            let words = |created: &Created| (created.0.clone(), created.1);
            let before = self.before(*file).created.iter().filter(elsewhere).map(words);
            let is_same = created.iter().filter(elsewhere).map(words).eq(before);
            self.require(is_same, "locks, events or queues of other files");
            let mut names = self.whole.names.clone();
            for (place, ..) in created {
                names.add(self, place);
            }
            self.require(names == self.whole.names, "the names of locks, events and queues");
        }
        let replaced: Vec<FileId> = self.all_files().filter(|file| self.is_replaced(*file)).collect();
        for owner in replaced {
            let its = created.iter().flat_map(|(_, created)| created).filter(|(place, ..)| place.file() == owner);
            self.tables_mut(owner).primitives = made(its);
            self.judge_escapes(owner);
        }
        for (file, created) in created {
            self.number_again(file, &created);
            let words =
                |created: &[Created]| created.iter().map(|(place, kind, _)| (place.clone(), *kind)).collect::<Vec<_>>();
            let is_same = words(&self.tables(file).created) == words(&created);
            self.tables_mut(file).created = created;
            // Who looks at the calls reads the file they stand in.
            if !is_same {
                self.changed(file, Parts::PRIMITIVES);
            }
        }
        let uses = self.stage(|program, file| uses_in(program, file, &program.whole.names));
        for (file, uses) in uses {
            self.use_again(file, uses);
        }
    }

    /// Gives the calls of a changed file that make primitives of other files their new numbers.
    fn number_again(&mut self, file: FileId, created: &[Created]) {
        for (place, ..) in created {
            if self.is_replaced(place.file()) {
                continue;
            }
            let calls = created.iter().filter(|(other, ..)| other == place).map(|(_, _, call)| *call).collect();
            // Who looks at the calls reads the file they stand in.
            if let Some(entry) = self.primitive_mut(place) {
                replace(&mut entry.created, |call| call.file, file, calls);
            }
        }
    }

    fn use_again(&mut self, file: FileId, uses: Vec<Used>) {
        let before = &self.before(file).uses;
        let names =
            |uses: &[Used]| uses.iter().filter_map(Used::unresolved).map(str::to_owned).collect::<BTreeSet<_>>();
        self.require(names(before) == names(&uses), "uses of what may be a lock, event or queue");
        let owners = before.iter().chain(&uses).filter_map(Used::place).map(Place::file);
        let owners: BTreeSet<FileId> = owners.collect();
        for owner in owners {
            let was = self.tables(owner).primitives.clone();
            for (_, entry) in &mut self.tables_mut(owner).primitives {
                entry.operations.retain(|operation| operation.at.file != file);
                entry.escapes_in.retain(|user| *user != file);
            }
            for used in uses.iter().filter(|used| used.place().is_some_and(|place| place.file() == owner)) {
                places::enter(&mut self.tables_mut(owner).primitives, file, used.clone());
            }
            for (_, entry) in &mut self.tables_mut(owner).primitives {
                entry.operations.sort_by_key(|operation: &Operation| operation.at.file);
                entry.escapes_in.sort_unstable();
            }
            self.judge_escapes(owner);
            // Who looks at the places of uses reads the file they stand in.
            let words = |(place, used): &(Place, PrimitiveUse)| {
                let operations = used.operations.iter().map(|operation| (operation.name.clone(), operation.at.file));
                (place.clone(), used.escapes, operations.collect::<Vec<_>>())
            };
            if !self.tables(owner).primitives.iter().map(words).eq(was.iter().map(words)) {
                self.changed(owner, Parts::PRIMITIVES);
            }
        }
        self.tables_mut(file).uses = uses;
    }

    fn primitive_mut(&mut self, place: &Place) -> Option<&mut PrimitiveUse> {
        let primitives = &mut self.tables_mut(place.file()).primitives;
        let at = primitives.binary_search_by(|(other, _)| other.cmp(place)).ok()?;
        Some(&mut primitives[at].1)
    }
}

/// Replaces in a list in the order of files what one file gave; whether that made a difference.
fn replace<T: PartialEq + Clone>(list: &mut Vec<T>, giver: impl Fn(&T) -> FileId, file: FileId, given: Vec<T>) -> bool {
    if list.iter().filter(|entry| giver(*entry) == file).eq(&given) {
        return false;
    }
    list.retain(|entry| giver(entry) != file);
    let at = list.partition_point(|entry| giver(entry) < file);
    list.splice(at..at, given);
    true
}

impl Tables {
    /// Whether code outside stores something in the file's variables or in attributes of its classes.
    fn is_stored_into(&self) -> bool {
        self.rounds.iter().any(|round| !round.received.is_empty() || !round.patched.is_empty())
    }

    /// Tables of the right size that know nothing, for a file whose tables cannot be read.
    fn blank(facts: &FileFacts) -> Self {
        let mut tables = Self::default();
        let (functions, classes) = (facts.functions.len(), facts.classes.len());
        tables.habits.resize_with(functions, super::decoration::Habits::default);
        tables.bases = vec![Vec::new(); classes];
        tables.orders = vec![Box::new([Ancestor::Unknown]); classes];
        tables.subclasses = vec![Vec::new(); classes];
        tables.decorations.iter_mut().for_each(|of| of.resize(functions, super::Decoration::default()));
        for round in &mut tables.rounds {
            round.returns = vec![Ty::Unknown; functions].into();
            round.attributes = vec![super::tables::Attributes::default(); classes].into();
        }
        tables.callees = vec![Ty::Unknown; facts.calls.len()];
        tables.contexts = vec![super::Context::default(); functions];
        tables
    }
}

impl Whole {
    /// Whether others see of a file what they saw before, names apart that nobody mentions.
    fn keeps_surface(&self, old: &FileFacts, new: &FileFacts, rename: &Rename) -> bool {
        // Special methods are called without being mentioned.
        let is_free = |name: &str| !name.starts_with("__") && self.mentioned.binary_search(&hash_of(name)).is_err();
        surface::added(old, new, rename).is_some_and(|added| added.into_iter().all(is_free))
    }
}
