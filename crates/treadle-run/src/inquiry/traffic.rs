//! What goes on at the border of the process: transports, timers, and jobs of executors, by where the program made them.

use std::cmp::Reverse;

use serde::{Deserialize, Serialize};
use treadle_events::PlaceId;
use treadle_finding::Site;

use super::{ROWS, first_by};
use crate::Run;

/// What goes on at the border.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TrafficPage {
    /// Transports that are open.
    pub transports: Vec<PlaceCount>,
    /// Those that nobody has closed.
    pub left: Vec<PlaceCount>,
    /// Lines that write faster than can be sent.
    pub jammed: Vec<Jammed>,
    /// Timers that wait; known where there are many.
    pub timers: Vec<PlaceCount>,
    /// Jobs that have not ended.
    pub jobs: Vec<JobRow>,
}

/// How many there are of what one line has made.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PlaceCount {
    /// The line.
    pub birth: Site,
    /// How many.
    pub count: u64,
}

/// A line that writes to transports whose buffers grow and grow.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Jammed {
    /// The line.
    pub site: Site,
    /// How many transports.
    pub count: u64,
    /// The most that was in a buffer, in bytes.
    pub largest: u64,
}

/// Jobs of one kind.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct JobRow {
    /// Where they are handed over.
    pub birth: Site,
    /// The function.
    pub function: Site,
    /// How many wait for a thread.
    pub queued: u64,
    /// How many have one.
    pub running: u64,
    /// How long the oldest of those that wait has waited, in nanoseconds.
    pub waited: u64,
}

impl Run {
    pub(super) fn traffic_page(&self) -> TrafficPage {
        let scale = self.scale();
        let timers = self.timers().piles().iter().filter(|(_, pile)| pile.alive > 0);
        let jammed = self.overfull().iter().map(|(place, row)| (*place, row.count, row.largest)).collect();
        let jobs = first_by(self.jobs().kinds().into_iter().collect(), ROWS, |(kind, (queued, running, _))| {
            (Reverse(queued + running), *kind)
        });
        TrafficPage {
            transports: self.by_place(self.transports().by_birth()),
            left: self.by_place(self.transports().left().iter().map(|(place, seen)| (*place, seen.count))),
            jammed: first_by(jammed, ROWS, |(place, _, largest)| (Reverse(*largest), *place))
                .into_iter()
                .map(|(place, count, largest)| Jammed { site: self.site(place), count, largest })
                .collect(),
            timers: self.by_place(timers.map(|(place, pile)| (*place, pile.alive))),
            jobs: jobs
                .into_iter()
                .map(|(kind, (queued, running, oldest))| JobRow {
                    birth: self.site(kind.place),
                    function: self.site(kind.function),
                    queued,
                    running,
                    waited: oldest.map_or(0, |since| scale.duration(self.now().saturating_sub(since))),
                })
                .collect(),
        }
    }

    fn by_place(&self, counts: impl IntoIterator<Item = (PlaceId, u64)>) -> Vec<PlaceCount> {
        first_by(counts.into_iter().collect(), ROWS, |(place, count)| (Reverse(*count), *place))
            .into_iter()
            .map(|(place, count)| PlaceCount { birth: self.site(place), count })
            .collect()
    }
}
