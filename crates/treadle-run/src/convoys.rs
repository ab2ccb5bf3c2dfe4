//! Waits of loops for the interpreter, which other threads had.

use rustc_hash::FxHashMap;
use treadle_events::Place;

/// How long a window is, in nanoseconds.
const WINDOW: u64 = 1_000_000_000;

/// How much of a window a loop must have waited to be kept from its work, in hundredths, and how often.
const SHARE: u64 = 30;
const OFTEN: u64 = 10;

/// What a loop has waited.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Convoy {
    /// How many windows had too much of it, and when the first and the last one began, in ticks.
    pub count: u64,
    /// See `count`.
    pub first: u64,
    /// See `count`.
    pub last: u64,
    /// The longest wait, in nanoseconds.
    pub longest: u64,
    /// The greatest share of a window, in hundredths.
    pub share: u64,
    /// Who had the interpreter, and how often that was seen.
    pub holders: FxHashMap<Place, u64>,
    began: u64,
    waited: u64,
    waits: u64,
    longest_now: u64,
    in_a_row: u64,
}

impl Convoy {
    /// It has waited for so many nanoseconds. `long` is from when on one wait is enough; `second` is one in ticks.
    pub(crate) fn wait(&mut self, now: u64, waited: u64, long: u64, second: u64) {
        self.turn(now, second);
        self.waited += waited;
        self.waits += 1;
        self.longest_now = self.longest_now.max(waited);
        if waited >= long {
            self.note(now, 100);
        }
    }

    /// Ends a window if it is time.
    fn turn(&mut self, now: u64, second: u64) {
        let length = second * (WINDOW / 1_000_000_000);
        let passed = now.saturating_sub(self.began);
        if passed < length {
            return;
        }
        let share = self.waited * 100 / WINDOW;
        let is_much = share >= SHARE && self.waits >= OFTEN && passed < 2 * length;
        self.in_a_row = if is_much { self.in_a_row + 1 } else { 0 };
        if self.in_a_row >= 2 {
            self.note(self.began, share.min(100));
        }
        (self.began, self.waited, self.waits, self.longest_now) = (now, 0, 0, 0);
    }

    fn note(&mut self, at: u64, share: u64) {
        self.first = if self.count == 0 { at } else { self.first };
        self.count += 1;
        self.last = at;
        self.share = self.share.max(share);
        self.longest = self.longest.max(self.longest_now);
    }

    /// Who had it was seen.
    pub(crate) fn hold(&mut self, place: Place) {
        if self.holders.len() < 100 || self.holders.contains_key(&place) {
            *self.holders.entry(place).or_default() += 1;
        }
    }

    /// Who had it most of the time.
    pub fn holder(&self) -> Option<&Place> {
        self.holders
            .iter()
            .max_by(|one, other| one.1.cmp(other.1).then_with(|| other.0.cmp(one.0)))
            .map(|(place, _)| place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loop_that_waits_for_a_third_of_two_seconds_is_kept_from_its_work() {
        let windows = |waits: u64, each: u64| {
            let mut convoy = Convoy::default();
            (0..3_000)
                .filter(|at| at % (1_000 / waits) == 0)
                .for_each(|at| convoy.wait(10_000 + at, each, 100_000_000, 1_000));
            convoy.wait(13_001, 1, 100_000_000, 1_000);
            convoy.count
        };
        assert!(windows(100, 5_000_000) > 0);
        assert_eq!(windows(100, 1_000_000), 0);
        assert!(windows(1, 200_000_000) > 0);
    }
}
