//! How fast lowering is: `cargo run --release -p treadle-program --example lower -- DIRECTORY`.
#![expect(clippy::unwrap_used, reason = "a measuring program may panic")]

use std::path::Path;
use std::time::Instant;

fn collect(directory: &Path, texts: &mut Vec<String>) {
    for entry in std::fs::read_dir(directory).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, texts);
        } else if path.extension().is_some_and(|extension| extension == "py")
            && let Ok(text) = treadle_program::source::decode(&std::fs::read(&path).unwrap())
        {
            texts.push(text);
        }
    }
}

fn main() {
    let mut texts = Vec::new();
    collect(Path::new(&std::env::args().nth(1).unwrap()), &mut texts);
    let lines: usize = texts.iter().map(|text| text.lines().count()).sum();
    let start = Instant::now();
    let facts: Vec<_> = texts.iter().map(|text| treadle_program::lower::file(text)).collect();
    let seconds = start.elapsed().as_secs_f64();
    let exprs: usize = facts.iter().map(|facts| facts.exprs.len()).sum();
    let nodes: usize = facts.iter().map(|facts| facts.nodes.len()).sum();
    let bytes: usize = facts.iter().map(|facts| bitcode::encode(facts).len()).sum();
    let rate = f64::from(u32::try_from(lines).unwrap_or(u32::MAX)) / seconds / 1e6;
    println!("{} files, {lines} lines, {seconds:.2} s, {rate:.2} M lines/s", texts.len());
    println!("{exprs} expressions, {nodes} nodes, {} MB encoded", bytes / 1_000_000);
}
