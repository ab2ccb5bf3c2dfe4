//! Events in their order, once more: which task made which step when, and what became of it.

use rustc_hash::FxHashMap;
use treadle_events::{Event, Kind, PlaceId, Wake};

use super::WokenBy;
use crate::Living;

/// Nothing: the number of no task, no step.
pub(super) const NONE: u32 = u32::MAX;

/// A step of a task, or another callback. Times in ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) event_loop: u8,
    pub(super) task: u32,
    pub(super) place: PlaceId,
    pub(super) start: u64,
    pub(super) took: u64,
    /// What has brought it about, and the step in which that was.
    pub(super) woken_by: WokenBy,
    pub(super) waker: u32,
    /// The task whose step that is.
    pub(super) waker_task: u32,
    /// Since when it was ready, at the latest; 0 if that is not known.
    pub(super) woken: u64,
}

/// What has brought something about.
#[derive(Clone, Copy, Debug)]
struct Waking {
    woken_by: WokenBy,
    waker: u32,
    woken: u64,
}

impl Waking {
    const UNKNOWN: Self = Self { woken_by: WokenBy::Unknown, waker: NONE, woken: 0 };
}

/// A task.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Task {
    pub(super) address: u64,
    pub(super) event_loop: u8,
    pub(super) born: u64,
    /// 0 as long as it lives.
    pub(super) ended: u64,
    pub(super) outcome: u16,
    pub(super) code: PlaceId,
    pub(super) birth: PlaceId,
    pub(super) parent: u32,
    pub(super) steps: u64,
    pub(super) run: u64,
    pub(super) longest: u64,
}

/// A job of an executor. Times in ticks, 0 for what was not seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Job {
    pub(super) place: PlaceId,
    pub(super) function: PlaceId,
    pub(super) submitted: u64,
    pub(super) started: u64,
    pub(super) ended: u64,
    pub(super) thread: u64,
}

/// Sleep in the system: the loop, since when, how long.
pub(super) type Sleep = (u8, u64, u64);

/// All that was seen.
#[derive(Debug, Default)]
pub(super) struct Replay {
    pub(super) steps: Vec<Step>,
    pub(super) tasks: Vec<Task>,
    pub(super) polls: Vec<Sleep>,
    pub(super) jobs: Vec<Job>,
    /// The tasks that live, by their addresses.
    living: FxHashMap<u64, u32>,
    /// How tasks are known from elsewhere: by address and birth.
    known: FxHashMap<(u64, u64), u32>,
    /// What has a number, by the loop and the number.
    wakings: FxHashMap<(u8, u32), Waking>,
    /// The tasks that have not begun to run, with who has made them and when.
    born: FxHashMap<u32, (u32, u64)>,
    running: FxHashMap<u8, usize>,
    polling: FxHashMap<u8, u64>,
    open_jobs: FxHashMap<u64, usize>,
}

impl Replay {
    /// Begins with events that do not follow those before: what lived then is known from `tasks` alone.
    pub(super) fn begin<'a>(&mut self, tasks: impl Iterator<Item = &'a Living>) {
        self.living.clear();
        self.wakings.clear();
        self.born.clear();
        self.running.clear();
        self.polling.clear();
        let mut parents = Vec::new();
        for living in tasks {
            let at = self.meet(living);
            self.living.entry(living.task).or_insert(at);
            parents.push((at, living.parent));
        }
        for (at, parent) in parents {
            let parent = self.living.get(&parent).copied().unwrap_or(NONE);
            let row = &mut self.tasks[at as usize];
            if row.parent == NONE && parent != at {
                row.parent = parent;
            }
        }
    }

    /// The number of a task that somebody has looked at.
    pub(super) fn meet(&mut self, living: &Living) -> u32 {
        if let Some(known) = self.known.get(&(living.task, living.born)) {
            return *known;
        }
        self.add(Task {
            address: living.task,
            event_loop: living.event_loop,
            born: living.born,
            code: PlaceId(living.code),
            birth: PlaceId(living.birth),
            parent: NONE,
            ..Task::default()
        })
    }

    fn add(&mut self, task: Task) -> u32 {
        let at = self.tasks.len() as u32;
        self.known.insert((task.address, task.born), at);
        self.tasks.push(task);
        at
    }

    /// Takes an event in.
    pub(super) fn take(&mut self, event: &Event) {
        match event.kind {
            Kind::Step => {
                let task = self.living.get(&event.subject).copied();
                let task = task.unwrap_or_else(|| self.stranger(event));
                let place = self.tasks[task as usize].code;
                self.start(event, task, place);
            }
            Kind::Call | Kind::Ready => self.start(event, NONE, event.place),
            Kind::LoopStarted | Kind::LoopStopped | Kind::LoopClosed => self.end(event),
            Kind::Flush => {
                self.end(event);
                self.number(event, event.value, Waking { woken_by: WokenBy::Flush, waker: NONE, woken: event.stamp });
            }
            Kind::Handed => {
                let waker = self.running.get(&u8::try_from(event.small).unwrap_or(0)).map_or(NONE, |step| *step as u32);
                self.number(event, event.value, Waking { woken_by: WokenBy::Thread, waker, woken: event.stamp });
            }
            Kind::Poll => {
                self.end(event);
                self.polling.insert(event.event_loop, event.stamp);
            }
            Kind::Woke => {
                self.number(
                    event,
                    event.subject,
                    Waking { woken_by: WokenBy::Descriptor, waker: NONE, woken: event.stamp },
                );
                if let Some(since) = self.polling.remove(&event.event_loop) {
                    self.polls.push((event.event_loop, since, event.stamp.saturating_sub(since)));
                }
            }
            Kind::TaskBorn => self.bear(event),
            Kind::TaskDone => {
                if let Some(at) = self.living.remove(&event.subject) {
                    let task = &mut self.tasks[at as usize];
                    (task.ended, task.outcome) = (event.stamp, event.small);
                    self.born.remove(&at);
                }
            }
            Kind::JobSubmitted => {
                let (place, function) = (event.place, PlaceId(event.value as u32));
                self.open_jobs.insert(event.subject, self.jobs.len());
                self.jobs.push(Job { place, function, submitted: event.stamp, ..Job::default() });
            }
            Kind::JobStarted => {
                if let Some(job) = self.job(event.subject) {
                    (job.started, job.thread) = (event.stamp, event.value);
                }
            }
            Kind::JobEnded => {
                if let Some(job) = self.job(event.subject) {
                    job.ended = event.stamp;
                }
                self.open_jobs.remove(&event.subject);
            }
            _ => {}
        }
    }

    /// Ends what still runs, at a time in ticks.
    pub(super) fn finish(&mut self, now: u64) {
        let running: Vec<usize> = self.running.drain().map(|(_, step)| step).collect();
        for step in running {
            self.close(step, now);
        }
        for (event_loop, since) in self.polling.drain() {
            self.polls.push((event_loop, since, now.saturating_sub(since)));
        }
    }

    /// A task of which nobody knows when it was made.
    fn stranger(&mut self, event: &Event) -> u32 {
        let task = Task { address: event.subject, event_loop: event.event_loop, parent: NONE, ..Task::default() };
        let at = self.add(task);
        self.living.insert(event.subject, at);
        at
    }

    fn bear(&mut self, event: &Event) {
        let step = self.running.get(&event.event_loop).copied();
        let parent = step.map_or(NONE, |step| self.steps[step].task);
        let at = match self.known.get(&(event.subject, event.stamp)) {
            Some(known) => *known,
            None => self.add(Task {
                address: event.subject,
                event_loop: event.event_loop,
                born: event.stamp,
                code: PlaceId(event.value as u32),
                birth: event.place,
                ..Task::default()
            }),
        };
        self.tasks[at as usize].parent = parent;
        self.living.insert(event.subject, at);
        self.born.insert(at, (step.map_or(NONE, |step| step as u32), event.stamp));
    }

    fn start(&mut self, event: &Event, task: u32, place: PlaceId) {
        self.end(event);
        let Waking { woken_by, waker, woken } = self.waking(event, task);
        let waker_task = self.steps.get(waker as usize).map_or(NONE, |step| step.task);
        let step = self.steps.len();
        self.number(event, event.value, Waking { woken_by: WokenBy::Step, waker: step as u32, woken: 0 });
        self.running.insert(event.event_loop, step);
        let (event_loop, start) = (event.event_loop, event.stamp);
        self.steps.push(Step { event_loop, task, place, start, took: 0, woken_by, waker, waker_task, woken });
    }

    /// Remembers what has a number, which is the lower half of `value`.
    fn number(&mut self, event: &Event, value: u64, waking: Waking) {
        let (_, number) = Wake::of_value(value);
        if number != 0 {
            self.wakings.insert((event.event_loop, number), waking);
        }
    }

    /// What has brought about what begins here.
    fn waking(&mut self, event: &Event, task: u32) -> Waking {
        let born = self.born.remove(&task);
        if event.kind == Kind::Ready {
            return Waking { woken_by: WokenBy::Descriptor, ..Waking::UNKNOWN };
        }
        let (wake, _) = Wake::of_value(event.value);
        let found = self.wakings.get(&(event.event_loop, wake.number())).copied().unwrap_or(Waking::UNKNOWN);
        match (born, self.steps.get(found.waker as usize)) {
            // When a task was made is known more exactly than when something else was done in a step.
            (Some((waker, woken)), _) if waker != NONE => Waking { woken_by: WokenBy::Step, waker, woken },
            (Some((_, woken)), _) => Waking { woken, ..found },
            (None, Some(step)) if found.woken_by == WokenBy::Step => Waking { woken: step.start + step.took, ..found },
            _ if found.woken_by == WokenBy::Descriptor && wake.is_timer() => {
                Waking { woken_by: WokenBy::Timer, ..found }
            }
            _ => found,
        }
    }

    fn end(&mut self, event: &Event) {
        if let Some(step) = self.running.remove(&event.event_loop) {
            self.close(step, event.stamp);
        }
    }

    fn close(&mut self, step: usize, now: u64) {
        let step = &mut self.steps[step];
        step.took = now.saturating_sub(step.start);
        if let Some(task) = self.tasks.get_mut(step.task as usize) {
            task.steps += 1;
            task.run += step.took;
            task.longest = task.longest.max(step.took);
        }
    }

    fn job(&mut self, number: u64) -> Option<&mut Job> {
        self.open_jobs.get(&number).and_then(|at| self.jobs.get_mut(*at))
    }
}
