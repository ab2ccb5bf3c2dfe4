//! Makes entries out of the tables of a run, a few each second.
//!
//! A scribe sees each event besides, for what no table keeps: how long the longest turn of a second was, and single collections of garbage.

use rustc_hash::{FxHashMap, FxHashSet};
use treadle_events::{Event, Kind, Record, Wait};
use treadle_finding::Sighting;

use super::tree::Growing;
use super::{
    Bars, Chronicle, Entry, Found, Kept, LINES, Line, Living, LoopName, Moment, Pause, PauseKind, Second, Totals,
    WaitPicture,
};
use crate::histogram::Histogram;
use crate::{Activity, Blockage, Edge, Run, Task};

/// Collections of garbage that are shorter are nothing to tell of, in nanoseconds.
const COLLECTION: u64 = 1_000_000;

/// Tasks in a picture of waits at most, and among which such pictures are made.
const PICTURED: usize = 2_000;
const CROWD: usize = 50_000;

/// Tasks whose names are kept.
const NAMES: usize = 20_000;

/// What a scribe notes of the doctor's own work.
#[derive(Clone, Copy, Debug, Default)]
pub struct Doings {
    /// How many events were written.
    pub events: u64,
    /// How long the doctor's thread had a processor, in nanoseconds.
    pub cost: u64,
}

/// Who writes a chronicle.
#[derive(Debug, Default)]
pub struct Scribe {
    chronicle: Chronicle,
    /// What was added and not taken yet.
    fresh: Vec<Entry>,
    lines: FxHashMap<Line, u32>,
    all: Growing,
    blocked: Growing,
    looks: u64,
    /// The callback that each loop runs, by its beginning, and what was seen of it while it was not too long.
    running: FxHashMap<u8, (u64, Vec<Sample>)>,
    woke: FxHashMap<u8, u64>,
    /// The longest turn and the most ready callbacks since the last second.
    lag: u64,
    ready: u64,
    collecting: Option<u64>,
    collections: Vec<(u8, u64, u64)>,
    second: Option<Sums>,
    /// Tasks whose names were written down, by address and birth.
    named: FxHashSet<(u64, u64)>,
    /// Pauses that have not ended.
    open: Vec<Pause>,
}

/// A stack, the outermost call first, and for how many nanoseconds it stands.
type Sample = (Vec<u32>, u64);

/// What a second is the difference of.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    at: u64,
    busy: u64,
    idle: u64,
    callbacks: u64,
}

impl Scribe {
    /// Begins to write of a process.
    pub fn new(title: String, environment: Vec<(String, String)>) -> Self {
        let mut scribe = Self::default();
        scribe.add(Entry::About(title, environment));
        scribe
    }

    /// All that was written.
    pub fn chronicle(&self) -> &Chronicle {
        &self.chronicle
    }

    /// The entries since the last time.
    pub fn take(&mut self) -> Vec<Entry> {
        std::mem::take(&mut self.fresh)
    }

    fn add(&mut self, entry: Entry) {
        self.chronicle.add(entry.clone());
        self.fresh.push(entry);
    }

    /// The number of a line; nothing if there are too many.
    fn line(&mut self, line: Line) -> Option<u32> {
        if let Some(known) = self.lines.get(&line) {
            return Some(*known);
        }
        if self.lines.len() >= LINES {
            return None;
        }
        let number = self.lines.len() as u32;
        self.lines.insert(line.clone(), number);
        self.add(Entry::Lines(number, vec![line]));
        Some(number)
    }

    fn numbers(&mut self, lines: impl Iterator<Item = Line>) -> Vec<u32> {
        lines.filter_map(|line| self.line(line)).collect()
    }

    /// Sees an event.
    #[inline]
    pub fn see(&mut self, event: &Event) {
        match event.kind {
            Kind::Poll => {
                self.ready = self.ready.max(u64::from(event.small));
                let woke = self.woke.get(&event.event_loop).copied().unwrap_or(event.stamp);
                self.lag = self.lag.max(event.stamp.saturating_sub(woke));
            }
            Kind::Woke => drop(self.woke.insert(event.event_loop, event.stamp)),
            Kind::GcStarted => self.collecting = Some(event.stamp),
            Kind::GcEnded => {
                if let Some(began) = self.collecting.take() {
                    self.collections.push((event.event_loop, began, event.stamp.saturating_sub(began)));
                }
            }
            _ => {}
        }
    }

    /// Takes in a finding that is new or has changed, by its number.
    pub fn find(&mut self, at: usize, seen: &Sighting) {
        let found = Found::of(seen, self.chronicle.findings.get(at));
        if self.chronicle.findings.get(at) != Some(&found) {
            self.add(Entry::Found(at as u32, found));
        }
    }

    /// Takes in what a thread was seen executing: the calls, the outermost first, which stand for some nanoseconds of a callback.
    pub fn sample(&mut self, run: &Run, event_loop: u8, calls: impl Iterator<Item = Line>, stands_for: u64) {
        let Some(Activity::Running { since, place, .. }) =
            run.loops().iter().find(|one| one.number == event_loop).map(|one| one.activity)
        else {
            return;
        };
        self.looks += 1;
        let mut stack = self.numbers(calls);
        if stack.is_empty() {
            // Nothing of Python's runs below the loop: it is what the callback is called by.
            stack = self.numbers(run.place(place).map(Line::of_place).into_iter());
        }
        self.all.count(&stack, stands_for);
        let took = run.scale().duration(run.now().saturating_sub(since));
        let (known, seen) = self.running.entry(event_loop).or_default();
        if *known != since {
            (*known, *seen) = (since, Vec::new());
        }
        seen.push((stack, stands_for));
        if took >= run.thresholds.blocked {
            seen.drain(..).for_each(|(stack, time)| self.blocked.count(&stack, time));
        }
    }

    /// Takes in what blocks a loop, or has.
    pub fn block(&mut self, blockage: &Blockage) {
        let line = self.line(Line::of_place(&blockage.blame.place));
        let stack = self.numbers(blockage.blame.way.iter().map(Line::of_place));
        let pause = Pause {
            kind: PauseKind::Blocked,
            event_loop: blockage.event_loop,
            start: blockage.since,
            took: blockage.took,
            cause: blockage.cause.words().map(str::to_owned),
            line,
            stack,
        };
        let key = |pause: &Pause| (pause.event_loop, pause.start, pause.line);
        self.open.retain(|open| key(open) != key(&pause));
        if blockage.has_ended {
            self.add(Entry::Pauses(vec![pause]));
        } else {
            self.open.push(pause);
        }
    }

    /// Whether a moment is among the worst; then [`keep`](Self::keep) wants its events.
    pub fn wants_moment(&self, took: u64) -> bool {
        self.chronicle.wants_moment(took)
    }

    /// Keeps the events around a moment.
    pub fn keep(&mut self, run: &Run, took: u64, events: &[Event]) {
        let subjects: FxHashSet<u64> =
            events.iter().filter(|event| event.kind == Kind::Step).map(|event| event.subject).collect();
        let living = subjects.iter().filter_map(|task| Some(living(run, *task, run.tasks().get(task)?)));
        let words = |event: &Event| {
            let Record { stamp, head, subject, value } = event.record();
            (stamp, head, subject, value)
        };
        let mut tasks: Vec<Living> = living.collect();
        tasks.sort_unstable_by_key(|living| (living.born, living.task));
        self.add(Entry::Moment(Moment { took, events: events.iter().map(words).collect(), tasks }));
    }

    /// Writes down which tasks live, at most so many of them, the oldest first.
    pub fn count_living(&mut self, run: &Run, limit: usize) {
        let mut tasks: Vec<(&u64, &Task)> = run.tasks().iter().collect();
        if tasks.len() > limit {
            tasks.select_nth_unstable_by_key(limit, |(address, task)| (task.born, **address));
            tasks.truncate(limit);
        }
        tasks.sort_unstable_by_key(|(address, task)| (task.born, **address));
        let living = tasks.into_iter().map(|(address, task)| living(run, *address, task)).collect();
        self.add(Entry::Living(run.now(), living));
    }

    /// Writes down what there is to write each second, and at the end.
    pub fn pass(&mut self, run: &Run, doings: Doings, is_end: bool) {
        self.write_second(run);
        let scale = *run.scale();
        let collections: Vec<Pause> = std::mem::take(&mut self.collections)
            .into_iter()
            .map(|(event_loop, start, took)| (event_loop, start, scale.duration(took)))
            .filter(|(_, _, took)| *took >= COLLECTION)
            .map(|(event_loop, start, took)| Pause {
                kind: PauseKind::Collector,
                event_loop,
                start,
                took,
                ..Pause::default()
            })
            .collect();
        let pauses: Vec<Pause> = collections.into_iter().chain(std::mem::take(&mut self.open)).collect();
        if !pauses.is_empty() {
            self.add(Entry::Pauses(pauses));
        }
        let (all, blocked) = (self.all.take(), self.blocked.take());
        if all != super::Branch::default() || blocked != super::Branch::default() {
            self.add(Entry::Profile(all, blocked));
        }
        self.name_tasks(run);
        self.picture(run);
        let totals = self.totals(run, doings, is_end);
        self.add(Entry::Totals(totals));
    }

    fn write_second(&mut self, run: &Run) {
        let scale = run.scale();
        let mut sums = Sums { at: scale.since_start(run.now()), ..Sums::default() };
        let (mut timers, mut lag) = (0, std::mem::take(&mut self.lag));
        for one in run.loops() {
            let since = |began: u64| run.now().saturating_sub(began);
            let (busy, idle) = match one.activity {
                Activity::Running { since: began, .. } => (since(began), 0),
                Activity::Polling { since: began } => (0, since(began)),
                Activity::Outside => (0, 0),
            };
            if busy > 0 {
                // A turn that has not ended is as long as it has lasted.
                lag = lag.max(self.woke.get(&one.number).map_or(0, |woke| since(*woke)));
            }
            sums.busy += scale.duration(one.busy + busy);
            sums.idle += scale.duration(one.idle + idle);
            sums.callbacks += one.callbacks;
            timers += run.waits().surroundings(one.number).map_or(0, |around| around.timers as u64);
        }
        let before = self.second.replace(sums).unwrap_or_default();
        let waiting: u64 = run.timers().piles().values().map(|pile| pile.alive).sum();
        let ready = std::mem::take(&mut self.ready);
        self.add(Entry::Second(Second {
            at: before.at,
            busy: sums.busy.saturating_sub(before.busy),
            idle: sums.idle.saturating_sub(before.idle),
            callbacks: sums.callbacks.saturating_sub(before.callbacks),
            lag: scale.duration(lag),
            ready,
            tasks: run.tasks().len() as u64,
            timers: timers.max(waiting),
            transports: run.transports().count(),
        }));
    }

    /// Writes down the names of tasks that were seen for the first time, but for those that asyncio makes up.
    fn name_tasks(&mut self, run: &Run) {
        if run.tasks().len() > CROWD {
            return;
        }
        let mut names = Vec::new();
        for parked in run.all_parked() {
            let (address, name) = (parked.waiting.task, &parked.waiting.name);
            let Some(task) = run.tasks().get(&address).filter(|_| !name.starts_with("Task-")) else { continue };
            if self.named.len() < NAMES && self.named.insert((address, task.born)) {
                names.push((address, task.born, name.clone()));
            }
        }
        if !names.is_empty() {
            self.add(Entry::Names(names));
        }
    }

    /// Keeps who waits for whom, if it is worse than all before.
    fn picture(&mut self, run: &Run) {
        if run.tasks().len() > CROWD {
            return;
        }
        let is_deadlock = run.all_parked().any(|parked| run.waits().is_stuck(parked.waiting.task));
        let before = self.chronicle.waits.as_ref().map_or((false, 0), |waits| (waits.is_deadlock, waits.count));
        if before.0 && !is_deadlock {
            return;
        }
        let edges = run.edges();
        if edges.is_empty() || (is_deadlock, edges.len() as u64) <= before {
            return;
        }
        let mut positions: FxHashMap<u64, u32> = FxHashMap::default();
        let mut order = Vec::new();
        // Those who will wait for ever come first.
        let (stuck, others): (Vec<&Edge>, Vec<&Edge>) = edges.iter().partition(|edge| run.waits().is_stuck(edge.from));
        for task in stuck.iter().chain(&others).flat_map(|edge| [edge.from, edge.to]) {
            if order.len() < PICTURED && !positions.contains_key(&task) && run.tasks().get(&task).is_some() {
                positions.insert(task, order.len() as u32);
                order.push(task);
            }
        }
        let tasks = order.into_iter().filter_map(|task| self.kept(run, task)).collect();
        let class = |thing: u64| run.waits().thing(thing).map(|thing| thing.class.clone()).unwrap_or_default();
        let shown = edges
            .iter()
            .filter_map(|edge| Some((*positions.get(&edge.from)?, *positions.get(&edge.to)?, class(edge.thing))));
        let (at, count) = (run.scale().since_start(run.now()), edges.len() as u64);
        let edges = shown.collect();
        self.add(Entry::Waits(WaitPicture { at, is_deadlock, count, tasks, edges }));
    }

    fn kept(&mut self, run: &Run, task: u64) -> Option<Kept> {
        let living = living(run, task, run.tasks().get(&task)?);
        let Some(parked) = run.parked(task) else {
            return Some(Kept { living, ..Kept::default() });
        };
        let waiting = &parked.waiting;
        let chain = self.numbers(waiting.chain.iter().filter_map(|place| run.place(*place)).map(Line::of_place));
        let class = |thing: u64| run.waits().thing(thing).map(|thing| thing.class.clone()).unwrap_or_default();
        let waits_for = match &waiting.wait {
            Wait::Outside => String::new(),
            Wait::Sleep => "sleep".to_owned(),
            Wait::Thing(manner, thing) => format!("{} {}", manner.word(), class(*thing)).trim_end().to_owned(),
            Wait::All(tasks) => format!("all of {} tasks", tasks.len()),
            Wait::Any(tasks) => format!("any of {} tasks", tasks.len()),
        };
        Some(Kept { living, name: waiting.name.clone(), chain, waits_for })
    }

    fn totals(&self, run: &Run, doings: Doings, is_complete: bool) -> Totals {
        let scale = run.scale();
        let bars = |of: fn(&crate::EventLoop) -> &Histogram| Bars::of(run.loops().iter().map(of));
        Totals {
            at: scale.since_start(run.now()),
            loops: run.loops().iter().map(|one| LoopName { number: one.number, thread: one.thread }).collect(),
            callbacks: run.loops().iter().map(|one| one.callbacks).sum(),
            busy: run.loops().iter().map(|one| scale.duration(one.busy)).sum(),
            events: doings.events,
            lost: run.lost(),
            cost: doings.cost,
            looks: self.looks,
            durations: bars(|one| &one.durations),
            lags: bars(|one| &one.lags),
            is_complete,
        }
    }
}

fn living(run: &Run, address: u64, task: &Task) -> Living {
    Living {
        task: address,
        born: task.born,
        event_loop: task.event_loop,
        code: task.code.0,
        birth: task.birth.0,
        parent: task.parent.unwrap_or(0),
        steps: task.steps,
        run: run.scale().duration(task.run),
        longest: run.scale().duration(task.longest),
    }
}
