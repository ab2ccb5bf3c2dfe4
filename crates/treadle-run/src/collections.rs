//! Collections of garbage: where they happened and how long they took.

use rustc_hash::FxHashMap;
use treadle_events::{Event, PlaceId, Scale};

/// The collections in the thread of one loop.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Collections {
    /// How many.
    pub count: u64,
    /// How long they took together, in ticks.
    pub total: u64,
    /// The longest, in ticks.
    pub longest: u64,
    /// Where the first happened that took longer than the threshold.
    pub place: PlaceId,
    /// The generation of the longest.
    pub generation: u16,
    /// How many objects it took away.
    pub removed: u64,
    /// When the first and the last one of more than the threshold began, and how many of these there were.
    pub first: u64,
    /// See `first`.
    pub last: u64,
    /// See `first`.
    pub long: u64,
}

/// A collection that lasts.
#[derive(Clone, Copy, Debug)]
struct Lasting {
    since: u64,
    generation: u16,
}

/// All of them.
#[derive(Clone, Debug, Default)]
pub struct Collector {
    /// By thread.
    lasting: FxHashMap<u64, Lasting>,
    /// By loop, 0 for threads without one.
    done: FxHashMap<u8, Collections>,
}

impl Collector {
    pub(crate) fn start(&mut self, event: &Event) {
        let lasting = Lasting { since: event.stamp, generation: event.small };
        self.lasting.insert(event.value, lasting);
    }

    /// `threshold` is from when on one counts as long, in nanoseconds.
    pub(crate) fn end(&mut self, event: &Event, scale: &Scale, threshold: u64) {
        let Some(lasting) = self.lasting.remove(&event.subject) else { return };
        let took = event.stamp.saturating_sub(lasting.since);
        let row = self.done.entry(event.event_loop).or_default();
        row.count += 1;
        row.total += took;
        if took > row.longest {
            (row.longest, row.removed, row.generation) = (took, event.value, lasting.generation);
        }
        if scale.duration(took) >= threshold {
            row.long += 1;
            if row.first == 0 {
                (row.first, row.place) = (lasting.since, event.place);
            }
            row.last = lasting.since;
        }
    }

    /// Whether a thread collects now.
    pub(crate) fn is_collecting(&self, thread: u64) -> bool {
        self.lasting.contains_key(&thread)
    }

    /// By loop, 0 for threads without one.
    pub fn done(&self) -> &FxHashMap<u8, Collections> {
        &self.done
    }
}
