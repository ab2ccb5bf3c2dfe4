//! `treadle bench`: a program, a server or a built-in load on several loops, which take turns.
//!
//! Each measurement is a fresh process that is started as `treadle run` starts programs; the loop is chosen from outside. It
//! leaves a witness when it makes that loop, so a program that chooses its own is told from one that runs on what was asked.
#![expect(clippy::cast_precision_loss, reason = "figures that are measured have fewer digits than any number here")]

mod load;
mod process;
mod reply;
mod subject;
mod table;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, bail};
use indicatif::ProgressBar;
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::arguments::{Bench, ListFormat};
use crate::output;
use crate::run::{interpreter, launched};

use subject::{Subject, Target};
use table::{Measured, Report};

/// The loops that can be chosen from outside.
const LOOPS: [&str; 3] = ["asyncio", "uvloop", "treadle"];

pub(crate) fn run(options: &Bench) -> anyhow::Result<u8> {
    let python = interpreter(options.python.as_deref())?;
    let subjects = Subject::all(options, &python)?;
    let bench = Python { python, folder: tempfile::tempdir()? };
    let versions = options.compare.iter().map(|name| bench.version(name)).collect::<anyhow::Result<Vec<_>>>()?;
    let stopped = Arc::new(AtomicBool::new(false));
    if subjects.iter().any(Subject::is_served) {
        // A server is in a group of its own, which Ctrl-C at a terminal does not reach.
        for signal in [SIGINT, SIGTERM] {
            signal_hook::flag::register(signal, Arc::clone(&stopped))?;
        }
    }
    let mut reports = Vec::new();
    for subject in &subjects {
        reports.push(measure(subject, options, &bench, &stopped)?);
    }
    output::print(&match options.output_format {
        ListFormat::Text => table::text(&versions, &reports),
        ListFormat::Json => table::json(&versions, &reports)?,
    })?;
    Ok(0)
}

/// One subject on all loops, in turns.
fn measure(subject: &Subject, options: &Bench, bench: &Python, stopped: &AtomicBool) -> anyhow::Result<Report> {
    let mut measured: Vec<Measured> = options.compare.iter().map(|name| Measured::new(name)).collect();
    let progress = ProgressBar::new_spinner();
    for round in 1..=options.rounds {
        for row in &mut measured {
            progress.set_message(format!("{}, round {round} of {}: {}", subject.title, options.rounds, row.name));
            progress.tick();
            let witness = bench.folder.path().join("witness");
            let target = Target { python: &bench.python, name: row.name.clone(), witness: &witness };
            let sample =
                subject.measure(&target, stopped).with_context(|| format!("{} on {}", subject.title, row.name))?;
            if stopped.load(Ordering::Relaxed) {
                bail!("stopped in round {round}. The server has been ended");
            }
            row.samples.push(sample);
            // Whether it was there in every round; a program that sometimes makes no loop says nothing either.
            row.is_used &= std::fs::remove_file(&witness).is_ok();
        }
    }
    progress.finish_and_clear();
    Ok(Report { title: subject.title.clone(), kind: subject.kind(), rounds: options.rounds, measured })
}

/// The interpreter that is measured, and where there is room for files.
struct Python {
    python: PathBuf,
    folder: tempfile::TempDir,
}

impl Python {
    /// Python's version and the loop's; fails if the loop is not there.
    fn version(&self, name: &str) -> anyhow::Result<String> {
        let python = self.python.display();
        if !LOOPS.contains(&name) {
            bail!("`{name}` is no loop that can be chosen from outside. Name some of `{}`", LOOPS.join("`, `"));
        }
        // Whatever the loop, the interpreter needs the package: it is what chooses.
        launched(&self.python, "")?;
        let version = match name {
            "asyncio" => "''".to_owned(),
            _ => format!("' ' + getattr(__import__('{name}'), '__version__', '')"),
        };
        let module = if name == "treadle" { "treadle.loop" } else { name };
        let question = format!("import sys, {module}; print('{name}' + {version}, sys.version.split()[0], sep='\\n')");
        match ask(&self.python, &question) {
            Some(answer) => Ok(answer),
            None => bail!(
                "`{python}` cannot import {name}. Install it there with `{python} -m pip install {name}`, or leave it out of `--compare`"
            ),
        }
    }
}

fn ask(python: &Path, question: &str) -> Option<String> {
    let answer = Command::new(python).args(["-P", "-c", question]).stderr(Stdio::null()).output().ok()?;
    answer.status.success().then(|| String::from_utf8_lossy(&answer.stdout).trim().to_owned())
}
