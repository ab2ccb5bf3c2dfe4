//! What a run leaves so that the next one asks only about what has changed.
//!
//! One [`Pack`]: the files with their stamps, the tables of each file, what was answered and what every answer was made
//! from. It belongs to one set of paths and settings and one build of treadle, and is written as a whole after a run that
//! asked about everything. A run that starts from it leaves it as it is, so what is reported never depends on more than
//! the snapshot and the files as they are now.

use std::fs::Metadata;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bitcode::{Decode, Encode};
use rayon::prelude::*;
use treadle_pitfalls::Inquiry;
use treadle_program::ids::FileId;
use treadle_program::program::{Earlier, Memory};

use crate::cache::{Key, prepare};
use crate::engine::Request;
use crate::environment::Environment;
use crate::load::Read;
use crate::pack::{Pack, PackWriter};
use crate::stored::StoredInquiry;

/// Changes whenever the same files may give other answers.
const VERSION: &str = env!("TREADLE_BUILD");

/// The blobs of a snapshot that belong to no file; those of files come after them.
const LISTING: u128 = 0;
const WHOLE: u128 = 1;
const INQUIRY: u128 = 2;
const TABLES: u128 = 16;

/// How many snapshots are kept: one for each set of paths and settings that was checked last.
const MOST: usize = 4;

/// A file system may give two writes within this time the same time of change.
const COARSEST_CLOCK: Duration = Duration::from_secs(2);

/// The files of a run.
#[derive(Encode, Decode)]
pub struct Listing {
    /// The project's own files, then installed ones, as they were linked.
    pub files: Vec<Entry>,
    /// Installed modules that were looked for, with the files that were found; sorted.
    pub tried: Vec<(String, Option<String>)>,
    /// Where they were looked for.
    pub directories: Vec<String>,
    /// The oldest Python the program is meant for.
    pub python: (u8, u8),
    /// When the run began.
    pub began: u128,
}

/// One file of a run.
#[derive(Encode, Decode)]
pub struct Entry {
    /// Its path.
    pub path: String,
    /// Dotted module names, the best first.
    pub names: Vec<String>,
    /// Whether it is a package's `__init__`.
    pub is_package: bool,
    /// Whether it belongs to an installed package.
    pub installed: bool,
    /// Size and time of change.
    pub stamp: Stamp,
    /// The hash of its content.
    pub key: Key,
    /// Whether it holds directives or cannot be parsed.
    pub is_remarked: bool,
}

/// What tells that a file has changed without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Stamp {
    size: u64,
    /// When it was written, as the file says, in nanoseconds since 1970.
    changed: u128,
    /// When the system last touched it, which nobody can set, and its number there: a copy may be as old as what it was
    /// made from, and a link may lead to another file.
    touched: (i128, u64),
}

impl Stamp {
    /// The stamp of a file.
    pub fn of(metadata: &Metadata) -> Option<Self> {
        let changed = nanoseconds(metadata.modified().ok()?)?;
        Some(Self { size: metadata.len(), changed, touched: touched(metadata) })
    }

    /// Whether a file with this stamp, seen at `began`, cannot have changed since without its stamp telling.
    pub fn is_settled(self, began: u128) -> bool {
        self.changed + COARSEST_CLOCK.as_nanos() < began
    }
}

#[cfg(unix)]
fn touched(metadata: &Metadata) -> (i128, u64) {
    use std::os::unix::fs::MetadataExt;
    (i128::from(metadata.ctime()) * 1_000_000_000 + i128::from(metadata.ctime_nsec()), metadata.ino())
}

/// Where the system does not say, its own time is all there is.
#[cfg(not(unix))]
fn touched(_: &Metadata) -> (i128, u64) {
    (0, 0)
}

fn nanoseconds(time: SystemTime) -> Option<u128> {
    time.duration_since(UNIX_EPOCH).ok().map(|since| since.as_nanos())
}

/// A path as snapshots have it.
pub fn text_of(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// Now, as stamps count.
pub fn now() -> u128 {
    nanoseconds(SystemTime::now()).unwrap_or_default()
}

/// A snapshot, open.
pub struct Snapshot {
    pack: Arc<Pack>,
    /// Its files.
    pub listing: Listing,
}

/// The tables of a snapshot.
#[derive(Clone)]
struct Tables(Arc<Pack>);

impl std::fmt::Debug for Tables {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Tables").finish_non_exhaustive()
    }
}

impl Earlier for Tables {
    fn tables(&self, file: FileId) -> Option<Vec<u8>> {
        self.0.get(TABLES + u128::from(file.0))
    }
}

impl Snapshot {
    /// The snapshot of the last run with these paths and settings.
    pub fn open(request: &Request) -> Option<Self> {
        let path = path_for(request)?;
        let pack = Pack::open(&path, VERSION)?;
        let listing = bitcode::decode(&pack.get(LISTING)?).ok()?;
        // The age of a file says which of several was last of use.
        if let Ok(file) = std::fs::File::options().append(true).open(&path) {
            let _ = file.set_modified(SystemTime::now());
        }
        Some(Self { pack: Arc::new(pack), listing })
    }

    /// What was linked for the program as a whole.
    pub fn whole(&self) -> Option<Vec<u8>> {
        self.pack.get(WHOLE)
    }

    /// What was linked for each file.
    pub fn tables(&self) -> Arc<dyn Earlier> {
        Arc::new(Tables(Arc::clone(&self.pack)))
    }

    /// What was asked; locations get the paths of `files`.
    pub fn inquiry(&self, paths: &[Arc<Path>]) -> Option<Inquiry> {
        let stored: StoredInquiry = bitcode::decode(&self.pack.get(INQUIRY)?).ok()?;
        stored.restored(paths)
    }
}

/// Leaves a snapshot. That one cannot be written costs the next run some time and this one nothing.
pub fn save(request: &Request, listing: &Listing, memory: &Memory, inquiry: &Inquiry, paths: &[Arc<Path>]) {
    let Some((path, stored)) = path_for(request).zip(StoredInquiry::new(inquiry, paths)) else { return };
    let Some(directory) = path.parent() else { return };
    let written = prepare(directory).and_then(|()| PackWriter::create(directory)).and_then(|mut pack| {
        pack.append(LISTING, &bitcode::encode(listing))?;
        pack.append(WHOLE, &memory.whole)?;
        pack.append(INQUIRY, &bitcode::encode(&stored))?;
        for (file, tables) in memory.tables.iter().enumerate() {
            pack.append(TABLES + file as u128, tables)?;
        }
        pack.finish(&path, VERSION)
    });
    if written.is_ok() {
        forget_oldest(directory);
    }
}

fn forget_oldest(directory: &Path) {
    let is_ours = |path: &PathBuf| {
        path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with("program-"))
    };
    let all = std::fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut aged: Vec<(SystemTime, PathBuf)> =
        all.filter(is_ours).filter_map(|path| Some((path.metadata().ok()?.modified().ok()?, path))).collect();
    aged.sort();
    for (_, path) in aged.iter().rev().skip(MOST) {
        let _ = std::fs::remove_file(path);
    }
}

/// Where the snapshot for these paths and settings is; `None` where none is kept.
fn path_for(request: &Request) -> Option<PathBuf> {
    if request.stdin.is_some() {
        return None;
    }
    let configuration = &request.configuration;
    let mut hasher = DefaultHasher::new();
    (&request.paths, std::env::current_dir().ok()?, &configuration.project).hash(&mut hasher);
    (&configuration.sources, &configuration.excludes, &configuration.python).hash(&mut hasher);
    (configuration.python_version, configuration.follow_installed).hash(&mut hasher);
    bitcode::encode(&configuration.books).hash(&mut hasher);
    Some(request.cache.as_ref()?.join(format!("program-{:016x}", hasher.finish())))
}

impl Snapshot {
    /// Whether installed modules are looked for in the same places and found there, or not, as they were.
    pub fn has_same(&self, environment: &Environment) -> bool {
        let is_same = |(module, found): &(String, Option<String>)| {
            environment.locate(module).map(|located| text_of(&located.path)) == *found
        };
        let directories = environment.directories().iter().map(|directory| text_of(directory));
        directories.eq(self.listing.directories.iter().cloned()) && self.listing.tried.par_iter().all(is_same)
    }

    /// The files, by position, that have another content since, as they are now; `None` if one cannot be read any more. Only
    /// those are read whose stamps are not as they were.
    pub fn changes(&self) -> Option<Vec<(usize, Read)>> {
        let began = self.listing.began;
        let change = |(position, entry): (usize, &Entry)| {
            let stamp = Stamp::of(&Path::new(&entry.path).metadata().ok()?)?;
            if stamp == entry.stamp && stamp.is_settled(began) {
                return Some(None);
            }
            let read = Read::new(Path::new(&entry.path)).ok()?;
            Some((read.key != entry.key).then_some((position, read)))
        };
        let changes: Option<Vec<Option<(usize, Read)>>> =
            self.listing.files.par_iter().enumerate().map(change).collect();
        Some(changes?.into_iter().flatten().collect())
    }
}
