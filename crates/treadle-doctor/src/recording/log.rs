//! The log behind a tape: entries with their lengths and checksums, in one of two halves.
//!
//! When a half is full, everything is written anew into the other one, which counts from the moment at which its number is set. So the log has a
//! fixed size, and at any moment there is a half that is right: a reader takes the one with the higher number that begins well.

use std::sync::Arc;

use treadle_events::Tape;
use treadle_run::{Chronicle, Entry};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::Problem;

/// `treadlog`, and the version of what follows.
const MAGIC: u64 = u64::from_le_bytes(*b"treadlog");
const VERSION: u64 = 1;

/// Bytes before the halves: the two, the size of a half, and what is said of the recording beside which this one was made, or 0.
const HEAD: usize = 32;
const BESIDE: usize = 24;

/// Bytes before an entry: its length and its checksum; and before the entries of a half: its number.
const ENTRY: usize = 16;
const NUMBER: usize = 8;

/// Writes a log.
pub(crate) struct Log {
    tape: Arc<Tape>,
    /// The number of the half that is written to.
    number: u64,
    /// How far it is written.
    at: usize,
    half: usize,
    /// What does not fit into a half at all.
    pub(crate) lost: u64,
}

impl Log {
    /// Begins the log of a tape that has room behind it; `beside` is 0, or a [mark](super::family::mark).
    pub(crate) fn begin(tape: Arc<Tape>, beside: u64) -> Self {
        let half = tape.room().saturating_sub(HEAD) / 2 / size_of::<u64>() * size_of::<u64>();
        let log = Self { tape, number: 1, at: NUMBER, half, lost: 0 };
        log.tape.store_in_room(16, &(half as u64).to_le_bytes());
        log.tape.store_in_room(8, &VERSION.to_le_bytes());
        log.tape.store_in_room(BESIDE, &beside.to_le_bytes());
        log.tape.publish_in_room(0, MAGIC);
        log.tape.publish_in_room(log.begin_of_half(), 1);
        log
    }

    /// How many bytes a half has.
    pub(crate) fn half(&self) -> usize {
        self.half
    }

    /// Writes an entry; returns whether there was room for it.
    pub(crate) fn write(&mut self, entry: &Entry) -> bool {
        self.write_up_to(entry, self.half)
    }

    fn write_up_to(&mut self, entry: &Entry, limit: usize) -> bool {
        let bytes = entry.encode();
        let after = self.at + ENTRY + bytes.len().next_multiple_of(size_of::<u64>());
        if after > limit {
            return false;
        }
        let at = self.begin_of_half() + self.at;
        self.tape.store_in_room(at + 8, &checksum(&bytes, self.number, self.at).to_le_bytes());
        self.tape.store_in_room(at + ENTRY, &bytes);
        // Last: a length without what it is the length of would be read.
        self.tape.publish_in_room(at, bytes.len() as u64);
        self.at = after;
        true
    }

    /// Writes everything anew into the other half. What would leave no room for more is left out.
    pub(crate) fn renew(&mut self, chronicle: &Chronicle) {
        (self.number, self.at) = (self.number + 1, NUMBER);
        let limit = self.half / 4 * 3;
        for entry in chronicle.entries() {
            self.lost += u64::from(!self.write_up_to(&entry, limit));
        }
        self.tape.publish_in_room(self.begin_of_half(), self.number);
    }

    fn begin_of_half(&self) -> usize {
        HEAD + if self.number % 2 == 1 { 0 } else { self.half }
    }
}

/// Of an entry at a place in a half: what was left there by an earlier half does not fit.
fn checksum(bytes: &[u8], number: u64, at: usize) -> u64 {
    xxh3_64_with_seed(bytes, number << 32 | at as u64)
}

/// What a log says of the recording beside which it was made; 0 if there is none.
pub(super) fn beside(tape: &Tape) -> u64 {
    let head = tape.load_from_room(0, HEAD);
    if word(&head, 0) == MAGIC { word(&head, BESIDE) } else { 0 }
}

/// Everything that a log says.
///
/// # Errors
/// It is of another version.
pub(super) fn read(tape: &Tape) -> Result<Chronicle, Problem> {
    let head = tape.load_from_room(0, HEAD);
    let [magic, version, half] = [0, 8, 16].map(|at| word(&head, at));
    if magic != MAGIC || head.len() < HEAD {
        // Nothing was written, or the file ends here.
        return Ok(Chronicle::default());
    }
    if version != VERSION {
        return Err(if version > VERSION { Problem::Newer } else { Problem::Older });
    }
    let half = half as usize;
    let mut halves = [0, 1].map(|at| tape.load_from_room(HEAD + at * half, half));
    halves.sort_by_key(|bytes| std::cmp::Reverse(word(bytes, 0)));
    let found = halves.iter().map(|bytes| entries(bytes)).find(|entries| !entries.is_empty());
    let mut chronicle = Chronicle::default();
    found.unwrap_or_default().into_iter().for_each(|entry| chronicle.add(entry));
    Ok(chronicle)
}

/// The entries of a half, as far as they are right.
fn entries(bytes: &[u8]) -> Vec<Entry> {
    let (number, mut at) = (word(bytes, 0), NUMBER);
    let mut entries = Vec::new();
    while let Some(entry) = entry(bytes, number, at) {
        let (entry, length) = entry;
        entries.push(entry);
        at += ENTRY + length.next_multiple_of(size_of::<u64>());
    }
    entries
}

fn entry(bytes: &[u8], number: u64, at: usize) -> Option<(Entry, usize)> {
    let head = bytes.get(at..at + ENTRY)?;
    let length = usize::try_from(word(head, 0)).ok().filter(|length| *length > 0)?;
    let text = bytes.get(at + ENTRY..)?.get(..length)?;
    if number == 0 || checksum(text, number, at) != word(head, 8) {
        return None;
    }
    Some((Entry::decode(text)?, length))
}

/// A word of some bytes; 0 if they are too short.
fn word(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|word| word.try_into().ok()).map_or(0, u64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::{begin_tape, create_recording};

    fn tape() -> Arc<Tape> {
        let file = tempfile::NamedTempFile::new().unwrap_or_else(|error| panic!("{error}"));
        let made = create_recording(file.path(), 1).unwrap_or_else(|error| panic!("{error}"));
        begin_tape(&made).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn a_log_that_goes_on_for_ever_stays_as_long_and_right() {
        let tape = tape();
        let (mut log, mut chronicle) = (Log::begin(Arc::clone(&tape), 0), Chronicle::default());
        let mut renewed = 0;
        for round in 0..30_000_u64 {
            let entry = Entry::About(format!("{round}"), vec![("text".to_owned(), "x".repeat(round as usize % 200))]);
            chronicle.add(entry.clone());
            if !log.write(&entry) {
                renewed += 1;
                log.renew(&chronicle);
            }
            if round % 500 == 0 {
                assert_eq!(read(&tape).ok().as_ref(), Some(&chronicle), "{round}");
            }
        }
        assert!(renewed > 2, "{renewed}");
        assert_eq!(log.lost, 0);
    }

    #[test]
    fn who_is_killed_while_it_writes_anew_leaves_the_half_before() {
        let tape = tape();
        let mut log = Log::begin(Arc::clone(&tape), 0);
        log.write(&Entry::About("before".to_owned(), Vec::new()));
        (log.number, log.at) = (2, NUMBER);
        log.write(&Entry::About("after".to_owned(), Vec::new()));
        assert_eq!(read(&tape).map(|chronicle| chronicle.title).ok().as_deref(), Some("before"));
        tape.publish_in_room(log.begin_of_half(), 2);
        assert_eq!(read(&tape).map(|chronicle| chronicle.title).ok().as_deref(), Some("after"));
    }
}
