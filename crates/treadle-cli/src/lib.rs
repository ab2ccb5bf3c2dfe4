//! The command line: arguments in, exit code out.
//!
//! One file per command. Exit codes: 0 clean, 1 findings, 2 could not work; `run` becomes the program and ends as it does.
#![forbid(unsafe_code)]

mod arguments;
#[cfg(unix)]
mod bench;
mod check;
mod explain;
mod list;
mod output;
#[cfg(unix)]
mod report;
mod run;
#[cfg(unix)]
mod snapshot;
#[cfg(unix)]
mod top;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;

use arguments::{Arguments, Command};

/// Runs a command line, the program's name first.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    ExitCode::from(status(arguments))
}

/// The help text of each command, for the documentation.
pub fn help() -> Vec<(String, String)> {
    arguments::help()
}

/// What `[tool.treadle.watch]` says, from a directory upwards.
///
/// # Errors
/// In words: the settings cannot be read, or say what is not known.
#[cfg(unix)]
pub fn watch_settings(start: &std::path::Path) -> Result<treadle_doctor::Settings, String> {
    run::watch::of_project(start).map_err(|error| format!("{error:#}"))
}

/// Like [`run`], with the exit code as a number.
pub fn status(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are "errors" of the parser that belong on standard output.
            let _ = error.print();
            return if error.use_stderr() { 2 } else { 0 };
        }
    };
    let done = match &arguments.command {
        Command::Check(options) => check::run(options),
        Command::Run(options) => run::run(options),
        #[cfg(unix)]
        Command::Bench(options) => bench::run(options),
        #[cfg(not(unix))]
        Command::Bench(_) => {
            Err(anyhow::anyhow!("treadle's event loop is for Linux and macOS. Compare event loops there"))
        }
        #[cfg(unix)]
        Command::Snapshot(options) => snapshot::run(options),
        #[cfg(not(unix))]
        Command::Snapshot(_) => Err(anyhow::anyhow!("programs are watched on Linux and macOS only")),
        #[cfg(unix)]
        Command::Report(options) => report::run(options),
        #[cfg(not(unix))]
        Command::Report(_) => Err(anyhow::anyhow!("programs are recorded on Linux and macOS only")),
        Command::Top(options) => top::run(options),
        #[cfg(not(unix))]
        Command::Top(_) => Err(anyhow::anyhow!("programs are watched on Linux and macOS only")),
        Command::Explain(options) => explain::run(options),
        Command::Pitfalls(options) => list::run(options),
        Command::Completions { shell } => arguments::completions(*shell),
    };
    match done {
        Ok(code) => code,
        Err(error) if output::is_closed_pipe(&error) => 0,
        Err(error) => {
            eprintln!("treadle: {error:#}");
            2
        }
    }
}
