//! Callbacks of descriptors that are called, do not read or write, and are called again at once.

use rustc_hash::FxHashMap;
use treadle_events::{Event, PlaceId};

/// A callback of a descriptor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spin {
    /// When it was so for the first and the last time without a pause, in ticks.
    pub since: u64,
    /// See `since`.
    pub last: u64,
    /// For how long at most without a pause, in ticks, how many calls there were in that time, and how many were looked at.
    pub longest: u64,
    /// See `longest`.
    pub calls: u64,
    /// See `longest`.
    pub looks: u64,
    /// Calls and looks since `since`.
    run: (u64, u64),
}

/// All of them.
#[derive(Clone, Debug, Default)]
pub struct Spins {
    /// By where the callback is, the descriptor, and whether it is called to write.
    rows: FxHashMap<(PlaceId, u64), Spin>,
}

/// Callbacks that are remembered.
const ROWS: usize = 10_000;

impl Spins {
    /// `pause` is how long one must be, in ticks, so that what comes after it is another time.
    pub(crate) fn take(&mut self, event: &Event, pause: u64) {
        if event.place == PlaceId::UNKNOWN || (event.small != 0 && self.rows.is_empty()) {
            return;
        }
        if self.rows.len() >= ROWS {
            self.rows.clear();
        }
        let row = self.rows.entry((event.place, event.subject)).or_default();
        let is_new = row.run.1 == 0 || event.stamp.saturating_sub(row.last) > pause;
        row.last = event.stamp;
        if event.small != 0 {
            row.run = (0, 0);
            return;
        }
        if is_new {
            (row.since, row.run) = (event.stamp, (0, 0));
        }
        row.run = (row.run.0 + event.value, row.run.1 + 1);
        if event.stamp - row.since > row.longest {
            row.longest = event.stamp - row.since;
            (row.calls, row.looks) = row.run;
        }
    }

    /// They, with where they are and whether they are called to write.
    pub fn rows(&self) -> impl Iterator<Item = (PlaceId, bool, &Spin)> {
        self.rows.iter().map(|((place, subject), spin)| (*place, subject & 1 == 1, spin))
    }
}

#[cfg(test)]
mod tests {
    use treadle_events::Kind;

    use super::*;

    fn longest(samples: impl Iterator<Item = (u64, u16)>) -> (u64, u64, u64) {
        let mut spins = Spins::default();
        for (stamp, small) in samples {
            let event = Event { stamp, small, value: 10, place: PlaceId(1), ..Event::new(Kind::CalledAgain, 1) };
            spins.take(&event, 100);
        }
        spins.rows().next().map_or((0, 0, 0), |(_, _, spin)| (spin.longest, spin.calls, spin.looks))
    }

    #[test]
    fn calls_without_a_pause_and_without_progress_are_one_time() {
        assert_eq!(longest((0..10).map(|at| (at * 50, 0))), (450, 100, 10));
        assert_eq!(longest((0..10).map(|at| (at * 500, 0))), (0, 0, 0));
    }

    #[test]
    fn a_call_that_has_read_begins_anew() {
        assert_eq!(longest((0..10).map(|at| (at * 50, u16::from(at == 6)))), (250, 60, 6));
    }
}
