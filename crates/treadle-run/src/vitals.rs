//! A process in numbers, as plain data for meters and headers.
//!
//! Numbers that only grow are of the whole run; whoever shows a rate compares two of these.

use serde::{Deserialize, Serialize};
use treadle_events::Surroundings;

use crate::{Activity, Cause, EventLoop, Run};

/// A process in numbers, at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Vitals {
    /// When, in nanoseconds since 1970.
    pub time: u64,
    /// Its loops.
    pub loops: Vec<LoopVitals>,
    /// Tasks whose step is being executed, whom nothing wakes any more, and all others: they wait, be it for their turn.
    pub running: u64,
    /// See `running`.
    pub stuck: u64,
    /// See `running`.
    pub waiting: u64,
    /// Jobs that executors have not begun, and those that they have.
    pub queued_jobs: u64,
    /// See `queued_jobs`.
    pub running_jobs: u64,
    /// How long loops were blocked for longer than the threshold, in nanoseconds, by what kept them.
    pub blocked: Vec<(Cause, u64)>,
    /// How long collections of garbage took.
    pub collections: Distribution,
    /// Events that came too fast to be read.
    pub lost: u64,
    /// How long loops stood still for the doctor, in nanoseconds.
    pub inspected: u64,
}

/// A loop in numbers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LoopVitals {
    /// Its number.
    pub number: u8,
    /// The system's number of its thread.
    pub thread: u64,
    /// Whether it runs.
    pub is_running: bool,
    /// How many callbacks it has run, steps of tasks included.
    pub callbacks: u64,
    /// How many of them were steps of tasks.
    pub steps: u64,
    /// How long it has spent in callbacks, in nanoseconds; one that it is in counts.
    pub busy: u64,
    /// How long it has waited for the system, in nanoseconds.
    pub idle: u64,
    /// For how long what is ready has waited at least, in nanoseconds: 0 when the loop waits itself.
    pub lag: u64,
    /// Callbacks that were ready when it last asked the system.
    pub ready: u64,
    /// What it had around it when it was last asked.
    #[serde(with = "AroundLoop")]
    pub surroundings: Surroundings,
    /// How long callbacks took.
    pub callback: Distribution,
    /// How long turns took: what arrives meanwhile waits at most so long.
    pub lags: Distribution,
}

/// How often something took how long.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Distribution {
    /// Nanoseconds, rising, with how often; what is next to each other lies less than a hundredth apart or is told apart.
    pub points: Vec<(u64, u64)>,
    /// All of them together, in nanoseconds.
    pub sum: u64,
}

/// What [`Surroundings`] look like to whoever asks from outside.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Surroundings")]
struct AroundLoop {
    ready: usize,
    timers: usize,
    descriptors: usize,
    transports: usize,
    unsent: usize,
}

impl Distribution {
    /// What came since it looked like that.
    pub fn since(&self, before: &Self) -> Self {
        let mut known = before.points.iter().peekable();
        let more = |(value, count): &(u64, u64)| {
            while known.next_if(|(other, _)| other < value).is_some() {}
            let old = known.peek().filter(|(other, _)| other == value).map_or(0, |(_, count)| *count);
            Some((*value, count.saturating_sub(old))).filter(|(_, count)| *count > 0)
        };
        Self { points: self.points.iter().filter_map(more).collect(), sum: self.sum.saturating_sub(before.sum) }
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.points.iter().map(|(_, count)| count).sum()
    }

    /// The value that so many of a thousand do not exceed; 0 if there is none.
    pub fn quantile(&self, per_mille: u64) -> u64 {
        let wanted = (self.count() * per_mille).div_ceil(1_000);
        let mut seen = 0;
        for (value, count) in &self.points {
            seen += count;
            if seen >= wanted {
                return *value;
            }
        }
        0
    }

    /// The largest; 0 if there is none.
    pub fn most(&self) -> u64 {
        self.points.last().map_or(0, |(value, _)| *value)
    }
}

impl Run {
    /// The process in numbers.
    pub fn vitals(&self) -> Vitals {
        let scale = self.scale();
        let mut vitals = Vitals {
            time: scale.time(self.now()),
            loops: self.loops().iter().map(|row| self.loop_vitals(row)).collect(),
            blocked: self.blocked_time().collect(),
            collections: self.collector().durations(),
            lost: self.lost(),
            inspected: scale.duration(self.waits().pictures.1),
            ..Vitals::default()
        };
        (vitals.queued_jobs, vitals.running_jobs) = self.jobs().counts();
        vitals.running =
            self.loops().iter().filter(|one| matches!(one.activity, Activity::Running { task: Some(_), .. })).count()
                as u64;
        vitals.stuck = self.waits().stuck();
        vitals.waiting = (self.tasks().len() as u64).saturating_sub(vitals.running + vitals.stuck);
        vitals
    }

    fn loop_vitals(&self, row: &EventLoop) -> LoopVitals {
        let scale = self.scale();
        let (callback, lags) = row.distributions();
        let (mut busy, mut idle) = (row.busy, row.idle);
        match row.activity {
            Activity::Running { since, .. } => busy += self.now().saturating_sub(since),
            Activity::Polling { since } => idle += self.now().saturating_sub(since),
            Activity::Outside => {}
        }
        LoopVitals {
            number: row.number,
            thread: row.thread,
            is_running: row.is_running,
            callbacks: row.callbacks,
            steps: row.steps,
            busy: scale.duration(busy),
            idle: scale.duration(idle),
            lag: if row.is_running { scale.duration(row.turn_so_far(self.now())) } else { 0 },
            ready: row.ready,
            surroundings: self.waits().surroundings(row.number).unwrap_or_default(),
            callback,
            lags,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Thresholds;
    use treadle_events::{Event, Kind, Scale};

    #[test]
    fn quantiles_are_of_all_that_was_seen() {
        let seen = Distribution { points: vec![(10, 98), (50, 1), (700, 1)], sum: 1730 };
        assert_eq!([500, 980, 990, 1_000].map(|part| seen.quantile(part)), [10, 10, 50, 700]);
        assert_eq!((seen.count(), seen.most(), Distribution::default().quantile(500)), (100, 700, 0));
    }

    #[test]
    fn what_came_since_is_what_was_not_there_before() {
        let seen = |points: &[(u64, u64)]| Distribution { points: points.to_vec(), sum: 0 };
        let before = seen(&[(10, 98), (50, 1)]);
        let after = seen(&[(5, 2), (10, 98), (50, 4), (700, 1)]);
        assert_eq!(after.since(&before), seen(&[(5, 2), (50, 3), (700, 1)]));
        assert_eq!(after.since(&Distribution::default()), after);
    }

    #[test]
    fn a_callback_that_lasts_counts_as_busy_and_delays_what_is_ready() {
        let mut run = Run::new(Scale::nanoseconds(), Thresholds::default());
        for (stamp, kind, small) in
            [(0, Kind::LoopStarted, 0), (10, Kind::Poll, 3), (30, Kind::Woke, 0), (40, Kind::Step, 0)]
        {
            run.apply(&Event { stamp, small, subject: 7, ..Event::new(kind, 1) });
        }
        run.tick(100, Scale::nanoseconds());
        let vitals = run.vitals();
        let row = &vitals.loops[0];
        assert_eq!((row.busy, row.idle, row.lag, row.ready), (60, 20, 70, 3));
        assert_eq!((vitals.running, row.callbacks, row.steps), (1, 1, 1));
    }
}
