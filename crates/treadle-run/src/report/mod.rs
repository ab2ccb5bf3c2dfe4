//! What a recording says, as plain data for views: pages, traces and flame graphs show nothing that is not here.
//!
//! A [`Report`] is made of a [`Recorded`] run by [`report`], which reads no file: excerpts of the source are put in by [`Report::add_excerpts`], pages by
//! whoever has them. Times are microseconds since the recording began; -1 stands for none.

mod difference;
mod last;
mod make;
mod replay;
#[cfg(test)]
mod tests;
mod thin;

use std::collections::BTreeMap;

use serde::Serialize;
use treadle_events::{Event, Place, Scale};

pub use difference::difference;
pub(crate) use last::last_wake;
pub use make::report;

use crate::Chronicle;

/// What a recording has.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// What is beside the events.
    pub chronicle: Chronicle,
    /// The last events.
    pub events: Vec<Event>,
    /// Whether there were events before those.
    pub is_partial: bool,
    /// The places that events name.
    pub places: Vec<Place>,
    /// How ticks are to be read.
    pub scale: Scale,
}

/// How much of it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Single steps.
    pub steps: usize,
    /// Waits for the system, and jobs of executors, each.
    pub others: usize,
    /// Calls in a flame graph.
    pub calls: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { steps: 200_000, others: 40_000, calls: 10_000 }
    }
}

impl Limits {
    /// Half of it.
    pub fn halved(self) -> Self {
        Self { steps: self.steps / 2, others: self.others / 2, calls: self.calls / 2 }
    }
}

/// The number of a row elsewhere, or -1.
pub type Index = i64;

/// What a recording says.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Report {
    /// The version of this form.
    pub format: u32,
    /// The program.
    pub title: String,
    /// What there is to know of the process, by names.
    pub environment: Vec<(String, String)>,
    /// When it began, in milliseconds since 1970.
    pub began: f64,
    /// How long it was.
    pub duration: i64,
    /// From when on there are single events; before, only `seconds` and what was worst.
    pub kept_from: i64,
    /// Files, as they are shown.
    pub files: Vec<String>,
    /// Lines: the file, the number, the function, whose code it is if not the program's.
    pub sites: Vec<(usize, u32, String, Option<String>)>,
    /// Lines of the source, by the number of the file.
    pub excerpts: BTreeMap<usize, BTreeMap<u32, String>>,
    /// What hurts most comes first.
    pub findings: Vec<ReportedFinding>,
    /// The pages of their pitfalls.
    pub pages: BTreeMap<String, String>,
    /// The tasks.
    pub tasks: TaskColumns,
    /// What loops ran.
    pub steps: StepColumns,
    /// When loops slept in the system.
    pub polls: PollColumns,
    /// When they stood still.
    pub pauses: PauseColumns,
    /// What executors did.
    pub jobs: JobColumns,
    /// The loops.
    pub loops: Vec<ReportedLoop>,
    /// The whole run.
    pub seconds: SecondColumns,
    /// Where the time went.
    pub flame: Flames,
    /// Who waited for whom when it was worst.
    pub waits: ReportedWaits,
    /// How long things took.
    pub histograms: Histograms,
    /// Against another recording.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub difference: Option<Difference>,
    /// Files as the process named them, by their numbers.
    #[serde(skip)]
    pub paths: Vec<String>,
}

/// A finding.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[expect(missing_docs, reason = "they are those of a sighting")]
pub struct ReportedFinding {
    pub name: String,
    pub severity: String,
    pub suspected: bool,
    pub site: Index,
    pub message: String,
    pub count: u64,
    pub first: i64,
    pub last: i64,
    pub worst: Option<i64>,
    pub cause: Option<String>,
    pub evidence: Vec<String>,
    pub help: Option<String>,
    /// When it was seen, as far as that is known.
    pub marks: Vec<i64>,
}

/// Tasks, a column for each of what is known.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[expect(missing_docs, reason = "a column is what it is called")]
pub struct TaskColumns {
    pub name: Vec<String>,
    pub code: Vec<Index>,
    pub birth: Vec<Index>,
    pub parent: Vec<Index>,
    pub r#loop: Vec<i64>,
    pub born: Vec<i64>,
    /// -1 for those that are alive.
    pub ended: Vec<i64>,
    /// 0 returned, 1 raised, 2 cancelled, -1 alive.
    pub outcome: Vec<i64>,
    pub run: Vec<i64>,
    pub steps: Vec<i64>,
    pub longest: Vec<i64>,
}

/// Steps and other callbacks, in the order in which they began.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct StepColumns {
    /// The loop's number.
    pub r#loop: Vec<i64>,
    /// The task.
    pub task: Vec<Index>,
    /// The code.
    pub site: Vec<Index>,
    /// When it began, each as the difference to the one before.
    pub start_delta: Vec<i64>,
    /// How long it took.
    pub took: Vec<i64>,
    /// What has brought it about, as a [`WokenBy`].
    pub woken_by: Vec<u8>,
    /// How many rows above this one the step is that has brought it about; 0 if that is none, or is not shown.
    pub waker_delta: Vec<i64>,
    /// The task whose step that is, if the step is not shown; -1 if it is, or is no task's.
    pub waker_task: Vec<Index>,
    /// How long it was ready and did not run: since the answer of the system, the call from another thread or the birth of the task, else since the
    /// end of the step that has brought it about.
    pub queued: Vec<i64>,
}

/// What has brought a callback about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum WokenBy {
    /// That is not known.
    Unknown = 0,
    /// Something that was done in a step, or in another callback.
    Step = 1,
    /// A descriptor was ready.
    Descriptor = 2,
    /// A timer was due.
    Timer = 3,
    /// Another thread has handed it over.
    Thread = 4,
    /// A transport has sent what it had.
    Flush = 5,
}

impl WokenBy {
    /// What stands in a column.
    pub fn of(number: u8) -> Self {
        match number {
            1 => Self::Step,
            2 => Self::Descriptor,
            3 => Self::Timer,
            4 => Self::Thread,
            5 => Self::Flush,
            _ => Self::Unknown,
        }
    }

    /// In words, as far as there is no step that could be named.
    pub fn words(self) -> Option<&'static str> {
        match self {
            Self::Unknown | Self::Step => None,
            Self::Descriptor => Some("a descriptor that was ready"),
            Self::Timer => Some("a timer"),
            Self::Thread => Some("another thread"),
            Self::Flush => Some("a transport that has sent what it had"),
        }
    }
}

/// Sleep in the system.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[expect(missing_docs, reason = "as for steps")]
pub struct PollColumns {
    pub r#loop: Vec<i64>,
    pub start_delta: Vec<i64>,
    pub took: Vec<i64>,
}

/// Times in which a loop stood still.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[expect(missing_docs, reason = "as for steps")]
pub struct PauseColumns {
    /// `blocked` or `gc`.
    pub kind: Vec<&'static str>,
    pub r#loop: Vec<i64>,
    pub start: Vec<i64>,
    pub took: Vec<i64>,
    pub cause: Vec<Option<String>>,
    pub site: Vec<Index>,
    /// The calls on the way, the outermost first.
    pub stack: Vec<Vec<Index>>,
}

/// Jobs of executors.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[expect(missing_docs, reason = "a column is what it is called")]
pub struct JobColumns {
    pub name: Vec<String>,
    /// Where it was handed over.
    pub site: Vec<Index>,
    pub submitted: Vec<i64>,
    pub started: Vec<i64>,
    pub ended: Vec<i64>,
    /// The system's number of the thread.
    pub thread: Vec<i64>,
}

/// A loop.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[expect(missing_docs, reason = "a field is what it is called")]
pub struct ReportedLoop {
    pub number: u8,
    pub thread: u64,
    pub name: String,
}

/// What happened in each second.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[expect(missing_docs, reason = "they are those of `Second`")]
pub struct SecondColumns {
    pub t: Vec<i64>,
    pub busy: Vec<i64>,
    pub idle: Vec<i64>,
    pub callbacks: Vec<i64>,
    pub lag: Vec<i64>,
    pub ready: Vec<i64>,
    pub tasks: Vec<i64>,
    pub timers: Vec<i64>,
    pub fds: Vec<i64>,
    /// How long a row is.
    pub interval: i64,
}

/// Flame graphs.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Flames {
    /// All time in callbacks.
    pub all: Flame,
    /// That of callbacks that took too long.
    pub blocked: Flame,
}

/// A call, with those that it made.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Flame {
    /// The line; -1 for the root.
    pub site: Index,
    /// How long, with all that it called.
    pub value: i64,
    /// What it is, if no line says it.
    pub label: Option<String>,
    /// The calls that it made, the longest first.
    pub children: Vec<Flame>,
    /// How long it was in the other recording.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<i64>,
}

impl Default for Flame {
    fn default() -> Self {
        Self { site: -1, value: 0, label: None, children: Vec::new(), before: None }
    }
}

/// Who waits for whom.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[expect(missing_docs, reason = "a field is what it is called")]
pub struct ReportedWaits {
    pub t: i64,
    /// Why this moment was chosen.
    pub reason: String,
    pub tasks: Vec<Index>,
    /// From, to, and for the sake of what.
    pub edges: Vec<(Index, Index, String)>,
    /// Where the coroutines of a task stand, the outermost first.
    pub chains: BTreeMap<Index, Vec<Index>>,
    pub waits_for: BTreeMap<Index, String>,
}

/// How long things took.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Histograms {
    /// Callbacks.
    pub step: Histogram,
    /// From being ready to running, of the callbacks whose events are there.
    pub queue: Histogram,
    /// From one look at the system to the next: what arrives meanwhile waits at most so long.
    pub delay: Histogram,
}

/// How often something took how long.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[expect(missing_docs, reason = "a field is what it is called")]
pub struct Histogram {
    pub edges: Vec<i64>,
    pub counts: Vec<u64>,
    pub max: i64,
}

/// A recording against another one.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Difference {
    /// The other program.
    pub title: String,
    /// What has become of findings.
    pub findings: Vec<Change>,
    /// Numbers: what, before, after, in which unit.
    pub rows: Vec<(String, f64, f64, String)>,
    /// Where the time went in both.
    pub flame: Flame,
}

/// What has become of a finding.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[expect(missing_docs, reason = "a field is what it is called")]
pub struct Change {
    pub name: String,
    pub site: String,
    /// `new`, `gone`, `more`, `fewer` or `same`.
    pub change: &'static str,
    pub before: u64,
    pub after: u64,
}

impl Report {
    /// Puts in the lines around findings, given what reads a file.
    pub fn add_excerpts(&mut self, mut read: impl FnMut(&str) -> Option<String>) {
        const AROUND: u32 = 3;
        let mut wanted: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
        for site in self.findings.iter().filter_map(|found| usize::try_from(found.site).ok()) {
            if let Some((file, line, ..)) = self.sites.get(site).filter(|site| site.1 > 0) {
                wanted.entry(*file).or_default().push(*line);
            }
        }
        for (file, lines) in wanted {
            let Some(text) = self.paths.get(file).and_then(|path| read(path)) else { continue };
            let is_near = |number: u32| lines.iter().any(|line| line.abs_diff(number) <= AROUND);
            let numbered = (1..).zip(text.lines()).filter(|(number, _)| is_near(*number));
            let shown = numbered.map(|(number, line)| (number, line.trim_end().chars().take(200).collect()));
            self.excerpts.insert(file, shown.collect());
        }
    }

    /// A line as people read it: `app.py:3 in main`.
    pub fn shown(&self, site: Index) -> String {
        match usize::try_from(site).ok().and_then(|site| self.sites.get(site)) {
            None => String::new(),
            Some((_, 0, function, _)) => function.clone(),
            Some((file, line, function, _)) => {
                let file = self.files.get(*file).map_or("", String::as_str);
                format!("{file}:{line} in {function}")
            }
        }
    }
}
