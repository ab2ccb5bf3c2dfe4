//! What the extension module exports of this crate.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::PyDict;
use treadle_events::{Exchange, Tape, Writer};

use crate::core::Core;
use crate::ffi::{CancelCount, Object, Raised, TaskLayout};
use crate::inspection::{Desk, Knowledge};
use crate::libraries::Libraries;
use crate::recorder::Recorder;
use crate::stacks::Stacks;
use crate::{known, patterns, streams};

/// Adds the native classes of the loop to a module. They are made here, which imports `asyncio`.
///
/// # Errors
/// `ImportError` if `asyncio` cannot be imported, `SystemError` if its classes are not as expected.
pub fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let known = known::load().map_err(|raised| PyErr::from_value(raised.take().into_bound(module.py())))?;
    let classes: [(&str, &Object); 8] = [
        ("Loop", known.event_loop.object()),
        ("Handle", known.handle.object()),
        ("TimerHandle", known.timer_handle.object()),
        ("StreamTransport", known.stream.object()),
        ("DatagramTransport", known.datagram.object()),
        ("ReadPipeTransport", known.read_pipe.object()),
        ("WritePipeTransport", known.write_pipe.object()),
        ("Tls", known.tls.object()),
    ];
    for (name, class) in classes {
        module.add(name, class.clone().into_bound(module.py()))?;
    }
    module.add_function(wrap_pyfunction!(complete_streams, module)?)?;
    module.add_function(wrap_pyfunction!(is_collecting, module)?)?;
    module.add_function(wrap_pyfunction!(note_collection, module)?)?;
    module.add_function(wrap_pyfunction!(forked, module)?)
}

/// Adds what the patterns have that is native to a module. It works on any loop; this imports `asyncio`, and makes no class of the loop.
///
/// # Errors
/// `ImportError` if `asyncio` cannot be imported.
pub fn add_patterns_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let made = patterns::load(&Object::of(module.as_any()))
        .map_err(|raised| PyErr::from_value(raised.take().into_bound(module.py())))?;
    made.into_iter().try_for_each(|(name, value)| module.add(name, value.into_bound(module.py())))
}

/// Has all loops of this process write down what they do, from when they begin to run next; a running one that is told to look, from then on.
///
/// `examples` are a pending, a cancelled and a finished future, a new task, and the callback by which it begins. `python` is the directory of Python's
/// own modules, `inner` are those whose code only passes on what others ask for. What comes back looks at stacks, if that can be done here.
///
/// `waits` is what is known of asyncio's functions and classes, see `inspection`; by that, loops answer what the doctor asks at the exchange.
///
/// # Errors
/// Whatever a look at the examples raises.
pub fn record(
    tape: Arc<Tape>,
    exchange: Arc<Exchange>,
    examples: [&Bound<'_, PyAny>; 5],
    waits: &Bound<'_, PyAny>,
    python: String,
    inner: Vec<String>,
) -> PyResult<Option<Stacks>> {
    let [pending, cancelled, finished, task, first_step] = examples.map(Object::of);
    let tasks = TaskLayout::discover([&pending, &cancelled, &finished], &task, &first_step);
    let of_python = |raised: Raised| PyErr::from_value(raised.take().into_bound(waits.py()));
    let tasks = tasks.map_err(of_python)?;
    let knowledge = Knowledge::new(&Object::of(waits)).map_err(of_python)?;
    let desk = knowledge.is_usable().then(|| Desk::new(exchange, knowledge));
    let libraries = Libraries { python, inner };
    let stacks = Stacks::open(libraries.clone());
    let own_calls = stacks.as_ref().map(Stacks::own_calls);
    Recorder::begin(Writer::new(tape), tasks, libraries, own_calls, desk);
    Ok(stacks)
}

/// What looks at stacks, for benchmarks of that.
pub fn open_stacks(python: String, inner: Vec<String>) -> Option<Stacks> {
    Stacks::open(Libraries { python, inner })
}

/// Tells an object in Python of what is rare: each time by a method of its. `cancelled` are new tasks that were cancelled never, once and twice,
/// `gathered` is the code that a `gather` runs when one of its tasks has ended.
///
/// # Errors
/// Whatever a look at the examples raises.
pub fn listen(ear: &Bound<'_, PyAny>, cancelled: [&Bound<'_, PyAny>; 3], gathered: &Bound<'_, PyAny>) -> PyResult<()> {
    let Some(recorder) = Recorder::current() else { return Ok(()) };
    let [never, once, twice] = cancelled.map(Object::of);
    let cancels = CancelCount::discover([&never, &once, &twice]);
    let cancels = cancels.map_err(|raised| PyErr::from_value(raised.take().into_bound(ear.py())))?;
    recorder.listen(Object::of(ear), cancels, &Object::of(gathered));
    Ok(())
}

/// Ends that: loops that begin to run later are not recorded.
pub fn stop_recording() {
    Recorder::end();
}

/// Gives the classes of native readers and writers their methods.
#[pyfunction]
fn complete_streams(reader: &Bound<'_, PyAny>, writer: &Bound<'_, PyAny>) -> PyResult<()> {
    let completed = streams::complete(&Object::of(reader), &Object::of(writer));
    completed.map_err(|raised| PyErr::from_value(raised.take().into_bound(reader.py())))
}

/// What is entered in `gc.callbacks` while somebody records.
#[pyfunction]
fn note_collection(phase: &str, information: &Bound<'_, PyDict>) {
    let Some(recorder) = Recorder::current() else { return };
    let generation = information.get_item("generation").ok().flatten();
    let generation = generation.and_then(|item| item.extract::<u16>().ok()).unwrap_or(0);
    if phase == "start" {
        recorder.collection_starts(generation, is_asked_for(information.py(), generation).unwrap_or(false));
    } else {
        recorder.collection_ends(generation);
    }
}

/// Whether the program asks for a collection that begins: the collector does one of everything itself when both of its counters have run over.
fn is_asked_for(py: Python<'_>, generation: u16) -> PyResult<bool> {
    if generation < 2 {
        return Ok(false);
    }
    let collector = py.import("gc")?;
    let counts: [u64; 3] = collector.call_method0("get_count")?.extract::<(u64, u64, u64)>()?.into();
    let limits: [u64; 3] = collector.call_method0("get_threshold")?.extract::<(u64, u64, u64)>()?.into();
    Ok(counts[0] <= limits[0] || counts[2] <= limits[2])
}

/// Whether the garbage collector is at work, as far as somebody records.
#[pyfunction]
fn is_collecting() -> bool {
    Recorder::current().is_some_and(Recorder::is_collecting)
}

/// Tells all loops that this process was forked from theirs.
#[pyfunction]
fn forked() {
    Core::forked();
}
