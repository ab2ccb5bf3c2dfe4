//! The tasks that are alive.

use treadle_events::PlaceId;

/// A task that has not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// Its loop, by its number.
    pub event_loop: u8,
    /// When it was made, in ticks.
    pub born: u64,
    /// Where it was made.
    pub birth: PlaceId,
    /// Its coroutine's code.
    pub code: PlaceId,
    /// The task that made it, by its address.
    pub parent: Option<u64>,
    /// How many steps it has made.
    pub steps: u64,
    /// How long they took together, in ticks.
    pub run: u64,
    /// The longest, in ticks.
    pub longest: u64,
    /// When the last one began.
    pub last_step: u64,
}
