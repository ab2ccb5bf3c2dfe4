//! What the loops of a process are doing, and what they have spent their time on.

use hdrhistogram::Histogram;
use treadle_events::PlaceId;

use crate::load::Load;
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
    pub durations: Histogram<u64>,
    /// How long it took from one look at the system to the next, in nanoseconds: what arrives meanwhile waits at most so long.
    pub lags: Histogram<u64>,
    /// When it had its last answer from the system.
    pub(crate) woke: u64,
    pub(crate) load: Load,
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

/// A callback that took longer than is good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Long {
    /// The loop.
    pub event_loop: u8,
    /// When it began, in ticks.
    pub since: u64,
    /// How long it took, in ticks; so far, if it has not ended.
    pub took: u64,
    /// Whether it has ended.
    pub has_ended: bool,
    /// The task, by its address, if it was the step of one.
    pub task: Option<u64>,
    /// Its code.
    pub place: PlaceId,
}

impl EventLoop {
    /// How long callbacks took, and turns.
    pub(crate) fn distributions(&self) -> (Distribution, Distribution) {
        (Distribution::of(&self.durations), Distribution::of(&self.lags))
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
            durations: histogram(),
            lags: histogram(),
            woke: 0,
            load: Load::default(),
        }
    }
}

impl Distribution {
    /// What is in a histogram of nanoseconds.
    pub(crate) fn of(histogram: &Histogram<u64>) -> Self {
        let points: Vec<(u64, u64)> = histogram
            .iter_recorded()
            .map(|step| (step.value_iterated_to(), step.count_since_last_iteration()))
            .collect();
        // The middle of what a point stands for, or sums would be too high by half a hundredth.
        let sum = points.iter().map(|(value, count)| histogram.median_equivalent(*value) * count).sum();
        Self { points, sum }
    }
}

/// From a nanosecond to a day, to two digits.
pub(crate) fn histogram() -> Histogram<u64> {
    let mut histogram = Histogram::new_with_bounds(1, 86_400_000_000_000, 2).unwrap_or_else(|_| fallback());
    histogram.auto(true);
    histogram
}

/// One that takes everything.
fn fallback() -> Histogram<u64> {
    #[expect(clippy::expect_used, reason = "two digits are within what the library documents")]
    Histogram::new(2).expect("two digits are allowed")
}
