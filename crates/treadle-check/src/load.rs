//! Bytes of discovered files to facts, through the cache, in parallel.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;
use treadle_finding::Problem;
use treadle_program::{SourceFile, lower, source};

use crate::cache::Cache;
use crate::discover::Found;

/// Reads and lowers files; what cannot be read is a problem and the others go on.
pub fn load(found: &[Found], cache: &Cache, installed: bool, done: &AtomicUsize) -> (Vec<SourceFile>, Vec<Problem>) {
    let results: Vec<Result<SourceFile, Problem>> = found
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

fn one(found: &Found, cache: &Cache, installed: bool) -> Result<SourceFile, Problem> {
    let path: Arc<Path> = found.path.as_path().into();
    let problem = |message: String| Problem { path: Arc::clone(&path), message };
    let bytes = read(&path).map_err(problem)?;
    let facts = match cached(cache, &bytes) {
        Ok(facts) => facts,
        Err(error) => return Err(Problem { path, message: format!("cannot be read: {error}") }),
    };
    Ok(SourceFile { path, names: found.names.clone(), is_package: found.is_package, installed, facts: facts.into() })
}

fn cached(cache: &Cache, bytes: &[u8]) -> Result<treadle_program::facts::FileFacts, source::SourceError> {
    let key = Cache::key(bytes);
    if let Some(facts) = cache.load(key) {
        return Ok(facts);
    }
    let facts = lower::file(&source::decode(bytes)?);
    cache.store(key, &facts);
    Ok(facts)
}

/// The bytes of a file as they were at one time.
///
/// # Errors
///
/// It cannot be read, is too large, or grew or shrank while it was read.
fn read(path: &Path) -> Result<Vec<u8>, String> {
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
    Ok(bytes)
}
