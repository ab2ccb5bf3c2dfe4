//! `treadle run --watch`: starts the program with a doctor in it, and waits for its end.
//!
//! The doctor writes what happens into memory that this process shares, and leaves its findings there: when the program was killed, they are read from
//! here. Signals that somebody sends go on to the program; those of the terminal it gets by itself.

use std::ffi::OsString;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::sync::Arc;

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::exfiltrator::WithOrigin;
use signal_hook::low_level::siginfo::Cause;
use treadle_doctor::{Child, Examination, Output, Record, Settings, To, children_of};
use treadle_events::Tape;
use treadle_view::{closing_text, last_moments, snapshot_json};

use crate::arguments::Run;

/// Where the launch file finds the settings.
const SETTINGS: &str = "TREADLE_WATCH";

/// Events that are kept: 32 MiB.
const CAPACITY: usize = 1 << 20;

/// What a recording says of the program: its name, and how it was started. What its own arguments are is nobody's business.
pub(super) fn about(arguments: &[OsString], program: Option<usize>) -> (String, Vec<(String, String)>) {
    let words: Vec<String> = arguments.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    // Code is a text of the program's, and as long as it likes.
    let mut options = words.iter().enumerate().take_while(|(_, word)| !word.starts_with("-c"));
    let module = options.find(|(_, word)| word.starts_with("-m"));
    let (title, until) = match (program.map(|at| (at, words.get(at))), module) {
        (Some((at, Some(script))), _) => (script.clone(), at),
        (_, Some((at, word))) if word == "-m" => {
            (format!("-m {}", words.get(at + 1).map_or("", String::as_str)), at + 1)
        }
        (_, Some((at, word))) => (format!("-m {}", &word[2..]), at),
        _ => (words.first().map_or_else(String::new, |word| word.chars().take(2).collect()), 0),
    };
    let rest = if until + 1 < words.len() { " …" } else { "" };
    let directory = std::env::current_dir().unwrap_or_default().display().to_string();
    let rows = [
        ("command", format!("treadle run {title}{rest}")),
        ("directory", directory),
        ("platform", format!("{} {}", std::env::consts::OS, std::env::consts::ARCH)),
    ];
    (title, rows.map(|(name, value)| (name.to_owned(), value)).to_vec())
}

/// What the command line and the project's settings say.
pub(super) fn settings(options: &Run, format: &str) -> anyhow::Result<Settings> {
    let here = std::env::current_dir().context("the current directory")?;
    let mut settings = Settings {
        output: match format {
            "json" => Output::Json,
            "logging" => Output::Logging,
            _ => Output::Text,
        },
        thresholds: options.threshold.iter().cloned().collect(),
        fail_on: options.fail_on.clone(),
        metrics: options.metrics.clone(),
        baseline: options.baseline.as_deref().map(std::path::absolute).transpose()?,
        record: (options.record.is_some() || options.report.is_some()).then(Record::default),
        ..Settings::default()
    };
    if let Some(record) = &mut settings.record {
        record.size = options.record_size.unwrap_or(treadle_doctor::SIZE);
        // Children may be elsewhere.
        record.path = options.record.as_deref().map(std::path::absolute).transpose()?;
    }
    if let Some(to) = &options.watch_to {
        settings.to = match to.to_str().and_then(|text| text.parse().ok()) {
            Some(descriptor) => To::Descriptor(descriptor),
            None => To::File(std::path::absolute(to)?),
        };
    }
    let settings = of_project(&here)?.under(settings);
    settings.check().map_err(anyhow::Error::msg)?;
    settings.metrics.as_deref().map_or(Ok(()), treadle_doctor::check_address)?;
    if let Some(page) = options.report.as_deref().filter(|page| page.extension().is_none_or(|end| end != "html")) {
        bail!("`{}` is no name of a page. Give `--report` one that ends in `.html`", page.display());
    }
    // Now and not in the program, which is not to be disturbed by it.
    if let To::File(path) = &settings.to {
        File::options().append(true).create(true).open(path).with_context(|| path.display().to_string())?;
    }
    if let Some(baseline) = &settings.baseline {
        treadle_doctor::Allowed::default().with_baseline(baseline).with_context(|| baseline.display().to_string())?;
    }
    Ok(settings)
}

/// What `[tool.treadle.watch]` says, from a directory upwards.
pub(crate) fn of_project(start: &Path) -> anyhow::Result<Settings> {
    let configuration = treadle_check::Configuration::find(start)?;
    let Some(table) = configuration.watch else { return Ok(Settings::default()) };
    let shown = configuration.file.as_deref().unwrap_or(start).display();
    let mut settings: Settings = serde_json::from_value(table).with_context(|| format!("{shown}: `watch`"))?;
    settings.baseline = settings.baseline.map(|baseline| configuration.project.join(baseline));
    Ok(settings)
}

/// Runs a program to its end.
pub(super) fn watch(mut command: Command, mut settings: Settings, options: &Run) -> anyhow::Result<u8> {
    let recording = settings.record.as_mut().map(recording).transpose()?.flatten();
    let size = match &settings.record {
        // Memory that is the recording.
        Some(record) if recording.is_none() => record.size,
        _ => Tape::file_size(CAPACITY),
    };
    let file = shared_file(size).context("memory for events")?;
    // If only pages are wanted, children make their recordings where they are removed at the end.
    let mut aside = None;
    if let Some(record) = settings.record.as_mut().filter(|record| record.path.is_none()) {
        let directory = tempfile::tempdir().context("a directory for the recordings of children")?;
        let page = options.report.as_deref().and_then(Path::file_name).unwrap_or_default();
        record.path = Some(directory.path().join(page));
        aside = Some(directory);
    }
    settings.tape = Some(file.as_raw_fd());
    settings.parent = Some(std::process::id());
    command.env(SETTINGS, serde_json::to_string(&settings)?);
    let mut child = command.spawn().with_context(|| command.get_program().display().to_string())?;
    // From here on: the program has the signals as they were when this process began.
    let process = Pid::from_child(&child);
    let mut signals = SignalsInfo::<WithOrigin>::new([SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2])?;
    let handle = signals.handle();
    let passing = std::thread::spawn(move || {
        for origin in signals.forever() {
            let is_own = origin.process.is_some_and(|sender| sender.pid == process.as_raw_nonzero().get());
            if let (Cause::Sent(_), false, Some(signal)) = (origin.cause, is_own, Signal::from_named_raw(origin.signal))
            {
                let _ = kill_process(process, signal);
            }
        }
    });
    let status = child.wait()?;
    handle.close();
    let _ = passing.join();
    let end = End { status, file: &file, recording: recording.as_ref().unwrap_or(&file), settings: &settings };
    let has_failed = end.tell(options)?;
    // This process may end by a signal now.
    drop(aside);
    end.exit(has_failed)
}

/// The file that is recorded into, if one is named.
fn recording(record: &mut Record) -> anyhow::Result<Option<File>> {
    let Some(path) = &record.path else { return Ok(None) };
    let file = treadle_doctor::create_recording(path, record.size).with_context(|| path.display().to_string())?;
    rustix::io::fcntl_setfd(&file, rustix::io::FdFlags::empty())?;
    record.file = Some(file.as_raw_fd());
    Ok(Some(file))
}

/// Memory that another process can have too, by the descriptor it inherits.
fn shared_file(size: u64) -> std::io::Result<File> {
    #[cfg(target_os = "linux")]
    let file = File::from(rustix::fs::memfd_create("treadle", rustix::fs::MemfdFlags::empty())?);
    #[cfg(not(target_os = "linux"))]
    let file = {
        let file = tempfile::tempfile()?;
        rustix::io::fcntl_setfd(&file, rustix::io::FdFlags::empty())?;
        file
    };
    file.set_len(size)?;
    Ok(file)
}

/// A program that has ended.
struct End<'a> {
    status: ExitStatus,
    file: &'a File,
    /// The same file, or what was copied from it.
    recording: &'a File,
    settings: &'a Settings,
}

impl End<'_> {
    /// Says what the program could not say any more and what was written, and returns whether it has met what is a failure.
    fn tell(&self, options: &Run) -> anyhow::Result<bool> {
        let path = self.settings.record.as_ref().and_then(|record| record.path.as_deref());
        let children = path.map(children_of).unwrap_or_default();
        // A program that never came to asyncio has no doctor.
        let tape = Tape::open(self.file).ok();
        let words = tape.as_ref().map(|tape| tape.words()).unwrap_or_default();
        let mut closing: Value = serde_json::from_slice(&words).unwrap_or_default();
        match &tape {
            Some(tape) if !tape.is_finished() => {
                if options.record.is_some() {
                    // One that was killed before it had a recording has none now.
                    let _ = treadle_doctor::complete_recording(Arc::clone(tape), self.recording);
                }
                self.tell_of_killed(Arc::clone(tape), &mut closing)?;
            }
            // Who only starts others that are watched needs no doctor.
            None if !children.is_empty() => {}
            Some(_) => {}
            None => self.say("treadle: nothing was watched; the program has not made an event loop of treadle's\n")?,
        }
        let empty = Vec::new();
        let findings = closing["findings"].as_array().unwrap_or(&empty);
        if let Some(baseline) = &options.write_baseline {
            treadle_doctor::write_baseline(baseline, findings).with_context(|| baseline.display().to_string())?;
        }
        if let Some(record) = options.record.as_deref().filter(|_| !children.is_empty()) {
            let shown = crate::report::listed(&children_of(record));
            self.say(&format!("treadle: recorded {}, and beside it what children did: {shown}\n", record.display()))?;
        }
        if let Some(page) = &options.report {
            self.write_pages(page, tape.is_some(), &children)?;
        }
        let has_failed =
            findings.iter().filter_map(|found| found["name"].as_str()).any(|name| self.settings.fails_on(name));
        Ok(has_failed)
    }

    /// Writes the program's page, and one beside it for each child.
    fn write_pages(&self, page: &Path, is_recorded: bool, children: &[Child]) -> anyhow::Result<()> {
        let mut written = Vec::new();
        if is_recorded {
            let recorded = treadle_doctor::recorded_in(self.recording)?;
            crate::report::write_page(recorded, page, children)?;
            written.push(page.to_path_buf());
        }
        for (child, own) in children.iter().zip(treadle_doctor::names_beside(page)) {
            crate::report::write_page(treadle_doctor::read_recording(&child.path)?, &own, &[])?;
            written.push(own);
        }
        written.iter().try_for_each(|page| self.say(&format!("treadle: wrote {}\n", page.display())))
    }

    /// A program that was killed leaves its findings and its last events.
    fn tell_of_killed(&self, tape: Arc<Tape>, closing: &mut Value) -> anyhow::Result<()> {
        let how = self.status.signal().map_or_else(
            || "has ended without a word".to_owned(),
            |signal| format!("was killed by {}", signal_hook::low_level::signal_name(signal).unwrap_or("a signal")),
        );
        let run = Examination::replay(tape, self.settings.thresholds().map_err(anyhow::Error::msg)?);
        match self.settings.output {
            // Nobody is left who could log.
            Output::Text | Output::Logging => {
                let last: String = last_moments(&run).iter().map(|line| format!("  {line}\n")).collect();
                let text = closing_text(closing);
                self.say(&format!(
                    "treadle: the program {how}; this is what was found until then\n{text}at the end:\n{last}"
                ))
            }
            Output::Json => {
                closing["type"] = "summary".into();
                closing["ended"] = how.into();
                closing["last"] = snapshot_json(&run.snapshot(), &[]);
                self.say(&format!("{closing}\n"))
            }
            Output::Silent => Ok(()),
        }
    }

    fn say(&self, text: &str) -> anyhow::Result<()> {
        use std::io::Write;

        if self.settings.output == Output::Json && !text.starts_with('{') {
            return Ok(());
        }
        match &self.settings.to {
            To::Descriptor(1) => std::io::stdout().write_all(text.as_bytes())?,
            To::Descriptor(2) => std::io::stderr().write_all(text.as_bytes())?,
            To::Descriptor(fd) => {
                File::options().append(true).open(format!("/dev/fd/{fd}"))?.write_all(text.as_bytes())?;
            }
            To::File(path) => {
                File::options().append(true).create(true).open(path)?.write_all(text.as_bytes())?;
            }
        }
        Ok(())
    }

    /// Ends as the program has ended.
    fn exit(&self, has_failed: bool) -> anyhow::Result<u8> {
        if let Some(signal) = self.status.signal() {
            if let Some(signal) = Signal::from_named_raw(signal).filter(|signal| *signal == Signal::KILL) {
                kill_process(rustix::process::getpid(), signal)?;
            }
            signal_hook::low_level::emulate_default_handler(signal)?;
            bail!("the program was ended by signal {signal}");
        }
        let code = u8::try_from(self.status.code().unwrap_or(1)).unwrap_or(1);
        Ok(if code == 0 && has_failed { 3 } else { code })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recording_has_the_name_of_the_program_and_none_of_its_arguments() {
        for (line, program, title, command) in [
            ("app.py", Some(0), "app.py", "treadle run app.py"),
            ("-u app.py --token x", Some(1), "app.py", "treadle run app.py …"),
            ("-m shop.service", None, "-m shop.service", "treadle run -m shop.service"),
            ("-X dev -mshop 3", None, "-m shop", "treadle run -m shop …"),
            ("-c print(1) -m x", None, "-c", "treadle run -c …"),
            ("-", None, "-", "treadle run -"),
        ] {
            let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            let (shown, rows) = about(&words, program);
            assert_eq!((shown.as_str(), rows[0].1.as_str()), (title, command));
        }
    }
}
