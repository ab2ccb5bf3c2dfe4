//! Timers that wait, by where they were set. They are known from when there are many of them on.

use rustc_hash::FxHashMap;
use treadle_events::{Event, PlaceId};

use crate::piles::Pile;

/// What was seen of timers.
#[derive(Clone, Debug, Default)]
pub struct Timers {
    waiting: FxHashMap<u64, (u8, PlaceId)>,
    piles: FxHashMap<PlaceId, Pile>,
}

impl Timers {
    /// How many wait, by where they were set.
    pub fn piles(&self) -> &FxHashMap<PlaceId, Pile> {
        &self.piles
    }

    pub(crate) fn turn(&mut self) {
        self.piles.values_mut().for_each(Pile::turn);
    }

    /// One was set.
    pub(crate) fn set(&mut self, event: &Event) {
        if self.waiting.insert(event.subject, (event.event_loop, event.place)).is_none() {
            self.piles.entry(event.place).or_default().bear(event.stamp, u64::MAX);
        }
    }

    /// One has run or was cancelled.
    pub(crate) fn end(&mut self, event: &Event) {
        let gone = self.waiting.remove(&event.subject).and_then(|(_, place)| self.piles.get_mut(&place));
        gone.into_iter().for_each(Pile::end);
    }

    /// Those of a loop that is closed are no more.
    pub(crate) fn forget_loop(&mut self, event_loop: u8) {
        let Self { waiting, piles } = self;
        waiting.retain(|_, (number, place)| {
            let is_gone = *number == event_loop;
            if is_gone {
                piles.get_mut(place).into_iter().for_each(Pile::end);
            }
            !is_gone
        });
    }
}
