//! From when on something is too much.

use std::time::Duration;

/// From when on something is too much. Times in nanoseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// A callback that runs longer blocks the loop; as long as asyncio's debug mode allows.
    pub blocked: u64,
    /// A job that waits longer for a thread of its executor is starved.
    pub queue: u64,
    /// A collection of garbage that takes longer is felt.
    pub collection: u64,
    /// Over windows of this length it is seen whether something grows.
    pub window: u64,
    /// So many tasks at once that one line has started are too many.
    pub flood: u64,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self { blocked: 100_000_000, queue: 200_000_000, collection: 100_000_000, window: 2_500_000_000, flood: 5_000 }
    }
}

impl Thresholds {
    /// Pitfalls that have a threshold, and where it stands.
    fn place(&mut self, name: &str) -> Option<&mut u64> {
        match name {
            "blocked-loop" => Some(&mut self.blocked),
            "executor-starved" => Some(&mut self.queue),
            "gc-pause" => Some(&mut self.collection),
            // Whatever leaks or grows is looked at over windows.
            "window" => Some(&mut self.window),
            _ => None,
        }
    }

    /// Sets the threshold of a pitfall.
    ///
    /// # Errors
    /// In words: it has none, or the value is no duration.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let place = self.place(name).ok_or_else(|| format!("`{name}` has no threshold"))?;
        *place = duration(value).ok_or_else(|| format!("`{value}` is no duration such as `50ms`, `2s` or `1m`"))?;
        Ok(())
    }
}

/// Nanoseconds of `50ms`, `1.5s` and the like.
fn duration(text: &str) -> Option<u64> {
    let units = [("ms", 1e6), ("us", 1e3), ("µs", 1e3), ("ns", 1.0), ("s", 1e9), ("m", 60e9)];
    let (number, unit) = units.iter().find_map(|(unit, length)| Some((text.strip_suffix(unit)?, *length)))?;
    let number: f64 = number.trim().parse().ok()?;
    let duration = Duration::try_from_secs_f64(number * unit / 1e9).ok()?;
    u64::try_from(duration.as_nanos()).ok().filter(|nanoseconds| *nanoseconds > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit() {
        let read = ["50ms", "1.5s", "2 m", "10us", "50", "ms", "-1s", "1h", ""].map(duration);
        let known = [Some(50_000_000), Some(1_500_000_000), Some(120_000_000_000), Some(10_000)];
        assert_eq!(read[..4], known);
        assert_eq!(read[4..], [None; 5]);
    }
}
