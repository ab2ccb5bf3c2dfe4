//! What loops spend their time on.

use std::cmp::Reverse;

use serde::{Deserialize, Serialize};
use treadle_finding::Site;

use super::first_by;
use crate::Run;

/// Rows of each table.
const ROWS: usize = 50;

/// What loops spend their time on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct WorkPage {
    /// The code that took most of the time.
    pub hot: Vec<HotRow>,
    /// The last callbacks that took too long, the last one first.
    pub long: Vec<LongRow>,
}

/// A piece of code and what it has cost.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HotRow {
    /// The code.
    pub code: Site,
    /// How many callbacks ran it.
    pub count: u64,
    /// How long they took together, in nanoseconds.
    pub total: u64,
    /// The longest.
    pub longest: u64,
}

/// A callback that took too long.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LongRow {
    /// Its code.
    pub code: Site,
    /// The loop.
    pub event_loop: u8,
    /// How long it took, in nanoseconds; so far, if it has not ended.
    pub took: u64,
    /// Whether it has ended.
    pub has_ended: bool,
    /// How long ago it began, in nanoseconds.
    pub ago: u64,
}

impl Run {
    pub(super) fn work_page(&self) -> WorkPage {
        let scale = self.scale();
        let hot = first_by(self.hot(), ROWS, |(place, hot)| (Reverse(hot.total), *place));
        WorkPage {
            hot: hot
                .into_iter()
                .map(|(place, hot)| HotRow {
                    code: self.site(place),
                    count: hot.count,
                    total: scale.duration(hot.total),
                    longest: scale.duration(hot.longest),
                })
                .collect(),
            long: self
                .long()
                .iter()
                .rev()
                .take(ROWS)
                .map(|long| LongRow {
                    code: self.site(long.place),
                    event_loop: long.event_loop,
                    took: scale.duration(long.took),
                    has_ended: long.has_ended,
                    ago: scale.duration(self.now().saturating_sub(long.since)),
                })
                .collect(),
        }
    }
}
