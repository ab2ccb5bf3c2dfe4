//! What has brought about the last step of a task, for those who look while it lives.

use treadle_events::{Event, PlaceId};

use super::WokenBy;
use super::replay::Replay;

/// Callbacks on the way to what has brought them about.
const THROUGH: usize = 4;

/// What has brought about a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LastWake {
    /// The task in whose step that was, by its address.
    pub(crate) task: Option<u64>,
    /// The code of the callback in which it was, if it was none.
    pub(crate) callback: Option<PlaceId>,
    /// What else it was, or what has brought the callback about.
    pub(crate) woken_by: WokenBy,
    /// How long the task was ready at least, in ticks.
    pub(crate) waited: u64,
}

/// What has brought about the last step of a task, by its address, as far as some events say so.
pub(crate) fn last_wake(task: u64, events: &[Event]) -> Option<LastWake> {
    let mut replay = Replay::default();
    for event in events {
        replay.take(event);
    }
    let Replay { steps, tasks, .. } = &replay;
    let address = |at: u32| tasks.get(at as usize).map(|task| task.address);
    let last = steps.iter().rfind(|step| address(step.task) == Some(task)).filter(|step| step.woken > 0)?;
    let (woken_by, waited) = (last.woken_by, last.start.saturating_sub(last.woken));
    let mut found = LastWake { task: None, callback: None, woken_by, waited };
    let mut next = last;
    for _ in 0..THROUGH {
        found.woken_by = next.woken_by;
        let Some(waker) = steps.get(next.waker as usize) else { break };
        found.task = address(waker.task);
        if found.task.is_some() {
            break;
        }
        found.callback = found.callback.or(Some(waker.place));
        next = waker;
    }
    Some(found)
}
