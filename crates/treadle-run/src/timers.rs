//! Timers that wait, by where they were set. They are known from when there are many of them on.

use rustc_hash::FxHashMap;
use treadle_events::{Event, Kind, PlaceId};

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

    pub(crate) fn apply(&mut self, event: &Event) {
        match event.kind {
            Kind::TimerSet => {
                if self.waiting.insert(event.subject, (event.event_loop, event.place)).is_none() {
                    self.piles.entry(event.place).or_default().bear(event.stamp, u64::MAX);
                }
            }
            Kind::TimerGone => {
                let gone = self.waiting.remove(&event.subject).and_then(|(_, place)| self.piles.get_mut(&place));
                gone.into_iter().for_each(Pile::end);
            }
            Kind::LoopClosed => {
                let Self { waiting, piles } = self;
                waiting.retain(|_, (number, place)| {
                    let is_gone = *number == event.event_loop;
                    if is_gone {
                        piles.get_mut(place).into_iter().for_each(Pile::end);
                    }
                    !is_gone
                });
            }
            _ => {}
        }
    }
}
