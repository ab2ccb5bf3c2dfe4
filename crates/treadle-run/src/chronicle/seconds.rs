//! What happened in each second of a run. When there are many rows, two become one, so that a run of any length fits.

use bitcode::{Decode, Encode};

/// Rows that there are at most.
pub(crate) const ROWS: usize = 1_200;

/// A second of all loops, or of a longer run several of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Second {
    /// When it began.
    pub at: u64,
    /// How long loops were busy, in nanoseconds.
    pub busy: u64,
    /// How long they waited for the system, in nanoseconds.
    pub idle: u64,
    /// How many callbacks ended.
    pub callbacks: u64,
    /// The longest time from one look at the system to the next, in nanoseconds.
    pub lag: u64,
    /// The most callbacks that were ready at once.
    pub ready: u64,
    /// The most tasks that were alive.
    pub tasks: u64,
    /// The most timers that waited, as far as was looked.
    pub timers: u64,
    /// The most transports that were open.
    pub transports: u64,
}

/// The rows of a run.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Seconds {
    /// In the order of time.
    pub rows: Vec<Second>,
    /// How many seconds one is.
    pub length: u32,
    /// How many seconds the last one has.
    filled: u32,
}

impl Default for Seconds {
    fn default() -> Self {
        Self { rows: Vec::new(), length: 1, filled: 1 }
    }
}

impl Seconds {
    /// Adds a second.
    pub fn add(&mut self, second: Second) {
        match self.rows.last_mut() {
            Some(last) if self.filled < self.length => {
                last.join(&second);
                self.filled += 1;
            }
            _ => {
                self.rows.push(second);
                self.filled = 1;
            }
        }
        if self.rows.len() > ROWS {
            self.halve();
        }
    }

    fn halve(&mut self) {
        let is_odd = self.rows.len() % 2 == 1;
        let join = |pair: &[Second]| {
            let mut first = pair[0];
            pair[1..].iter().for_each(|second| first.join(second));
            first
        };
        self.rows = self.rows.chunks(2).map(join).collect();
        self.filled += if is_odd { 0 } else { self.length };
        self.length *= 2;
    }
}

impl Second {
    fn join(&mut self, next: &Self) {
        self.busy += next.busy;
        self.idle += next.idle;
        self.callbacks += next.callbacks;
        self.lag = self.lag.max(next.lag);
        self.ready = self.ready.max(next.ready);
        self.tasks = self.tasks.max(next.tasks);
        self.timers = self.timers.max(next.timers);
        self.transports = self.transports.max(next.transports);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_runs_have_longer_rows_and_lose_no_callback() {
        for count in [5, 1_200, 1_201, 2_500, 10_001] {
            let mut seconds = Seconds::default();
            for at in 0..count {
                seconds.add(Second { at, callbacks: 1, lag: at, ..Second::default() });
            }
            assert!(seconds.rows.len() <= ROWS);
            assert_eq!(seconds.rows.iter().map(|row| row.callbacks).sum::<u64>(), count);
            let length = u64::from(seconds.length);
            assert!(seconds.rows.iter().enumerate().all(|(at, row)| row.at == at as u64 * length), "{count}");
            assert_eq!(seconds.rows.last().map(|row| row.lag), Some(count - 1));
        }
    }
}
