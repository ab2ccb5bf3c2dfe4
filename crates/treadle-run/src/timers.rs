//! Timers that wait, by where they were set. They are known from when there are many of them on.

use rustc_hash::FxHashMap;
use treadle_events::{Event, PlaceId};

use crate::piles::Pile;

/// A piece of time, in nanoseconds: what is set in many of them is not set at once.
pub(crate) const SLOT: u64 = 250_000_000;

/// Over how long a line has set timers, which have stayed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spread {
    /// The last piece of time in which any was set, and how many were.
    slot: u64,
    now: u64,
    /// In how many pieces of time any was set.
    pub slots: u64,
    /// The most that were set in one of them.
    pub most: u64,
    /// How many were set and have ended.
    pub born: u64,
    /// See `born`.
    pub ended: u64,
    /// How long the one that was due first had to wait, in nanoseconds.
    pub soonest: u64,
}

impl Spread {
    fn bear(&mut self, slot: u64, wait: u64) {
        if self.born == self.ended {
            *self = Self { soonest: u64::MAX, ..Self::default() };
        }
        if self.slots == 0 || slot != self.slot {
            (self.slot, self.now) = (slot, 0);
            self.slots += 1;
        }
        self.now += 1;
        (self.born, self.most, self.soonest) = (self.born + 1, self.most.max(self.now), self.soonest.min(wait));
    }
}

/// What was seen of timers.
#[derive(Clone, Debug, Default)]
pub struct Timers {
    waiting: FxHashMap<u64, (u8, PlaceId)>,
    piles: FxHashMap<PlaceId, Pile>,
    spreads: FxHashMap<PlaceId, Spread>,
}

impl Timers {
    /// How many wait, by where they were set.
    pub fn piles(&self) -> &FxHashMap<PlaceId, Pile> {
        &self.piles
    }

    /// Over how long those of a line were set.
    pub fn spread(&self, place: PlaceId) -> Spread {
        self.spreads.get(&place).copied().unwrap_or_default()
    }

    pub(crate) fn turn(&mut self) {
        self.piles.values_mut().for_each(Pile::turn);
    }

    /// One was set; `slot` is the length of a piece of time, in ticks.
    pub(crate) fn set(&mut self, event: &Event, slot: u64) {
        if self.waiting.insert(event.subject, (event.event_loop, event.place)).is_none() {
            self.piles.entry(event.place).or_default().bear(event.stamp, u64::MAX);
            self.spreads.entry(event.place).or_default().bear(event.stamp / slot.max(1), event.value);
        }
    }

    /// One has run or was cancelled.
    pub(crate) fn end(&mut self, event: &Event) {
        let Some((_, place)) = self.waiting.remove(&event.subject) else { return };
        self.piles.get_mut(&place).into_iter().for_each(Pile::end);
        self.spreads.get_mut(&place).into_iter().for_each(|spread| spread.ended += 1);
    }

    /// Those of a loop that is closed are no more.
    pub(crate) fn forget_loop(&mut self, event_loop: u8) {
        let Self { waiting, piles, spreads } = self;
        waiting.retain(|_, (number, place)| {
            let is_gone = *number == event_loop;
            if is_gone {
                piles.get_mut(place).into_iter().for_each(Pile::end);
                spreads.remove(place);
            }
            !is_gone
        });
    }
}

#[cfg(test)]
mod tests {
    use treadle_events::Kind;

    use super::*;

    fn event(kind: Kind, stamp: u64, subject: u64) -> Event {
        Event { stamp, subject, value: 60, ..Event::new(kind, 1) }
    }

    #[test]
    fn timers_that_are_set_now_and_then_are_told_from_many_at_once() {
        let mut timers = Timers::default();
        (0..10).for_each(|subject| timers.set(&event(Kind::TimerSet, 5, subject), 10));
        (10..20).for_each(|subject| timers.set(&event(Kind::TimerSet, subject * 10, subject), 10));
        let Spread { slots, most, born, ended, soonest, .. } = timers.spread(PlaceId::UNKNOWN);
        assert_eq!((slots, most, born, ended, soonest), (11, 10, 20, 0, 60));
        (0..20).for_each(|subject| timers.end(&event(Kind::TimerGone, 300, subject)));
        timers.set(&event(Kind::TimerSet, 310, 1), 10);
        assert_eq!(timers.spread(PlaceId::UNKNOWN).slots, 1);
    }
}
