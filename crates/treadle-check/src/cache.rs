//! Facts of files seen before, on disk by the content of the file.
//!
//! A few dozen shards, chosen by the first byte of the hash, so that a run with one changed file writes one. A shard is
//! replaced by renaming a finished temporary file, every entry carries a checksum, and whatever does not read back right
//! is as if it were not there: concurrent runs and damage cost time, never a wrong answer. Entries that a run did not use
//! are dropped when their shard is next written and has grown to twice what was used.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::{fs, io};

use bitcode::{Decode, Encode};
use rustc_hash::FxHashMap;
use treadle_program::facts::FileFacts;
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

const SHARDS: usize = 64;

/// The content hash of a file.
pub type Key = u128;

/// A cache of facts; with no directory it remembers nothing.
pub struct Cache {
    directory: Option<PathBuf>,
    shards: Vec<Mutex<Shard>>,
}

#[derive(Default)]
struct Shard {
    loaded: bool,
    changed: bool,
    entries: FxHashMap<Key, Entry>,
}

struct Entry {
    bytes: Vec<u8>,
    used: bool,
}

#[derive(Encode, Decode)]
struct Stored {
    version: String,
    entries: Vec<(u128, u64, Vec<u8>)>,
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

    fn shard_path(&self, shard: usize) -> Option<PathBuf> {
        self.directory.as_ref().map(|directory| directory.join(format!("facts-{shard:02x}")))
    }

    fn shard_of(key: Key) -> usize {
        (key % SHARDS as u128) as usize
    }

    /// The facts of a file with this content, if a run before has left them.
    pub fn load(&self, key: Key) -> Option<FileFacts> {
        let number = Self::shard_of(key);
        let path = self.shard_path(number)?;
        let bytes = {
            let mut shard = self.shards[number].lock().ok()?;
            if !shard.loaded {
                shard.loaded = true;
                shard.entries = read(&path).unwrap_or_default();
            }
            let entry = shard.entries.get_mut(&key)?;
            entry.used = true;
            // Decoding is the larger part and happens outside the lock.
            entry.bytes.clone()
        };
        bitcode::decode(&bytes).ok()
    }

    /// Remembers the facts of a file.
    pub fn store(&self, key: Key, facts: &FileFacts) {
        if self.directory.is_none() {
            return;
        }
        let bytes = bitcode::encode(facts);
        if let Ok(mut shard) = self.shards[Self::shard_of(key)].lock() {
            shard.changed = true;
            shard.entries.insert(key, Entry { bytes, used: true });
        }
    }

    /// Writes the shards that changed.
    ///
    /// # Errors
    ///
    /// The directory cannot be made or written; the answers of this run are not affected.
    pub fn save(&self) -> io::Result<()> {
        let Some(directory) = &self.directory else { return Ok(()) };
        for (number, shard) in self.shards.iter().enumerate() {
            let Ok(mut shard) = shard.lock() else { continue };
            if shard.changed
                && let Some(path) = self.shard_path(number)
            {
                prepare(directory)?;
                write(directory, &path, &mut shard)?;
                shard.changed = false;
            }
        }
        Ok(())
    }
}

fn prepare(directory: &Path) -> io::Result<()> {
    if directory.join(".gitignore").is_file() {
        return Ok(());
    }
    fs::create_dir_all(directory)?;
    fs::write(directory.join("CACHEDIR.TAG"), "Signature: 8a477f597d28d172789f06886806bc55\n")?;
    fs::write(directory.join(".gitignore"), "# Made by treadle.\n*\n")
}

fn read(path: &Path) -> Option<FxHashMap<Key, Entry>> {
    let stored: Stored = bitcode::decode(&fs::read(path).ok()?).ok()?;
    if stored.version != version() {
        return None;
    }
    let sound = stored.entries.into_iter().filter(|(_, checksum, bytes)| xxh3_64(bytes) == *checksum);
    Some(sound.map(|(key, _, bytes)| (key, Entry { bytes, used: false })).collect())
}

fn write(directory: &Path, path: &Path, shard: &mut Shard) -> io::Result<()> {
    if !shard.loaded {
        // Nobody asked this shard yet: what others left there stays.
        for (key, entry) in read(path).unwrap_or_default() {
            shard.entries.entry(key).or_insert(entry);
        }
        shard.loaded = true;
    }
    let used = shard.entries.values().filter(|entry| entry.used).count();
    if shard.entries.len() > used * 2 + 8 {
        shard.entries.retain(|_, entry| entry.used);
    }
    let mut entries: Vec<(u128, u64, Vec<u8>)> =
        shard.entries.iter().map(|(key, entry)| (*key, xxh3_64(&entry.bytes), entry.bytes.clone())).collect();
    entries.sort_unstable_by_key(|(key, ..)| *key);
    let bytes = bitcode::encode(&Stored { version: version(), entries });
    let mut temporary = tempfile::NamedTempFile::new_in(directory)?;
    io::Write::write_all(&mut temporary, &bytes)?;
    temporary.persist(path).map_err(|error| error.error)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Cache;
    use treadle_program::lower;

    fn filled(directory: &std::path::Path) -> (Cache, super::Key) {
        let cache = Cache::new(Some(directory.to_path_buf()));
        let text = "import asyncio\nasync def f():\n    await asyncio.sleep(1)\n";
        let key = Cache::key(text.as_bytes());
        cache.store(key, &lower::file(text));
        cache.save().unwrap();
        (cache, key)
    }

    #[test]
    fn what_one_run_stores_the_next_one_finds() {
        let directory = tempfile::tempdir().unwrap();
        let (_, key) = filled(directory.path());
        let next = Cache::new(Some(directory.path().to_path_buf()));
        assert_eq!(next.load(key).unwrap().functions.len(), 2);
        assert!(directory.path().join(".gitignore").is_file());
    }

    #[test]
    fn damaged_shards_are_as_if_they_were_not_there() {
        let directory = tempfile::tempdir().unwrap();
        let (_, key) = filled(directory.path());
        for entry in std::fs::read_dir(directory.path()).unwrap() {
            let path = entry.unwrap().path();
            let mut bytes = std::fs::read(&path).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 0x5a;
            std::fs::write(&path, bytes).unwrap();
        }
        let next = Cache::new(Some(directory.path().to_path_buf()));
        if let Some(facts) = next.load(key) {
            assert_eq!(lower::validate(&facts), Ok(()));
        }
        for entry in std::fs::read_dir(directory.path()).unwrap() {
            std::fs::write(entry.unwrap().path(), b"no cache").unwrap();
        }
        assert!(Cache::new(Some(directory.path().to_path_buf())).load(key).is_none());
    }
}
