//! Callbacks that took longer than is good.

use treadle_events::PlaceId;

use crate::loops::{Activity, EventLoop};

/// Those that are remembered, the last ones.
const LONG: usize = 1_000;

/// A callback that took longer than is good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Long {
    /// The loop.
    pub event_loop: u8,
    /// When it began, in ticks.
    pub since: u64,
    /// How long it took, in ticks; so far, if it has not ended.
    pub took: u64,
    /// Whether it has ended.
    pub has_ended: bool,
    /// The task, by its address, if it was the step of one.
    pub task: Option<u64>,
    /// Its code.
    pub place: PlaceId,
}

/// Enters a long callback, or what has become of it.
#[cold]
pub(crate) fn note_long(rows: &mut Vec<Long>, long: Long) {
    let same = |known: &&mut Long| (known.event_loop, known.since) == (long.event_loop, long.since);
    if let Some(known) = rows.iter_mut().rev().find(same) {
        *known = long;
        return;
    }
    if rows.len() >= LONG {
        rows.remove(0);
    }
    rows.push(long);
}

/// What a loop runs now, as if it ended now.
pub(crate) fn running(event_loop: &EventLoop, now: u64) -> Option<Long> {
    let Activity::Running { since, task, place } = event_loop.activity else { return None };
    let took = now.saturating_sub(since);
    Some(Long { event_loop: event_loop.number, since, took, has_ended: false, task, place })
}
