//! Lines that kept a loop from everything else, as they were seen while they did.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use treadle_events::Place;

/// A part of a callback that took too long, seen from outside while it ran.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blockage {
    /// The loop.
    pub event_loop: u8,
    /// When the callback began, in ticks.
    pub since: u64,
    /// How long that part has taken up to now, in nanoseconds, without what the machine kept from it.
    pub took: u64,
    /// Whether it has ended.
    pub has_ended: bool,
    /// What did it.
    pub blame: Blame,
    /// What it did most of the time.
    pub cause: Cause,
}

/// What a blockage is laid to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blame {
    /// The line: of the program's code if any of that ran, else of a package's.
    pub place: Place,
    /// The function that was called there, if one call was what took so long.
    pub called: Option<String>,
    /// The calls on the way there, the outermost first.
    pub way: Vec<Place>,
}

/// What a thread did while it kept others waiting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Cause {
    /// Nobody could see.
    #[default]
    Unknown,
    /// It computed.
    Processor,
    /// It slept because it was told to.
    Sleep,
    /// It waited for a peer.
    Network,
    /// It waited for a file.
    File,
    /// It waited for the other end of a pipe.
    Pipe,
    /// It waited for another process to end.
    Child,
    /// It waited for another thread.
    Lock,
    /// It waited in the system for something else.
    System,
    /// It waited for the interpreter, which another thread had.
    Interpreter,
    /// It collected garbage.
    Collector,
    /// It imported a module.
    Import,
}

impl Cause {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Unknown,
        Self::Processor,
        Self::Sleep,
        Self::Network,
        Self::File,
        Self::Pipe,
        Self::Child,
        Self::Lock,
        Self::System,
        Self::Interpreter,
        Self::Collector,
        Self::Import,
    ];

    /// As programs read it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Processor => "cpu",
            Self::Sleep => "sleep",
            Self::Network => "network",
            Self::File => "file",
            Self::Pipe => "pipe",
            Self::Child => "child",
            Self::Lock => "lock",
            Self::System => "system",
            Self::Interpreter => "gil",
            Self::Collector => "gc",
            Self::Import => "import",
        }
    }

    /// As findings say it; nothing if it is not known.
    pub fn words(self) -> Option<&'static str> {
        Some(match self {
            Self::Unknown => return None,
            Self::Processor => "using the processor",
            Self::Sleep => "sleeping",
            Self::Network => "waiting for the network",
            Self::File => "waiting for a file",
            Self::Pipe => "waiting for a pipe",
            Self::Child => "waiting for a child process",
            Self::Lock => "waiting for a lock",
            Self::System => "waiting for the system",
            Self::Interpreter => "waiting for the interpreter",
            Self::Collector => "collecting garbage",
            Self::Import => "importing",
        })
    }
}

/// A line that has blocked a loop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocked {
    /// Where it is and how one comes there, as it was the first time.
    pub blame: Blame,
    /// What it did the worst time.
    pub cause: Cause,
    /// How often.
    pub count: u64,
    /// When the first and the last time began, in ticks.
    pub first: u64,
    /// See `first`.
    pub last: u64,
    /// The longest, in nanoseconds.
    pub worst: u64,
    /// Which blockage it was the last time: the loop and when it began.
    latest: (u8, u64),
}

/// All of them.
#[derive(Clone, Debug, Default)]
pub struct BlockedLines {
    rows: Vec<Blocked>,
    /// By cause, in nanoseconds.
    times: BTreeMap<Cause, u64>,
    /// What of that is from a blockage that may not have ended, by its loop and the line.
    open: BTreeMap<(u8, u32), Open>,
}

/// A blockage that has been counted up to now.
#[derive(Clone, Copy, Debug)]
struct Open {
    since: u64,
    cause: Cause,
    took: u64,
}

/// Lines that are remembered.
const LINES: usize = 1_000;

impl BlockedLines {
    /// Takes a blockage in, or what has become of one.
    pub(crate) fn take(&mut self, blockage: Blockage) {
        self.count_time(&blockage);
        let latest = (blockage.event_loop, blockage.since);
        if let Some(row) = self.rows.iter_mut().find(|row| row.blame.is_same(&blockage.blame)) {
            if row.latest != latest {
                row.count += 1;
                (row.latest, row.last) = (latest, blockage.since);
            }
            if blockage.took >= row.worst {
                (row.worst, row.cause) = (blockage.took, blockage.cause);
            }
        } else if self.rows.len() < LINES {
            let Blockage { since, took, blame, cause, .. } = blockage;
            self.rows.push(Blocked { blame, cause, count: 1, first: since, last: since, worst: took, latest });
        }
    }

    /// The lines, in the order in which they were first seen.
    pub fn rows(&self) -> &[Blocked] {
        &self.rows
    }

    /// How long it was altogether, in nanoseconds, by cause.
    pub(crate) fn times(&self) -> impl Iterator<Item = (Cause, u64)> {
        self.times.iter().map(|(cause, time)| (*cause, *time))
    }

    /// A blockage is looked at again and again, and its cause may turn out to be another.
    fn count_time(&mut self, blockage: &Blockage) {
        let Blockage { event_loop, since, took, cause, .. } = *blockage;
        let open = self.open.entry((event_loop, blockage.blame.place.line)).or_insert(Open { since, cause, took: 0 });
        if open.since == since {
            let counted = self.times.entry(open.cause).or_default();
            *counted = counted.saturating_sub(open.took);
        }
        *open = Open { since, cause, took };
        *self.times.entry(cause).or_default() += took;
        if blockage.has_ended {
            self.open.retain(|(number, _), open| *number != event_loop || open.since > since);
        }
    }
}

impl Blame {
    /// Whether two blame the same: the same call, whether or not it was made out the other time, or the same function that does it all itself,
    /// wherever in it.
    fn is_same(&self, other: &Self) -> bool {
        let is_same_function = (&self.place.file, &self.place.function) == (&other.place.file, &other.place.function);
        let is_one_call = self.called == other.called || self.called.is_none() || other.called.is_none();
        let is_no_call = self.called.is_none() && other.called.is_none();
        is_same_function && (is_no_call || is_one_call && self.place.line == other.place.line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use treadle_events::Owner;

    fn blockage(since: u64, took: u64, line: u32, called: Option<&str>) -> Blockage {
        let place = Place { file: "app.py".to_owned(), line, function: "main".to_owned(), owner: Owner::Program };
        let blame = Blame { place, called: called.map(str::to_owned), way: vec![] };
        Blockage { event_loop: 1, since, took, has_ended: false, blame, cause: Cause::Sleep }
    }

    fn seen(blockages: &[Blockage]) -> Vec<(u32, u64, u64)> {
        let mut lines = BlockedLines::default();
        for blockage in blockages {
            lines.take(blockage.clone());
        }
        lines.rows().iter().map(|row| (row.blame.place.line, row.count, row.worst)).collect()
    }

    #[test]
    fn blockage_is_counted_once_however_often_it_is_looked_at() {
        let sleep = Some("time.sleep");
        let looks = [(5, 100, 3), (5, 150, 3), (90, 120, 3), (200, 110, 4)];
        let looks = looks.map(|(since, took, line)| blockage(since, took, line, sleep));
        assert_eq!(seen(&looks), [(3, 2, 150), (4, 1, 110)]);
    }

    #[test]
    fn time_is_counted_once_and_laid_to_the_cause_that_turned_out() {
        let mut lines = BlockedLines::default();
        let network = |blockage| Blockage { cause: Cause::Network, ..blockage };
        lines.take(blockage(5, 100, 3, None));
        lines.take(network(blockage(5, 150, 3, None)));
        lines.take(network(blockage(5, 20, 4, None)));
        lines.take(Blockage { has_ended: true, ..network(blockage(5, 180, 3, None)) });
        lines.take(blockage(300, 110, 3, None));
        let times: Vec<(Cause, u64)> = lines.times().filter(|(_, time)| *time > 0).collect();
        assert_eq!(times, [(Cause::Sleep, 110), (Cause::Network, 200)]);
    }

    #[test]
    fn call_that_was_not_made_out_one_time_is_the_same_line() {
        let looks = [(5, None), (90, Some("time.sleep")), (300, Some("time.sleep"))];
        assert_eq!(seen(&looks.map(|(since, called)| blockage(since, 100, 3, called))), [(3, 3, 100)]);
    }

    #[test]
    fn function_that_computes_is_one_line_whichever_was_hot() {
        let looks = [(5, 100, 3), (90, 120, 4)].map(|(since, took, line)| blockage(since, took, line, None));
        assert_eq!(seen(&looks), [(3, 2, 120)]);
    }
}
