//! The rows of a chronicle, as plain data that is written to files.

use bitcode::{Decode, Encode};
use treadle_events::{Owner, Place};
use treadle_finding::{Sighting, Site};

use crate::histogram::Histogram;

/// A place in a program's code.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Encode, Decode)]
pub struct Line {
    /// The file, as Python names it.
    pub file: String,
    /// The line, from 1; 0 if there is none.
    pub line: u32,
    /// The function, qualified.
    pub function: String,
    /// Whose code it is, if it is not the program's.
    pub package: Option<String>,
}

/// A finding.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct Found {
    /// The pitfall's name.
    pub name: String,
    /// How loud it is, in a word.
    pub severity: String,
    /// Whether nothing proves it.
    pub is_suspected: bool,
    /// The line to be changed.
    pub line: Line,
    /// What is said of it.
    pub message: String,
    /// How often it was seen.
    pub count: u64,
    /// When for the first and the last time, in nanoseconds since 1970.
    pub first: u64,
    /// See `first`.
    pub last: u64,
    /// The longest time it took, in nanoseconds.
    pub worst: Option<u64>,
    /// Why it is so.
    pub cause: Option<String>,
    /// What was seen.
    pub evidence: Vec<String>,
    /// The code to write instead.
    pub help: Option<String>,
    /// When it was seen, as far as that is known, in nanoseconds since 1970.
    pub marks: Vec<u64>,
}

/// Times of one finding that are kept.
const MARKS: usize = 200;

/// Why a loop stood still.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Encode, Decode)]
pub enum PauseKind {
    /// A callback took too long.
    #[default]
    Blocked,
    /// The garbage collector was at work.
    Collector,
}

/// A time in which a loop stood still.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Pause {
    /// Why.
    pub kind: PauseKind,
    /// The loop, by its number.
    pub event_loop: u8,
    /// When it began, in ticks, which stay as they are while more becomes known of their length.
    pub start: u64,
    /// How long it was, in nanoseconds.
    pub took: u64,
    /// What it did meanwhile, in a few words.
    pub cause: Option<String>,
    /// The line that it is laid to, by its number.
    pub line: Option<u32>,
    /// The calls on the way there, the outermost first, by the numbers of their lines.
    pub stack: Vec<u32>,
}

/// A task that lived when somebody looked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Living {
    /// Its address.
    pub task: u64,
    /// When it was made, in ticks.
    pub born: u64,
    /// The loop, by its number.
    pub event_loop: u8,
    /// Its coroutine's code and where it was made, by the numbers of the places in the tape.
    pub code: u32,
    /// See `code`.
    pub birth: u32,
    /// The task that has made it, by its address; 0 for none.
    pub parent: u64,
    /// How many steps it had made.
    pub steps: u64,
    /// How long they took together, in nanoseconds.
    pub run: u64,
    /// The longest, in nanoseconds.
    pub longest: u64,
}

/// A task in a picture of waits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Kept {
    /// What is known of it.
    pub living: Living,
    /// Its name.
    pub name: String,
    /// Where its coroutines stand, the outermost first, by the numbers of their lines.
    pub chain: Vec<u32>,
    /// What it waits for, in words; empty if that is not known.
    pub waits_for: String,
}

/// Who waits for whom at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct WaitPicture {
    /// When.
    pub at: u64,
    /// Whether some of them will wait for ever.
    pub is_deadlock: bool,
    /// How many waits there were altogether.
    pub count: u64,
    /// The tasks.
    pub tasks: Vec<Kept>,
    /// Who waits for whom, as positions in `tasks`, and for the sake of what.
    pub edges: Vec<(u32, u32, String)>,
}

/// The events around a moment that was bad.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Moment {
    /// How long it took, in nanoseconds.
    pub took: u64,
    /// The words of the events.
    pub events: Vec<(u64, u64, u64, u64)>,
    /// The tasks among them that lived.
    pub tasks: Vec<Living>,
}

/// How often something took how long: in nanoseconds from an edge on, but less than the next one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Bars {
    /// One more than there are counts.
    pub edges: Vec<u64>,
    /// How often.
    pub counts: Vec<u64>,
    /// The longest, in nanoseconds.
    pub most: u64,
}

impl Bars {
    /// From a microsecond to a hundred seconds, two bars for each doubling.
    pub(crate) fn of<'a>(histograms: impl Iterator<Item = &'a Histogram>) -> Self {
        let mut edges = vec![0, 1_000];
        while let Some(last) = edges.last().copied().filter(|last| *last < 100_000_000_000) {
            edges.extend([last / 2 * 3, last * 2]);
        }
        let (mut counts, mut most) = (vec![0; edges.len() - 1], 0);
        for histogram in histograms {
            let seen = histogram.distribution();
            most = most.max(seen.most());
            for (value, count) in seen.points {
                let at = edges.partition_point(|edge| *edge <= value).clamp(1, counts.len()) - 1;
                counts[at] += count;
            }
        }
        Self { edges, counts, most }
    }
}

/// A loop.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct LoopName {
    /// Its number.
    pub number: u8,
    /// The system's number of its thread.
    pub thread: u64,
}

/// What was counted up to some moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Totals {
    /// When that was.
    pub at: u64,
    /// The loops.
    pub loops: Vec<LoopName>,
    /// How many callbacks ran, and how long altogether, in nanoseconds.
    pub callbacks: u64,
    /// See `callbacks`.
    pub busy: u64,
    /// How many events there were, and how many the doctor could not read.
    pub events: u64,
    /// See `events`.
    pub lost: u64,
    /// How long the doctor's thread had a processor, in nanoseconds, and how often it has looked at stacks.
    pub cost: u64,
    /// See `cost`.
    pub looks: u64,
    /// How long callbacks took.
    pub durations: Bars,
    /// How long it took from one look at the system to the next.
    pub lags: Bars,
    /// Whether the program has come to its end.
    pub is_complete: bool,
}

impl Line {
    /// Of a place.
    pub fn of_place(place: &Place) -> Self {
        let package = match &place.owner {
            Owner::Program => None,
            Owner::Package(name) => Some(name.clone()),
            Owner::Python => Some("python".to_owned()),
        };
        Self { file: place.file.clone(), line: place.line, function: place.function.clone(), package }
    }

    /// Of a site.
    pub fn of_site(site: &Site) -> Self {
        let Site { path, line, function, package } = site.clone();
        Self { file: path, line, function, package }
    }
}

impl Found {
    /// What is known of a finding now, and what was known of it before.
    pub fn of(seen: &Sighting, before: Option<&Self>) -> Self {
        let mut marks = before.map_or_else(Vec::new, |before| before.marks.clone());
        if before.is_none() && seen.first != seen.last {
            marks.push(seen.first);
        }
        if before.is_none_or(|before| before.count < seen.count) {
            marks.push(seen.last);
        }
        if marks.len() > MARKS {
            let mut keep = false;
            marks.retain(|_| {
                keep = !keep;
                keep
            });
        }
        Self {
            name: seen.about.name.to_owned(),
            severity: seen.severity.as_str().to_owned(),
            is_suspected: seen.is_suspected,
            line: Line::of_site(&seen.site),
            message: seen.message.clone(),
            count: seen.count,
            first: seen.first,
            last: seen.last,
            worst: seen.worst,
            cause: seen.cause.clone(),
            evidence: seen.evidence.clone(),
            help: seen.help.clone(),
            marks,
        }
    }
}
