//! Queues without a bound, and how they grow.

use rustc_hash::FxHashMap;
use treadle_events::{Picture, What};

use crate::Run;
use crate::notes::Told;

/// How often a queue must have grown in a row.
const WINDOWS: u32 = 6;

/// How long a window is at least, in nanoseconds.
const WINDOW: u64 = 350_000_000;

/// From how many items on it is worth a word.
const LEAST: u64 = 500;

/// Queues that are remembered.
const KNOWN: usize = 10_000;

/// A queue without a bound.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Growth {
    /// Its class.
    pub class: String,
    /// When it began to grow, in ticks.
    pub since: u64,
    /// When it was looked at last, in ticks.
    pub last: u64,
    /// How many items there were then.
    pub size: u64,
    /// How many there were when it began to grow.
    first: u64,
    /// How often it was larger than the time before.
    windows: u32,
}

/// All of those, by their addresses.
#[derive(Clone, Debug, Default)]
pub(crate) struct Queues {
    growths: FxHashMap<u64, Growth>,
    /// When tasks were looked at for the sake of their queues, in ticks.
    pub(crate) looked: u64,
    /// How many callbacks had run then.
    pub(crate) callbacks: u64,
}

impl Queues {
    /// Takes in what a picture shows of queues; `window` is in ticks.
    pub(crate) fn see(&mut self, picture: &Picture, window: u64) {
        if self.growths.len() > KNOWN {
            self.growths.clear();
        }
        for thing in picture.things.iter().filter(|thing| thing.class.ends_with("Queue")) {
            if thing.bound > 0 {
                self.growths.remove(&thing.address);
                continue;
            }
            let now = picture.ended;
            let new = || Growth {
                class: thing.class.clone(),
                since: now,
                last: now,
                size: thing.size,
                first: thing.size,
                windows: 0,
            };
            let growth = self.growths.entry(thing.address).or_insert_with(new);
            let is_over = now.saturating_sub(growth.last) >= window;
            // Shortly after the last look, whoever empties it may be the only one that has run.
            let least = if is_over { growth.size + 1 } else { growth.size / 2 };
            if thing.size < least || thing.class != growth.class {
                *growth = new();
            } else if is_over {
                growth.windows += 1;
                (growth.last, growth.size) = (now, thing.size);
            }
        }
    }
}

impl Growth {
    fn is_growing(&self) -> bool {
        self.windows >= WINDOWS && self.size >= LEAST && self.size >= 3 * self.first
    }
}

impl Run {
    /// Queues that have grown each time they were looked at, with the lines that put most into them, if those are known.
    pub fn growing_queues(&self) -> impl Iterator<Item = (u64, &Growth, Option<&Told>)> {
        self.queues.growths.iter().filter(|(_, growth)| growth.is_growing()).map(|(address, growth)| {
            let puts = self.told(What::QueuePut).filter(|told| told.note.address == *address);
            (*address, growth, puts.max_by_key(|told| (told.count, told.note.place.clone())))
        })
    }

    /// Whether a queue is about to be suspected, so that it is good to know who puts things into it.
    pub(crate) fn suspects_queues(&self) -> bool {
        self.queues.growths.values().any(|growth| growth.windows + 2 >= WINDOWS && growth.size >= LEAST / 2)
    }

    /// How long a window is, in ticks.
    pub(crate) fn queue_window(&self) -> u64 {
        self.scale().ticks(WINDOW)
    }
}

#[cfg(test)]
mod tests {
    use treadle_events::Thing;

    use super::*;

    fn grows(sizes: &[u64], bound: u64) -> bool {
        grows_at(&(1..).map(|number| number * WINDOW).zip(sizes.iter().copied()).collect::<Vec<_>>(), bound)
    }

    fn grows_at(looks: &[(u64, u64)], bound: u64) -> bool {
        let mut queues = Queues::default();
        for &(ended, size) in looks {
            let thing = Thing { address: 7, class: "Queue".to_owned(), size, bound, ..Thing::default() };
            queues.see(&Picture { ended, things: vec![thing], ..Picture::default() }, WINDOW);
        }
        queues.growths.values().any(Growth::is_growing)
    }

    #[test]
    fn a_queue_grows_if_it_is_larger_each_time() {
        assert!(grows(&[100, 200, 300, 400, 500, 600, 700, 800], 0));
        assert!(!grows(&[100, 200, 300, 400, 350, 600, 700, 800], 0));
        assert!(!grows(&[1, 2, 3, 4, 5, 6, 7, 8], 0));
        assert!(!grows(&[100, 200, 300, 400, 500, 600, 700, 800], 1_000));
    }

    #[test]
    fn a_look_shortly_after_another_ends_no_growth_unless_much_was_taken() {
        let grows_with = |left: u64| {
            let twice = |size: u64| [(size * WINDOW / 100, size), (size * WINDOW / 100 + 1, size * left / 100)];
            grows_at(&[100, 200, 300, 400, 500, 600, 700, 800].map(twice).concat(), 0)
        };
        assert!(grows_with(95));
        assert!(!grows_with(40));
    }
}
