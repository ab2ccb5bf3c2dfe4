//! From when on something is too much.

/// From when on something is too much. Times in nanoseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// A callback that runs longer blocks the loop; as long as asyncio's debug mode allows.
    pub blocked: u64,
    /// Over windows of this length it is seen whether something grows.
    pub window: u64,
    /// So many tasks at once that one line has started are too many.
    pub flood: u64,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self { blocked: 100_000_000, window: 5_000_000_000, flood: 5_000 }
    }
}
