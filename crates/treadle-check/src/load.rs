//! Bytes of discovered files to facts, through the cache, in parallel.

use std::fs::{self, Metadata};
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;
use treadle_finding::Problem;
use treadle_program::facts::FileFacts;
use treadle_program::{SourceFile, lower, source};

use crate::cache::{Cache, Key};
use crate::discover::Found;
use crate::snapshot::Stamp;

/// A file as it was read.
pub struct Read {
    /// What is in it.
    pub bytes: Vec<u8>,
    /// The hash of that.
    pub key: Key,
    /// Its stamp when it was read.
    pub stamp: Stamp,
}

/// A file of the program, and where it comes from.
pub struct Loaded {
    /// The file.
    pub file: SourceFile,
    /// The hash of its content.
    pub key: Key,
    /// Its stamp when it was read.
    pub stamp: Stamp,
}

/// Reads and lowers files; what cannot be read is a problem and the others go on.
pub fn load(found: &[Found], cache: &Cache, installed: bool, done: &AtomicUsize) -> (Vec<Loaded>, Vec<Problem>) {
    let results: Vec<Result<Loaded, Problem>> = found
        .par_iter()
        .map(|file| {
            let result = one(file, cache, installed);
            done.fetch_add(1, Ordering::Relaxed);
            result
        })
        .collect();
    let mut files = Vec::with_capacity(results.len());
    let mut problems = Vec::new();
    for result in results {
        match result {
            Ok(file) => files.push(file),
            Err(problem) => problems.push(problem),
        }
    }
    (files, problems)
}

fn one(found: &Found, cache: &Cache, installed: bool) -> Result<Loaded, Problem> {
    let path: Arc<Path> = found.path.as_path().into();
    let problem = |message: String| Problem { path: Arc::clone(&path), message };
    let read = Read::new(&path).map_err(problem)?;
    let facts = facts(&read, cache).map_err(|error| problem(format!("cannot be read: {error}")))?;
    let file =
        SourceFile { path, names: found.names.clone(), is_package: found.is_package, installed, facts: facts.into() };
    Ok(Loaded { file, key: read.key, stamp: read.stamp })
}

/// What a file says, from the cache if it has been seen before.
///
/// # Errors
///
/// It is no text.
pub fn facts(read: &Read, cache: &Cache) -> Result<FileFacts, source::SourceError> {
    if let Some(facts) = cache.load(read.key) {
        return Ok(facts);
    }
    let facts = lower::file(&source::decode(&read.bytes)?);
    cache.store(read.key, &facts);
    Ok(facts)
}

impl Read {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// It cannot be read, is too large, or grew or shrank while it was read.
    pub fn new(path: &Path) -> Result<Self, String> {
        let (bytes, metadata) = read(path)?;
        let stamp = Stamp::of(&metadata).ok_or("has no time of change")?;
        Ok(Self { key: Cache::key(&bytes), bytes, stamp })
    }
}

/// The bytes of a file as they were at one time.
///
/// # Errors
///
/// It cannot be read, is too large, or grew or shrank while it was read.
fn read(path: &Path) -> Result<(Vec<u8>, Metadata), String> {
    let cannot = |error: std::io::Error| format!("cannot be read: {error}");
    let mut file = fs::File::open(path).map_err(cannot)?;
    let before = file.metadata().map_err(cannot)?;
    if before.len() > source::LARGEST as u64 {
        return Err(format!("cannot be read: the file is larger than {} MiB", source::LARGEST / 1024 / 1024));
    }
    if !before.is_file() {
        return Err("cannot be read: it is no regular file".to_owned());
    }
    let mut bytes = Vec::with_capacity(before.len() as usize + 1);
    file.read_to_end(&mut bytes).map_err(cannot)?;
    let after = file.metadata().map_err(cannot)?;
    if bytes.len() as u64 != before.len() || after.modified().ok() != before.modified().ok() {
        return Err("changed while it was read; run again".to_owned());
    }
    Ok((bytes, before))
}
