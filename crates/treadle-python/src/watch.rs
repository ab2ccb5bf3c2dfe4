//! The doctor's exports: start, tell, ask, finish.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use treadle_doctor::{Doctor, Options, Output};
use treadle_events::{Exchange, Note, Owner, Place, Tape, What, ticks};

/// Events in a ring that nobody else has made.
const CAPACITY: usize = 1 << 18;

static DOCTOR: Mutex<Option<Arc<Doctor>>> = Mutex::new(None);

/// Starts the doctor of this process.
///
/// `examples` and `waits` are what `treadle_loop::record` wants; `output` is `text`, `json` or `silent`; `blocked` is in seconds.
#[pyfunction]
#[pyo3(signature = (examples, waits, python, inner, *, output, out, blocked))]
pub(crate) fn watch(
    examples: [Bound<'_, PyAny>; 5],
    waits: &Bound<'_, PyAny>,
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
    let exchange = Exchange::new();
    let started = Doctor::start(Arc::clone(&tape), Arc::clone(&exchange), options, out_of(out)?)?;
    treadle_loop::record(tape, exchange, examples.each_ref(), waits, python, inner)?;
    *doctor = Some(Arc::new(started));
    Ok(())
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

/// What the tasks of this process are doing, as JSON; nothing if it is not watched.
#[pyfunction]
pub(crate) fn snapshot(py: Python<'_>) -> Option<String> {
    let doctor = current()?;
    py.detach(|| doctor.snapshot()).map(|snapshot| treadle_view::snapshot_json(&snapshot).to_string())
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
