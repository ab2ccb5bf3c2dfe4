//! The doctor's exports: start, tell, ask, finish.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use treadle_doctor::{Doctor, Options, Output, Witness};
use treadle_events::{Note, Owner, Place, Stack, Tape, What, ticks};
use treadle_loop::Stacks;

/// Events in a ring that nobody else has made.
const CAPACITY: usize = 1 << 18;

static DOCTOR: Mutex<Option<Arc<Doctor>>> = Mutex::new(None);

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
/// `examples` are what `treadle_loop::record` wants; `output` is `text`, `json` or `silent`; `blocked` is in seconds.
#[pyfunction]
#[pyo3(signature = (examples, python, inner, *, output, out, blocked))]
pub(crate) fn watch(
    examples: [Bound<'_, PyAny>; 5],
    python: String,
    inner: Vec<String>,
    output: &str,
    out: i32,
    blocked: f64,
) -> PyResult<()> {
    let mut doctor = DOCTOR.lock().unwrap_or_else(PoisonError::into_inner);
    if doctor.is_some() {
        return Err(PyRuntimeError::new_err("this process is watched already"));
    }
    let output = match output {
        "text" => Output::Text,
        "json" => Output::Json,
        "silent" => Output::Silent,
        _ => return Err(PyValueError::new_err("output must be `text`, `json` or `silent`")),
    };
    let mut options = Options { output, ..Options::default() };
    options.thresholds.blocked = (blocked * 1e9) as u64;
    let tape = Tape::anonymous(CAPACITY)?;
    let stacks = treadle_loop::record(Arc::clone(&tape), examples.each_ref(), python, inner)?;
    let witness = stacks.map(|stacks| Box::new(Eyes(stacks)) as Box<dyn Witness>);
    let started =
        Doctor::start(tape, options, witness, out_of(out)?).inspect_err(|_| treadle_loop::stop_recording())?;
    *doctor = Some(Arc::new(started));
    Ok(())
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
fn out_of(fd: i32) -> io::Result<Box<dyn Write + Send>> {
    let own: OwnedFd = match fd {
        2 => std::os::fd::AsFd::as_fd(&io::stderr()).try_clone_to_owned()?,
        1 => std::os::fd::AsFd::as_fd(&io::stdout()).try_clone_to_owned()?,
        _ => File::options().append(true).open(format!("/dev/fd/{fd}"))?.into(),
    };
    Ok(Box::new(File::from(own)))
}
