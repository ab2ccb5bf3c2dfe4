//! Transports to which more is written than they can send.

use rustc_hash::FxHashMap;
use treadle_events::{Event, Kind, PlaceId};

/// How long it must go on, in nanoseconds.
const PATIENCE: u64 = 1_000_000_000;

/// How often something must be written meanwhile.
const WRITES: u64 = 32;

/// A line that writes to transports whose buffers grow and grow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overfull {
    /// How many transports.
    pub count: u64,
    /// When it began, in ticks.
    pub since: u64,
    /// When it was seen last, in ticks.
    pub last: u64,
    /// The most that was in a buffer, in bytes.
    pub largest: u64,
}

/// All of those.
#[derive(Clone, Debug, Default)]
pub(crate) struct Buffers {
    /// By transport: when it began, how often something was written, what was in it at first, and whether it was counted.
    growing: FxHashMap<u64, (u64, u64, u64, bool)>,
    pub(crate) overfull: FxHashMap<PlaceId, Overfull>,
}

impl Buffers {
    /// Takes an event in; `patience` is in ticks.
    pub(crate) fn apply(&mut self, event: &Event, scale: impl Fn(u64) -> u64) {
        if event.kind != Kind::BufferOverfull {
            self.growing.remove(&event.subject);
            return;
        }
        let (since, writes, first, is_counted) =
            self.growing.entry(event.subject).or_insert((event.stamp, 0, event.value, false));
        *writes += 1;
        let is_long = event.stamp.saturating_sub(*since) >= scale(PATIENCE) && *writes >= WRITES;
        if !is_long || event.value < 2 * *first || event.place == PlaceId::UNKNOWN {
            return;
        }
        let overfull = self.overfull.entry(event.place).or_insert(Overfull { since: *since, ..Overfull::default() });
        overfull.count += u64::from(!std::mem::replace(is_counted, true));
        (overfull.last, overfull.largest) = (event.stamp, overfull.largest.max(event.value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn largest(events: &[(Kind, u64, u64)]) -> Option<u64> {
        let mut buffers = Buffers::default();
        for (kind, stamp, value) in events {
            let event = Event { stamp: *stamp, value: *value, place: PlaceId(1), ..Event::new(*kind, 1) };
            buffers.apply(&event, |nanoseconds| nanoseconds / 1_000_000);
        }
        buffers.overfull.get(&PlaceId(1)).map(|overfull| overfull.largest)
    }

    #[test]
    fn a_buffer_is_overfull_if_it_grows_for_a_while() {
        let write = |number: u64| (Kind::BufferOverfull, number * 20, 1_000 + number * 100);
        let grows: Vec<_> = (0..60).map(write).collect();
        assert_eq!(largest(&grows), Some(6_900));
        // In one go, or only once in a while.
        assert_eq!(largest(&grows[..40]), None);
        let seldom: Vec<_> = grows.iter().step_by(10).copied().collect();
        assert_eq!(largest(&seldom), None);
        // Everything is sent in between.
        let mut sent = grows;
        sent.insert(30, (Kind::BufferDrained, 600, 0));
        assert_eq!(largest(&sent), None);
    }
}
