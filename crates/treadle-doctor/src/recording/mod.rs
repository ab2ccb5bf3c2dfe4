//! Recordings: a file with the tape at its beginning, and a log of what is beside the events behind it.
//!
//! The file is mapped by the process that is watched, so that what was written is there whoever is killed, and only its doctor's thread writes to it:
//! a store to a page that is on its way to a slow disk waits for that, and a loop must not. Its size is fixed when it is made: the space is
//! reserved then, because a full disk would end the program in the middle of a write otherwise.

mod clerk;
mod family;
mod log;

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use treadle_events::{Copyist, Reader, Tape};
use treadle_run::Recorded;

pub(crate) use clerk::Clerk;
pub use family::{Child, children_of, create_beside, names_beside};

/// How large a recording may be, in bytes.
pub const SIZES: std::ops::RangeInclusive<u64> = 4 << 20..=4 << 30;

/// How large it is if nothing is said.
pub const SIZE: u64 = 64 << 20;

/// Bytes of an event.
const EVENT: u64 = 32;

/// Makes an empty recording of a size in bytes, of which half or less is for events. What was recorded there before goes, also that of children.
///
/// # Errors
/// The file cannot be made, is there and no recording, or there is no room for it; or one of an earlier child cannot be removed.
pub fn create_recording(path: &Path, size: u64) -> io::Result<File> {
    let file = File::options().read(true).write(true).create(true).truncate(false).open(path)?;
    let mut head = [0; MARK.len()];
    let is_empty = file.metadata()?.len() == 0;
    let has_head = (&file).read_exact(&mut head).is_ok();
    // A slip on the command line is not to cost a program's source.
    if !is_empty && !(has_head && (head == MARK || head == [0; MARK.len()])) {
        let words = "the file is there and is no recording. Name another one";
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, words));
    }
    family::remove_children(path)?;
    file.set_len(0)?;
    reserve(&file, size)?;
    Ok(file)
}

/// Makes a file as long as a recording of a size is.
///
/// # Errors
/// There is no room for it.
fn reserve(file: &File, size: u64) -> io::Result<()> {
    let size = size.clamp(*SIZES.start(), *SIZES.end());
    file.set_len(size)?;
    #[cfg(target_os = "linux")]
    match rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), 0, size) {
        // Where the file system cannot do that, a full disk is the risk of who records.
        Ok(()) | Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// Begins the tape of a recording.
///
/// # Errors
/// The file is too short, or cannot be mapped.
pub fn begin_tape(file: &File) -> io::Result<Arc<Tape>> {
    let events = file.metadata()?.len() / 2 / EVENT;
    let capacity = 1_usize << events.max(64).ilog2();
    Tape::create_with_room(file, capacity)
}

/// Why a recording cannot be read, in two sentences.
#[derive(Debug)]
pub struct Unreadable {
    words: String,
    /// It is one, and nothing was written to it.
    pub is_empty: bool,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

impl std::error::Error for Unreadable {}

/// Reads a recording, also one that is still written to.
///
/// # Errors
/// There is no such file, or it is no recording, one of a newer treadle, or was cut.
pub fn read_recording(path: &Path) -> Result<Recorded, Unreadable> {
    let shown = path.display();
    let cannot = |error: io::Error| format!("`{shown}` cannot be read: {error}. Name a recording");
    let file = File::open(path).map_err(|error| Unreadable { words: cannot(error), is_empty: false })?;
    read(&file).map_err(|problem| {
        let is_empty = matches!(problem, Problem::Empty);
        let words = match problem {
            Problem::System(error) => cannot(error),
            Problem::Empty => format!(
                "`{shown}` holds nothing: the program has not made an event loop of treadle's. Record one that runs asyncio"
            ),
            Problem::Foreign => {
                format!("`{shown}` is no recording of treadle's. Make one with `treadle run --record {shown} app.py`")
            }
            Problem::Newer => {
                format!("`{shown}` was recorded by a newer treadle than this one. Install that version to read it")
            }
            Problem::Older => format!(
                "`{shown}` was recorded by an older treadle, in a form that this one does not read. Record the program once more"
            ),
            Problem::Cut => {
                format!("`{shown}` is cut: not all of its events are there. Copy the whole file once more")
            }
        };
        Unreadable { words, is_empty }
    })
}

/// What is wrong with a file.
#[derive(Debug)]
pub(crate) enum Problem {
    System(io::Error),
    Empty,
    Foreign,
    Newer,
    Older,
    Cut,
}

/// How a tape begins: a word with its version, and how many events there are.
const MARK: &[u8] = b"treadle";
const TAPE_VERSION: u8 = 1;

/// Reads a recording of a file that is open.
fn read(file: &File) -> Result<Recorded, Problem> {
    let length = file.metadata().map_err(Problem::System)?.len();
    let mut head = [0; 16];
    let mut from = file;
    match from.read_exact(&mut head) {
        Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => return Err(Problem::System(error)),
        _ if !head.starts_with(MARK) && head != [0; 16] => return Err(Problem::Foreign),
        _ if head == [0; 16] => return Err(if length == 0 { Problem::Foreign } else { Problem::Empty }),
        _ => {}
    }
    match head[MARK.len()] {
        version if version > TAPE_VERSION => return Err(Problem::Newer),
        version if version < TAPE_VERSION => return Err(Problem::Older),
        _ => {}
    }
    let (_, capacity) = head.split_at(8);
    let capacity = capacity.try_into().map_or(0, u64::from_le_bytes);
    if !capacity.is_power_of_two() || capacity > SIZES.end() / EVENT {
        return Err(if length < head.len() as u64 { Problem::Cut } else { Problem::Foreign });
    }
    if length < Tape::file_size(capacity as usize) {
        return Err(Problem::Cut);
    }
    let tape = Tape::open_to_read(file).map_err(Problem::System)?;
    recorded(&tape)
}

/// What a tape has, and the log behind it.
///
/// # Errors
/// The log is of another version.
pub(crate) fn recorded(tape: &Arc<Tape>) -> Result<Recorded, Problem> {
    let chronicle = log::read(tape)?;
    let mut reader = Reader::new(Arc::clone(tape));
    let mut events = Vec::new();
    let lost = reader.read(usize::MAX >> 1, |event| events.push(*event));
    Ok(Recorded { chronicle, events, is_partial: lost > 0, places: tape.places(), scale: tape.scale() })
}

/// Copies what is on a tape, and not yet in the recording that this process has made: whoever copied it is gone.
///
/// # Errors
/// Nothing was recorded, or a file cannot be mapped.
pub fn complete_recording(tape: Arc<Tape>, file: &File) -> io::Result<()> {
    Copyist::go_on(tape, Tape::open(file)?).copy();
    Ok(())
}

/// What was recorded into a file that this process has made.
///
/// # Errors
/// In words: nothing was recorded.
pub fn recorded_in(file: &File) -> Result<Recorded, Unreadable> {
    let problem = || Unreadable { words: "nothing was recorded".to_owned(), is_empty: true };
    recorded(&Tape::open(file).map_err(|_| problem())?).map_err(|_| problem())
}

#[cfg(test)]
mod tests {
    use treadle_events::{Event, Kind, Writer};
    use treadle_run::Entry;

    use super::log::Log;
    use super::*;

    /// A small recording, and its bytes.
    fn recording() -> (tempfile::NamedTempFile, Vec<u8>) {
        let file = tempfile::NamedTempFile::new().unwrap_or_else(|error| panic!("{error}"));
        let made = create_recording(file.path(), 1).unwrap_or_else(|error| panic!("{error}"));
        let tape = begin_tape(&made).unwrap_or_else(|error| panic!("{error}"));
        let writer = Writer::new(Arc::clone(&tape));
        for subject in 0..10 {
            writer.write(Event { subject, ..Event::new(Kind::Call, 1) });
        }
        let mut log = Log::begin(tape, 0);
        log.write(&Entry::About("app.py".to_owned(), Vec::new()));
        for at in 0..5 {
            log.write(&Entry::Living(at, Vec::new()));
        }
        let bytes = std::fs::read(file.path()).unwrap_or_else(|error| panic!("{error}"));
        (file, bytes)
    }

    fn words(bytes: &[u8]) -> Result<Recorded, String> {
        let file = tempfile::NamedTempFile::new().unwrap_or_else(|error| panic!("{error}"));
        std::fs::write(file.path(), bytes).unwrap_or_else(|error| panic!("{error}"));
        let path = file.path().display().to_string();
        read_recording(file.path()).map_err(|error| error.to_string().replace(&path, "x"))
    }

    #[test]
    fn what_was_recorded_is_read() {
        let (file, bytes) = recording();
        let recorded = read_recording(file.path()).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((recorded.events.len(), recorded.is_partial), (10, false));
        assert_eq!((recorded.chronicle.title.as_str(), recorded.chronicle.living.len()), ("app.py", 5));
        assert_eq!(bytes.len() as u64, *SIZES.start());
        assert!(read_recording(Path::new("/nowhere/at/all")).is_err());
    }

    #[test]
    fn files_that_are_no_recordings_are_told_apart() {
        let (_file, bytes) = recording();
        let with = |at: usize, byte: u8| {
            let mut bytes = bytes.clone();
            bytes[at] = byte;
            words(&bytes).err().unwrap_or_default()
        };
        let room = Tape::file_size(1 << 16) as usize;
        for (error, wanted) in [
            (words(b"import asyncio").err().unwrap_or_default(), "`x` is no recording of treadle's. Make one with"),
            (words(b"").err().unwrap_or_default(), "`x` is no recording of treadle's. Make one with"),
            (words(&[0; 4096]).err().unwrap_or_default(), "`x` holds nothing: the program has not made"),
            (with(0, b'T'), "`x` is no recording of treadle's. Make one with"),
            (with(7, 2), "`x` was recorded by a newer treadle than this one. Install that version"),
            (with(7, 0), "`x` was recorded by an older treadle, in a form that this one does not read."),
            (with(8, 3), "`x` is no recording of treadle's. Make one with"),
            (with(room + 8, 9), "`x` was recorded by a newer treadle than this one. Install that version"),
            (words(&bytes[..room - 1]).err().unwrap_or_default(), "`x` is cut: not all of its events are there."),
            (words(&bytes[..12]).err().unwrap_or_default(), "`x` is cut: not all of its events are there."),
        ] {
            assert!(error.starts_with(wanted), "{error}");
        }
    }

    #[test]
    fn a_cut_log_loses_its_tail_only() {
        let (file, bytes) = recording();
        let room = Tape::file_size(1 << 16) as usize;
        let mut seen = Vec::new();
        for cut in (room..room + 1_000).rev() {
            let cut_file = File::options().write(true).open(file.path()).and_then(|file| file.set_len(cut as u64));
            assert!(cut_file.is_ok());
            let recorded = read_recording(file.path()).unwrap_or_else(|error| panic!("{cut}: {error}"));
            assert_eq!(recorded.events.len(), 10);
            seen.push(recorded.chronicle.living.len());
        }
        assert!(seen.iter().rev().is_sorted());
        assert_eq!((seen.first(), seen.last()), (Some(&5), Some(&0)));
        // A byte that is wrong hides what comes after it, and nothing else.
        let mut spoilt = bytes;
        spoilt[room + 32 + 8 + 16 + 2] ^= 1;
        assert_eq!(words(&spoilt).map(|recorded| recorded.chronicle.living.len()).ok(), Some(0));
    }
}
