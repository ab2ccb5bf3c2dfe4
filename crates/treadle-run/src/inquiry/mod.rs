//! What somebody who looks at a process from outside may ask, and the answers: plain data, as much of it as fits on a screen.
//!
//! An answer to a process of a hundred thousand tasks must cost it little, so nothing here sorts or copies all of them. Nothing changes either.

mod details;
mod findings;
mod patterns;
mod pulse;
mod tasks;
#[cfg(test)]
mod tests;
mod threads;
mod traffic;
mod tree;
mod waits;
mod woken;
mod work;

use serde::{Deserialize, Serialize};
use treadle_finding::Sighting;

use crate::Run;

pub use details::{Details, Reason};
pub use findings::FindingRow;
pub use patterns::{PatternPage, PatternRow};
pub use pulse::Pulse;
pub use tasks::{Arrangement, GroupRow, Row, Sort, TaskPage, TasksWanted};
pub use threads::{ThreadPage, ThreadRow};
pub use traffic::{Jammed, JobRow, PlaceCount, TrafficPage};
pub use waits::{Holder, ThingRow, WaitPage, Waiter};
pub use woken::Woken;
pub use work::{HotRow, LongRow, WorkPage};

/// Rows of a table, but for those of tasks, which come in pages.
pub const ROWS: usize = 200;

/// What somebody wants to know.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Inquiry {
    /// What was found.
    pub findings: bool,
    /// A page of tasks.
    pub tasks: Option<TasksWanted>,
    /// All there is to know of a task, by its address.
    pub task: Option<u64>,
    /// Who waits for what.
    pub waits: bool,
    /// What loops spend their time on.
    pub work: bool,
    /// Transports, timers and jobs.
    pub traffic: bool,
    /// Threads that the loops and the executors run in.
    pub threads: bool,
    /// Objects of the patterns.
    pub patterns: bool,
}

/// The answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Reply {
    /// The process in numbers; always there.
    pub pulse: Pulse,
    /// What was wanted, and only that.
    pub findings: Option<Vec<FindingRow>>,
    /// See `findings`.
    pub tasks: Option<TaskPage>,
    /// See `findings`; also nothing if the task has ended.
    pub task: Option<Details>,
    /// See `findings`.
    pub waits: Option<WaitPage>,
    /// See `findings`.
    pub work: Option<WorkPage>,
    /// See `findings`.
    pub traffic: Option<TrafficPage>,
    /// See `findings`.
    pub threads: Option<ThreadPage>,
    /// See `findings`.
    pub patterns: Option<PatternPage>,
}

impl Run {
    /// Answers somebody who looks from outside. What the system knows of the process and its threads is for others to fill in.
    pub fn reply(&self, inquiry: &Inquiry, found: &[Sighting]) -> Reply {
        Reply {
            pulse: Pulse::new(self.vitals(), found),
            findings: inquiry.findings.then(|| found.iter().rev().take(ROWS).map(FindingRow::of).collect()),
            tasks: inquiry.tasks.as_ref().map(|wanted| self.task_page(wanted)),
            task: inquiry.task.and_then(|task| self.details(task, found)),
            waits: inquiry.waits.then(|| self.wait_page()),
            work: inquiry.work.then(|| self.work_page()),
            traffic: inquiry.traffic.then(|| self.traffic_page()),
            threads: inquiry.threads.then(|| self.thread_page()),
            patterns: inquiry.patterns.then(|| self.pattern_page()),
        }
    }
}

/// As much of a name as is worth showing.
fn clip(text: &str) -> String {
    const LENGTH: usize = 120;
    match text.char_indices().nth(LENGTH) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// The first rows of a table in an order, without sorting the others.
fn first_by<T, K: Ord>(mut rows: Vec<T>, count: usize, key: impl Fn(&T) -> K) -> Vec<T> {
    if rows.len() > count {
        rows.select_nth_unstable_by(count, |one, other| key(one).cmp(&key(other)));
        rows.truncate(count);
    }
    rows.sort_by_key(key);
    rows
}
