//! The doctor's exports: start, tell, ask, finish.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use treadle_doctor::{Doctor, Output, Record, Settings, To, Witness, create_beside, create_recording};
use treadle_events::{Exchange, Figures, Note, Owner, Pattern, Place, Reader, Stack, Tape, What, ticks};
use treadle_loop::Stacks;

/// Events in a ring that nobody else has made.
const CAPACITY: usize = 1 << 18;

static DOCTOR: Mutex<Option<Arc<Doctor>>> = Mutex::new(None);

/// What is to be logged, and was not yet. The outer lock is only held by who is attached, so it is free after a fork.
static UNLOGGED: Mutex<Option<Arc<Mutex<Receiver<String>>>>> = Mutex::new(None);

/// Has what is written in one piece logged.
struct Log(Sender<String>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // If nobody listens any more, there is nobody to be told of that either.
        let _ = self.0.send(String::from_utf8_lossy(bytes).into_owned());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn to_be_logged() -> Box<dyn Write + Send> {
    let (log, unlogged) = channel();
    *UNLOGGED.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(Mutex::new(unlogged)));
    Box::new(Log(log))
}

/// Waits for the next thing to be logged, an object of JSON; nothing when there will be no more.
#[pyfunction]
pub(crate) fn next_to_log(py: Python<'_>) -> Option<String> {
    let unlogged = UNLOGGED.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
    py.detach(|| unlogged.lock().unwrap_or_else(PoisonError::into_inner).recv().ok())
}

/// What the doctor sees through.
struct Eyes(Stacks);

impl Witness for Eyes {
    fn stack(&mut self, event_loop: u8, thread: u64) -> Option<Stack> {
        self.0.of_loop(event_loop, thread)
    }

    fn holder(&mut self, event_loop: u8) -> Option<(Stack, u64)> {
        self.0.of_holder(event_loop)
    }

    fn is_interpreter(&self, address: u64) -> bool {
        Stacks::is_of_interpreter(address)
    }
}

/// Starts the doctor of this process.
///
/// `examples` and `waits` are what `treadle_loop::record` wants, `settings` are [`Settings`] as JSON.
#[pyfunction]
#[expect(clippy::needless_pass_by_value, reason = "what Python hands over is ours")]
pub(crate) fn watch(
    examples: [Bound<'_, PyAny>; 5],
    waits: &Bound<'_, PyAny>,
    python: String,
    inner: Vec<String>,
    settings: &str,
) -> PyResult<()> {
    let mut doctor = DOCTOR.lock().unwrap_or_else(PoisonError::into_inner);
    if doctor.is_some() {
        return Err(PyRuntimeError::new_err("this process is watched already"));
    }
    let mut settings: Settings =
        serde_json::from_str(settings).map_err(|error| PyValueError::new_err(error.to_string()))?;
    settings.check().map_err(PyValueError::new_err)?;
    end_with_parent(&settings)?;
    let mut out = if settings.output == Output::Logging { to_be_logged() } else { out_of(&settings.to)? };
    let (tape, kept) = match tapes(&settings) {
        Err(error) if settings.is_follower && settings.record.is_some() => {
            (unrecorded(&mut settings, &mut out, &error)?, None)
        }
        tapes => tapes?,
    };
    let exchange = Exchange::new();
    let stacks =
        treadle_loop::record(Arc::clone(&tape), Arc::clone(&exchange), examples.each_ref(), waits, python, inner)?;
    let witness = stacks.map(|stacks| Box::new(Eyes(stacks)) as Box<dyn Witness>);
    let started =
        Doctor::start(tape, kept, &settings, exchange, witness, out).inspect_err(|_| treadle_loop::stop_recording())?;
    *doctor = Some(Arc::new(started));
    Ok(())
}

/// Where events are written, and the tape of a recording to which they are copied, if it lies in a file: the loop is not to wait for a disk.
fn tapes(settings: &Settings) -> io::Result<(Arc<Tape>, Option<Arc<Tape>>)> {
    match (settings.tape, &settings.record) {
        // They are ours: whoever started this process has handed them over.
        (Some(fd), Some(Record { file: Some(file), .. })) => {
            Ok((Tape::create(&handed(fd)?)?, Some(treadle_doctor::begin_tape(&handed(*file)?)?)))
        }
        (Some(fd), Some(_)) => Ok((treadle_doctor::begin_tape(&handed(fd)?)?, None)),
        (Some(fd), None) => Ok((Tape::create(&handed(fd)?)?, None)),
        (None, Some(Record { path: Some(path), size, .. })) => {
            let create = if settings.is_follower { create_beside } else { create_recording };
            let file = create(path, if *size == 0 { treadle_doctor::SIZE } else { *size })?;
            Ok((Tape::anonymous(CAPACITY)?, Some(treadle_doctor::begin_tape(&file)?)))
        }
        (None, _) => Ok((Tape::anonymous(CAPACITY)?, None)),
    }
}

/// Has a child whose recording cannot be made watched all the same.
fn unrecorded(settings: &mut Settings, out: &mut dyn Write, error: &io::Error) -> io::Result<Arc<Tape>> {
    settings.record = None;
    if settings.output == Output::Text {
        let words = format!("treadle: process {} is not recorded: {error}\n", std::process::id());
        // If nobody reads it, there is nobody to be told of that either.
        let _ = out.write_all(words.as_bytes());
    }
    Tape::anonymous(CAPACITY)
}

/// Has this process be told to end when the one that waits for it is gone, where the system can do that.
fn end_with_parent(settings: &Settings) -> PyResult<()> {
    #[cfg(target_os = "linux")]
    if let Some(parent) = settings.parent {
        use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};

        set_parent_process_death_signal(Some(Signal::TERM)).map_err(io::Error::from)?;
        if getppid() != Pid::from_raw(parent.cast_signed()) {
            return Err(PyRuntimeError::new_err("the process that watches this one has ended"));
        }
    }
    let _ = settings;
    Ok(())
}

/// What is said here, and what the project of the current directory says where that is wanted and nothing is said here; as JSON, and complete.
#[pyfunction]
#[pyo3(signature = (said, *, project))]
pub(crate) fn settings(said: &str, project: bool) -> PyResult<String> {
    let wrong = |error: String| PyValueError::new_err(error);
    let said: Settings = serde_json::from_str(said).map_err(|error| wrong(error.to_string()))?;
    let of_project = || treadle_cli::watch_settings(&std::env::current_dir()?).map_err(wrong);
    let settings = if project { of_project()?.under(said) } else { said };
    settings.check().map_err(wrong)?;
    serde_json::to_string(&settings).map_err(|error| wrong(error.to_string()))
}

/// Leaves the doctor to the process that this one was forked from.
#[pyfunction]
pub(crate) fn forget() {
    // A thread that is not here may have held it; then it stays, and this process goes unwatched.
    if let Ok(mut doctor) = DOCTOR.try_lock() {
        std::mem::forget(doctor.take());
    }
}

/// Looks at the thread of the first loop, by the system's number of it, so often a second and so many seconds, and returns how often that gave a
/// stack, how often none, how many calls there were in them, and the nanoseconds that the looks took. For benches/doctor.
#[pyfunction]
pub(crate) fn capture(
    py: Python<'_>,
    python: String,
    inner: Vec<String>,
    thread: u64,
    rate: f64,
    seconds: f64,
) -> PyResult<(u64, u64, u64, u64)> {
    let Some(mut stacks) = treadle_loop::open_stacks(python, inner) else {
        return Err(PyRuntimeError::new_err("stacks cannot be read here"));
    };
    Ok(py.detach(|| {
        let (began, pause) = (Instant::now(), Duration::from_secs_f64(1.0 / rate));
        let (mut seen, mut unseen, mut calls, mut took) = (0, 0, 0, 0);
        while began.elapsed().as_secs_f64() < seconds {
            let look = Instant::now();
            match stacks.of_loop(1, thread) {
                Some(stack) => (seen, calls) = (seen + 1, calls + stack.frames.len() as u64),
                None => unseen += 1,
            }
            let _ = stacks.of_holder(1);
            took += look.elapsed().as_nanos() as u64;
            let due = pause * (seen + unseen) as u32;
            std::thread::sleep(due.saturating_sub(began.elapsed()));
        }
        (seen, unseen, calls, took)
    }))
}

/// Has the loop tell an object in Python of what is rare; see `treadle_loop::listen`.
#[pyfunction]
#[expect(clippy::needless_pass_by_value, reason = "what Python hands over is ours")]
pub(crate) fn listen(
    ear: &Bound<'_, PyAny>,
    cancelled: [Bound<'_, PyAny>; 3],
    gathered: &Bound<'_, PyAny>,
) -> PyResult<()> {
    treadle_loop::listen(ear, cancelled.each_ref(), gathered)
}

/// Tells of a coroutine that is thrown away, and then warns of it as Python does. There is no frame of ours below, so that the warning
/// names the program's line.
#[pyfunction]
pub(crate) fn unawaited(py: Python<'_>, coroutine: &Bound<'_, PyAny>) -> PyResult<()> {
    let tales = py.import("treadle.doctor.tales")?;
    tales.getattr("unawaited")?.call1((coroutine,))?;
    match tales.getattr("warning_of")?.call1((coroutine,))?.extract::<Option<String>>()? {
        None => tales.getattr("original")?.call1((coroutine,)).map(drop),
        Some(text) => {
            let category = py.get_type::<pyo3::exceptions::PyRuntimeWarning>();
            py.import("warnings")?.getattr("warn")?.call1((text, category, 1, coroutine)).map(drop)
        }
    }
}

/// Tells the doctor something in words; nothing happens if there is none.
#[pyfunction]
#[pyo3(signature = (what, subject, place, details, *, address, size))]
pub(crate) fn tell(
    py: Python<'_>,
    what: &str,
    subject: String,
    place: Option<(String, u32, String, Option<String>)>,
    details: Vec<String>,
    address: u64,
    size: u64,
) -> PyResult<()> {
    let Some(what) = What::from_word(what) else { return Err(PyValueError::new_err("nobody knows what that is")) };
    let place = place.map(|(file, line, function, package)| {
        let owner = match package.as_deref() {
            None => Owner::Program,
            Some("python") => Owner::Python,
            Some(package) => Owner::Package(package.to_owned()),
        };
        Place { file, line, function, owner }
    });
    if let Some(doctor) = current() {
        py.detach(|| doctor.tell(Note { stamp: ticks(), what, address, place, subject, details, size }));
    }
    Ok(())
}

/// Everything found up to now: an object of JSON for each.
#[pyfunction]
pub(crate) fn found(py: Python<'_>) -> Vec<String> {
    let found = current().map(|doctor| py.detach(|| doctor.found())).unwrap_or_default();
    found.iter().map(|seen| treadle_view::sighting_json(seen).to_string()).collect()
}

/// A finding as people read it, with its line; empty if there is none such.
#[pyfunction]
pub(crate) fn shown(py: Python<'_>, name: &str, path: &str, line: u32, message: &str) -> String {
    let found = current().map(|doctor| py.detach(|| doctor.found())).unwrap_or_default();
    let mut same = found.iter().filter(|seen| seen.about.name == name && seen.message == message);
    let seen = same.find(|seen| seen.site.path == path && seen.site.line == line);
    seen.map(treadle_view::sighting).unwrap_or_default()
}

/// Writes everything found up to now to a file, as a baseline.
#[pyfunction]
#[expect(clippy::needless_pass_by_value, reason = "what Python hands over is ours")]
pub(crate) fn write_baseline(py: Python<'_>, path: PathBuf) -> PyResult<()> {
    let found = current().map(|doctor| py.detach(|| doctor.found())).unwrap_or_default();
    let found: Vec<serde_json::Value> = found.iter().map(treadle_view::sighting_json).collect();
    Ok(treadle_doctor::write_baseline(&path, &found)?)
}

/// The events that this process has written and the ring still has, oldest first: kind, number of the loop, subject, small, value, and the function and
/// line of the place.
#[pyfunction]
pub(crate) fn events() -> Vec<(String, u8, u64, u16, u64, String, u32)> {
    let Some(doctor) = current() else { return Vec::new() };
    let mut reader = Reader::new(Arc::clone(doctor.tape()));
    let (mut places, mut events) = (Vec::new(), Vec::new());
    reader.read(usize::MAX >> 1, |event| events.push(*event));
    reader.read_places(&mut places);
    let shown = events.into_iter().map(|event| {
        let place = (event.place.0 as usize).checked_sub(1).and_then(|at| places.get(at));
        let (function, line) =
            place.map_or_else(Default::default, |place: &Place| (place.function.clone(), place.line));
        (format!("{:?}", event.kind), event.event_loop, event.subject, event.small, event.value, function, line)
    });
    shown.collect()
}

/// What the loops and tasks of this process are doing and what was found, as JSON; nothing if it is not watched.
#[pyfunction]
pub(crate) fn snapshot(py: Python<'_>) -> Option<String> {
    let doctor = current()?;
    Some(py.detach(|| doctor.answer("snapshot")))
}

/// Shows the doctor objects of the patterns, as `treadle.doctor.objects` reads them: number, kind, name, state, and the numbers by
/// [`Figure`](treadle_events::Figure); with how many were left out.
#[pyfunction]
pub(crate) fn show_patterns(rows: Vec<(u64, String, Option<String>, String, Figures)>, left_out: u64) {
    if let Some(doctor) = current() {
        let pattern = |(number, kind, name, state, figures)| Pattern { number, kind, name, state, figures };
        doctor.show_patterns(rows.into_iter().map(pattern).collect(), left_out);
    }
}

/// This process in numbers, as JSON; nothing if it is not watched.
#[pyfunction]
pub(crate) fn vitals(py: Python<'_>) -> Option<String> {
    let doctor = current()?;
    py.detach(|| doctor.measure()).map(|metrics| metrics.json().to_string())
}

/// Has the doctor say all there is to say and end; returns how many findings there are.
#[pyfunction]
pub(crate) fn finish(py: Python<'_>) -> usize {
    let doctor = DOCTOR.lock().unwrap_or_else(PoisonError::into_inner).take();
    treadle_loop::stop_recording();
    doctor.map_or(0, |doctor| py.detach(|| doctor.finish()).len())
}

fn current() -> Option<Arc<Doctor>> {
    DOCTOR.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// A descriptor of our own for what is said, so that the program may close its.
fn out_of(to: &To) -> io::Result<Box<dyn Write + Send>> {
    Ok(Box::new(match to {
        To::Descriptor(2) => File::from(io::stderr().as_fd().try_clone_to_owned()?),
        To::Descriptor(1) => File::from(io::stdout().as_fd().try_clone_to_owned()?),
        To::Descriptor(fd) => File::options().append(true).open(path_of(*fd))?,
        To::File(path) => File::options().append(true).create(true).open(path)?,
    }))
}

/// A descriptor of our own for the file that another process shares with this one.
fn handed(fd: i32) -> io::Result<File> {
    File::options().read(true).write(true).open(path_of(fd))
}

fn path_of(fd: i32) -> String {
    if cfg!(target_os = "linux") { format!("/proc/self/fd/{fd}") } else { format!("/dev/fd/{fd}") }
}
