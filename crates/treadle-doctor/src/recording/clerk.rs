//! Who keeps a recording: looks at stacks, has the scribe write, and puts what it has written into the log.

use std::sync::Arc;
use std::time::{Duration, Instant};

use treadle_events::{Copyist, Event, Reader, Stack, Tape};
use treadle_finding::Sighting;
use treadle_run::{Activity, Blockage, Doings, Line, Run, Scribe};

use super::family::mark;
use super::log::Log;
use crate::settings::Record;
use crate::witness::Witness;

/// How often what has happened is written down.
const PAUSE: Duration = Duration::from_secs(1);

/// The longest time that one look at a stack stands for.
const LOOK: Duration = Duration::from_millis(250);

/// Events that are kept of a bad moment.
const AROUND: u64 = 3_000;

/// Tasks that are written down at most when it is noted which ones live, and bytes of the log for each.
const LIVING: usize = 10_000;
const ROOM: usize = 1_000;

/// Keeps a recording.
pub(crate) struct Clerk {
    scribe: Scribe,
    log: Log,
    /// What is written to by the process.
    tape: Arc<Tape>,
    /// What is kept of that, if it is not the tape itself.
    copyist: Option<Copyist>,
    written: Instant,
    looked: Instant,
    /// Which quarter of the ring was written to when living tasks were noted.
    quarter: u64,
}

impl Clerk {
    /// `kept` is the recording's own tape, if that is another one; `is_child` says that it was made beside the recording that is named.
    pub(crate) fn new(tape: Arc<Tape>, kept: Option<Arc<Tape>>, record: &Record, is_child: bool) -> Self {
        let (mut title, mut beside) = (record.title.clone(), 0);
        let mut environment = record.environment.clone();
        environment.push(("treadle".to_owned(), env!("CARGO_PKG_VERSION").to_owned()));
        environment.push(("process".to_owned(), std::process::id().to_string()));
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        environment.push(("processors".to_owned(), processors.to_string()));
        if let Some(path) = record.path.as_deref().filter(|_| is_child) {
            title = format!("{title}, process {}", std::process::id());
            beside = mark(path);
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            environment.push(("recorded beside".to_owned(), name));
        }
        let mut clerk = Self {
            scribe: Scribe::new(title, environment),
            log: Log::begin(Arc::clone(kept.as_ref().unwrap_or(&tape)), beside),
            copyist: kept.map(|kept| Copyist::begin(Arc::clone(&tape), kept)),
            tape,
            written: Instant::now(),
            looked: Instant::now(),
            quarter: 0,
        };
        clerk.flush();
        clerk
    }

    /// Takes in what has happened.
    pub(crate) fn see(&mut self, events: &[treadle_events::Record]) {
        events.iter().filter_map(treadle_events::Record::event).for_each(|event| self.scribe.see(&event));
    }

    /// Keeps the events. On a slow disk this takes its time, which is not the program's.
    pub(crate) fn copy(&mut self) {
        if let Some(copyist) = &mut self.copyist {
            copyist.copy();
        }
    }

    /// Looks what loops execute that are in a callback.
    pub(crate) fn look(&mut self, run: &Run, witness: Option<&mut (dyn Witness + 'static)>) {
        let passed = self.looked.elapsed().min(LOOK).as_nanos() as u64;
        self.looked = Instant::now();
        let Some(witness) = witness else { return };
        for event_loop in run.loops() {
            if matches!(event_loop.activity, Activity::Running { .. })
                && let Some(stack) = witness.stack(event_loop.number, event_loop.thread)
            {
                self.scribe.sample(run, event_loop.number, calls(&stack), passed);
            }
        }
    }

    /// Takes in what blocks a loop, or has.
    pub(crate) fn block(&mut self, run: &Run, blockage: &Blockage) {
        self.scribe.block(blockage);
        if blockage.has_ended && self.scribe.wants_moment(blockage.took) {
            let mut events: Vec<Event> = Vec::new();
            Reader::of_last(Arc::clone(&self.tape), AROUND).read(AROUND as usize, |event| events.push(*event));
            self.scribe.keep(run, blockage.took, &events);
        }
    }

    /// Takes in the findings, and writes down those that are new.
    pub(crate) fn find(&mut self, found: &[Sighting], is_new: bool) {
        for (at, seen) in found.iter().enumerate() {
            self.scribe.find(at, seen);
        }
        if is_new {
            self.flush();
        }
    }

    /// Writes down what has happened, if it is time.
    pub(crate) fn pass(&mut self, run: &Run) {
        if self.written.elapsed() >= PAUSE {
            self.written += PAUSE;
            if self.written.elapsed() >= PAUSE {
                self.written = Instant::now();
            }
            self.write(run, false);
        }
    }

    /// Writes down all there is.
    pub(crate) fn finish(&mut self, run: &Run) {
        self.write(run, true);
    }

    fn write(&mut self, run: &Run, is_end: bool) {
        let kept = self.copyist.as_ref().map_or(&self.tape, Copyist::tape);
        let quarter = kept.head() / (kept.capacity() / 4).max(1);
        let events = self.tape.head();
        if quarter > self.quarter {
            self.quarter = quarter;
            self.scribe.count_living(run, LIVING.min(self.log.half() / ROOM));
        }
        self.scribe.pass(run, Doings { events, cost: processor_time() }, is_end);
        self.flush();
    }

    fn flush(&mut self) {
        for entry in self.scribe.take() {
            if !self.log.write(&entry) {
                // It has this one too, and those that come after it.
                self.log.renew(self.scribe.chronicle());
                return;
            }
        }
    }
}

/// The calls below the loop, the outermost first, without those that only pass on what others ask for.
fn calls(stack: &Stack) -> impl Iterator<Item = Line> {
    let is_loop = |frame: &&treadle_events::Frame| !(frame.is_inner && frame.place.function == "Base.run_forever");
    let below: Vec<_> = stack.frames.iter().take_while(is_loop).filter(|frame| !frame.is_inner).collect();
    below.into_iter().rev().map(|frame| Line::of_place(&frame.place))
}

/// How long this thread has had a processor, in nanoseconds.
fn processor_time() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0)
}
