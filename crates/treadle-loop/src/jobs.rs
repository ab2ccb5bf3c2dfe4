//! Functions that are handed to executors, wrapped so that it is written down when they begin and end.

use std::cell::Cell;
use std::rc::Rc;

use treadle_events::{Event, Kind};

use crate::core::Core;
use crate::event_loop::Loop;
use crate::ffi::{Args, Class, Instance, Nothing, Object, Plain, Result, Slot, Spec, Type, Visit, system_thread};
use crate::known::known;
use crate::recorder::Recorder;
use crate::teller::Teller;

thread_local! {
    /// How many functions were handed over by this thread.
    static JOBS: Cell<u64> = const { Cell::new(0) };
}

/// The value of a wrapped function.
pub(crate) struct Job {
    core: Rc<Core>,
    number: u64,
    function: Slot,
}

impl Class for Job {
    type Head = Plain;
    type Tail = Nothing;

    fn traverse(&self, visit: &Visit<'_>) {
        self.function.traverse(visit);
    }

    fn clear(&self) {
        self.function.store(None);
    }
}

/// The class `treadle._native.Job`.
pub(crate) fn class() -> Result<Type<Job>> {
    Spec::new(c"treadle._native.Job", c"A function that is handed to an executor.").method(c"run", run).create(None)
}

/// Adds what the Python half calls.
pub(crate) fn methods(spec: Spec<Loop>) -> Spec<Loop> {
    spec.method(c"_is_recorded", |this, arguments| {
        arguments.exactly::<0>("_is_recorded")?;
        Ok(Object::bool(this.core.recorder().is_some()))
    })
    .method(c"_note_job", note)
}

/// `_note_job(function, named, pool, workers)`: what is to be handed over in the place of `function`. `named` is what the program handed over; `pool`
/// tells pools apart, and `workers` is how many threads it has at most, or 0.
fn note(this: &Instance<Loop>, arguments: Args<'_>) -> Result<Object> {
    let [function, named, pool, workers] = arguments.exactly("_note_job")?;
    let Some(recorder) = this.core.recorder() else { return Ok(function.clone()) };
    if recorder.teller().is_some() {
        Teller::expect_inspection(&this.core);
    }
    let count = JOBS.get() + 1;
    JOBS.set(count);
    // Loops in different threads count on their own.
    let number = count << 8 | u64::from(this.core.number.get());
    let (pool, workers) = (pool.to_integer()? as u32, workers.to_integer()?);
    let (place, value) = (recorder.here(), u64::from(pool) << 32 | u64::from(recorder.place_of_function(named).0));
    let small = u16::try_from(workers).unwrap_or(0);
    recorder.write(&this.core, Kind::JobSubmitted, |event| Event { subject: number, place, value, small, ..event });
    let job = Job { core: Rc::clone(&this.core), number, function: Slot::default() };
    job.function.store(Some(function.clone()));
    known().job.instantiate(job)?.object().member(c"run")
}

fn run(this: &Instance<Job>, arguments: Args<'_>) -> Result<Object> {
    let Some(function) = this.function.load() else { return Ok(Object::none()) };
    let note = |kind, value| {
        if let Some(recorder) = Recorder::current() {
            recorder.write(&this.core, kind, |event| Event { subject: this.number, value, ..event });
        }
    };
    note(Kind::JobStarted, system_thread());
    let result = function.forward(arguments);
    note(Kind::JobEnded, 0);
    result
}
