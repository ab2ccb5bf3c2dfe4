//! Events and notes, put where they belong.

use rustc_hash::FxHashMap;
use treadle_events::{Event, Kind, Note, Outcome, Place, PlaceId, Scale, What};
use treadle_finding::Site;

use crate::births::Birth;
use crate::buffers::{Buffers, Overfull};
use crate::loops::{Activity, EventLoop, Hot, Long};
use crate::notes::Told;
use crate::queues::Queues;
use crate::tasks::Task;
use crate::thresholds::Thresholds;
use crate::waits::Waits;

/// Long callbacks that are remembered, the last ones.
const LONG: usize = 1_000;

/// Different notes that are remembered.
const TOLD: usize = 1_000;

/// What a process did.
#[derive(Clone, Debug)]
pub struct Run {
    /// From when on something is too much.
    pub thresholds: Thresholds,
    scale: Scale,
    now: u64,
    places: Vec<Place>,
    loops: Vec<EventLoop>,
    tasks: FxHashMap<u64, Task>,
    births: FxHashMap<PlaceId, Birth>,
    hot: FxHashMap<PlaceId, Hot>,
    long: Vec<Long>,
    told: FxHashMap<(What, Option<Place>, String), Told>,
    lost: u64,
    buffers: Buffers,
    pub(crate) queues: Queues,
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
            tasks: FxHashMap::default(),
            births: FxHashMap::default(),
            hot: FxHashMap::default(),
            long: Vec::new(),
            told: FxHashMap::default(),
            lost: 0,
            buffers: Buffers::default(),
            queues: Queues::default(),
            waits: Waits::default(),
        }
    }

    /// Takes an event in.
    pub fn apply(&mut self, event: &Event) {
        self.now = self.now.max(event.stamp);
        match event.kind {
            Kind::LoopStarted => {
                let event_loop = self.event_loop(event.event_loop);
                (event_loop.is_running, event_loop.thread) = (true, event.value);
                (event_loop.activity, event_loop.woke) = (Activity::Outside, event.stamp);
            }
            Kind::LoopStopped | Kind::LoopClosed => {
                self.end_callback(event);
                let event_loop = self.event_loop(event.event_loop);
                (event_loop.is_running, event_loop.activity) = (false, Activity::Outside);
            }
            Kind::Step => {
                let place = self.tasks.get(&event.subject).map_or(PlaceId::UNKNOWN, |task| task.code);
                self.begin_callback(event, Some(event.subject), place);
            }
            Kind::Call | Kind::Ready => self.begin_callback(event, None, event.place),
            Kind::Flush => self.end_callback(event),
            Kind::Poll => self.poll(event),
            Kind::Woke => self.wake(event),
            Kind::TaskBorn => self.bear(event),
            Kind::TaskDone => self.finish(event),
            Kind::BufferOverfull | Kind::BufferDrained | Kind::TransportLost => {
                let scale = self.scale;
                self.buffers.apply(event, |nanoseconds| scale.ticks(nanoseconds));
            }
            _ => {}
        }
    }

    /// Takes a note in.
    pub fn hear(&mut self, note: Note) {
        self.now = self.now.max(note.stamp);
        let key = (note.what, note.place.clone(), note.subject.clone());
        if let Some(told) = self.told.get_mut(&key) {
            told.count += 1;
            (told.last, told.largest) = (note.stamp, told.largest.max(note.size));
        } else if self.told.len() < TOLD {
            let (last, largest) = (note.stamp, note.size);
            self.told.insert(key, Told { note, count: 1, last, largest });
        }
    }

    /// Knows further places.
    pub fn learn_places(&mut self, read: impl FnOnce(&mut Vec<Place>)) {
        read(&mut self.places);
    }

    /// Says what time it is, and how ticks are to be read: time passes also if nothing happens.
    pub fn tick(&mut self, now: u64, scale: Scale) {
        (self.now, self.scale) = (self.now.max(now), scale);
        let threshold = scale.ticks(self.thresholds.blocked);
        let running: Vec<Long> = self.loops.iter().filter_map(|event_loop| running(event_loop, self.now)).collect();
        running.into_iter().filter(|long| long.took >= threshold).for_each(|long| self.note_long(long));
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
    pub fn tasks(&self) -> &FxHashMap<u64, Task> {
        &self.tasks
    }

    /// The tasks by where they were made.
    pub fn births(&self) -> &FxHashMap<PlaceId, Birth> {
        &self.births
    }

    /// What pieces of code have cost.
    pub fn hot(&self) -> &FxHashMap<PlaceId, Hot> {
        &self.hot
    }

    /// The last callbacks that took longer than the threshold, in the order of their beginning for each loop.
    pub fn long(&self) -> &[Long] {
        &self.long
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

    fn event_loop(&mut self, number: u8) -> &mut EventLoop {
        let at = self.loops.iter().position(|event_loop| event_loop.number == number).unwrap_or_else(|| {
            self.loops.push(EventLoop::new(number));
            self.loops.len() - 1
        });
        &mut self.loops[at]
    }

    fn begin_callback(&mut self, event: &Event, task: Option<u64>, place: PlaceId) {
        self.end_callback(event);
        let event_loop = self.event_loop(event.event_loop);
        event_loop.callbacks += 1;
        event_loop.activity = Activity::Running { since: event.stamp, task, place };
    }

    /// Whatever happens next in a loop ends the callback that it ran.
    fn end_callback(&mut self, event: &Event) {
        let scale = self.scale;
        let event_loop = self.event_loop(event.event_loop);
        let Activity::Running { since, task, place } = event_loop.activity else { return };
        event_loop.activity = Activity::Outside;
        let took = event.stamp.saturating_sub(since);
        event_loop.busy += took;
        event_loop.durations.saturating_record(scale.duration(took).max(1));
        let hot = self.hot.entry(place).or_default();
        hot.count += 1;
        hot.total += took;
        hot.longest = hot.longest.max(took);
        if let Some(row) = task.and_then(|task| self.tasks.get_mut(&task)) {
            row.steps += 1;
            row.run += took;
            row.longest = row.longest.max(took);
            row.last_step = since;
        }
        if took >= scale.ticks(self.thresholds.blocked) {
            self.note_long(Long { event_loop: event.event_loop, since, took, has_ended: true, task, place });
        }
    }

    /// Enters a long callback, or what has become of it.
    fn note_long(&mut self, long: Long) {
        let same = |known: &&mut Long| (known.event_loop, known.since) == (long.event_loop, long.since);
        if let Some(known) = self.long.iter_mut().rev().find(same) {
            *known = long;
            return;
        }
        if self.long.len() >= LONG {
            self.long.remove(0);
        }
        self.long.push(long);
    }

    fn poll(&mut self, event: &Event) {
        self.end_callback(event);
        let scale = self.scale;
        let event_loop = self.event_loop(event.event_loop);
        if event_loop.woke > 0 {
            let lag = scale.duration(event.stamp.saturating_sub(event_loop.woke));
            event_loop.lags.saturating_record(lag.max(1));
        }
        event_loop.activity = Activity::Polling { since: event.stamp };
    }

    fn wake(&mut self, event: &Event) {
        let event_loop = self.event_loop(event.event_loop);
        if let Activity::Polling { since } = event_loop.activity {
            event_loop.idle += event.stamp.saturating_sub(since);
        }
        (event_loop.activity, event_loop.woke) = (Activity::Outside, event.stamp);
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
        if let Some(gone) = self.tasks.insert(event.subject, task) {
            self.births.entry(gone.birth).and_modify(|birth| birth.alive = birth.alive.saturating_sub(1));
        }
        let birth = self.births.entry(event.place).or_default();
        birth.born += 1;
        birth.alive += 1;
        birth.most = birth.most.max(birth.alive);
        birth.last = event.stamp;
    }

    fn finish(&mut self, event: &Event) {
        self.waits.last_end = event.stamp;
        let Some(task) = self.tasks.remove(&event.subject) else { return };
        let Some(birth) = self.births.get_mut(&task.birth) else { return };
        birth.alive = birth.alive.saturating_sub(1);
        birth.ended[usize::from(Outcome::from_number(event.small).number())] += 1;
    }
}

/// What a loop runs now, as if it ended now.
fn running(event_loop: &EventLoop, now: u64) -> Option<Long> {
    let Activity::Running { since, task, place } = event_loop.activity else { return None };
    let took = now.saturating_sub(since);
    Some(Long { event_loop: event_loop.number, since, took, has_ended: false, task, place })
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
    use super::*;

    fn run(events: &[(u64, Kind, u64)]) -> Run {
        let mut run = Run::new(Scale::nanoseconds(), Thresholds { blocked: 100 });
        for (stamp, kind, subject) in events {
            run.apply(&Event { stamp: *stamp, subject: *subject, ..Event::new(*kind, 1) });
        }
        run
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
