//! The threads that loops and jobs of executors run in.

use serde::{Deserialize, Serialize};
use treadle_finding::Site;

use super::{ROWS, first_by};
use crate::{Activity, Run};

/// The threads.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ThreadPage {
    /// Those of loops, then those of jobs.
    pub rows: Vec<ThreadRow>,
    /// How many threads the process has, if that is known.
    pub count: Option<u64>,
}

/// A thread.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ThreadRow {
    /// The system's number of it.
    pub thread: u64,
    /// The loop that runs there; nothing for a job.
    pub event_loop: Option<u8>,
    /// What it is doing: `running`, `polling`, `outside` or `stopped`.
    pub activity: String,
    /// The code that it runs, where that is known.
    pub code: Option<Site>,
    /// Where a job was handed over.
    pub birth: Option<Site>,
    /// For how long, in nanoseconds.
    pub since: u64,
    /// How long it has had a processor since it began, in nanoseconds, if that is known.
    pub ran: Option<u64>,
    /// What the system says that it does, in a word.
    pub doing: Option<String>,
}

impl Run {
    pub(super) fn thread_page(&self) -> ThreadPage {
        let scale = self.scale();
        let since = |ticks: u64| scale.duration(self.now().saturating_sub(ticks));
        let mut rows: Vec<ThreadRow> = Vec::new();
        for one in self.loops() {
            let (activity, code, since) = match one.activity {
                _ if !one.is_running => ("stopped", None, 0),
                Activity::Running { since: began, place, .. } => ("running", Some(self.site(place)), since(began)),
                Activity::Polling { since: began } => ("polling", None, since(began)),
                Activity::Outside => ("outside", None, 0),
            };
            let activity = activity.to_owned();
            let event_loop = Some(one.number);
            rows.push(ThreadRow { thread: one.thread, event_loop, activity, code, since, ..ThreadRow::default() });
        }
        let jobs = first_by(self.jobs().running().collect(), ROWS, |(_, began, thread)| (*began, *thread));
        rows.extend(jobs.into_iter().map(|(kind, began, thread)| ThreadRow {
            thread,
            activity: "running".to_owned(),
            code: Some(self.site(kind.function)),
            birth: Some(self.site(kind.place)),
            since: since(began),
            ..ThreadRow::default()
        }));
        rows.truncate(ROWS);
        ThreadPage { rows, count: None }
    }
}
