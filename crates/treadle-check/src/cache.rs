//! Facts of files seen before, on disk by the content of the file.
//!
//! A few dozen shards, chosen by the hash, so that a run with one changed file writes one; each is a [`Pack`], of which
//! a run reads only the entries it asks for. New entries go to the disk at once, into the shard's successor, and
//! [`Cache::save`] adds what is kept of the old ones: no run holds its cache in memory. Whatever does not read back right
//! is as if it were not there, and of concurrent runs the last one wins: both cost time, never a wrong answer. Entries that
//! a run did not use are dropped when their shard is next written and has grown to twice what was used.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use std::{fs, io};

use rayon::prelude::*;
use rustc_hash::FxHashSet;
use treadle_program::facts::FileFacts;
use xxhash_rust::xxh3::xxh3_128;

use crate::pack::{Pack, PackWriter, remove_unfinished};

const SHARDS: usize = 64;

/// No run writes for so long: what was not finished since then never will be.
const ABANDONED: Duration = Duration::from_hours(1);

/// The content hash of a file.
pub type Key = u128;

/// A cache of facts; with no directory it remembers nothing.
pub struct Cache {
    directory: Option<PathBuf>,
    shards: Vec<Mutex<Shard>>,
}

/// What this run knows of one shard.
#[derive(Default)]
struct Shard {
    opened: bool,
    /// What runs before have left, once opened.
    pack: Option<Arc<Pack>>,
    /// What this run asked for or stored.
    used: FxHashSet<Key>,
    /// The shard's successor, from the first new entry on; after a failure nothing more is written.
    successor: Option<io::Result<PackWriter>>,
}

fn version() -> String {
    format!("{}-{}", env!("CARGO_PKG_VERSION"), treadle_program::facts::VERSION)
}

impl Cache {
    /// A cache in `directory`, made when first written.
    pub fn new(directory: Option<PathBuf>) -> Self {
        Self { directory, shards: (0..SHARDS).map(|_| Mutex::default()).collect() }
    }

    /// The key of a file's bytes.
    pub fn key(bytes: &[u8]) -> Key {
        xxh3_128(bytes)
    }

    fn shard_of(key: Key) -> usize {
        (key % SHARDS as u128) as usize
    }

    /// The facts of a file with this content, if a run before has left them.
    pub fn load(&self, key: Key) -> Option<FileFacts> {
        let number = Self::shard_of(key);
        let path = shard_path(self.directory.as_ref()?, number);
        let pack = {
            let mut shard = self.shards[number].lock().ok()?;
            shard.used.insert(key);
            shard.pack(&path)?
        };
        bitcode::decode(&pack.get(key)?).ok()
    }

    /// Whether a run before has left the facts of a file with this content. They are still of use then.
    pub fn keep(&self, key: Key) -> bool {
        let number = Self::shard_of(key);
        let Some(directory) = &self.directory else { return false };
        self.shards[number].lock().is_ok_and(|mut shard| {
            shard.used.insert(key);
            shard.pack(&shard_path(directory, number)).is_some_and(|pack| pack.contains(key))
        })
    }

    /// Remembers the facts of a file for the runs after this one; this one may not find them before [`Cache::save`].
    pub fn store(&self, key: Key, facts: &FileFacts) {
        let Some(directory) = &self.directory else { return };
        // Encoding is the larger part and happens outside the lock.
        let blob = bitcode::encode(facts);
        if let Ok(mut shard) = self.shards[Self::shard_of(key)].lock() {
            shard.store(directory, key, &blob);
        }
    }

    /// Writes the shards that changed.
    ///
    /// # Errors
    ///
    /// The first reason why a shard could not be written; the others are, and the answers of this run are not affected.
    pub fn save(&self) -> io::Result<()> {
        let Some(directory) = &self.directory else { return Ok(()) };
        remove_unfinished(directory, ABANDONED);
        let save = |(number, shard): (usize, &Mutex<Shard>)| {
            let path = shard_path(directory, number);
            shard.lock().map_or(Ok(()), |mut shard| shard.save(&path))
        };
        let results: Vec<io::Result<()>> = self.shards.par_iter().enumerate().map(save).collect();
        results.into_iter().collect()
    }
}

impl Shard {
    fn pack(&mut self, path: &Path) -> Option<Arc<Pack>> {
        if !self.opened {
            self.opened = true;
            self.pack = Pack::open(path, &version()).map(Arc::new);
        }
        self.pack.clone()
    }

    fn store(&mut self, directory: &Path, key: Key, blob: &[u8]) {
        self.used.insert(key);
        let begin = || prepare(directory).and_then(|()| PackWriter::create(directory));
        let successor = self.successor.get_or_insert_with(begin);
        if let Ok(writer) = successor
            && let Err(error) = writer.append(key, blob)
        {
            *successor = Err(error);
        }
    }

    fn save(&mut self, path: &Path) -> io::Result<()> {
        let Some(writer) = self.successor.take() else { return Ok(()) };
        let mut writer = writer?;
        if let Some(pack) = self.pack(path) {
            self.keep(&pack, &mut writer)?;
        }
        // Closed before it is replaced, which not every system allows for open files.
        self.pack = None;
        self.opened = false;
        writer.finish(path, &version())
    }

    /// Copies what stays of the old entries, one at a time.
    fn keep(&self, pack: &Pack, writer: &mut PackWriter) -> io::Result<()> {
        let old: Vec<Key> = pack.keys().filter(|key| !writer.contains(*key)).collect();
        let used = writer.len() + old.iter().filter(|key| self.used.contains(key)).count();
        let has_grown = writer.len() + old.len() > used * 2 + 8;
        for key in old {
            if (!has_grown || self.used.contains(&key))
                && let Some(blob) = pack.get(key)
            {
                writer.append(key, &blob)?;
            }
        }
        Ok(())
    }
}

fn shard_path(directory: &Path, number: usize) -> PathBuf {
    directory.join(format!("facts-{number:02x}"))
}

/// Makes the directory of a cache.
///
/// # Errors
///
/// It cannot be made or written.
pub fn prepare(directory: &Path) -> io::Result<()> {
    if directory.join(".gitignore").is_file() {
        return Ok(());
    }
    fs::create_dir_all(directory)?;
    fs::write(directory.join("CACHEDIR.TAG"), "Signature: 8a477f597d28d172789f06886806bc55\n")?;
    fs::write(directory.join(".gitignore"), "# Made by treadle.\n*\n")
}

#[cfg(test)]
mod tests {
    use super::{Cache, Key, SHARDS, shard_path, version};
    use crate::pack::{Pack, PackWriter};
    use std::fs;
    use std::path::Path;
    use treadle_program::lower;

    const TEXT: &str = "import asyncio\nasync def f():\n    await asyncio.sleep(1)\n";

    fn opened(directory: &Path) -> Cache {
        Cache::new(Some(directory.to_path_buf()))
    }

    /// Stores facts with `count` functions, as a run that had to lower a file does.
    fn store(cache: &Cache, key: Key, count: usize) {
        assert!(cache.load(key).is_none());
        cache.store(key, &lower::file(&"def f(): pass\n".repeat(count)));
    }

    fn functions(cache: &Cache, key: Key) -> Option<usize> {
        // The module itself counts as one.
        cache.load(key).map(|facts| facts.functions.len() - 1)
    }

    #[test]
    fn what_one_run_stores_the_next_one_finds() {
        let directory = tempfile::tempdir().unwrap();
        let cache = opened(directory.path());
        let key = Cache::key(TEXT.as_bytes());
        cache.store(key, &lower::file(TEXT));
        cache.save().unwrap();
        let facts = opened(directory.path()).load(key).unwrap();
        assert_eq!(lower::validate(&facts), Ok(()));
        assert_eq!(facts.functions.len(), 2);
        assert!(directory.path().join(".gitignore").is_file());
        assert!(directory.path().join("CACHEDIR.TAG").is_file());
        assert_eq!(functions(&cache, key), Some(1), "saved, it is found by the same run also");
    }

    #[test]
    fn without_a_directory_nothing_is_remembered() {
        let cache = Cache::new(None);
        store(&cache, 1, 1);
        cache.save().unwrap();
        assert!(cache.load(1).is_none());
    }

    #[test]
    fn later_runs_add_to_what_is_there() {
        let directory = tempfile::tempdir().unwrap();
        let shard = SHARDS as u128;
        for (key, count) in [(0, 1), (shard, 2), (1, 3)] {
            let cache = opened(directory.path());
            store(&cache, key, count);
            cache.save().unwrap();
        }
        let cache = opened(directory.path());
        assert_eq!([0, shard, 1].map(|key| functions(&cache, key)), [Some(1), Some(2), Some(3)]);
    }

    #[test]
    fn damaged_shards_are_as_if_they_were_not_there() {
        let directory = tempfile::tempdir().unwrap();
        let key = 0;
        let path = shard_path(directory.path(), 0);
        let cache = opened(directory.path());
        store(&cache, key, 2);
        cache.save().unwrap();
        let sound = fs::read(&path).unwrap();
        for position in 0..sound.len() {
            let mut bytes = sound.clone();
            bytes[position] ^= 0x5a;
            fs::write(&path, bytes).unwrap();
            assert_eq!(functions(&opened(directory.path()), key), None, "byte {position}");
        }
        fs::write(&path, b"no cache").unwrap();
        let next = opened(directory.path());
        store(&next, key, 2);
        next.save().unwrap();
        assert_eq!(fs::read(&path).unwrap(), sound);
    }

    #[test]
    fn damaged_entry_is_stored_anew_and_its_neighbours_stay() {
        let directory = tempfile::tempdir().unwrap();
        let path = shard_path(directory.path(), 0);
        let neighbour = SHARDS as u128;
        let cache = opened(directory.path());
        store(&cache, 0, 1);
        store(&cache, neighbour, 2);
        cache.save().unwrap();
        let mut bytes = fs::read(&path).unwrap();
        bytes[0] ^= 1;
        fs::write(&path, bytes).unwrap();
        let next = opened(directory.path());
        store(&next, 0, 1);
        next.save().unwrap();
        let last = opened(directory.path());
        assert_eq!((functions(&last, 0), functions(&last, neighbour)), (Some(1), Some(2)));
    }

    #[test]
    fn other_versions_are_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = shard_path(directory.path(), 0);
        let mut writer = PackWriter::create(directory.path()).unwrap();
        writer.append(0, b"facts of another time").unwrap();
        writer.finish(&path, "another time").unwrap();
        let cache = opened(directory.path());
        store(&cache, 0, 1);
        cache.save().unwrap();
        assert_eq!(functions(&opened(directory.path()), 0), Some(1));
    }

    #[test]
    fn of_two_runs_at_once_each_leaves_whole_shards() {
        let directory = tempfile::tempdir().unwrap();
        let keys = || 0..4 * SHARDS as u128;
        std::thread::scope(|scope| {
            for parity in [0, 1] {
                let cache = opened(directory.path());
                scope.spawn(move || {
                    keys().filter(|key| key / SHARDS as u128 % 2 == parity).for_each(|key| store(&cache, key, 1));
                    cache.save().unwrap();
                });
            }
        });
        let cache = opened(directory.path());
        assert!(keys().filter(|key| functions(&cache, *key) == Some(1)).count() >= 2 * SHARDS);
        let names = fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name());
        assert!(names.filter(|name| name.to_string_lossy().contains("unfinished")).count() == 0);
    }

    #[test]
    fn unused_entries_go_when_they_are_the_most() {
        let directory = tempfile::tempdir().unwrap();
        let entries = || Pack::open(&shard_path(directory.path(), 0), &version()).unwrap().keys().count();
        let keys = |numbers: std::ops::Range<u128>| numbers.map(|number| number * SHARDS as u128);
        let first = opened(directory.path());
        keys(0..20).for_each(|key| store(&first, key, 1));
        first.save().unwrap();
        assert_eq!(entries(), 20);
        // Eight are used and one is new: 21 are no more than twice nine and a few.
        let second = opened(directory.path());
        assert!(keys(0..8).all(|key| second.load(key).is_some()));
        keys(20..21).for_each(|key| store(&second, key, 1));
        second.save().unwrap();
        assert_eq!(entries(), 21);
        // A run that stores nothing takes nothing away.
        let third = opened(directory.path());
        assert!(third.load(0).is_some());
        third.save().unwrap();
        assert_eq!(entries(), 21);
        let fourth = opened(directory.path());
        assert!(keys(0..4).all(|key| fourth.load(key).is_some()));
        keys(21..22).for_each(|key| store(&fourth, key, 1));
        fourth.save().unwrap();
        assert_eq!(entries(), 5);
    }

    #[test]
    fn directory_that_cannot_be_made_affects_no_answer() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, b"in the way").unwrap();
        let cache = opened(&file);
        store(&cache, 0, 1);
        store(&cache, SHARDS as u128, 1);
        assert!(cache.save().is_err());
        assert_eq!(fs::read(&file).unwrap(), b"in the way");
    }
}
