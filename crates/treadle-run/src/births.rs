//! Tasks by where they were made.

use treadle_events::Outcome;

use crate::piles::Pile;

/// The tasks that one line has made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Birth {
    /// How many.
    pub born: u64,
    /// How many of them are alive.
    pub alive: u64,
    /// The most that were alive at once.
    pub most: u64,
    /// When the last one was made, in ticks.
    pub last: u64,
    /// How they have piled up.
    pub pile: Pile,
    /// How many have ended: with a result, with an exception, cancelled.
    pub ended: [u64; 3],
}

impl Birth {
    /// How many have ended so.
    pub fn ended_by(&self, outcome: Outcome) -> u64 {
        self.ended[usize::from(outcome.number())]
    }
}
