//! The recordings of one program's processes: that of the first one, which somebody has named, and beside it `app-1.treadle`, `app-2.treadle` and so on,
//! which its children make for themselves.
//!
//! A child's recording says in its log's head beside which file it was made, so that no other file of such a name is ever taken for one.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use treadle_events::Tape;
use xxhash_rust::xxh3::xxh3_64;

use super::{log, reserve};

/// How many children are recorded at most. A pool that starts processes again and again is not to fill the disk.
const CHILDREN: usize = 64;

/// A recording that a child has made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Child {
    /// Its file.
    pub path: PathBuf,
    /// The number of the process.
    pub process: u32,
}

/// The children's recordings beside one, in the order in which they were begun.
pub fn children_of(path: &Path) -> Vec<Child> {
    names_beside(path).filter_map(|own| child(own, path)).collect()
}

/// The names that files of children may have beside a file.
pub fn names_beside(path: &Path) -> impl Iterator<Item = PathBuf> {
    (1..=CHILDREN).map(|number| nth(path, number))
}

/// Makes an empty recording of a size in bytes beside another one, for a child of the process that was to write that one.
///
/// # Errors
/// There are as many already as there may be, there is no room for it, or it cannot be made.
pub fn create_beside(path: &Path, size: u64) -> io::Result<File> {
    for own in names_beside(path) {
        // Whoever makes a file has it: two children that begin at once do not get the same one.
        match File::options().read(true).write(true).create_new(true).open(&own) {
            Ok(file) => {
                return match reserve(&file, size) {
                    Ok(()) => Ok(file),
                    Err(error) => std::fs::remove_file(&own).and(Err(error)),
                };
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other(format!("{CHILDREN} processes are recorded already")))
}

/// Removes what children have recorded beside a recording that is made anew.
pub(super) fn remove_children(path: &Path) -> io::Result<()> {
    children_of(path).iter().try_for_each(|child| std::fs::remove_file(&child.path))
}

/// What a child's log says of the recording beside which it was made; not 0.
pub(crate) fn mark(path: &Path) -> u64 {
    xxh3_64(path.file_name().unwrap_or_default().as_bytes()).max(1)
}

/// The name of the child's recording with a number.
fn nth(path: &Path, number: usize) -> PathBuf {
    let mut name = path.file_stem().unwrap_or_default().to_owned();
    name.push(format!("-{number}"));
    if let Some(extension) = path.extension() {
        name.push(OsStr::new("."));
        name.push(extension);
    }
    path.with_file_name(name)
}

/// The child's recording that a file is, if it is one.
fn child(own: PathBuf, beside: &Path) -> Option<Child> {
    let tape = Tape::open_to_read(&File::open(&own).ok()?).ok()?;
    (log::beside(&tape) == mark(beside)).then(|| Child { process: tape.process(), path: own })
}

#[cfg(test)]
mod tests {
    use super::super::{begin_tape, create_recording, log::Log};
    use super::*;

    /// Makes a child's recording as a child does.
    fn make(beside: &Path) {
        let made = create_beside(beside, 1).unwrap_or_else(|error| panic!("{error}"));
        let tape = begin_tape(&made).unwrap_or_else(|error| panic!("{error}"));
        Log::begin(tape, mark(beside));
    }

    fn names(path: &Path) -> Vec<String> {
        let name = |child: &Child| child.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        children_of(path).iter().map(name).collect()
    }

    #[test]
    fn children_have_files_of_their_own_until_the_program_is_recorded_anew() {
        let directory = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
        let path = directory.path().join("app.treadle");
        std::fs::write(directory.path().join("app-2.treadle"), b"notes").unwrap_or_else(|error| panic!("{error}"));
        (0..3).for_each(|_| make(&path));
        assert_eq!(names(&path), ["app-1.treadle", "app-3.treadle", "app-4.treadle"]);
        assert!(children_of(&path).iter().all(|child| child.process == std::process::id()));
        assert_eq!(names(&directory.path().join("other.treadle")), [""; 0]);
        assert!(create_recording(&path, 1).is_ok());
        assert_eq!(names(&path), [""; 0]);
        assert_eq!(std::fs::read(directory.path().join("app-2.treadle")).ok().as_deref(), Some(&b"notes"[..]));
    }

    #[test]
    fn recording_that_was_named_is_nobodys_child() {
        let directory = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
        let [path, other] = ["app", "app-1"].map(|name| directory.path().join(name));
        let made =
            create_recording(&other, 1).and_then(|file| begin_tape(&file)).unwrap_or_else(|error| panic!("{error}"));
        Log::begin(made, 0);
        assert!(create_recording(&path, 1).is_ok());
        assert!(other.exists());
        make(&path);
        assert_eq!(names(&path), ["app-2"]);
    }

    #[test]
    fn no_more_children_are_recorded_than_may_be() {
        let directory = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
        let path = directory.path().join("app.treadle");
        for number in 1..=CHILDREN {
            std::fs::write(nth(&path, number), b"").unwrap_or_else(|error| panic!("{error}"));
        }
        let error = create_beside(&path, 1).err().map(|error| error.to_string());
        assert_eq!(error.as_deref(), Some("64 processes are recorded already"));
    }
}
