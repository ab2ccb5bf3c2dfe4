//! Events and notes, put where they belong. The file is long because all kinds of events have their place in one list, and tests stand below.

use rustc_hash::FxHashMap;
use treadle_events::{Event, Kind, Note, Outcome, Place, PlaceId, Record, Scale, What};
use treadle_finding::Site;

use crate::births::{Birth, Births};
use crate::blocked::{Blockage, Blocked, BlockedLines, Cause};
use crate::buffers::{Buffers, Overfull};
use crate::by_place::ByPlace;
use crate::collections::Collector;
use crate::convoys::Convoy;
use crate::jobs::Jobs;
use crate::load::{Saturation, WINDOW};
use crate::long::{Long, note_long, running};
use crate::loops::{Activity, EventLoop, Hot};
use crate::notes::Told;
use crate::patterns::Patterns;
use crate::polls::{Around, Polls};
use crate::queues::Queues;
use crate::spins::Spins;
use crate::tasks::{Task, Tasks};
use crate::thresholds::Thresholds;
use crate::timers::{SLOT, Timers};
use crate::transports::{Seen, Transports};
use crate::waits::Waits;

/// Different notes that are remembered.
const TOLD: usize = 1_000;

/// Waits for the interpreter that are shorter are the ordinary price of it, in nanoseconds.
const WAIT: u64 = 500_000;

/// Steps that take longer on average do more than ask, in nanoseconds.
const SHORT: u64 = 200_000;

/// Tasks that have failed and are remembered, the last ones.
const FAILED: usize = 1_000;

/// What a process did.
#[derive(Clone, Debug)]
pub struct Run {
    /// From when on something is too much.
    pub thresholds: Thresholds,
    scale: Scale,
    now: u64,
    places: Vec<Place>,
    loops: Vec<EventLoop>,
    tasks: Tasks,
    births: Births,
    failed: FxHashMap<u64, PlaceId>,
    transports: Transports,
    timers: Timers,
    crossings: FxHashMap<PlaceId, Seen>,
    /// When this window ends, in ticks.
    turn: u64,
    /// Without the steps of tasks that are alive, which have them themselves.
    hot: ByPlace<Hot>,
    long: Vec<Long>,
    told: FxHashMap<(What, Option<Place>, String), Told>,
    lost: u64,
    blocked: BlockedLines,
    collector: Collector,
    jobs: Jobs,
    polls: Polls,
    spins: Spins,
    saturations: FxHashMap<u8, Saturation>,
    convoys: FxHashMap<u8, Convoy>,
    buffers: Buffers,
    pub(crate) queues: Queues,
    pub(crate) patterns: Patterns,
    pub(crate) waits: Waits,
}

impl Run {
    /// Nothing has happened yet.
    pub fn new(scale: Scale, thresholds: Thresholds) -> Self {
        Self {
            thresholds,
            scale,
            now: 0,
            places: Vec::new(),
            loops: Vec::new(),
            tasks: Tasks::default(),
            births: Births::default(),
            failed: FxHashMap::default(),
            transports: Transports::default(),
            timers: Timers::default(),
            crossings: FxHashMap::default(),
            turn: 0,
            hot: ByPlace::default(),
            long: Vec::new(),
            told: FxHashMap::default(),
            lost: 0,
            blocked: BlockedLines::default(),
            collector: Collector::default(),
            jobs: Jobs::default(),
            polls: Polls::default(),
            spins: Spins::default(),
            saturations: FxHashMap::default(),
            convoys: FxHashMap::default(),
            buffers: Buffers::default(),
            queues: Queues::default(),
            patterns: Patterns::default(),
            waits: Waits::default(),
        }
    }

    /// Takes an event in.
    pub fn apply(&mut self, event: &Event) {
        self.apply_all(&[event.record()]);
    }

    /// Takes in events as they lie in the ring, but for those of a kind that this version does not know.
    pub fn apply_all(&mut self, records: &[Record]) {
        for record in records {
            // What is most frequent is not taken apart any further.
            if record.is(Kind::Step) {
                let (row, code) = self.tasks.find(record.subject);
                let event_loop = self.end_callback(record.event_loop(), record.stamp);
                event_loop.begin(record.stamp, Some(record.subject), code);
                event_loop.row = row;
            } else if record.is(Kind::Call) || record.is(Kind::Ready) {
                let event_loop = self.end_callback(record.event_loop(), record.stamp);
                event_loop.begin(record.stamp, None, record.place());
            } else if let Some(event) = record.event() {
                self.take(&event);
            }
        }
        self.now = self.now.max(records.last().map_or(0, |record| record.stamp));
    }

    fn take(&mut self, event: &Event) {
        match event.kind {
            Kind::LoopStarted => {
                let event_loop = self.event_loop(event.event_loop);
                (event_loop.is_running, event_loop.thread) = (true, event.value);
                (event_loop.activity, event_loop.woke) = (Activity::Outside, event.stamp);
            }
            Kind::LoopStopped | Kind::LoopClosed => {
                self.end_callback(event.event_loop, event.stamp);
                let event_loop = self.event_loop(event.event_loop);
                (event_loop.is_running, event_loop.activity) = (false, Activity::Outside);
                if event.kind == Kind::LoopClosed {
                    self.transports.forget_loop(event.event_loop);
                    self.timers.forget_loop(event.event_loop);
                }
            }
            // Who has woken whom is for reports.
            Kind::Step | Kind::Call | Kind::Ready | Kind::Handed => {}
            Kind::Flush => drop(self.end_callback(event.event_loop, event.stamp)),
            Kind::Poll => self.poll(event),
            Kind::Woke => self.wake(event),
            Kind::TaskBorn => self.bear(event),
            Kind::TaskDone => self.finish(event),
            Kind::JobSubmitted => self.submit(event),
            Kind::JobStarted => self.jobs.start(event, self.scale.ticks(self.thresholds.queue)),
            Kind::JobEnded => self.jobs.end(event),
            Kind::CalledAgain => self.spins.take(event, self.scale.ticks(300_000_000)),
            Kind::SelfWoken => {
                let mean = self.tasks.get(&event.subject).map_or(0, |task| task.run / task.steps.max(1));
                self.polls.take(event, mean <= self.scale.ticks(SHORT), self.scale.ticks(100_000_000));
            }
            Kind::GcStarted => self.collector.start(event),
            Kind::GcEnded => self.collector.end(event, &self.scale, self.thresholds.collection),
            Kind::TransportMade => self.transports.open(event),
            Kind::TransportLeft => self.transports.end(event),
            Kind::TransportLost => {
                self.transports.end(event);
                self.buffer(event);
            }
            Kind::TimerSet => self.timers.set(event, self.scale.ticks(SLOT)),
            Kind::TimerGone => self.timers.end(event),
            Kind::CrossThread => self.crossings.entry(event.place).or_default().again(event.stamp),
            Kind::BufferOverfull | Kind::BufferDrained => self.buffer(event),
        }
    }

    /// Where a task does nothing but `to_thread`, no line of the program's hands over: the one that has started the task stands for it.
    fn submit(&mut self, event: &Event) {
        let task = match self.event_loop(event.event_loop).activity {
            Activity::Running { task: Some(task), .. } if event.place == PlaceId::UNKNOWN => self.tasks.get(&task),
            _ => None,
        };
        let place = task.map_or(event.place, |task| task.birth);
        self.jobs.submit(&Event { place, ..*event });
    }

    fn buffer(&mut self, event: &Event) {
        let scale = self.scale;
        self.buffers.apply(event, |nanoseconds| scale.ticks(nanoseconds));
    }

    /// Takes a note in.
    pub fn hear(&mut self, mut note: Note) {
        self.now = self.now.max(note.stamp);
        let birth = self.birth(&note).and_then(|birth| self.place(birth)).cloned();
        note.place = note.place.or_else(|| birth.clone());
        if note.what == What::TaskDestroyed {
            self.forget(note.address);
        }
        let key = (note.what, note.place.clone(), note.subject.clone());
        if let Some(told) = self.told.get_mut(&key) {
            told.count += 1;
            (told.last, told.largest) = (note.stamp, told.largest.max(note.size));
        } else if self.told.len() < TOLD {
            let (last, largest) = (note.stamp, note.size);
            self.told.insert(key, Told { note, birth, count: 1, last, largest });
        }
    }

    /// Takes in what was seen of a callback that takes too long.
    pub fn block(&mut self, blockage: Blockage) {
        self.blocked.take(blockage);
    }

    /// Knows further places.
    pub fn learn_places(&mut self, read: impl FnOnce(&mut Vec<Place>)) {
        read(&mut self.places);
    }

    /// Says what time it is, and how ticks are to be read: time passes also if nothing happens.
    pub fn tick(&mut self, now: u64, scale: Scale) {
        (self.now, self.scale) = (self.now.max(now), scale);
        if self.now >= self.turn {
            self.turn = self.now + scale.ticks(self.thresholds.window);
            self.births.values_mut().for_each(|birth| birth.pile.turn());
            self.transports.pile.turn();
            self.timers.turn();
        }
        let threshold = scale.ticks(self.thresholds.blocked);
        let running: Vec<Long> = self.loops.iter().filter_map(|event_loop| running(event_loop, self.now)).collect();
        running.into_iter().filter(|long| long.took >= threshold).for_each(|long| note_long(&mut self.long, long));
        self.jobs.look(self.now, scale.ticks(self.thresholds.queue));
        self.look_at_loads();
    }

    /// Notes loops that have long had more to do than they could.
    fn look_at_loads(&mut self) {
        let length = self.scale.ticks(WINDOW);
        for EventLoop { number, load, .. } in &mut self.loops {
            if !load.look(self.now, length) {
                continue;
            }
            let Some((place, share)) = load.hottest() else { continue };
            let (since, lag) = (load.since(length), load.lag());
            let new = Saturation { place, share, count: 0, first: since, last: since, lag: 0 };
            let row = self.saturations.entry(*number).or_insert(new);
            row.count += u64::from(row.count == 0 || since > row.last + length);
            (row.last, row.lag) = (row.last.max(since), row.lag.max(lag));
        }
    }

    /// Knows what stands around a wait in the source.
    pub fn know_wait(&mut self, place: PlaceId, around: Around) {
        self.polls.know(place, around);
    }

    /// Takes in that a loop was seen to wait for the interpreter while another thread was there.
    pub fn hold(&mut self, event_loop: u8, place: Place) {
        self.convoys.entry(event_loop).or_default().hold(place);
    }

    /// Counts events that came too fast to be read.
    pub fn lose(&mut self, count: u64) {
        self.lost += count;
    }

    /// How many events were never read.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// The time of the last event or tick, in ticks.
    pub fn now(&self) -> u64 {
        self.now
    }

    /// How ticks are to be read.
    pub fn scale(&self) -> &Scale {
        &self.scale
    }

    /// The loops, in the order in which they were made.
    pub fn loops(&self) -> &[EventLoop] {
        &self.loops
    }

    /// The living tasks, by their addresses.
    pub fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    /// The tasks by where they were made.
    pub fn births(&self) -> &Births {
        &self.births
    }

    /// The transports.
    pub fn transports(&self) -> &Transports {
        &self.transports
    }

    /// The timers that wait, where there are many.
    pub fn timers(&self) -> &Timers {
        &self.timers
    }

    /// Where loops were used from other threads than their own.
    pub fn crossings(&self) -> &FxHashMap<PlaceId, Seen> {
        &self.crossings
    }

    /// What pieces of code have cost.
    pub fn hot(&self) -> Vec<(PlaceId, Hot)> {
        let mut all = self.hot.clone();
        for (_, task) in self.tasks.iter() {
            all.of(task.code).add(task.steps, task.run, task.longest);
        }
        all.iter().filter(|(_, hot)| hot.count > 0).map(|(place, hot)| (place, hot.clone())).collect()
    }

    /// The last callbacks that took longer than the threshold, in the order of their beginning for each loop.
    pub fn long(&self) -> &[Long] {
        &self.long
    }

    /// The lines that kept loops from everything else.
    pub fn blocked(&self) -> &[Blocked] {
        self.blocked.rows()
    }

    /// How long loops were kept from everything else, in nanoseconds, by what kept them.
    pub fn blocked_time(&self) -> impl Iterator<Item = (Cause, u64)> {
        self.blocked.times()
    }

    /// The jobs of executors.
    pub fn jobs(&self) -> &Jobs {
        &self.jobs
    }

    /// Lines at which tasks wait by asking again and again.
    pub fn polls(&self) -> &Polls {
        &self.polls
    }

    /// Callbacks of descriptors that are called again and again.
    pub fn spins(&self) -> &Spins {
        &self.spins
    }

    /// Loops that had more to do than they could, by their numbers.
    pub fn saturations(&self) -> &FxHashMap<u8, Saturation> {
        &self.saturations
    }

    /// What loops have waited for the interpreter, by their numbers.
    pub fn convoys(&self) -> &FxHashMap<u8, Convoy> {
        &self.convoys
    }

    /// The collections of garbage.
    pub fn collector(&self) -> &Collector {
        &self.collector
    }

    /// Whether a thread, by the system's number of it, collects garbage now.
    pub fn is_collecting(&self, thread: u64) -> bool {
        self.collector.is_collecting(thread)
    }

    /// Lines that write to transports whose buffers grow and grow.
    pub fn overfull(&self) -> &FxHashMap<PlaceId, Overfull> {
        &self.buffers.overfull
    }

    /// What the process told in words of one kind.
    pub fn told(&self, what: What) -> impl Iterator<Item = &Told> {
        self.told.values().filter(move |told| told.note.what == what)
    }

    /// A place by its number.
    pub fn place(&self, place: PlaceId) -> Option<&Place> {
        self.places.get((place.0 as usize).checked_sub(1)?)
    }

    /// A place as findings name it; empty if it is not known.
    pub fn site(&self, place: PlaceId) -> Site {
        self.place(place).map(site).unwrap_or_default()
    }

    #[inline]
    fn event_loop(&mut self, number: u8) -> &mut EventLoop {
        let at = self.loop_at(number);
        &mut self.loops[at]
    }

    /// Where a loop is in the list.
    #[inline]
    fn loop_at(&mut self, number: u8) -> usize {
        match self.loops.first() {
            Some(first) if first.number == number => 0,
            _ => self.find_loop(number),
        }
    }

    #[cold]
    fn find_loop(&mut self, number: u8) -> usize {
        if let Some(at) = self.loops.iter().position(|event_loop| event_loop.number == number) {
            return at;
        }
        self.loops.push(EventLoop::new(number));
        self.loops.len() - 1
    }

    /// Whatever happens next in a loop ends the callback that it ran.
    #[expect(clippy::inline_always, reason = "a call would be a tenth of what an event takes")]
    #[inline(always)]
    fn end_callback(&mut self, number: u8, stamp: u64) -> &mut EventLoop {
        let at = self.loop_at(number);
        let Self { loops, tasks, hot, long, scale, thresholds, .. } = self;
        let event_loop = &mut loops[at];
        let Activity::Running { since, task, place } = event_loop.activity else { return event_loop };
        let took = stamp.saturating_sub(since);
        let nanoseconds = scale.duration(took);
        event_loop.activity = Activity::Outside;
        event_loop.busy += took;
        event_loop.durations.record(nanoseconds);
        event_loop.load.ran(place, took);
        if let Some(row) = task.and_then(|task| tasks.row(event_loop.row, task)) {
            row.steps += 1;
            row.run += took;
            row.longest = row.longest.max(took);
            row.last_step = since;
        } else {
            hot.of(place).add(1, took, took);
        }
        if nanoseconds >= thresholds.blocked {
            note_long(long, Long { event_loop: number, since, took, has_ended: true, task, place });
        }
        event_loop
    }

    fn poll(&mut self, event: &Event) {
        let scale = self.scale;
        let event_loop = self.end_callback(event.event_loop, event.stamp);
        if event_loop.woke > 0 {
            let turn = event.stamp.saturating_sub(event_loop.woke);
            event_loop.lags.record(scale.duration(turn));
            event_loop.load.turned(turn);
        }
        event_loop.activity = Activity::Polling { since: event.stamp };
        event_loop.ready = u64::from(event.small);
    }

    fn wake(&mut self, event: &Event) {
        let event_loop = self.event_loop(event.event_loop);
        if let Activity::Polling { since } = event_loop.activity {
            let idled = event.stamp.saturating_sub(since);
            event_loop.idle += idled;
            event_loop.load.idled(idled);
        }
        (event_loop.activity, event_loop.woke) = (Activity::Outside, event.stamp);
        let waited = self.scale.duration(event.value);
        if waited >= WAIT {
            let second = self.scale.ticks(1_000_000_000);
            let long = self.thresholds.blocked;
            self.convoys.entry(event.event_loop).or_default().wait(event.stamp, waited, long, second);
        }
    }

    fn bear(&mut self, event: &Event) {
        let parent = match self.event_loop(event.event_loop).activity {
            Activity::Running { task, .. } => task,
            _ => None,
        };
        let task = Task {
            event_loop: event.event_loop,
            born: event.stamp,
            birth: event.place,
            code: PlaceId(event.value as u32),
            parent,
            steps: 0,
            run: 0,
            longest: 0,
            last_step: 0,
        };
        // The address of one that was thrown away may be used again.
        self.forget(event.subject);
        self.tasks.insert(event.subject, task);
        let flood = self.thresholds.flood;
        let birth = self.births.of(event.place);
        birth.born += 1;
        birth.alive += 1;
        birth.most = birth.most.max(birth.alive);
        birth.last = event.stamp;
        birth.pile.bear(event.stamp, flood);
    }

    /// Where the task or the transport was made that a note is about.
    fn birth(&self, note: &Note) -> Option<PlaceId> {
        let task = self.tasks.get(&note.address).map(|task| task.birth);
        task.or_else(|| self.failed.get(&note.address).copied()).or_else(|| self.transports.birth(note.address))
    }

    /// A task is no more, and was not seen to end.
    fn forget(&mut self, task: u64) {
        self.remove(task);
    }

    /// Takes a task out, and returns the row of the line that has made it.
    #[inline]
    fn remove(&mut self, task: u64) -> Option<(PlaceId, &mut Birth)> {
        let task = self.tasks.remove(task)?;
        self.hot.of(task.code).add(task.steps, task.run, task.longest);
        let birth = self.births.of(task.birth);
        birth.alive = birth.alive.saturating_sub(1);
        birth.pile.end();
        Some((task.birth, birth))
    }

    fn finish(&mut self, event: &Event) {
        self.polls.forget(event.subject);
        self.waits.last_end = event.stamp;
        let Some((place, birth)) = self.remove(event.subject) else { return };
        birth.ended[usize::from(Outcome::from_number(event.small).number())] += 1;
        if Outcome::from_number(event.small) == Outcome::Raised {
            if self.failed.len() >= FAILED {
                self.failed.clear();
            }
            self.failed.insert(event.subject, place);
        }
    }
}

/// A place as findings name it.
pub fn site(place: &Place) -> Site {
    let package = match &place.owner {
        treadle_events::Owner::Program => None,
        treadle_events::Owner::Package(name) => Some(name.clone()),
        treadle_events::Owner::Python => Some("python".to_owned()),
    };
    Site { path: place.file.clone(), line: place.line, function: place.function.clone(), package }
}

#[cfg(test)]
mod tests {
    use treadle_events::Owner;

    use super::*;

    fn run(events: &[(u64, Kind, u64)]) -> Run {
        let mut run =
            Run::new(Scale::nanoseconds(), Thresholds { blocked: 100, window: 10, flood: 3, ..Thresholds::default() });
        for (stamp, kind, subject) in events {
            run.apply(&Event { stamp: *stamp, subject: *subject, ..Event::new(*kind, 1) });
        }
        run
    }

    #[test]
    fn notes_know_where_a_task_was_made_that_has_failed_or_was_thrown_away() {
        let mut run = run(&[]);
        let place = |line| Place { file: "app.py".to_owned(), line, function: "f".to_owned(), owner: Owner::Program };
        run.learn_places(|places| places.extend([place(1), place(2)]));
        for (subject, birth) in [(7, 1), (8, 2)] {
            run.apply(&Event { subject, place: PlaceId(birth), ..Event::new(Kind::TaskBorn, 1) });
        }
        let failed = Outcome::Raised.number();
        run.apply(&Event { subject: 7, small: failed, ..Event::new(Kind::TaskDone, 1) });
        for (what, address) in [(What::ExceptionNeverRetrieved, 7), (What::TaskDestroyed, 8)] {
            let (place, subject, details) = (None, String::new(), Vec::new());
            run.hear(Note { stamp: 1, what, address, place, subject, details, size: 0 });
            let birth = run.told(what).next().and_then(|told| told.birth.clone());
            assert_eq!(birth.map(|birth| birth.line), Some(address as u32 - 6));
        }
        assert_eq!((run.tasks().len(), run.births()[&PlaceId(2)].alive), (0, 0));
    }

    #[test]
    fn tasks_pile_up_if_there_are_more_in_each_window() {
        let mut run = run(&[]);
        for window in 1..=12 {
            let subject = |number| window * 10 + number;
            (0..5).for_each(|number| {
                run.apply(&Event { stamp: window * 10, subject: subject(number), ..Event::new(Kind::TaskBorn, 1) });
            });
            run.tick(window * 10 + 9, Scale::nanoseconds());
        }
        let birth = &run.births()[&PlaceId::UNKNOWN];
        assert!(birth.pile.is_growing(10, 50), "{birth:?}");
        assert_eq!(birth.pile.flooded, Some(10));
    }

    #[test]
    fn transports_that_nobody_has_closed_are_counted_where_they_were_opened() {
        let transport = |kind, subject, place| Event { subject, place: PlaceId(place), ..Event::new(kind, 1) };
        let mut run = run(&[]);
        for (kind, subject, place) in [
            (Kind::TransportMade, 1, 5),
            (Kind::TransportMade, 2, 6),
            (Kind::TransportMade, 3, 6),
            (Kind::TransportLost, 1, 0),
            (Kind::TransportLeft, 2, 0),
            (Kind::LoopClosed, 0, 0),
            (Kind::TransportLeft, 3, 0),
        ] {
            run.apply(&transport(kind, subject, place));
        }
        let left: Vec<_> = run.transports().left().iter().map(|(place, seen)| (place.0, seen.count)).collect();
        assert_eq!((left, run.transports().count(), run.transports().most()), (vec![(6, 1)], 0, 3));
    }

    #[test]
    fn timers_that_are_due_or_cancelled_or_whose_loop_is_closed_wait_no_more() {
        let mut run = run(&[]);
        let alive = |run: &Run| run.timers().piles()[&PlaceId::UNKNOWN].alive;
        let timer = |kind, subject| Event { subject, ..Event::new(kind, 1) };
        for subject in [1, 2, 3] {
            run.apply(&timer(Kind::TimerSet, subject));
        }
        run.apply(&timer(Kind::TimerGone, 2));
        run.apply(&timer(Kind::TimerGone, 9));
        assert_eq!(alive(&run), 2);
        run.apply(&timer(Kind::LoopClosed, 0));
        assert_eq!(alive(&run), 0);
    }

    #[test]
    fn a_callback_ends_when_the_next_thing_happens() {
        let run = run(&[
            (0, Kind::LoopStarted, 0),
            (0, Kind::TaskBorn, 7),
            (10, Kind::Step, 7),
            (40, Kind::Call, 8),
            (45, Kind::Poll, 0),
            (100, Kind::Woke, 0),
            (100, Kind::Step, 7),
        ]);
        let event_loop = &run.loops()[0];
        assert_eq!((event_loop.busy, event_loop.idle, event_loop.callbacks), (35, 55, 3));
        assert_eq!(event_loop.activity, Activity::Running { since: 100, task: Some(7), place: PlaceId::UNKNOWN });
        assert_eq!(run.tasks()[&7].run, 30);
        assert_eq!(run.long(), []);
    }

    #[test]
    fn a_long_callback_is_seen_while_it_runs_and_when_it_has_ended() {
        let mut run = run(&[(0, Kind::LoopStarted, 0), (10, Kind::Step, 7)]);
        run.tick(150, Scale::nanoseconds());
        let seen: Vec<_> = run.long().iter().map(|long| (long.since, long.took, long.has_ended)).collect();
        assert_eq!(seen, [(10, 140, false)]);
        run.apply(&Event { stamp: 300, ..Event::new(Kind::Poll, 1) });
        let seen: Vec<_> = run.long().iter().map(|long| (long.since, long.took, long.has_ended)).collect();
        assert_eq!(seen, [(10, 290, true)]);
    }

    #[test]
    fn tasks_are_counted_where_they_were_made() {
        let mut run =
            run(&[(0, Kind::LoopStarted, 0), (1, Kind::TaskBorn, 7), (2, Kind::Step, 7), (3, Kind::TaskBorn, 8)]);
        assert_eq!(run.tasks()[&8].parent, Some(7));
        run.apply(&Event { subject: 7, small: Outcome::Raised.number(), ..Event::new(Kind::TaskDone, 1) });
        let birth = &run.births()[&PlaceId::UNKNOWN];
        assert_eq!((birth.born, birth.alive, birth.most, birth.ended_by(Outcome::Raised)), (2, 1, 2, 1));
        // The address of a task that was thrown away is used again.
        run.apply(&Event { subject: 8, ..Event::new(Kind::TaskBorn, 1) });
        assert_eq!(run.births()[&PlaceId::UNKNOWN].alive, 1);
    }

    #[test]
    fn what_code_has_cost_is_that_of_all_its_tasks_and_callbacks() {
        let mut run = run(&[(0, Kind::LoopStarted, 0)]);
        let event = |stamp, kind, subject| Event { stamp, subject, place: PlaceId(3), value: 3, ..Event::new(kind, 1) };
        for (stamp, kind, subject) in [
            (1, Kind::TaskBorn, 16),
            (1, Kind::TaskBorn, 32),
            (10, Kind::Step, 16),
            (15, Kind::Step, 32),
            (22, Kind::Step, 16),
            // Its last step is no row's any more.
            (24, Kind::TaskDone, 16),
            (25, Kind::Call, 48),
            (26, Kind::Poll, 0),
        ] {
            run.apply(&event(stamp, kind, subject));
        }
        assert_eq!(run.hot(), [(PlaceId(3), Hot { count: 4, total: 16, longest: 7 })]);
        assert_eq!((run.tasks()[&32].steps, run.tasks()[&32].run), (1, 7));
    }

    #[test]
    fn a_buffer_that_is_sent_ends_no_transport() {
        let mut run = run(&[(0, Kind::LoopStarted, 0), (1, Kind::TransportMade, 7), (2, Kind::TransportMade, 8)]);
        for (stamp, kind) in [(3, Kind::BufferOverfull), (4, Kind::BufferDrained)] {
            run.apply(&Event { stamp, subject: 7, ..Event::new(kind, 1) });
            assert_eq!(run.transports().count(), 2);
        }
        run.apply(&Event { subject: 7, ..Event::new(Kind::TransportLost, 1) });
        assert_eq!(run.transports().count(), 1);
        run.apply(&Event::new(Kind::LoopClosed, 1));
        assert_eq!(run.transports().count(), 0);
    }

    #[test]
    fn notes_of_the_same_place_are_counted() {
        let mut run = run(&[]);
        let note = |stamp, subject: &str| Note {
            stamp,
            what: What::NeverAwaited,
            address: 0,
            place: None,
            subject: subject.to_owned(),
            details: vec![],
            size: stamp,
        };
        for (stamp, subject) in [(1, "fetch"), (5, "fetch"), (6, "store")] {
            run.hear(note(stamp, subject));
        }
        let mut told: Vec<_> = run
            .told(What::NeverAwaited)
            .map(|told| (told.note.subject.clone(), told.count, told.last, told.largest))
            .collect();
        told.sort();
        assert_eq!(told, [("fetch".to_owned(), 2, 5, 5), ("store".to_owned(), 1, 6, 6)]);
    }
}
