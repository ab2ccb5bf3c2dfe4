//! Which waiting tasks nothing can wake any more.
//!
//! All that wait for each other are taken to be stuck, and then whoever something outside could wake is taken out, and whoever those could wake, until
//! nothing changes. What is left cannot be woken: not by a task, since all that could do it are stuck, and not by anything else, since
//! nobody else has a reference. Where that is not known, a task counts as one that can be woken.

use std::cell::RefCell;

use rustc_hash::{FxHashMap, FxHashSet};
use treadle_events::{Hold, Manner, Thing, Wait, Waiting};

/// Tasks by their addresses, with what they hold, if it is that.
type Others = Vec<(u64, Option<Hold>)>;

/// Why a task is stuck.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stuck {
    /// The task, by its address.
    pub task: u64,
    /// The stuck tasks that could wake it, with what they hold, where it is that.
    pub waits_for: Others,
    /// Whether nobody but stuck tasks has a reference to what it waits for.
    pub is_forgotten: bool,
    /// Whether something that was not seen might hold what it waits for too.
    pub is_doubtful: bool,
}

/// All tasks that are stuck.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Knots {
    stuck: FxHashMap<u64, Stuck>,
}

impl Knots {
    /// The tasks, by their addresses.
    pub fn tasks(&self) -> impl Iterator<Item = u64> {
        self.stuck.keys().copied()
    }

    /// Why a task is stuck; nothing if it is not.
    pub fn stuck(&self, task: u64) -> Option<&Stuck> {
        self.stuck.get(&task)
    }

    /// Tasks that wait for each other in a ring, or in rings that hang together; and those that wait for themselves. Sorted.
    pub fn rings(&self) -> Vec<Vec<u64>> {
        let mut tasks: Vec<u64> = self.tasks().collect();
        tasks.sort_unstable();
        let mut search = Search::default();
        for task in tasks {
            search.begin(task, |task| self.next(task));
        }
        let is_ring = |ring: &Vec<u64>| {
            (ring.len() > 1 || self.next(ring[0]).contains(&ring[0])) && !self.is_only_forgotten(ring)
        };
        let mut rings: Vec<Vec<u64>> = search.found.into_iter().filter(is_ring).collect();
        for ring in &mut rings {
            ring.sort_unstable();
        }
        rings.sort_unstable();
        rings
    }

    /// Whether what holds a ring together is only that its tasks refer to something forgotten: not what they hold.
    fn is_only_forgotten(&self, ring: &[u64]) -> bool {
        let mut members = ring.iter().filter_map(|task| self.stuck.get(task));
        let holds = |stuck: &Stuck| stuck.waits_for.iter().any(|(_, hold)| hold.is_some());
        members.clone().any(|stuck| stuck.is_forgotten) && !members.any(holds)
    }

    /// The stuck tasks that a task waits for.
    fn next(&self, task: u64) -> Vec<u64> {
        let next = self.stuck.get(&task).into_iter().flat_map(|stuck| &stuck.waits_for);
        next.map(|(other, _)| *other).filter(|other| self.stuck.contains_key(other)).collect()
    }
}

/// The search for strongly connected components, as Tarjan has described it, without recursion.
#[derive(Default)]
struct Search {
    /// When each task was met, and the earliest one that it leads back to.
    met: FxHashMap<u64, (usize, usize)>,
    path: Vec<u64>,
    on_path: FxHashSet<u64>,
    found: Vec<Vec<u64>>,
}

impl Search {
    fn begin(&mut self, task: u64, next: impl Fn(u64) -> Vec<u64>) {
        if self.met.contains_key(&task) {
            return;
        }
        let mut open = vec![(task, self.enter(task, &next))];
        while let Some((task, rest)) = open.last_mut() {
            let task = *task;
            if let Some(other) = rest.pop() {
                match self.met.get(&other).copied() {
                    None => open.push((other, self.enter(other, &next))),
                    Some((order, _)) if self.on_path.contains(&other) => self.lower(task, order),
                    Some(_) => {}
                }
                continue;
            }
            open.pop();
            let (order, low) = self.met[&task];
            if let Some((above, _)) = open.last() {
                self.lower(*above, low);
            }
            if low == order {
                let from = self.path.iter().rposition(|other| *other == task).unwrap_or(0);
                let component = self.path.split_off(from);
                for other in &component {
                    self.on_path.remove(other);
                }
                self.found.push(component);
            }
        }
    }

    fn enter(&mut self, task: u64, next: impl Fn(u64) -> Vec<u64>) -> Vec<u64> {
        let order = self.met.len();
        self.met.insert(task, (order, order));
        self.path.push(task);
        self.on_path.insert(task);
        next(task)
    }

    fn lower(&mut self, task: u64, order: usize) {
        if let Some((_, low)) = self.met.get_mut(&task) {
            *low = (*low).min(order);
        }
    }
}

/// What the tasks hold, and refer to.
#[derive(Clone)]
struct Tables<'a> {
    waiting: FxHashMap<u64, &'a Waiting>,
    things: &'a FxHashMap<u64, Thing>,
    holders: FxHashMap<u64, Vec<(u64, Hold)>>,
    referring: FxHashMap<u64, Vec<(u64, u32)>>,
    /// The objects that refer to a thing or to another one of them, and how often.
    owners: FxHashMap<u64, Vec<(u64, u32)>>,
    /// Those that are stuck even if all timeouts come.
    certain: FxHashSet<u64>,
    /// Whether those are being looked for.
    is_sure: bool,
}

/// Finds the stuck ones among tasks that wait.
pub(crate) fn tie(waiting: &[&Waiting], things: &FxHashMap<u64, Thing>) -> Knots {
    let mut tables = Tables {
        waiting: waiting.iter().map(|waiting| (waiting.task, *waiting)).collect(),
        things,
        holders: FxHashMap::default(),
        referring: FxHashMap::default(),
        owners: FxHashMap::default(),
        certain: FxHashSet::default(),
        is_sure: true,
    };
    for waiting in waiting {
        for hold in &waiting.holds {
            tables.holders.entry(hold.thing).or_default().push((waiting.task, *hold));
        }
        for (thing, count) in &waiting.refers {
            tables.referring.entry(*thing).or_default().push((waiting.task, *count));
        }
    }
    for thing in things.values() {
        for (other, count) in &thing.refers {
            tables.owners.entry(*other).or_default().push((thing.address, *count));
        }
    }
    let waits = |one: &&&Waiting| !matches!(one.wait, Wait::Outside | Wait::Sleep);
    // First as if timeouts had come already: what remains is certain.
    tables.certain =
        tables.remain(waiting.iter().filter(waits).filter(|one| !one.is_timed).map(|one| one.task).collect());
    let left = {
        let tables = Tables { is_sure: false, ..tables.clone() };
        tables.remain(waiting.iter().filter(waits).map(|one| one.task).collect())
    };
    tables.is_sure = false;
    Knots { stuck: left.iter().filter_map(|task| Some((*task, tables.stuck(*task, &left)?))).collect() }
}

/// What was found out of things in one pass: many tasks wait for the same.
#[derive(Default)]
struct Verdicts(RefCell<FxHashMap<u64, bool>>);

/// By way of how many objects one may come to a thing.
const OWNERS: usize = 64;

/// How many others are named of all that a task may wait for.
const NAMED: usize = 32;

impl Tables<'_> {
    /// What remains of some tasks if those that could be woken are taken out.
    fn remain(&self, mut left: FxHashSet<u64>) -> FxHashSet<u64> {
        loop {
            let verdicts = Verdicts::default();
            let free: Vec<u64> = left.iter().copied().filter(|task| !self.is_stuck(*task, &left, &verdicts)).collect();
            if free.is_empty() {
                return left;
            }
            for task in &free {
                left.remove(task);
            }
        }
    }

    /// Whether a task is stuck if those in `left` are.
    fn is_stuck(&self, task: u64, left: &FxHashSet<u64>, verdicts: &Verdicts) -> bool {
        let Some(Wait::Thing(_, thing)) = self.waiting.get(&task).map(|waiting| &waiting.wait) else {
            return self.stuck(task, left).is_some();
        };
        // Those that are stuck for certain, and others, may differ.
        let key = thing << 1 | u64::from(self.certain.contains(&task));
        let known = verdicts.0.borrow().get(&key).copied();
        known.unwrap_or_else(|| {
            let is_stuck = self.stuck(task, left).is_some();
            verdicts.0.borrow_mut().insert(key, is_stuck);
            is_stuck
        })
    }

    /// Why a task is stuck if those in `left` are; nothing if it can be woken.
    fn stuck(&self, task: u64, left: &FxHashSet<u64>) -> Option<Stuck> {
        let waiting = self.waiting.get(&task)?;
        let stuck = |waits_for| Stuck {
            task,
            waits_for,
            is_forgotten: false,
            is_doubtful: !self.is_sure && !self.certain.contains(&task),
        };
        let others = |tasks: &[u64]| {
            tasks.iter().filter(|other| left.contains(other)).map(|other| (*other, None)).collect::<Vec<_>>()
        };
        match &waiting.wait {
            Wait::Outside | Wait::Sleep => None,
            Wait::All(tasks) => Some(others(tasks)).filter(|others| !others.is_empty()).map(stuck),
            Wait::Any(tasks) => {
                Some(others(tasks)).filter(|others| !others.is_empty() && others.len() == tasks.len()).map(stuck)
            }
            Wait::Thing(manner @ (Manner::Lock | Manner::Permit), thing) if self.holders.contains_key(thing) => self
                .held(*manner, *thing, left)
                .map(|(holders, is_doubtful)| (stuck(holders), is_doubtful))
                .map(|(stuck, is_doubtful)| Stuck { is_doubtful: stuck.is_doubtful || is_doubtful, ..stuck }),
            // Of a lock that is locked and in nobody's `async with`, too.
            Wait::Thing(_, thing) if self.is_sure || self.certain.contains(&task) => {
                let others = self.forgotten(*thing, if self.is_sure { left } else { &self.certain })?;
                let others = others.into_iter().filter(|other| *other != task).map(|other| (other, None)).collect();
                Some(Stuck { is_forgotten: true, ..stuck(others) })
            }
            Wait::Thing(..) => None,
        }
    }

    /// The stuck holders of a lock or of all permits, and whether there may be others.
    fn held(&self, manner: Manner, thing: u64, left: &FxHashSet<u64>) -> Option<(Others, bool)> {
        let (holders, known) = (self.holders.get(&thing)?, self.things.get(&thing)?);
        if !known.is_taken || !holders.iter().all(|(holder, _)| left.contains(holder)) {
            return None;
        }
        let is_doubtful = manner == Manner::Permit && known.bound != holders.len() as u64;
        Some((holders.iter().take(NAMED).map(|(holder, hold)| (*holder, Some(*hold))).collect(), is_doubtful))
    }

    /// The tasks that refer to a thing, if all of them are stuck and nobody else does. Who refers to nothing by name waits for ever on purpose.
    fn forgotten(&self, thing: u64, left: &FxHashSet<u64>) -> Option<Vec<u64>> {
        let known = self.things.get(&thing)?;
        if known.is_free() {
            return None;
        }
        let least = if known.class == "Future" { 1 } else { 2 };
        let owners = self.forgotten_owners(thing, left);
        let count = self.count(thing, left, &owners)?;
        let is_all = known.references <= count && count >= least;
        let among = |one| self.referring.get(one).into_iter().flatten().map(|(task, _)| *task);
        let mut tasks: Vec<u64> = among(&thing).collect();
        for task in owners.iter().flat_map(among) {
            if tasks.len() >= NAMED {
                break;
            }
            if !tasks.contains(&task) {
                tasks.push(task);
            }
        }
        tasks.truncate(NAMED);
        is_all.then_some(tasks)
    }

    /// The objects by way of which one comes to a thing, without those that somebody else can come to. Sorted.
    fn forgotten_owners(&self, thing: u64, left: &FxHashSet<u64>) -> Vec<u64> {
        let mut owners: Vec<u64> = Vec::new();
        let mut open = vec![thing];
        while let Some(one) = open.pop() {
            for (owner, _) in self.owners.get(&one).into_iter().flatten() {
                if !owners.contains(owner) && owners.len() < OWNERS {
                    owners.push(*owner);
                    open.push(*owner);
                }
            }
        }
        // All are taken to be forgotten, until it turns out who is not.
        loop {
            let is_forgotten = |owner: &u64| {
                let known = self.things.get(owner).map_or(u32::MAX, |known| known.references);
                self.count(*owner, left, &owners).is_some_and(|count| known <= count)
            };
            let kept: Vec<u64> = owners.iter().copied().filter(is_forgotten).collect();
            if kept.len() == owners.len() {
                owners.sort_unstable();
                return owners;
            }
            owners = kept;
        }
    }

    /// How many references to something come from stuck tasks and forgotten objects; nothing if a task that could go on has one: it may do anything with
    /// what it refers to, also if that was counted already.
    fn count(&self, thing: u64, left: &FxHashSet<u64>, owners: &[u64]) -> Option<u32> {
        let tasks = || self.referring.get(&thing).into_iter().flatten();
        let objects = self.owners.get(&thing).into_iter().flatten().filter(|(owner, _)| owners.contains(owner));
        let is_stuck = tasks().all(|(task, _)| left.contains(task));
        is_stuck.then(|| tasks().chain(objects).map(|(_, count)| *count).sum())
    }
}

#[cfg(test)]
mod tests {
    use treadle_events::PlaceId;

    use super::*;

    const LOCKS: [u64; 3] = [101, 102, 103];
    const SEMAPHORE: u64 = 200;
    const QUEUE: u64 = 300;
    const FUTURE: u64 = 400;

    fn task(task: u64, wait: Wait, holds: &[u64]) -> Waiting {
        let holds = holds.iter().map(|thing| Hold { thing: *thing, place: PlaceId(task as u32) }).collect();
        Waiting { task, wait, holds, ..Waiting::default() }
    }

    fn lock(task_: u64, wanted: u64, holds: &[u64]) -> Waiting {
        task(task_, Wait::Thing(Manner::Lock, wanted), holds)
    }

    fn refers(waiting: Waiting, refers: &[(u64, u32)]) -> Waiting {
        Waiting { refers: refers.to_vec(), ..waiting }
    }

    fn tied(waiting: &[Waiting], references: u32, bound: u64) -> Knots {
        let thing = |address: u64, class: &str| Thing {
            address,
            class: class.to_owned(),
            references,
            is_taken: true,
            bound,
            size: 0,
            refers: Vec::new(),
        };
        let things = LOCKS.map(|address| thing(address, "Lock")).into_iter();
        let things =
            things.chain([thing(SEMAPHORE, "BoundedSemaphore"), thing(QUEUE, "Queue"), thing(FUTURE, "Future")]);
        tie(&waiting.iter().collect::<Vec<_>>(), &things.map(|thing| (thing.address, thing)).collect())
    }

    fn rings(waiting: &[Waiting]) -> Vec<Vec<u64>> {
        tied(waiting, 9, 2).rings()
    }

    #[test]
    fn tasks_that_hold_what_the_others_want_are_a_ring() {
        let [a, b, c] = LOCKS;
        assert_eq!(rings(&[lock(1, b, &[a]), lock(2, a, &[b])]), [[1, 2]]);
        assert_eq!(rings(&[lock(1, b, &[a]), lock(2, c, &[b]), lock(3, a, &[c])]), [[1, 2, 3]]);
        assert_eq!(rings(&[lock(1, a, &[a])]), [[1]]);
    }

    #[test]
    fn who_only_queues_up_for_a_ring_is_stuck_and_not_in_it() {
        let [a, b, c] = LOCKS;
        let waiting = [lock(1, b, &[a]), lock(2, a, &[b]), lock(3, a, &[c]), lock(4, c, &[])];
        let knots = tied(&waiting, 9, 2);
        assert_eq!(knots.rings(), [[1, 2]]);
        assert_eq!(knots.tasks().collect::<FxHashSet<_>>().len(), 4);
    }

    #[test]
    fn a_holder_that_can_go_on_is_no_ring() {
        let [a, b, _] = LOCKS;
        assert!(rings(&[lock(1, b, &[a]), task(2, Wait::Sleep, &[b])]).is_empty());
        assert!(rings(&[lock(1, b, &[a]), task(2, Wait::Outside, &[b])]).is_empty());
        // Nobody knows who holds it.
        assert!(rings(&[lock(1, b, &[a])]).is_empty());
    }

    #[test]
    fn a_permit_is_missing_for_ever_only_if_all_holders_are_stuck() {
        let waits = |task_| task(task_, Wait::Thing(Manner::Permit, SEMAPHORE), &[SEMAPHORE]);
        let both = tied(&[waits(1), waits(2)], 9, 2);
        assert_eq!(both.rings(), [[1, 2]]);
        assert!(!both.stuck(1).is_none_or(|stuck| stuck.is_doubtful));
        // A third permit may be anybody's.
        assert!(tied(&[waits(1), waits(2)], 9, 3).stuck(1).is_some_and(|stuck| stuck.is_doubtful));
        assert!(rings(&[waits(1), task(2, Wait::Sleep, &[SEMAPHORE])]).is_empty());
    }

    #[test]
    fn tasks_that_await_each_other_are_a_ring() {
        let [a, ..] = LOCKS;
        assert_eq!(rings(&[task(1, Wait::All(vec![2, 7]), &[a]), lock(2, a, &[])]), [[1, 2]]);
        assert_eq!(rings(&[task(1, Wait::Any(vec![2]), &[a]), lock(2, a, &[])]), [[1, 2]]);
        assert!(rings(&[task(1, Wait::Any(vec![2, 7]), &[a]), lock(2, a, &[])]).is_empty());
    }

    #[test]
    fn what_only_stuck_tasks_refer_to_wakes_nobody() {
        let [a, ..] = LOCKS;
        let item = |task_, count| refers(task(task_, Wait::Thing(Manner::Item, QUEUE), &[]), &[(QUEUE, count)]);
        assert!(tied(&[item(1, 2)], 2, 0).stuck(1).is_some_and(|stuck| stuck.is_forgotten));
        assert!(tied(&[item(1, 2)], 3, 0).stuck(1).is_none());
        // The producer waits for a lock that the consumer holds.
        let consumer = Waiting { holds: lock(1, a, &[a]).holds, ..item(1, 2) };
        let producer = refers(lock(2, a, &[]), &[(QUEUE, 1)]);
        assert_eq!(tied(&[consumer.clone(), producer], 3, 0).rings(), [[1, 2]]);
        let producer = refers(task(2, Wait::Sleep, &[]), &[(QUEUE, 1)]);
        assert!(tied(&[consumer, producer], 3, 0).rings().is_empty());
    }

    #[test]
    fn what_is_reached_by_way_of_a_forgotten_object_is_forgotten_too() {
        const SELF: u64 = 500;
        let item = |count| refers(task(1, Wait::Thing(Manner::Item, QUEUE), &[]), &[(QUEUE, 1), (SELF, count)]);
        let is_stuck = |waiting: &[Waiting], references| {
            let queue = Thing { address: QUEUE, class: "Queue".to_owned(), references: 2, ..Thing::default() };
            let object = Thing { address: SELF, references, refers: vec![(QUEUE, 1)], ..Thing::default() };
            let things = [queue, object].into_iter().map(|thing| (thing.address, thing)).collect();
            tie(&waiting.iter().collect::<Vec<_>>(), &things).stuck(1).is_some()
        };
        assert!(is_stuck(&[item(2)], 2));
        assert!(!is_stuck(&[item(2)], 3), "somebody else has the object");
        let idle = refers(task(2, Wait::Sleep, &[]), &[(SELF, 1)]);
        assert!(!is_stuck(&[item(2), idle], 3), "somebody has it who can go on");
    }

    #[test]
    fn who_awaits_a_task_that_is_forgotten_is_in_no_ring_with_it() {
        let consumer = refers(task(1, Wait::Thing(Manner::Item, QUEUE), &[]), &[(QUEUE, 2)]);
        let parent = refers(task(2, Wait::All(vec![1]), &[]), &[(QUEUE, 1)]);
        let knots = tied(&[consumer, parent], 3, 0);
        assert!(knots.rings().is_empty());
        assert!(knots.stuck(1).is_some_and(|stuck| stuck.is_forgotten));
    }

    #[test]
    fn a_lock_that_nobody_is_left_to_release_is_forgotten() {
        let waits = |task_| refers(lock(task_, LOCKS[0], &[]), &[(LOCKS[0], 2)]);
        assert!(tied(&[waits(1), waits(2)], 4, 0).stuck(1).is_some_and(|stuck| stuck.is_forgotten));
        assert!(tied(&[waits(1), waits(2)], 5, 0).stuck(1).is_none());
    }

    #[test]
    fn whoever_awaits_what_it_has_not_even_named_waits_on_purpose() {
        let future = |count| refers(task(1, Wait::Thing(Manner::Result, FUTURE), &[]), &[(FUTURE, count)]);
        assert!(tied(&[future(1)], 1, 0).stuck(1).is_some());
        assert!(tied(&[task(1, Wait::Thing(Manner::Result, FUTURE), &[])], 0, 0).stuck(1).is_none());
    }

    #[test]
    fn who_waits_for_somebody_with_a_timeout_may_still_do_something() {
        let worker = refers(task(1, Wait::Thing(Manner::Item, QUEUE), &[]), &[(QUEUE, 2)]);
        let parent = Waiting { is_timed: true, ..refers(task(2, Wait::All(vec![1]), &[]), &[(QUEUE, 1)]) };
        assert!(tied(&[worker, parent], 3, 0).stuck(1).is_none());
    }

    #[test]
    fn a_timeout_makes_a_ring_doubtful_and_a_wait_fine() {
        let [a, b, _] = LOCKS;
        let timed = |waiting| Waiting { is_timed: true, ..waiting };
        let knots = tied(&[timed(lock(1, b, &[a])), lock(2, a, &[b])], 9, 2);
        assert_eq!(knots.rings(), [[1, 2]]);
        assert!(knots.stuck(1).is_some_and(|stuck| stuck.is_doubtful));
        let item = refers(task(1, Wait::Thing(Manner::Item, QUEUE), &[]), &[(QUEUE, 2)]);
        assert!(tied(&[timed(item)], 2, 0).stuck(1).is_none());
    }
}
