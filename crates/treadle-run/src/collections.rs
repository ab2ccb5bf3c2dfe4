//! Collections of garbage: where they happened and how long they took.

use rustc_hash::FxHashMap;
use treadle_events::{Event, PlaceId, Scale};

/// The collections of one generation that one kind of place set off.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Collections {
    /// How many.
    pub count: u64,
    /// How long they took together, in ticks.
    pub total: u64,
    /// The longest, in ticks.
    pub longest: u64,
    /// Where the longest happened.
    pub place: PlaceId,
    /// How many objects the longest took away.
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
    place: PlaceId,
}

/// All of them.
#[derive(Clone, Debug, Default)]
pub struct Collector {
    /// By thread.
    lasting: FxHashMap<u64, Lasting>,
    /// By loop (0 for threads without one) and generation.
    done: FxHashMap<(u8, u16), Collections>,
}

impl Collector {
    pub(crate) fn start(&mut self, event: &Event) {
        let lasting = Lasting { since: event.stamp, generation: event.small, place: event.place };
        self.lasting.insert(event.value, lasting);
    }

    /// `threshold` is from when on one counts as long, in nanoseconds.
    pub(crate) fn end(&mut self, event: &Event, scale: &Scale, threshold: u64) {
        let Some(lasting) = self.lasting.remove(&event.subject) else { return };
        let took = event.stamp.saturating_sub(lasting.since);
        let row = self.done.entry((event.event_loop, lasting.generation)).or_default();
        row.count += 1;
        row.total += took;
        if took > row.longest {
            (row.longest, row.place, row.removed) = (took, lasting.place, event.value);
        }
        if scale.duration(took) >= threshold {
            row.long += 1;
            row.first = if row.first == 0 { lasting.since } else { row.first };
            row.last = lasting.since;
        }
    }

    /// Whether a thread collects now.
    pub(crate) fn is_collecting(&self, thread: u64) -> bool {
        self.lasting.contains_key(&thread)
    }

    /// By loop (0 for threads without one) and generation.
    pub fn done(&self) -> &FxHashMap<(u8, u16), Collections> {
        &self.done
    }
}
