//! What tasks were last seen waiting for. It holds as long as they make no step.

use rustc_hash::{FxHashMap, FxHashSet};
use treadle_events::{Manner, Owner, Picture, PlaceId, Request, Surroundings, Thing, Wait, Waiting};

use crate::knots::{self, Knots, Stuck};
use crate::{Run, Task};

/// From when on a task that makes no step is looked at, in nanoseconds.
const QUIET: u64 = 400_000_000;

/// How long after the first look those that seem stuck are looked at again.
const AGAIN: u64 = 200_000_000;

/// How old what was seen of references may be, where tasks have ended since.
const STALE: u64 = 1_000_000_000;

/// How many of those are looked at again at once.
const STALE_COUNT: usize = 2_000;

/// How many stuck tasks and rings are remembered.
const SEIZED: usize = 1_000;

/// How many forgotten tasks are told of at once.
const ALONE: usize = 100;

/// How many tasks are looked at for the queues that they use, and how many of each kind.
const SAMPLE: usize = 64;
const KIND: u32 = 2;

/// Looking for queues takes no more than one part in so many of a loop's time.
const SHARE: u64 = 200;

/// How many callbacks must have run since the last time.
const CALLBACKS: u64 = 32;

/// How often loops are asked what they have around them, in nanoseconds.
const MEASURE: u64 = 1_000_000_000;

/// For how long whoever has asked for numbers is taken to want more, in nanoseconds.
const INTEREST: u64 = 300_000_000_000;

/// How often a task that is not there is asked for.
const PATIENCE: u32 = 2;

/// A task as it was last seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parked {
    /// What was seen.
    pub waiting: Waiting,
    /// When the same was seen for the first time, in ticks.
    pub since: u64,
    /// How often the same was seen.
    pub looks: u32,
}

impl Parked {
    /// Whether the task has made no step since it was seen.
    fn holds(&self, task: &Task) -> bool {
        task.last_step.max(task.born) <= self.waiting.stamp
    }
}

/// Tasks of which it was seen twice that nothing wakes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seized {
    /// Those that wait for each other, or one that waits for what everybody has forgotten; sorted by their addresses.
    pub members: Vec<Member>,
    /// Whether they wait for each other.
    pub is_ring: bool,
    /// Whether nothing else was left in the loop: no task that could go on, no timer, no descriptor, no job.
    pub is_end: bool,
    /// Since when, in ticks.
    pub since: u64,
    /// When it was so for the last time, in ticks.
    pub last: u64,
}

/// One of those.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// What was seen of it.
    pub waiting: Waiting,
    /// What it waits for, if that is a thing.
    pub thing: Option<Thing>,
    /// Why it is stuck.
    pub stuck: Stuck,
    /// Where it was made.
    pub birth: PlaceId,
    /// Whether another task has made it.
    pub is_child: bool,
}

/// What was seen of waiting tasks.
#[derive(Clone, Debug, Default)]
pub struct Waits {
    parked: FxHashMap<u64, Parked>,
    things: FxHashMap<u64, Thing>,
    surroundings: FxHashMap<u8, Surroundings>,
    /// When that was asked for last, in ticks, how many callbacks there had been, and when somebody wanted to know without another reason.
    measured: u64,
    measured_callbacks: u64,
    interest: Option<u64>,
    /// When statistics of patterns were asked for last, in ticks, how many callbacks there had been, and of which of the loops.
    read: (u64, u64, usize),
    /// Tasks that were asked for, with their last step then, and how often.
    asked: FxHashMap<u64, (u64, u32)>,
    /// How long loops were stopped for the answer that is coming, and for the last one, in ticks.
    cost: u64,
    last_cost: u64,
    knots: Knots,
    /// Whether something was seen that the knots do not know.
    is_new: bool,
    seized: Vec<Seized>,
    /// When a task has ended last, in ticks.
    pub(crate) last_end: u64,
    /// How many answers there were, how long loops were stopped for them altogether, and at most at once, in ticks.
    pub pictures: (u64, u64, u64),
}

impl Waits {
    /// A thing that tasks wait for, hold or refer to, by its address.
    pub fn thing(&self, address: u64) -> Option<&Thing> {
        self.things.get(&address)
    }

    /// Whether nothing wakes a task any more.
    pub fn is_stuck(&self, task: u64) -> bool {
        self.knots.stuck(task).is_some()
    }

    /// The tasks that nothing wakes any more, by their addresses, with why.
    pub fn knots(&self) -> &Knots {
        &self.knots
    }

    /// How many tasks there are that nothing wakes.
    pub fn stuck(&self) -> u64 {
        self.knots.tasks().count() as u64
    }

    /// What else a loop had, when it was last looked at.
    pub fn surroundings(&self, event_loop: u8) -> Option<Surroundings> {
        self.surroundings.get(&event_loop).copied()
    }

    fn see(&mut self, picture: Picture) {
        self.is_new |= !picture.tasks.is_empty() || !picture.things.is_empty();
        let took = picture.ended.saturating_sub(picture.began);
        let (answers, total, longest) = &mut self.pictures;
        (*total, *longest) = (*total + took, took.max(*longest));
        self.cost += took;
        if picture.is_last {
            *answers += 1;
            self.last_cost = std::mem::take(&mut self.cost);
            self.surroundings.insert(picture.event_loop, picture.surroundings);
            self.measured = picture.ended;
        }
        self.things.extend(picture.things.into_iter().map(|thing| (thing.address, thing)));
        for waiting in picture.tasks {
            self.asked.remove(&waiting.task);
            let known = self.parked.get(&waiting.task);
            let (since, looks) = match known.filter(|known| is_same(&known.waiting, &waiting)) {
                Some(known) => (known.since, known.looks + 1),
                None => (waiting.stamp, 1),
            };
            self.parked.insert(waiting.task, Parked { waiting, since, looks });
        }
    }
}

fn is_same(one: &Waiting, other: &Waiting) -> bool {
    (&one.wait, &one.holds, &one.chain) == (&other.wait, &other.holds, &other.chain)
}

impl Run {
    /// Takes a picture in.
    pub fn see(&mut self, picture: Picture) {
        let window = self.queue_window() / 2;
        self.queues.see(&picture, window);
        self.patterns.see(&picture);
        self.waits.see(picture);
        // Whoever has ended, or gone on, is of no interest any more.
        if self.waits.parked.len() > 2 * self.tasks().len() + 1_000 {
            let tasks = std::mem::take(&mut self.waits.parked);
            self.waits.parked = tasks.into_iter().filter(|(task, parked)| self.still(*task, parked)).collect();
            let mut used: FxHashSet<u64> = FxHashSet::default();
            let mut open: Vec<u64> = self.waits.parked.values().flat_map(|parked| things_of(&parked.waiting)).collect();
            while let Some(thing) = open.pop() {
                if used.insert(thing) {
                    open.extend(
                        self.waits
                            .things
                            .get(&thing)
                            .into_iter()
                            .flat_map(|thing| &thing.refers)
                            .map(|(thing, _)| *thing),
                    );
                }
            }
            self.waits.things.retain(|thing, _| used.contains(thing));
        }
    }

    /// From now on, for some minutes, loops are asked what they have around them, though no task is worth a look, and for the statistics of patterns.
    pub fn measure(&mut self) {
        self.waits.interest = Some(self.now());
    }

    /// What was seen of waiting tasks.
    pub fn waits(&self) -> &Waits {
        &self.waits
    }

    /// A task as it was last seen, if it has made no step since then.
    pub fn parked(&self, task: u64) -> Option<&Parked> {
        self.waits.parked.get(&task).filter(|parked| self.still(task, parked))
    }

    /// All of those.
    pub fn all_parked(&self) -> impl Iterator<Item = &Parked> {
        self.waits.parked.iter().filter(|(task, parked)| self.still(**task, parked)).map(|(_, parked)| parked)
    }

    fn still(&self, task: u64, parked: &Parked) -> bool {
        self.tasks().get(&task).is_some_and(|row| parked.holds(row))
    }

    /// The tasks of which it was seen twice that nothing wakes them, the last thousand times.
    pub fn seized(&self) -> &[Seized] {
        &self.waits.seized
    }

    /// Works out who is stuck.
    pub fn reflect(&mut self) {
        let is_over = |task| self.parked(task).is_none();
        if !self.waits.is_new && !self.waits.knots.tasks().any(is_over) {
            self.note_seized();
            return;
        }
        let parked: Vec<&Waiting> = self.all_parked().map(|parked| &parked.waiting).collect();
        self.waits.knots = knots::tie(&parked, &self.waits.things);
        self.waits.is_new = false;
        self.note_seized();
    }

    fn note_seized(&mut self) {
        let rings = self.waits.knots.rings();
        let in_rings: FxHashSet<u64> = rings.iter().flatten().copied().collect();
        let forgotten = |task: &u64| self.waits.knots.stuck(*task).is_some_and(|stuck| stuck.is_forgotten);
        let mut alone: Vec<u64> =
            self.waits.knots.tasks().filter(|task| forgotten(task) && !in_rings.contains(task)).collect();
        alone.sort_unstable();
        let alone = alone.into_iter().take(ALONE);
        let found: Vec<(bool, Vec<u64>)> =
            alone.map(|task| (false, vec![task])).chain(rings.iter().map(|ring| (true, ring.clone()))).collect();
        let found: Vec<Seized> =
            found.into_iter().filter_map(|(is_ring, tasks)| self.seizure(is_ring, &tasks)).collect();
        for seized in found {
            let is_known = |known: &&mut Seized| {
                known.since == seized.since && known.members[0].waiting.task == seized.members[0].waiting.task
            };
            if let Some(known) = self.waits.seized.iter_mut().find(is_known) {
                *known = seized;
                continue;
            }
            if self.waits.seized.len() >= SEIZED {
                self.waits.seized.remove(0);
            }
            self.waits.seized.push(seized);
        }
    }

    /// What there is to remember of stuck tasks, if all were seen twice.
    fn seizure(&self, is_ring: bool, tasks: &[u64]) -> Option<Seized> {
        let mut since = 0;
        let mut members = Vec::new();
        for task in tasks {
            let parked = self.parked(*task).filter(|parked| parked.looks > 1)?;
            let row = self.tasks().get(task)?;
            since = since.max(row.last_step.max(row.born));
            let thing = match parked.waiting.wait {
                Wait::Thing(_, thing) => self.waits.thing(thing).cloned(),
                _ => None,
            };
            members.push(Member {
                waiting: parked.waiting.clone(),
                thing,
                stuck: self.waits.knots.stuck(*task)?.clone(),
                birth: row.birth,
                is_child: row.parent.is_some(),
            });
        }
        let is_end =
            tasks.first().and_then(|task| self.tasks().get(task)).is_some_and(|row| self.is_at_end(row.event_loop));
        Some(Seized { members, is_ring, is_end, since, last: self.now() })
    }

    /// Whether nothing in a loop can go on any more.
    fn is_at_end(&self, event_loop: u8) -> bool {
        let is_empty = |around: Surroundings| (around.ready, around.timers, around.descriptors) == (0, 0, 0);
        let mut tasks = self.tasks().iter().filter(|(_, task)| task.event_loop == event_loop);
        self.waits.surroundings(event_loop).is_some_and(is_empty)
            && self.jobs().is_empty()
            && tasks.all(|(task, _)| self.waits.is_stuck(*task))
    }

    /// The line that a waiting task stands at: the innermost one of the program's own, else of a package's.
    pub fn standing(&self, waiting: &Waiting) -> PlaceId {
        let rank = |place: &PlaceId| match self.place(*place).map(|place| &place.owner) {
            Some(Owner::Program) => 0,
            Some(Owner::Package(_)) => 1,
            _ => 2,
        };
        waiting.chain.iter().rev().copied().min_by_key(rank).unwrap_or_default()
    }

    /// Which tasks are to be looked at now: those that have made no step for a while and were not looked at since, and those that seem stuck.
    pub fn wanted(&mut self) -> Option<Request> {
        let scale = *self.scale();
        let [quiet, again, stale] = [QUIET, AGAIN, STALE].map(|time| scale.ticks(time));
        let now = self.now();
        let running: Vec<u8> = self
            .loops()
            .iter()
            .filter(|event_loop| event_loop.is_running)
            .map(|event_loop| event_loop.number)
            .collect();
        let mut request = Request::default();
        let mut asked = Vec::new();
        for (&address, task) in self.tasks() {
            let last = task.last_step.max(task.born);
            if now.saturating_sub(last) < quiet || !running.contains(&task.event_loop) {
                continue;
            }
            let times = self.waits.asked.get(&address).filter(|(step, _)| *step == last).map_or(0, |(_, times)| *times);
            let is_seen = self.waits.parked.get(&address).is_some_and(|parked| parked.holds(task));
            if !is_seen && times < PATIENCE {
                request.tasks.insert(address, task.event_loop);
                asked.push((address, (last, times + 1)));
            }
        }
        self.waits.asked.extend(asked);
        let ended = self.waits.last_end;
        let relooked = self.all_parked().filter(|parked| {
            let age = now.saturating_sub(parked.waiting.stamp);
            depends_on_references(&parked.waiting) && ended > parked.waiting.stamp && age >= stale
        });
        let mut again_wanted: Vec<u64> = relooked.take(STALE_COUNT).map(|parked| parked.waiting.task).collect();
        for task in self.waits.knots.tasks() {
            if let Some(parked) = self.parked(task)
                && parked.looks == 1
                && now.saturating_sub(parked.waiting.stamp) >= again
            {
                again_wanted.push(task);
            }
        }
        for task in again_wanted {
            request.tasks.insert(task, self.tasks().get(&task).map_or(0, |row| row.event_loop));
        }
        // A loop that does nothing is not woken to see that its queues are as they were.
        let callbacks: u64 = self.loops().iter().map(|event_loop| event_loop.callbacks).sum();
        let pause = self.queue_window().max(self.waits.last_cost * SHARE);
        let is_due = now.saturating_sub(self.queues.looked) >= pause;
        if is_due && callbacks > self.queues.callbacks + CALLBACKS {
            (self.queues.looked, self.queues.callbacks) = (now, callbacks);
            request.is_deep = true;
            self.sample(&running, &mut request);
            request.learns_puts = self.suspects_queues();
        }
        request.reader = self.reader(&running, callbacks);
        if request.tasks.is_empty() {
            let is_wanted = self.is_to_be_measured(callbacks) || request.reader.is_some();
            return is_wanted.then_some(Request { loops: running, ..request });
        }
        request.loops = request.tasks.values().copied().collect::<FxHashSet<u8>>().into_iter().collect();
        request.loops.extend(request.reader.filter(|reader| !request.tasks.values().any(|other| other == reader)));
        request.loops.sort_unstable();
        Some(request)
    }
}

impl Run {
    /// Whether loops are asked what they have around them, which is for nobody if they do nothing.
    fn is_to_be_measured(&mut self, callbacks: u64) -> bool {
        let is_due = self.now().saturating_sub(self.waits.measured) >= self.scale().ticks(MEASURE);
        if !self.is_of_interest() || !is_due || callbacks == self.waits.measured_callbacks {
            return false;
        }
        (self.waits.measured, self.waits.measured_callbacks) = (self.now(), callbacks);
        true
    }

    /// Whether somebody has asked for numbers in the last minutes.
    fn is_of_interest(&self) -> bool {
        let interest = self.scale().ticks(INTEREST);
        self.waits.interest.is_some_and(|last| self.now().saturating_sub(last) < interest)
    }

    /// The loop that is to read the statistics of patterns, if it is time: one after the other, since one may be blocked.
    fn reader(&mut self, running: &[u8], callbacks: u64) -> Option<u8> {
        let (last, known, turn) = self.waits.read;
        let is_due = self.now().saturating_sub(last) >= self.scale().ticks(MEASURE);
        if !self.is_of_interest() || !is_due || callbacks == known {
            return None;
        }
        let reader = *running.get(turn % running.len().max(1))?;
        self.waits.read = (self.now(), callbacks, turn + 1);
        Some(reader)
    }

    /// Adds some tasks of each kind, for the queues that they use.
    fn sample(&self, running: &[u8], request: &mut Request) {
        let mut kinds: FxHashMap<PlaceId, u32> = FxHashMap::default();
        for (&address, task) in self.tasks().iter().filter(|(_, task)| running.contains(&task.event_loop)) {
            let count = kinds.entry(task.code).or_default();
            *count += 1;
            if *count <= KIND {
                request.tasks.insert(address, task.event_loop);
            }
            if request.tasks.len() >= SAMPLE || kinds.len() > SAMPLE {
                break;
            }
        }
    }
}

/// Whether who refers to a thing decides if the task can still be woken.
fn depends_on_references(waiting: &Waiting) -> bool {
    matches!(waiting.wait, Wait::Thing(manner, _) if manner != Manner::Lock)
}

fn things_of(waiting: &Waiting) -> Vec<u64> {
    let mut things: Vec<u64> = waiting.refers.iter().map(|(thing, _)| *thing).collect();
    things.extend(waiting.holds.iter().map(|hold| hold.thing));
    if let Wait::Thing(_, thing) = waiting.wait {
        things.push(thing);
    }
    things
}

#[cfg(test)]
mod tests {
    use treadle_events::{Event, Kind, Scale};

    use super::*;
    use crate::Thresholds;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn loops_read_in_turn_while_somebody_wants_to_know_and_something_happens() {
        let mut run = Run::new(Scale::nanoseconds(), Thresholds::default());
        let reader = |run: &mut Run, time: u64, happens: bool| {
            for kind in [Kind::Call, Kind::Poll].into_iter().filter(|_| happens) {
                run.apply(&Event { stamp: time, ..Event::new(kind, 1) });
            }
            run.tick(time, Scale::nanoseconds());
            run.wanted().and_then(|request| request.reader)
        };
        for number in [1, 2] {
            run.apply(&Event::new(Kind::LoopStarted, number));
        }
        assert_eq!(reader(&mut run, 2 * SECOND, true), None, "nobody wants to know");
        run.measure();
        assert_eq!(reader(&mut run, 3 * SECOND, true), Some(1));
        assert_eq!(reader(&mut run, 3 * SECOND + 1, true), None, "it was just now");
        assert_eq!(reader(&mut run, 5 * SECOND, false), Some(2), "something has happened since");
        assert_eq!(reader(&mut run, 7 * SECOND, false), None, "nothing has happened since");
        assert_eq!(reader(&mut run, 8 * SECOND, true), Some(1));
        assert_eq!(reader(&mut run, 2 * SECOND + INTEREST, true), None, "who wanted to know is gone");
    }
}
