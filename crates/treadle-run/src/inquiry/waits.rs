//! Who waits for what: rings first, then who was forgotten, then what most wait for.

use std::cmp::Reverse;

use rustc_hash::{FxHashMap, FxHashSet};
use serde::{Deserialize, Serialize};
use treadle_events::{PlaceId, Wait, Waiting};
use treadle_finding::Site;

use super::{clip, first_by};
use crate::{Run, Stuck};

/// How many rings, and how many members of each, how many forgotten tasks, how many things, and how many who hold one or wait for it are named.
const RINGS: usize = 20;
const MEMBERS: usize = 20;
const ALONE: usize = 50;
const THINGS: usize = 50;
const NAMED: usize = 4;

/// Who waits for what.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct WaitPage {
    /// Tasks that wait for each other, each after the one that waits for it.
    pub rings: Vec<Vec<Waiter>>,
    /// Tasks that wait for what everybody has forgotten, or for tasks that are stuck.
    pub alone: Vec<Waiter>,
    /// What tasks wait for, from that which most wait for.
    pub things: Vec<ThingRow>,
    /// How many tasks wait for other tasks, for a time, and for what could not be seen through.
    pub for_tasks: u64,
    /// See `for_tasks`.
    pub for_time: u64,
    /// See `for_tasks`.
    pub outside: u64,
}

/// A task that waits.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Waiter {
    /// Its address.
    pub task: u64,
    /// Its name.
    pub name: String,
    /// Where it waits.
    pub at: Site,
    /// For what: a word, and the class of the object.
    pub what: String,
    /// See `what`.
    pub class: String,
    /// Who has that.
    pub holders: Vec<Holder>,
    /// Since when it has made no step, in nanoseconds.
    pub quiet: u64,
    /// Whether something that was not seen might wake it.
    pub is_doubtful: bool,
}

/// A task that another one waits for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Holder {
    /// Its address.
    pub task: u64,
    /// Its name.
    pub name: String,
    /// The line of the `async with`, if it holds something.
    pub since: Option<Site>,
}

/// Something that tasks wait for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ThingRow {
    /// Its address.
    pub thing: u64,
    /// What is wanted of it, in a word.
    pub what: String,
    /// Its class.
    pub class: String,
    /// How many wait.
    pub waiting: u64,
    /// How many of them nothing wakes any more.
    pub stuck: u64,
    /// Some of them.
    pub some: Vec<Holder>,
    /// Who has it.
    pub holders: Vec<Holder>,
    /// The line at which one of them waits.
    pub at: Site,
    /// How long the one that has waited longest has made no step, in nanoseconds.
    pub longest: u64,
}

/// Those who wait for one thing.
struct Crowd<'a> {
    count: u64,
    first: &'a Waiting,
    some: [u64; NAMED],
}

impl Run {
    pub(super) fn wait_page(&self) -> WaitPage {
        let mut page = WaitPage::default();
        let mut crowds: FxHashMap<u64, Crowd<'_>> = FxHashMap::default();
        for parked in self.all_parked() {
            let waiting = &parked.waiting;
            match &waiting.wait {
                Wait::Outside => page.outside += 1,
                Wait::Sleep => page.for_time += 1,
                Wait::All(_) | Wait::Any(_) => page.for_tasks += 1,
                Wait::Thing(_, thing) => {
                    let crowd = crowds.entry(*thing).or_insert(Crowd { count: 0, first: waiting, some: [0; NAMED] });
                    if let Some(free) = crowd.some.get_mut(crowd.count as usize) {
                        *free = waiting.task;
                    }
                    crowd.count += 1;
                    if self.born(waiting.task) < self.born(crowd.first.task) {
                        crowd.first = waiting;
                    }
                }
            }
        }
        let stuck = self.stuck_by_thing();
        let crowds = first_by(crowds.into_iter().collect(), THINGS, |(thing, crowd)| {
            let stuck = stuck.get(thing).copied().unwrap_or(0);
            (Reverse(stuck), Reverse(crowd.count), self.born(crowd.first.task), *thing)
        });
        let holders = self.holders_of(&crowds.iter().map(|(thing, _)| *thing).collect());
        page.things =
            crowds.into_iter().map(|(thing, crowd)| self.thing_row(thing, &crowd, &stuck, &holders)).collect();
        self.add_stuck(&mut page);
        page
    }

    fn thing_row(
        &self,
        thing: u64,
        crowd: &Crowd<'_>,
        stuck: &FxHashMap<u64, u64>,
        holders: &FxHashMap<u64, Vec<Holder>>,
    ) -> ThingRow {
        let Wait::Thing(manner, _) = crowd.first.wait else { return ThingRow::default() };
        let since = self.tasks().get(&crowd.first.task).map_or(0, |row| row.last_step.max(row.born));
        ThingRow {
            thing,
            what: manner.word().to_owned(),
            class: self.waits().thing(thing).map(|thing| clip(&thing.class)).unwrap_or_default(),
            waiting: crowd.count,
            stuck: stuck.get(&thing).copied().unwrap_or(0),
            some: crowd.some.iter().filter(|task| **task != 0).map(|task| self.holder(*task, None)).collect(),
            holders: holders.get(&thing).cloned().unwrap_or_default(),
            at: self.site(self.standing(crowd.first)),
            longest: self.scale().duration(self.now().saturating_sub(since)),
        }
    }

    /// How many stuck tasks wait for each thing.
    fn stuck_by_thing(&self) -> FxHashMap<u64, u64> {
        let mut counts = FxHashMap::default();
        for task in self.waits().knots().tasks() {
            if let Some(Wait::Thing(_, thing)) = self.parked(task).map(|parked| &parked.waiting.wait) {
                *counts.entry(*thing).or_default() += 1;
            }
        }
        counts
    }

    /// Some of those who hold things.
    fn holders_of(&self, things: &FxHashSet<u64>) -> FxHashMap<u64, Vec<Holder>> {
        let mut found: FxHashMap<u64, Vec<Holder>> = FxHashMap::default();
        for parked in self.all_parked().filter(|parked| !parked.waiting.holds.is_empty()) {
            for hold in parked.waiting.holds.iter().filter(|hold| things.contains(&hold.thing)) {
                let holders = found.entry(hold.thing).or_default();
                if holders.len() < NAMED {
                    holders.push(self.holder(parked.waiting.task, Some(hold.place)));
                }
            }
        }
        found
    }

    fn add_stuck(&self, page: &mut WaitPage) {
        let knots = self.waits().knots();
        let rings = knots.rings();
        let in_rings: FxHashSet<u64> = rings.iter().flatten().copied().collect();
        for ring in rings.iter().take(RINGS) {
            let mut members = Vec::new();
            // From the oldest on, from each to one that it waits for, until that was met.
            let mut left = first_by(ring.clone(), ring.len(), |task| (self.born(*task), *task));
            let mut next = left.first().copied();
            while let Some(task) = next.or(left.first().copied()) {
                left.retain(|other| *other != task);
                members.extend(knots.stuck(task).and_then(|stuck| self.waiter(stuck)));
                let others = knots.stuck(task).into_iter().flat_map(|stuck| &stuck.waits_for);
                next = others.map(|(other, _)| *other).find(|other| left.contains(other));
                if members.len() >= MEMBERS {
                    break;
                }
            }
            page.rings.push(members);
        }
        let alone = knots.tasks().filter(|task| !in_rings.contains(task)).collect();
        page.alone = first_by(alone, ALONE, |task| (self.born(*task), *task))
            .into_iter()
            .filter_map(|task| knots.stuck(task).and_then(|stuck| self.waiter(stuck)))
            .collect();
    }

    fn waiter(&self, stuck: &Stuck) -> Option<Waiter> {
        let waiting = &self.parked(stuck.task)?.waiting;
        let row = self.row(stuck.task)?;
        let (what, class) = row.waits_for.unwrap_or_default();
        let holders = stuck.waits_for.iter().take(NAMED);
        Some(Waiter {
            task: stuck.task,
            name: clip(&waiting.name),
            at: self.site(self.standing(waiting)),
            what: what.to_owned(),
            class: clip(&class),
            holders: holders.map(|(task, hold)| self.holder(*task, hold.map(|hold| hold.place))).collect(),
            quiet: row.quiet,
            is_doubtful: stuck.is_doubtful,
        })
    }

    /// Those who have what a task waits for, or whom it awaits.
    pub(super) fn holders_for(&self, task: u64) -> Vec<Holder> {
        match self.parked(task).map(|parked| &parked.waiting.wait) {
            Some(Wait::All(tasks) | Wait::Any(tasks)) => {
                tasks.iter().take(NAMED).map(|task| self.holder(*task, None)).collect()
            }
            Some(Wait::Thing(_, thing)) => {
                self.holders_of(&FxHashSet::from_iter([*thing])).remove(thing).unwrap_or_default()
            }
            _ => Vec::new(),
        }
    }

    fn born(&self, task: u64) -> u64 {
        self.tasks().get(&task).map_or(u64::MAX, |row| row.born)
    }

    pub(super) fn holder(&self, task: u64, place: Option<PlaceId>) -> Holder {
        let name = self.parked(task).map_or_else(|| format!("task {task:#x}"), |parked| clip(&parked.waiting.name));
        Holder { task, name, since: place.map(|place| self.site(place)) }
    }
}
