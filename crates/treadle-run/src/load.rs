//! How loaded a loop is: windows of time in which it was busy or idle, and for how long what was ready waited.

use treadle_events::PlaceId;

use crate::by_place::ByPlace;

/// How long a window is, in nanoseconds, and how many make a load that lasts.
pub(crate) const WINDOW: u64 = 250_000_000;
const LASTING: u64 = 8;

/// Windows that are remembered of a load that lasts; then every second one is.
const WINDOWS: usize = 64;

/// How long what is ready waits in a loop that is saturated, in nanoseconds.
const LAG: u64 = 50_000_000;

/// A piece of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Window {
    busy: u64,
    idle: u64,
    /// The longest wait of what was ready, in ticks.
    lag: u64,
}

/// What a loop is at.
#[derive(Clone, Debug, Default)]
pub(crate) struct Load {
    began: u64,
    window: Window,
    /// How many windows in a row were full.
    windows: u64,
    /// The longest waits of these windows, in ticks; a turn that is longer than a window has it in its last one.
    lags: Vec<u64>,
    /// What the time was spent on since it lasts.
    hot: ByPlace<u64>,
    longest_callback: u64,
}

/// A loop that had more to do than it could.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saturation {
    /// The code that took most of the time.
    pub place: PlaceId,
    /// Its share, in hundredths.
    pub share: u64,
    /// How many times it came to this, and when for the first and the last time, in ticks.
    pub count: u64,
    /// See `count`.
    pub first: u64,
    /// See `count`.
    pub last: u64,
    /// The longest that anything was ready and had to wait, in ticks.
    pub lag: u64,
}

impl Load {
    #[inline]
    pub(crate) fn ran(&mut self, place: PlaceId, took: u64) {
        self.window.busy += took;
        self.longest_callback = self.longest_callback.max(took);
        *self.hot.of(place) += took;
    }

    pub(crate) fn idled(&mut self, took: u64) {
        self.window.idle += took;
    }

    /// A turn took so long: what was ready waited for all of it but for the callback that blocked it.
    pub(crate) fn turned(&mut self, took: u64) {
        self.window.lag = self.window.lag.max(took.saturating_sub(self.longest_callback));
        self.longest_callback = 0;
    }

    /// Ends a window if it is time; `length` is that of one, in ticks. Says whether the loop has long had too much to do.
    pub(crate) fn look(&mut self, now: u64, length: u64) -> bool {
        if now.saturating_sub(self.began) < length {
            return false;
        }
        let window = std::mem::take(&mut self.window);
        let is_full = window.busy * 20 >= (window.busy + window.idle) * 19 && window.busy * 2 > length;
        self.began = now;
        if !is_full {
            self.windows = 0;
            self.lags.clear();
            self.hot.clear();
            return false;
        }
        self.windows += 1;
        if window.lag > 0 {
            self.lags.push(window.lag);
        }
        if self.lags.len() > WINDOWS {
            let mut keep = false;
            self.lags.retain(|_| {
                keep = !keep;
                keep
            });
        }
        self.windows >= LASTING && window.lag > 0 && self.is_growing(length)
    }

    /// Whether what is ready waits longer and longer: at the end longer than in the middle, and there longer than at the beginning.
    fn is_growing(&self, length: u64) -> bool {
        let [first, .., last] = self.lags.as_slice() else { return false };
        let middle = self.lags[self.lags.len() / 2];
        let is_long = *last >= length / (WINDOW / LAG);
        self.lags.len() >= 3 && is_long && middle * 4 >= first * 5 && last * 4 >= middle * 5
    }

    /// The code that has taken most of the time, and its share in hundredths.
    pub(crate) fn hottest(&self) -> Option<(PlaceId, u64)> {
        let total: u64 = self.hot.iter().map(|(_, took)| took).sum();
        let (place, most) = self.hot.iter().max_by_key(|(place, took)| (**took, *place))?;
        Some((place, most * 100 / total.max(1)))
    }

    /// When the load began, in ticks.
    pub(crate) fn since(&self, length: u64) -> u64 {
        self.began.saturating_sub(length * self.windows)
    }

    /// The longest wait of what was ready, in ticks.
    pub(crate) fn lag(&self) -> u64 {
        self.lags.iter().copied().max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a loop is saturated after windows of 100 with such idle times and lags.
    fn is_saturated(windows: impl Iterator<Item = (u64, u64)>) -> bool {
        let mut load = Load::default();
        let mut is_saturated = false;
        for (at, (idle, lag)) in windows.enumerate() {
            load.ran(PlaceId(3), 100 - idle);
            load.idled(idle);
            load.longest_callback = 0;
            load.turned(lag);
            is_saturated |= load.look(100 * (at as u64 + 1), 100);
        }
        is_saturated
    }

    #[test]
    fn loop_is_saturated_if_what_is_ready_waits_longer_and_longer() {
        assert!(is_saturated((1..10).map(|at| (0, at * 10))));
        // Turns that are longer than a window.
        assert!(is_saturated((1..10).map(|at| (0, if at % 3 == 0 { at * 100 } else { 0 }))));
    }

    #[test]
    fn loop_with_much_to_do_that_keeps_up_is_not() {
        assert!(!is_saturated((1..20).map(|_| (0, 40))));
        assert!(!is_saturated((1..20).map(|at| (0, if at == 1 { 1 } else { 300 }))));
        assert!(!is_saturated((1..20).map(|at| (0, 2_000 / at))));
        assert!(!is_saturated((1..20).map(|_| (0, 1))));
        assert!(!is_saturated((1..20).map(|at| (20, at * 10))));
        assert!(!is_saturated((1..20).map(|at| (if at % 5 == 0 { 90 } else { 0 }, at * 10))));
    }
}
