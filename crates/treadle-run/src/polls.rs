//! Tasks that see to it in each step that they go on at once: whoever waits like that waits by asking again and again.

use rustc_hash::FxHashMap;
use treadle_events::{Event, PlaceId};

/// What stands around a wait in the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Around {
    /// A `while` that does nothing but wait.
    OnlyWait,
    /// A `while` that also does something else.
    While,
    /// No `while`, or nobody knows.
    Other,
}

/// A line at which tasks wait like that.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Poll {
    /// What stands around it, once somebody has looked.
    pub around: Option<Around>,
    /// How many steps of tasks that waited there led to the next one at once, about.
    pub wakes: u64,
    /// When that was seen for the first and the last time without a pause, in ticks.
    pub since: u64,
    /// See `since`.
    pub last: u64,
    /// For how long at most without a pause, in ticks, and how many steps there were in that time.
    pub longest: u64,
    /// See `longest`.
    pub most: u64,
    /// Steps since `since`.
    run: u64,
}

/// All of them.
#[derive(Clone, Debug, Default)]
pub struct Polls {
    places: FxHashMap<PlaceId, Poll>,
    /// Where tasks were seen last.
    tasks: FxHashMap<u64, PlaceId>,
}

/// Tasks that are remembered.
const TASKS: usize = 10_000;

impl Polls {
    /// `is_short` says that the task does little in a step; `pause` is how long one must be, in ticks, so that what comes after it is another time.
    pub(crate) fn take(&mut self, event: &Event, is_short: bool, pause: u64) {
        if event.place != PlaceId::UNKNOWN {
            if self.tasks.len() >= TASKS {
                self.tasks.clear();
            }
            self.tasks.insert(event.subject, event.place);
        }
        let Some(place) = self.tasks.get(&event.subject) else { return };
        if !is_short {
            return;
        }
        let row = self.places.entry(*place).or_default();
        if event.stamp.saturating_sub(row.last) > pause {
            (row.since, row.run) = (event.stamp, 0);
        }
        row.wakes += event.value;
        row.run += event.value;
        row.last = event.stamp;
        if event.stamp - row.since > row.longest {
            (row.longest, row.most) = (event.stamp - row.since, row.run);
        }
    }

    pub(crate) fn forget(&mut self, task: u64) {
        if !self.tasks.is_empty() {
            self.tasks.remove(&task);
        }
    }

    /// Where a task was seen that sees to it that it goes on at once.
    pub fn of_task(&self, task: u64) -> Option<(PlaceId, &Poll)> {
        let place = self.tasks.get(&task)?;
        Some((*place, self.places.get(place)?))
    }

    /// The lines.
    pub fn places(&self) -> &FxHashMap<PlaceId, Poll> {
        &self.places
    }

    pub(crate) fn know(&mut self, place: PlaceId, around: Around) {
        if let Some(row) = self.places.get_mut(&place) {
            row.around = Some(around);
        }
    }
}
