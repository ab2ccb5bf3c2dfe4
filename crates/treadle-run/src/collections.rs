//! Collections of garbage: where they happened and how long they took.

use rustc_hash::FxHashMap;
use treadle_events::{Event, PlaceId, Scale};

use crate::histogram::Histogram;
use crate::vitals::Distribution;

/// The collections in the thread of one loop.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Collections {
    /// How many.
    pub count: u64,
    /// How long they took together, in ticks.
    pub total: u64,
    /// The longest, in ticks.
    pub longest: u64,
    /// Those that nobody asked for and that took longer than the threshold, by where they were set off, in the order in which these were first
    /// seen.
    pub long: Vec<LongCollections>,
}

/// The collections of more than the threshold that one line has set off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LongCollections {
    /// The line.
    pub place: PlaceId,
    /// How many.
    pub count: u64,
    /// When the first and the last one began.
    pub first: u64,
    /// See `first`.
    pub last: u64,
    /// The longest, in ticks.
    pub longest: u64,
    /// Its generation.
    pub generation: u16,
}

/// Lines that are told apart; what others set off is laid to the last of these.
const LINES: usize = 32;

impl Collections {
    fn add_long(&mut self, lasting: Lasting, took: u64, place: PlaceId) {
        let Lasting { since, generation, .. } = lasting;
        let at = self.long.iter().position(|line| line.place == place);
        let at = at.or_else(|| self.long.len().checked_sub(1).filter(|_| self.long.len() >= LINES));
        let Some(line) = at.and_then(|at| self.long.get_mut(at)) else {
            return self.long.push(LongCollections {
                place,
                count: 1,
                first: since,
                last: since,
                longest: took,
                generation,
            });
        };
        line.count += 1;
        line.last = since;
        if took > line.longest {
            (line.longest, line.generation) = (took, generation);
        }
    }
}

/// A collection that lasts.
#[derive(Clone, Copy, Debug)]
struct Lasting {
    since: u64,
    generation: u16,
    is_asked_for: bool,
}

/// All of them.
#[derive(Clone, Debug, Default)]
pub struct Collector {
    /// By thread.
    lasting: FxHashMap<u64, Lasting>,
    /// By loop, 0 for threads without one.
    done: FxHashMap<u8, Collections>,
    /// How long they took, in nanoseconds.
    durations: Histogram,
}

impl Collector {
    pub(crate) fn start(&mut self, event: &Event) {
        let is_asked_for = event.subject != 0;
        let lasting = Lasting { since: event.stamp, generation: event.small, is_asked_for };
        self.lasting.insert(event.value, lasting);
    }

    /// `threshold` is from when on one counts as long, in nanoseconds.
    pub(crate) fn end(&mut self, event: &Event, scale: &Scale, threshold: u64) {
        let Some(lasting) = self.lasting.remove(&event.subject) else { return };
        // What the machine kept from it is no fault of the program's.
        let processor = if event.value == 0 { u64::MAX } else { scale.ticks(event.value) };
        let took = event.stamp.saturating_sub(lasting.since).min(processor);
        self.durations.record(scale.duration(took));
        let row = self.done.entry(event.event_loop).or_default();
        row.count += 1;
        row.total += took;
        row.longest = row.longest.max(took);
        // Who asks for one blocks the loop, like by any call.
        if !lasting.is_asked_for && scale.duration(took) >= threshold {
            row.add_long(lasting, took, event.place);
        }
    }

    /// Whether a thread collects now.
    pub(crate) fn is_collecting(&self, thread: u64) -> bool {
        self.lasting.contains_key(&thread)
    }

    /// How long collections took.
    pub fn durations(&self) -> Distribution {
        self.durations.distribution()
    }

    /// By loop, 0 for threads without one.
    pub fn done(&self) -> &FxHashMap<u8, Collections> {
        &self.done
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use treadle_events::Kind;

    /// What is long of collections at places, that began and ended, had a processor so long, and were asked for or not.
    fn long(collections: &[(u32, u64, u64, u64, u64)]) -> Vec<(u32, u64, u64)> {
        let mut collector = Collector::default();
        let scale = Scale::nanoseconds();
        for (place, since, until, ran, asked) in collections {
            let event = |kind, stamp| Event { stamp, ..Event::new(kind, 1) };
            collector.start(&Event { value: 7, subject: *asked, ..event(Kind::GcStarted, *since) });
            let place = PlaceId(*place);
            collector.end(&Event { subject: 7, value: *ran, place, ..event(Kind::GcEnded, *until) }, &scale, 100);
        }
        let rows = collector.done().get(&1).map(|row| row.long.clone()).unwrap_or_default();
        rows.iter().map(|line| (line.place.0, line.count, line.longest)).collect()
    }

    #[test]
    fn pause_is_as_long_as_the_collector_ran() {
        assert_eq!(long(&[(3, 0, 150, 120, 0), (3, 200, 400, 60, 0), (4, 500, 700, 0, 0)]), [(3, 1, 120), (4, 1, 200)]);
    }

    #[test]
    fn collection_that_is_asked_for_is_no_pause() {
        assert_eq!(long(&[(3, 0, 150, 150, 1), (4, 200, 350, 150, 0)]), [(4, 1, 150)]);
    }
}
