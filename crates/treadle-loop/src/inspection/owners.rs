//! Instances and containers by which a frame comes to what tasks wait for: `self`, its attributes, a dict of futures.
//!
//! Each says how many references there are to it and what it refers to. If all of those come from tasks that are stuck, so do those that it has. What is
//! not followed is missing on one side only, so that it counts as somebody unknown.

use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use treadle_events::Thing;

use super::Desk;
use super::knowledge::Class;
use crate::ffi::{Object, Result, cell_content};
use crate::known::known;

/// How many steps lead from a frame to the last one that is looked into.
const DEPTH: usize = 4;

/// How many are looked into for each frame, and how long a container may be.
const MOST: usize = 48;
const LONG: usize = 128;

/// One of them.
struct Owner {
    object: Object,
    references: u32,
    refers: Vec<(u64, u32)>,
}

/// A thing that was met, and how many references there were to it.
pub(super) struct Found {
    pub(super) object: Object,
    pub(super) class: Class,
    pub(super) references: u32,
}

/// What a frame refers to.
#[derive(Default)]
pub(super) struct Owners {
    /// Those that it refers to itself, by their addresses.
    pub(super) roots: SmallVec<[u64; 4]>,
    /// Things that were not known, but for futures.
    pub(super) found: Vec<Found>,
    all: Vec<Owner>,
}

impl Owners {
    /// Looks for them. Nothing in here runs Python.
    pub(super) fn of(desk: &Desk, suspended: &Object, things: &FxHashMap<u64, Thing>) -> Self {
        let mut owners = Self::default();
        let mut roots = SmallVec::new();
        suspended.each_referent(|referent| {
            // A cell that nobody else has is as good as a variable.
            let inner = if referent.reference_count() == 1 { cell_content(referent) } else { None };
            let (object, own) = inner.as_ref().map_or((referent, 0), |inner| (inner, 1));
            let address = object.address() as u64;
            if is_owner(desk, object) && !roots.contains(&address) {
                roots.push(address);
                if !things.contains_key(&address) {
                    owners.meet(object, own);
                }
            }
        });
        let mut begin = 0;
        for depth in 1..=DEPTH {
            let end = owners.all.len();
            for index in begin..end {
                owners.follow(desk, index, depth < DEPTH);
            }
            begin = end;
        }
        owners.prune();
        let leads = |root: &u64| things.contains_key(root) || owners.all.iter().any(|one| one.address() == *root);
        roots.retain(|root| leads(root));
        Self { roots, ..owners }
    }

    /// `own` is how many of the references to it are ours.
    fn meet(&mut self, object: &Object, own: isize) {
        if self.all.len() < MOST && self.all.iter().all(|one| !one.object.is(object)) {
            let references = u32::try_from(object.reference_count() - own).unwrap_or(u32::MAX);
            self.all.push(Owner { object: object.clone(), references, refers: Vec::new() });
        }
    }

    fn follow(&mut self, desk: &Desk, index: usize, goes_on: bool) {
        let object = self.all[index].object.clone();
        let mut refers: Vec<(u64, u32)> = Vec::new();
        object.each_referent(|referent| {
            let class = desk.knowledge.class(referent).filter(|class| class.is_thing());
            if let Some(class) = class {
                self.find(referent, class);
            } else if goes_on && is_owner(desk, referent) {
                self.meet(referent, 0);
            } else {
                return;
            }
            let address = referent.address() as u64;
            match refers.iter_mut().find(|(known, _)| *known == address) {
                Some((_, times)) => *times += 1,
                None => refers.push((address, 1)),
            }
        });
        self.all[index].refers = refers;
    }

    fn find(&mut self, object: &Object, class: Class) {
        if class != Class::Future && self.found.iter().all(|one| !one.object.is(object)) {
            let references = u32::try_from(object.reference_count()).unwrap_or(u32::MAX);
            self.found.push(Found { object: object.clone(), class, references });
        }
    }

    /// Leaves those out that lead to nothing.
    fn prune(&mut self) {
        loop {
            let count = self.all.len();
            let kept: Vec<u64> = self.all.iter().filter(|one| !one.refers.is_empty()).map(Owner::address).collect();
            let gone: Vec<u64> = self.all.iter().filter(|one| one.refers.is_empty()).map(Owner::address).collect();
            self.all.retain(|one| kept.contains(&one.address()));
            for one in &mut self.all {
                one.refers.retain(|(address, _)| !gone.contains(address));
            }
            if self.all.len() == count {
                return;
            }
        }
    }

    /// Takes them in. Whoever has a weak reference may come back to one, so those that somebody has are left out.
    pub(super) fn tell(self, desk: &Desk, things: &mut FxHashMap<u64, Thing>) -> Result<()> {
        for one in self.all {
            let is_weakly_known = desk.knowledge.weak_references.call([&one.object])?.to_integer()? > 0;
            let references = if is_weakly_known { u32::MAX } else { one.references };
            let thing = Thing { address: one.address(), references, refers: one.refers, ..Thing::default() };
            things.entry(thing.address).or_insert(thing);
        }
        Ok(())
    }
}

impl Owner {
    fn address(&self) -> u64 {
        self.object.address() as u64
    }
}

fn is_owner(desk: &Desk, object: &Object) -> bool {
    if let Some(length) = object.container_length() {
        return (1..=LONG).contains(&length);
    }
    desk.knowledge.class(object).is_none()
        && desk.knowledge.layout(object).is_none()
        && object.is_plain_instance()
        && !object.is_of(known().event_loop.object())
}
