//! What the process told in words, by what and where.

use treadle_events::{Note, Place};

/// Notes that say the same of the same place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The first of them.
    pub note: Note,
    /// Where the task or the transport that it is about was made, where that is known.
    pub birth: Option<Place>,
    /// How many there were.
    pub count: u64,
    /// When the last one came, in ticks.
    pub last: u64,
    /// The largest size of any.
    pub largest: u64,
}
