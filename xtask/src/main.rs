//! The project's own chores: `cargo xtask tidy`, `generate` and `new-pitfall NAME`.
//!
//! What a compiler or a linter can see is left to them. Here is what only this project asks of itself.
#![forbid(unsafe_code)]

mod generate;
mod new_pitfall;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "\
cargo xtask tidy               fail where the project's rules are broken
cargo xtask generate           write generated files anew
cargo xtask new-pitfall NAME   make the folder of a new pitfall";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["tidy"] => tidy::run(&root()),
        ["generate"] => generate::run(&root()),
        ["new-pitfall", name] => new_pitfall::run(&root(), name),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The repository's directory.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new(".")).to_path_buf()
}

/// A pitfall's folder: `lost-task` lives in `lost_task`.
fn folder_of(root: &Path, name: &str) -> PathBuf {
    root.join("crates/treadle-pitfalls/src").join(name.replace('-', "_"))
}
