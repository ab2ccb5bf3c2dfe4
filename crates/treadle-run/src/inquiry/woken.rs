//! Who has woken a task last. No table has that: it is looked for in the last events when somebody asks.

use serde::{Deserialize, Serialize};
use treadle_events::Event;
use treadle_finding::Site;

use super::{Holder, Reply};
use crate::Run;
use crate::report::last_wake;

/// What has brought about the last step of a task.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Woken {
    /// The task in whose step it was woken, if it was one.
    pub task: Option<Holder>,
    /// The function of the callback that has woken it, if it was one.
    pub callback: Option<Site>,
    /// What else it was, or what has brought the callback about, in words; empty if it was a task, or is not known.
    pub by: String,
    /// How long it was ready before that step, at least, in nanoseconds.
    pub waited: u64,
}

impl Run {
    /// Adds to the details of a task who has woken it, as far as these events, the last ones, say so.
    pub fn add_waker(&self, reply: &mut Reply, events: &[Event]) {
        let Some(details) = &mut reply.task else { return };
        details.woken = last_wake(details.row.task, events).map(|wake| Woken {
            task: wake.task.map(|task| self.holder(task, None)),
            callback: wake.callback.map(|place| self.site(place)),
            by: wake.woken_by.words().unwrap_or_default().to_owned(),
            waited: self.scale().duration(wake.waited),
        });
    }
}
