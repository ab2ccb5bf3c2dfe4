//! From when on something is too much.

/// From when on something is too much. Times in nanoseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// A callback that runs longer blocks the loop; as long as asyncio's debug mode allows.
    pub blocked: u64,
    /// A job that waits longer for a thread of its executor is starved.
    pub queue: u64,
    /// A collection of garbage that takes longer is felt.
    pub collection: u64,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self { blocked: 100_000_000, queue: 200_000_000, collection: 100_000_000 }
    }
}
