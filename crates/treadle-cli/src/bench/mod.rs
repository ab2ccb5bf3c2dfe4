//! `treadle bench`: a program, a server or a built-in load on several loops, which take turns.
//!
//! Each measurement is a fresh process that is started as `treadle run` starts programs; the loop is chosen from outside. It
//! leaves a witness when it makes that loop, so a program that chooses its own is told from one that runs on what was asked.
#![expect(clippy::cast_precision_loss, reason = "figures that are measured have fewer digits than any number here")]

mod latencies;
mod load;
mod process;
mod reply;
mod stop;
mod subject;
mod table;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use indicatif::ProgressBar;

use crate::arguments::{Bench, ListFormat};
use crate::output;
use crate::run::{interpreter, launched};

use stop::Stop;
use subject::{Kind, Subject, Target};
use table::{Loop, Measured, Report};

/// The loops that can be chosen from outside.
const LOOPS: [&str; 3] = ["asyncio", "uvloop", "treadle"];

pub(crate) fn run(options: &Bench) -> anyhow::Result<u8> {
    let python = interpreter(options.python.as_deref())?;
    let subjects = Subject::all(options, &python)?;
    let bench = Python { python, folder: tempfile::tempdir()? };
    let loops = bench.loops(&options.compare)?;
    let stop = Stop::on_signals()?;
    let mut reports = Vec::new();
    for subject in &subjects {
        reports.push(measure(subject, options, &loops, &bench, &stop)?);
    }
    output::print(&match options.output_format {
        ListFormat::Text => table::text(&loops, &reports),
        ListFormat::Json => table::json(&loops, &reports)?,
    })?;
    Ok(0)
}

/// One subject on all loops, in turns.
fn measure(subject: &Subject, options: &Bench, loops: &[Loop], bench: &Python, stop: &Stop) -> anyhow::Result<Report> {
    let mut measured: Vec<Measured> = loops.iter().map(|which| Measured::new(&which.name)).collect();
    let progress = ProgressBar::new_spinner();
    for round in 1..=options.rounds {
        for row in &mut measured {
            progress.set_message(format!("{}, round {round} of {}: {}", subject.title, options.rounds, row.name));
            progress.tick();
            let witness = bench.folder.path().join("witness");
            let target = Target { python: &bench.python, name: row.name.clone(), witness: &witness };
            let sample = subject.measure(&target, stop);
            if stop.is_asked() {
                // What a program says that has been interrupted is no reason to mend it.
                bail!("stopped in round {round}, and what was running has been ended. {}", shorter(subject.kind()));
            }
            row.samples.push(sample.with_context(|| format!("{} on {}", subject.title, row.name))?);
            // Whether it was there in every round; a program that sometimes makes no loop says nothing either.
            row.is_used &= std::fs::remove_file(&witness).is_ok();
        }
    }
    progress.finish_and_clear();
    Ok(Report { title: subject.title.clone(), kind: subject.kind(), rounds: options.rounds, measured })
}

/// What to do for whom it takes too long.
fn shorter(kind: Kind) -> &'static str {
    match kind {
        Kind::Runs => "A program has to end by itself; measure a server with `--url`",
        Kind::Operations => "Take fewer `--rounds` or `--seconds` for a shorter one",
    }
}

/// The interpreter that is measured, and where there is room for files.
struct Python {
    python: PathBuf,
    folder: tempfile::TempDir,
}

impl Python {
    /// The loops that are named, or all that are there.
    fn loops(&self, named: &[String]) -> anyhow::Result<Vec<Loop>> {
        // Whatever the loop, the interpreter needs the package: it is what chooses.
        launched(&self.python, "")?;
        if !named.is_empty() {
            return named.iter().map(|name| self.loop_of(name)).collect();
        }
        let (uvloop, others): (Vec<&str>, Vec<&str>) = LOOPS.iter().partition(|name| **name == "uvloop");
        let mut loops = others.into_iter().map(|name| self.loop_of(name)).collect::<anyhow::Result<Vec<_>>>()?;
        // Nobody has asked for it by name, so whoever has not installed it does not want it.
        loops.splice(1..1, uvloop.into_iter().filter_map(|name| self.loop_of(name).ok()));
        Ok(loops)
    }

    /// What it is; fails if it is not there.
    fn loop_of(&self, name: &str) -> anyhow::Result<Loop> {
        let python = self.python.display();
        let (module, version) = match name {
            "asyncio" => ("asyncio", "''"),
            "uvloop" => ("uvloop", "uvloop.__version__"),
            "treadle" => ("treadle.loop", "treadle.__version__"),
            _ => bail!("`{name}` is no loop that can be chosen from outside. Name some of `{}`", LOOPS.join("`, `")),
        };
        let question = format!("import sys, {module}; print(sys.version.split()[0], {version})");
        match ask(&self.python, &question)? {
            Ok(answer) => {
                let (python, version) = answer.split_once(' ').unwrap_or((&answer, ""));
                Ok(Loop { name: name.to_owned(), version: version.to_owned(), python: python.to_owned() })
            }
            Err(_) if name == "uvloop" => bail!(
                "`{python}` cannot import uvloop. Install it there with `{python} -m pip install uvloop`, or leave it out \
                 of `--compare`"
            ),
            Err(why) => {
                bail!("`{python}` cannot import {module}: `{why}`. Name another interpreter with `--python`")
            }
        }
    }
}

/// What an interpreter prints, or the last that it says if it fails.
fn ask(python: &Path, question: &str) -> anyhow::Result<Result<String, String>> {
    let mut command = Command::new(python);
    let answer = command.args(["-P", "-c", question]).stdin(Stdio::null()).output();
    let answer = answer.with_context(|| python.display().to_string())?;
    let last = |text: &[u8]| String::from_utf8_lossy(text).trim().lines().next_back().unwrap_or_default().to_owned();
    Ok(if answer.status.success() { Ok(last(&answer.stdout)) } else { Err(last(&answer.stderr)) })
}
