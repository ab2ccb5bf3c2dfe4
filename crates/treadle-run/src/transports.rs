//! Transports that are open, by their addresses, and those that nobody has closed.

use rustc_hash::FxHashMap;
use treadle_events::{Event, Kind, PlaceId};

use crate::piles::Pile;

/// What was seen of transports.
#[derive(Clone, Debug, Default)]
pub struct Transports {
    open: FxHashMap<u64, (u8, PlaceId)>,
    /// How many there are.
    pub(crate) pile: Pile,
    left: FxHashMap<PlaceId, Seen>,
}

/// How often something was seen, and when.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// How often.
    pub count: u64,
    /// When for the first time, in ticks.
    pub first: u64,
    /// When for the last time.
    pub last: u64,
}

impl Seen {
    pub(crate) fn again(&mut self, at: u64) {
        if self.count == 0 {
            self.first = at;
        }
        self.count += 1;
        self.last = at;
    }
}

impl Transports {
    /// Where a transport was opened, if it is open.
    pub fn birth(&self, transport: u64) -> Option<PlaceId> {
        self.open.get(&transport).map(|(_, place)| *place)
    }

    /// How many are open, by where they were made.
    pub fn by_birth(&self) -> FxHashMap<PlaceId, u64> {
        let mut births = FxHashMap::default();
        for (_, place) in self.open.values() {
            *births.entry(*place).or_default() += 1;
        }
        births
    }

    /// How many are open.
    pub fn count(&self) -> u64 {
        self.open.len() as u64
    }

    /// The most that were open at once.
    pub fn most(&self) -> u64 {
        self.pile.most
    }

    /// Those that nobody closed, by where they were opened.
    pub fn left(&self) -> &FxHashMap<PlaceId, Seen> {
        &self.left
    }

    /// One was made.
    pub(crate) fn open(&mut self, event: &Event) {
        if self.open.insert(event.subject, (event.event_loop, event.place)).is_none() {
            self.pile.bear(event.stamp, u64::MAX);
        }
    }

    /// One has ended, or was left.
    pub(crate) fn end(&mut self, event: &Event) {
        let Some((_, place)) = self.open.remove(&event.subject) else { return };
        self.pile.end();
        if event.kind == Kind::TransportLeft {
            self.left.entry(place).or_default().again(event.stamp);
        }
    }

    /// Those of a loop that is closed are no more.
    pub(crate) fn forget_loop(&mut self, event_loop: u8) {
        let before = self.open.len();
        self.open.retain(|_, (number, _)| *number != event_loop);
        (self.open.len()..before).for_each(|_| self.pile.end());
    }
}
