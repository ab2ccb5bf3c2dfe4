//! Names the build by the sources that decide what the same files are answered, so that no snapshot outlives a change to
//! them.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::{fs, io};

fn main() -> io::Result<()> {
    let mut files = vec![PathBuf::from("../../Cargo.lock")];
    for sources in ["../treadle-finding/src", "../treadle-program/src", "../treadle-pitfalls/src", "src"] {
        println!("cargo::rerun-if-changed={sources}");
        collect(Path::new(sources), &mut files)?;
    }
    files.sort();
    // Stable for one toolchain, which is all that is asked: another one has snapshots of its own.
    let mut hasher = DefaultHasher::new();
    for file in files.iter().filter(|file| file.exists()) {
        println!("cargo::rerun-if-changed={}", file.display());
        fs::read(file)?.hash(&mut hasher);
    }
    println!("cargo::rustc-env=TREADLE_BUILD={:016x}", hasher.finish());
    Ok(())
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}
