//! How busy loops were in the last seconds.

use std::collections::{BTreeMap, VecDeque};

use treadle_run::{LoopVitals, Vitals};

/// How far back, in nanoseconds.
const SPAN: u64 = 5_000_000_000;

/// How often it is noted at most, in nanoseconds.
const STEP: u64 = 200_000_000;

/// What was noted of the last seconds.
#[derive(Debug, Default)]
pub(crate) struct Pace(VecDeque<(u64, BTreeMap<u8, u64>)>);

impl Pace {
    /// Notes how long loops were busy up to now, by what gives that.
    pub(crate) fn note(&mut self, now: u64, busy: impl Iterator<Item = (u8, u64)>) {
        if self.0.back().is_some_and(|(last, _)| now < last + STEP) {
            return;
        }
        self.0.push_back((now, busy.collect()));
        while self.0.len() > 2 && self.0.get(1).is_some_and(|(time, _)| time + SPAN <= now) {
            self.0.pop_front();
        }
    }

    /// The part of the last seconds that each loop was busy.
    pub(crate) fn busy(&self, vitals: &Vitals) -> BTreeMap<u8, f64> {
        let Some((since, before)) = self.0.front() else { return BTreeMap::new() };
        let span = vitals.time.saturating_sub(*since).max(1) as f64;
        let part = |row: &LoopVitals| {
            let busy = row.busy.saturating_sub(before.get(&row.number).copied().unwrap_or(0));
            (row.number, (busy as f64 / span).min(1.0))
        };
        vitals.loops.iter().map(part).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_is_as_busy_as_it_was_in_the_last_seconds() {
        let mut pace = Pace::default();
        let second = 1_000_000_000;
        // Busy for ten seconds, and for half of each of the next ten.
        for step in 0..100 {
            let now = step * STEP;
            let busy = if now < 10 * second { now } else { 10 * second + (now - 10 * second) / 2 };
            pace.note(now, [(1, busy)].into_iter());
        }
        let row = LoopVitals { number: 1, busy: 15 * second, ..LoopVitals::default() };
        let vitals = Vitals { time: 20 * second, loops: vec![row], ..Vitals::default() };
        assert!((pace.busy(&vitals)[&1] - 0.5).abs() < 0.01, "{:?}", pace.busy(&vitals));
    }
}
