//! What is kept of a run beside its events: places, findings, a row for each second, profiles, pauses, waits, and the events around the worst moments.
//!
//! A [`Chronicle`] is the sum of [`Entry`]s. Who writes a recording and who reads one add them up by the same [`Chronicle::add`], and everything in
//! it is bounded, so a chronicle can be written down anew as a whole at any time. Times are nanoseconds since the tape began, unless a field says otherwise.

mod rows;
mod scribe;
mod seconds;
mod tree;

use bitcode::{Decode, Encode};

pub use rows::{Bars, Found, Kept, Line, Living, LoopName, Moment, Pause, PauseKind, Totals, WaitPicture};
pub use scribe::{Doings, Scribe};
pub use seconds::{Second, Seconds};
pub use tree::{Branch, Tree};

/// Lines that are known by numbers.
const LINES: usize = 20_000;

/// Pauses that are kept, the longest ones.
const PAUSES: usize = 2_000;

/// Findings that are kept.
const FINDINGS: usize = 2_000;

/// Moments that are kept, the worst ones.
const MOMENTS: usize = 12;

/// Lines that are written in one piece.
const PIECE: usize = 500;

/// Looks at the living tasks that are kept: as many as there are while the ring is written over once, and one.
const LOOKS: usize = 5;

/// All there is beside the events.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Chronicle {
    /// What was run: `app.py`, `-m service`.
    pub title: String,
    /// What there is to know of the process, by names.
    pub environment: Vec<(String, String)>,
    /// Places, by their numbers here.
    pub lines: Vec<Line>,
    /// In the order in which they were first seen.
    pub findings: Vec<Found>,
    /// What happened in each second.
    pub seconds: Seconds,
    /// Where the time of loops went.
    pub profile: Tree,
    /// Where the time of callbacks went that took too long.
    pub blocked: Tree,
    /// When loops stood still.
    pub pauses: Vec<Pause>,
    /// The worst that tasks waited for each other.
    pub waits: Option<WaitPicture>,
    /// The tasks that lived at some moments, with the ticks of the look.
    pub living: Vec<(u64, Vec<Living>)>,
    /// The names of tasks, by address and birth in ticks.
    pub names: Vec<(u64, u64, String)>,
    /// The events around the worst moments.
    pub moments: Vec<Moment>,
    /// What was counted up to the last entry.
    pub totals: Totals,
}

/// A piece of a chronicle.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub enum Entry {
    /// What was run, and where.
    About(String, Vec<(String, String)>),
    /// Further places, with the number of the first.
    Lines(u32, Vec<Line>),
    /// What is known of a finding, by its number.
    Found(u32, Found),
    /// What happened in a second.
    Second(Second),
    /// All rows, with their length.
    Seconds(Seconds),
    /// What has come to the profile of all time, and to that of blocked time.
    Profile(Branch, Branch),
    /// Pauses, new or with what has become of them.
    Pauses(Vec<Pause>),
    /// A worse picture of the waits.
    Waits(WaitPicture),
    /// The tasks that live, with the ticks of the look.
    Living(u64, Vec<Living>),
    /// Names of tasks, by address and birth in ticks.
    Names(Vec<(u64, u64, String)>),
    /// The events around a moment.
    Moment(Moment),
    /// What was counted.
    Totals(Totals),
}

impl Chronicle {
    /// Adds an entry.
    pub fn add(&mut self, entry: Entry) {
        match entry {
            Entry::About(title, environment) => (self.title, self.environment) = (title, environment),
            // Where some are missing, those after them would have other numbers.
            Entry::Lines(first, lines) if first as usize == self.lines.len() => self.lines.extend(lines),
            Entry::Lines(..) => {}
            Entry::Found(at, found) => self.find(at as usize, found),
            Entry::Second(second) => self.seconds.add(second),
            Entry::Seconds(seconds) => self.seconds = seconds,
            Entry::Profile(all, blocked) => {
                self.profile.grow(&all);
                self.blocked.grow(&blocked);
            }
            Entry::Pauses(pauses) => pauses.into_iter().for_each(|pause| self.pause(pause)),
            Entry::Waits(picture) => self.waits = Some(picture),
            Entry::Living(at, tasks) => {
                if self.living.len() >= LOOKS {
                    self.living.remove(0);
                }
                self.living.push((at, tasks));
            }
            Entry::Names(names) => self.names.extend(names),
            Entry::Moment(moment) => self.keep(moment),
            Entry::Totals(totals) => self.totals = totals,
        }
    }

    fn find(&mut self, at: usize, found: Found) {
        if let Some(known) = self.findings.get_mut(at) {
            *known = found;
        } else if at == self.findings.len() && at < FINDINGS {
            self.findings.push(found);
        }
    }

    fn pause(&mut self, pause: Pause) {
        let same = |known: &&mut Pause| {
            (known.kind, known.event_loop, known.start, known.line)
                == (pause.kind, pause.event_loop, pause.start, pause.line)
        };
        if let Some(known) = self.pauses.iter_mut().rev().find(same) {
            *known = pause;
        } else if self.pauses.len() < PAUSES {
            self.pauses.push(pause);
        } else if let Some(shortest) = self.pauses.iter_mut().min_by_key(|known| known.took)
            && shortest.took < pause.took
        {
            *shortest = pause;
        }
    }

    fn keep(&mut self, moment: Moment) {
        self.moments.push(moment);
        if self.moments.len() > MOMENTS
            && let Some(at) = (0..self.moments.len()).min_by_key(|at| self.moments[*at].took)
        {
            self.moments.remove(at);
        }
    }

    /// Whether a moment in which something took so long is worth keeping.
    pub fn wants_moment(&self, took: u64) -> bool {
        self.moments.len() < MOMENTS || self.moments.iter().any(|moment| moment.took < took)
    }

    /// Entries that add up to this one.
    pub fn entries(&self) -> Vec<Entry> {
        let mut entries = vec![
            Entry::About(self.title.clone(), self.environment.clone()),
            Entry::Seconds(self.seconds.clone()),
            Entry::Profile(self.profile.branch(), self.blocked.branch()),
            Entry::Pauses(self.pauses.clone()),
            Entry::Names(self.names.clone()),
            Entry::Totals(self.totals.clone()),
        ];
        let lines = self.lines.chunks(PIECE).zip((0..).step_by(PIECE));
        entries.extend(lines.map(|(lines, first)| Entry::Lines(first, lines.to_vec())));
        entries.extend(self.findings.iter().enumerate().map(|(at, found)| Entry::Found(at as u32, found.clone())));
        entries.extend(self.waits.clone().map(Entry::Waits));
        entries.extend(self.living.iter().map(|(at, tasks)| Entry::Living(*at, tasks.clone())));
        entries.extend(self.moments.iter().map(|moment| Entry::Moment(moment.clone())));
        entries
    }

    /// A place by its number.
    pub fn line(&self, at: u32) -> Option<&Line> {
        self.lines.get(at as usize)
    }
}

impl Entry {
    /// As bytes.
    pub fn encode(&self) -> Vec<u8> {
        bitcode::encode(self)
    }

    /// The entry of some bytes, if they are one.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        bitcode::decode(bytes).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pause(start: u64, took: u64) -> Pause {
        Pause { start, took, ..Pause::default() }
    }

    #[test]
    fn a_chronicle_is_the_sum_of_its_entries() {
        let mut chronicle = Chronicle::default();
        let mut growing = tree::Growing::default();
        growing.count(&[1, 2], 5);
        let found = |message: &str| Found { message: message.to_owned(), ..Found::default() };
        for entry in [
            Entry::About("app.py".to_owned(), vec![("Python".to_owned(), "3.13".to_owned())]),
            Entry::Lines(0, vec![Line { file: "app.py".to_owned(), line: 3, ..Line::default() }]),
            Entry::Lines(1, vec![Line { line: 4, ..Line::default() }; 2 * PIECE]),
            Entry::Found(0, found("first")),
            Entry::Found(1, found("second")),
            Entry::Found(0, found("first, once more")),
            Entry::Second(Second { at: 1, busy: 2, ..Second::default() }),
            Entry::Profile(growing.take(), Branch::default()),
            Entry::Pauses(vec![pause(1, 2), pause(5, 2), pause(1, 9)]),
            Entry::Waits(WaitPicture::default()),
            Entry::Living(7, vec![Living::default()]),
            Entry::Names(vec![(1, 2, "worker".to_owned())]),
            Entry::Moment(Moment { took: 3, events: vec![(1, 2, 3, 4)], ..Moment::default() }),
            Entry::Totals(Totals { callbacks: 9, ..Totals::default() }),
        ] {
            let bytes = entry.encode();
            assert_eq!(Entry::decode(&bytes).as_ref(), Some(&entry));
            chronicle.add(entry);
        }
        assert_eq!(chronicle.pauses, [pause(1, 9), pause(5, 2)]);
        assert_eq!(chronicle.findings[0].message, "first, once more");
        assert_eq!(chronicle.lines.len(), 1 + 2 * PIECE);
        let mut again = Chronicle::default();
        chronicle.entries().into_iter().for_each(|entry| again.add(entry));
        assert_eq!(again, chronicle);
    }

    #[test]
    fn what_follows_something_that_is_missing_takes_nobody_elses_number() {
        let mut chronicle = Chronicle::default();
        chronicle.add(Entry::Lines(1, vec![Line::default()]));
        chronicle.add(Entry::Found(1, Found::default()));
        assert_eq!(chronicle, Chronicle::default());
    }

    #[test]
    fn a_chronicle_keeps_the_worst_and_does_not_grow() {
        let mut chronicle = Chronicle::default();
        for took in 0..10_000 {
            chronicle.add(Entry::Pauses(vec![pause(took, took)]));
            chronicle.add(Entry::Moment(Moment { took, ..Moment::default() }));
            chronicle.add(Entry::Living(took, Vec::new()));
            chronicle.add(Entry::Found(took as u32, Found::default()));
        }
        assert_eq!((chronicle.pauses.len(), chronicle.moments.len(), chronicle.living.len()), (PAUSES, MOMENTS, LOOKS));
        assert_eq!(chronicle.findings.len(), FINDINGS);
        assert_eq!(chronicle.pauses.iter().map(|pause| pause.took).min(), Some(10_000 - PAUSES as u64));
        assert!(chronicle.wants_moment(10_000) && !chronicle.wants_moment(3));
    }
}
