//! Reads the knowledge files when the crate is built, so that a wrong entry is a build error and a start costs no TOML.

use std::path::Path;
use std::{env, fs};

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
    Ok(())
}
