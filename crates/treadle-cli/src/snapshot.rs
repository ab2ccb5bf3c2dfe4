//! `treadle snapshot`: asks the doctor of a running program, and prints the answer.

use std::io::{ErrorKind, Write};

use anyhow::{Context, bail};

use crate::arguments::Snapshot;

pub(crate) fn run(options: &Snapshot) -> anyhow::Result<u8> {
    let process = options.process.map_or_else(only, Ok)?;
    let answer = treadle_doctor::inquire(process, "snapshot").map_err(|error| match error.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => unwatched(process),
        _ => anyhow::Error::new(error).context(format!("process {process}")),
    })?;
    let snapshot: serde_json::Value =
        serde_json::from_str(&answer).with_context(|| format!("what process {process} says is no answer"))?;
    let text = if options.json { None } else { treadle_view::snapshot_text(&snapshot) };
    let text = text.map_or_else(|| serde_json::to_string_pretty(&snapshot).map(|text| text + "\n"), Ok)?;
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(0)
}

/// Nobody answers for a process.
pub(crate) fn unwatched(process: u32) -> anyhow::Error {
    anyhow::anyhow!(
        "process {process} is not watched, or belongs to another user. Start it with `treadle run --watch`, or call \
         `treadle.watch()` in it"
    )
}

/// The process that is watched, if there is just one.
pub(crate) fn only() -> anyhow::Result<u32> {
    let watched = treadle_doctor::watched();
    match watched.as_slice() {
        [only] => Ok(*only),
        [] => bail!("no program is watched. Start one with `treadle run --watch`, or call `treadle.watch()` in it"),
        several => {
            let numbers: Vec<String> = several.iter().map(u32::to_string).collect();
            bail!("several programs are watched: {}. Name one of them", numbers.join(", "))
        }
    }
}
