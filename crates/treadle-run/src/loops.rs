//! What the loops of a process are doing, and what they have spent their time on.

use treadle_events::PlaceId;

use crate::histogram::Histogram;
use crate::load::Load;
use crate::tasks::Row;
use crate::vitals::Distribution;

/// What a loop is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// It does not run, or is between two things.
    Outside,
    /// It asks the system, and has done so since then.
    Polling {
        /// Since when, in ticks.
        since: u64,
    },
    /// It runs a callback.
    Running {
        /// Since when, in ticks.
        since: u64,
        /// The task whose step it is, by its address, if it is one.
        task: Option<u64>,
        /// Its code: for a task that of its coroutine.
        place: PlaceId,
    },
}

impl Activity {
    /// Whether it is a step of a task, by its address.
    pub fn is_step_of(&self, wanted: u64) -> bool {
        matches!(self, Self::Running { task: Some(task), .. } if *task == wanted)
    }
}

/// A loop.
#[derive(Clone, Debug)]
pub struct EventLoop {
    /// The number that its events carry.
    pub number: u8,
    /// The system's number of the thread in which it runs or ran.
    pub thread: u64,
    /// Whether it runs.
    pub is_running: bool,
    /// What it is doing.
    pub activity: Activity,
    /// How many callbacks it has run.
    pub callbacks: u64,
    /// How many of them were steps of tasks.
    pub steps: u64,
    /// How many callbacks were ready when it last asked the system.
    pub ready: u64,
    /// How long it has spent in callbacks, in ticks.
    pub busy: u64,
    /// How long it has waited for the system, in ticks.
    pub idle: u64,
    /// How long callbacks took, in nanoseconds.
    pub(crate) durations: Histogram,
    /// How long it took from one look at the system to the next, in nanoseconds: what arrives meanwhile waits at most so long.
    pub(crate) lags: Histogram,
    /// When it had its last answer from the system.
    pub(crate) woke: u64,
    pub(crate) load: Load,
    /// Where the task is of which it runs a step.
    pub(crate) row: Row,
}

/// What a piece of code has cost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hot {
    /// How many callbacks ran it.
    pub count: u64,
    /// How long they took together, in ticks.
    pub total: u64,
    /// The longest, in ticks.
    pub longest: u64,
}

impl Hot {
    /// More callbacks, that took so long together and the longest so long.
    #[inline]
    pub(crate) fn add(&mut self, count: u64, total: u64, longest: u64) {
        self.count += count;
        self.total += total;
        self.longest = self.longest.max(longest);
    }
}

impl EventLoop {
    /// How long callbacks took, and turns.
    pub(crate) fn distributions(&self) -> (Distribution, Distribution) {
        (self.durations.distribution(), self.lags.distribution())
    }

    /// How long it is since it last had an answer from the system, in ticks; nothing while it asks.
    pub(crate) fn turn_so_far(&self, now: u64) -> u64 {
        if matches!(self.activity, Activity::Polling { .. }) { 0 } else { now.saturating_sub(self.woke) }
    }

    pub(crate) fn new(number: u8) -> Self {
        Self {
            number,
            thread: 0,
            is_running: false,
            activity: Activity::Outside,
            callbacks: 0,
            steps: 0,
            ready: 0,
            busy: 0,
            idle: 0,
            durations: Histogram::default(),
            lags: Histogram::default(),
            woke: 0,
            load: Load::default(),
            row: Row::NONE,
        }
    }

    /// A callback begins.
    #[inline]
    pub(crate) fn begin(&mut self, since: u64, task: Option<u64>, place: PlaceId) {
        self.callbacks += 1;
        self.steps += u64::from(task.is_some());
        self.activity = Activity::Running { since, task, place };
    }
}
