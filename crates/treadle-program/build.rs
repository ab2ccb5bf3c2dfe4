//! Reads the knowledge files when the crate is built, so that a wrong entry is a build error and a start costs no TOML; and
//! names the version of the facts by the sources that decide what they are, so that no cache outlives a change to them.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::{env, fs, io};

#[allow(dead_code, missing_docs, unreachable_pub)]
#[path = "src/knowledge/claim.rs"]
mod claim;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let data = Path::new("src/knowledge/data");
    println!("cargo::rerun-if-changed={}", data.display());
    println!("cargo::rerun-if-changed=src/knowledge/claim.rs");
    let mut paths = fs::read_dir(data)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    paths.sort();
    let mut books = Vec::new();
    for path in paths {
        println!("cargo::rerun-if-changed={}", path.display());
        let book: claim::Book =
            toml::from_str(&fs::read_to_string(&path)?).map_err(|error| format!("{}: {error}", path.display()))?;
        books.push(book);
    }
    let out = env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?;
    fs::write(Path::new(&out).join("knowledge.bin"), bitcode::encode(&books))?;
    println!("cargo::rustc-env=TREADLE_FACTS={:016x}", facts_version()?);
    Ok(())
}

/// A hash of the sources of facts and lowering, and of the crates locked for parsing.
fn facts_version() -> io::Result<u64> {
    let mut files = Vec::new();
    for directory in ["src/facts", "src/lower"] {
        println!("cargo::rerun-if-changed={directory}");
        sources(Path::new(directory), &mut files)?;
    }
    files.push(PathBuf::from("Cargo.toml"));
    files.sort();
    // Stable for one toolchain, which is all that is asked: another one has a cache of its own.
    let mut hasher = DefaultHasher::new();
    for file in files {
        println!("cargo::rerun-if-changed={}", file.display());
        fs::read(file)?.hash(&mut hasher);
    }
    Ok(hasher.finish())
}

fn sources(directory: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            sources(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}
