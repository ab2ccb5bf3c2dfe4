//! What the tasks of a process are doing at one moment, as plain data for whoever shows it.
//!
//! What tasks wait for is as of the last picture that their loop has made of them; whoever has made a step since then has no such line.

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use treadle_events::{PlaceId, Wait};
use treadle_finding::Site;

use crate::{Activity, Run};

/// Holders of one semaphore that are named for each task that waits for it.
const HOLDERS: usize = 16;

/// A process at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// When, in nanoseconds since 1970.
    pub time: u64,
    /// Its loops.
    pub loops: Vec<LoopRow>,
    /// The tasks that are alive, the oldest first.
    pub tasks: Vec<TaskRow>,
    /// Which tasks wait for which.
    pub edges: Vec<Edge>,
}

/// A loop.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LoopRow {
    /// Its number.
    pub number: u8,
    /// The system's number of its thread.
    pub thread: u64,
    /// Whether it runs.
    pub is_running: bool,
    /// What it is doing, in a word: `running` a callback, `polling` the system, or between two things.
    pub activity: &'static str,
    /// How many callbacks it has run.
    pub callbacks: u64,
    /// How long it has spent in callbacks, in nanoseconds.
    pub busy: u64,
    /// How long it has waited for the system, in nanoseconds.
    pub idle: u64,
}

/// What a task is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Its step is being executed.
    Running,
    /// It was seen waiting and has made no step since.
    Waiting,
    /// Neither is known: it waits for its turn, or was not looked at yet.
    #[default]
    Unknown,
}

/// A task.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TaskRow {
    /// Its address, by which edges name it.
    pub task: u64,
    /// Its loop, by its number.
    pub event_loop: u8,
    /// Its name, once it was looked at.
    pub name: Option<String>,
    /// Where it was made.
    pub birth: Site,
    /// Its coroutine's function.
    pub code: Site,
    /// The task that made it.
    pub parent: Option<u64>,
    /// What it is doing.
    pub state: State,
    /// Where its coroutines stand, the outermost first.
    pub chain: Vec<Site>,
    /// What it waits for: a word, and the class of the object.
    pub waits_for: Option<(&'static str, String)>,
    /// What it has entered and not left: the class, and the line of the `async with`.
    pub holds: Vec<(String, Site)>,
    /// Whether nothing wakes it any more.
    pub is_stuck: bool,
    /// How old it is, in nanoseconds.
    pub age: u64,
    /// Since when it has made no step, in nanoseconds.
    pub quiet: u64,
    /// How long its steps took together, in nanoseconds.
    pub run: u64,
    /// How many there were.
    pub steps: u64,
    /// The longest, in nanoseconds.
    pub longest: u64,
}

/// A task waits for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Edge {
    /// Who waits.
    pub from: u64,
    /// For whom.
    pub to: u64,
    /// The thing that the other one holds, by its address; 0 if it is awaited itself.
    pub thing: u64,
}

impl Run {
    /// What the tasks are doing now.
    pub fn snapshot(&self) -> Snapshot {
        let scale = self.scale();
        let loops = self.loops().iter().map(|one| LoopRow {
            number: one.number,
            thread: one.thread,
            is_running: one.is_running,
            activity: match one.activity {
                Activity::Running { .. } => "running",
                Activity::Polling { .. } => "polling",
                Activity::Outside => "outside",
            },
            callbacks: one.callbacks,
            busy: scale.duration(one.busy),
            idle: scale.duration(one.idle),
        });
        let mut tasks: Vec<(u64, TaskRow)> =
            self.tasks().keys().filter_map(|task| Some((self.tasks().get(task)?.born, self.row(*task)?))).collect();
        tasks.sort_by_key(|(born, row)| (*born, row.task));
        Snapshot {
            time: scale.time(self.now()),
            loops: loops.collect(),
            tasks: tasks.into_iter().map(|(_, row)| row).collect(),
            edges: self.edges(),
        }
    }

    /// What one task is doing now, if it is alive.
    pub(crate) fn row(&self, task: u64) -> Option<TaskRow> {
        let (row, scale, now) = (self.tasks().get(&task)?, self.scale(), self.now());
        let since = |stamp: u64| scale.duration(now.saturating_sub(stamp));
        let mut shown = TaskRow {
            task,
            event_loop: row.event_loop,
            birth: self.site(row.birth),
            code: self.site(row.code),
            parent: row.parent,
            age: since(row.born),
            quiet: since(row.last_step.max(row.born)),
            run: scale.duration(row.run),
            steps: row.steps,
            longest: scale.duration(row.longest),
            is_stuck: self.waits().is_stuck(task),
            ..TaskRow::default()
        };
        if self.loops().iter().any(|event_loop| event_loop.activity.is_step_of(task)) {
            shown.state = State::Running;
        } else if let Some(parked) = self.parked(task) {
            let class = |thing: u64| self.waits().thing(thing).map(|thing| thing.class.clone()).unwrap_or_default();
            let site = |place: &PlaceId| self.site(*place);
            shown.state = State::Waiting;
            shown.name = Some(parked.waiting.name.clone());
            shown.chain = parked.waiting.chain.iter().map(site).collect();
            shown.holds = parked.waiting.holds.iter().map(|hold| (class(hold.thing), site(&hold.place))).collect();
            shown.waits_for = match &parked.waiting.wait {
                Wait::Outside => None,
                Wait::Sleep => Some(("sleep", String::new())),
                Wait::Thing(manner, thing) => Some((manner.word(), class(*thing))),
                Wait::All(_) => Some(("all", "Task".to_owned())),
                Wait::Any(_) => Some(("any", "Task".to_owned())),
            };
        }
        Some(shown)
    }

    /// Which tasks wait for which, as far as both are known.
    pub(crate) fn edges(&self) -> Vec<Edge> {
        let mut edges = Vec::new();
        let mut holders: FxHashMap<u64, Vec<u64>> = FxHashMap::default();
        for parked in self.all_parked() {
            for hold in &parked.waiting.holds {
                holders.entry(hold.thing).or_default().push(parked.waiting.task);
            }
        }
        for parked in self.all_parked() {
            let from = parked.waiting.task;
            match &parked.waiting.wait {
                Wait::All(tasks) | Wait::Any(tasks) => {
                    edges.extend(tasks.iter().map(|to| Edge { from, to: *to, thing: 0 }));
                }
                Wait::Thing(_, thing) => {
                    let holders = holders.get(thing).into_iter().flatten().take(HOLDERS);
                    edges.extend(holders.map(|to| Edge { from, to: *to, thing: *thing }));
                }
                Wait::Outside | Wait::Sleep => {}
            }
        }
        edges.sort_unstable();
        edges
    }
}

#[cfg(test)]
mod tests {
    use treadle_events::{Event, Hold, Kind, Manner, Picture, Scale, Thing, Waiting};

    use super::*;
    use crate::Thresholds;

    #[test]
    fn a_snapshot_shows_who_waits_for_whom() {
        let mut run = Run::new(Scale::nanoseconds(), Thresholds::default());
        let event = |stamp, kind, subject| Event { stamp, subject, ..Event::new(kind, 1) };
        for (stamp, kind, subject) in [
            (1, Kind::LoopStarted, 0),
            (2, Kind::TaskBorn, 7),
            (3, Kind::TaskBorn, 8),
            (4, Kind::Step, 7),
            (9, Kind::Poll, 0),
        ] {
            run.apply(&event(stamp, kind, subject));
        }
        let holds = vec![Hold { thing: 100, place: PlaceId(0) }];
        let waiting = |task, wait, holds| Waiting {
            task,
            stamp: 10,
            name: format!("Task-{task}"),
            wait,
            holds,
            ..Waiting::default()
        };
        run.see(Picture {
            event_loop: 1,
            tasks: vec![waiting(7, Wait::Sleep, holds), waiting(8, Wait::Thing(Manner::Lock, 100), vec![])],
            things: vec![Thing { address: 100, class: "Lock".to_owned(), ..Thing::default() }],
            ..Picture::default()
        });
        let snapshot = run.snapshot();
        assert_eq!(snapshot.edges, [Edge { from: 8, to: 7, thing: 100 }]);
        let seen: Vec<_> = snapshot.tasks.iter().map(|row| (row.task, row.state, row.waits_for.clone())).collect();
        let lock = ("lock", "Lock".to_owned());
        assert_eq!(seen, [(7, State::Waiting, Some(("sleep", String::new()))), (8, State::Waiting, Some(lock))]);
        // What was seen does not hold for who has made a step since.
        run.apply(&event(20, Kind::Step, 7));
        assert_eq!(run.snapshot().tasks[0].state, State::Running);
        assert_eq!(run.snapshot().edges, [Edge { from: 8, to: 7, thing: 100 }]);
        run.apply(&event(30, Kind::Poll, 0));
        assert_eq!(run.snapshot().edges, []);
        assert_eq!(run.snapshot().tasks[0].state, State::Unknown);
    }
}
