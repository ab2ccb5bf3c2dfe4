//! A loop looks at its own tasks that wait, when the doctor asks, and answers with plain data.
//!
//! It does so in slices on its way to the system, so that it never stands still for long; nothing of the program runs meanwhile. What is looked at
//! is not kept: between two slices there are weak references to tasks (where asyncio has a set of those), and addresses.

mod entered;
mod knowledge;
mod look;

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use rustc_hash::FxHashMap;
use treadle_events::{Exchange, Picture, Request, Surroundings, Thing};
use treadle_reactor::now;

pub(crate) use knowledge::Knowledge;
use knowledge::Registry;

use crate::core::Core;
use crate::ffi::{Object, Raised, Result};
use crate::recorder::{Recorder, stamp};
use crate::source::Source;

/// The longest slice, in nanoseconds.
const SLICE: u64 = 2_000_000;

/// How long callbacks have the loop for themselves between two slices.
const PAUSE: u64 = 4_000_000;

/// The clock is read every so many tasks.
const GLANCE: usize = 16;

/// Who asks, and what is known.
pub(crate) struct Desk {
    pub(crate) exchange: Arc<Exchange>,
    pub(crate) knowledge: Knowledge,
    entered: RefCell<FxHashMap<usize, look::Entered>>,
}

/// What a loop is looking at.
#[derive(Default)]
pub(crate) struct Inspector {
    /// The last request that was begun.
    begun: Cell<u64>,
    is_busy: Cell<bool>,
    round: Cell<Option<Box<Round>>>,
}

/// A picture in the making.
struct Round {
    request: Arc<Request>,
    list: Object,
    next: usize,
    picture: Picture,
    things: FxHashMap<u64, Thing>,
    /// When the last slice ended, in nanoseconds.
    rested: u64,
}

impl Desk {
    pub(crate) fn new(exchange: Arc<Exchange>, knowledge: Knowledge) -> Self {
        Self { exchange, knowledge, entered: RefCell::default() }
    }
}

impl Inspector {
    /// Whether there is more to look at.
    #[inline]
    pub(crate) fn is_busy(&self) -> bool {
        self.is_busy.get()
    }
}

/// Goes on with what was asked, if something was.
#[inline]
pub(crate) fn go_on(core: &Core) {
    if let Some(recorder) = core.recorder()
        && let Some(desk) = recorder.desk()
        && (core.inspector.is_busy() || core.inspector.begun.get() != desk.exchange.number())
    {
        slice(core, recorder, desk);
    }
}

#[cold]
fn slice(core: &Core, recorder: &Recorder, desk: &Desk) {
    let inspector = &core.inspector;
    let round = match inspector.round.take() {
        Some(round) => Some(round),
        None => begin(core, desk),
    };
    let Some(mut round) = round else {
        inspector.is_busy.set(false);
        return;
    };
    let is_idle = core.ready.borrow().is_empty();
    let is_done = (is_idle || now() >= round.rested + PAUSE) && round.go_on(core, recorder, desk);
    inspector.is_busy.set(!is_done);
    if is_done {
        desk.exchange.answer(round.finish(core));
    } else {
        inspector.round.set(Some(round));
    }
}

fn begin(core: &Core, desk: &Desk) -> Option<Box<Round>> {
    core.inspector.begun.set(desk.exchange.number());
    let request = desk.exchange.request();
    let number = core.number.get();
    if !request.loops.contains(&number) {
        return None;
    }
    if request.learns_puts {
        drop(desk.knowledge.learn_puts.call([]).map_err(Raised::forget));
    }
    let began = stamp();
    let list = tasks(core, &desk.knowledge.registry).map_err(Raised::forget).ok()?;
    let took = stamp() - began;
    let picture = Picture { event_loop: number, began, took, longest: took, ..Picture::default() };
    Some(Box::new(Round { request, list, next: 0, picture, things: FxHashMap::default(), rested: 0 }))
}

/// All tasks, or weak references to them.
fn tasks(core: &Core, registry: &Registry) -> Result<Object> {
    match registry {
        Registry::Weak(references) => references.list(),
        Registry::Asked(all_tasks) => all_tasks.call([&core.event_loop().unwrap_or_else(Object::none)])?.list(),
    }
}

impl Round {
    /// Looks at some tasks; whether those were the last.
    fn go_on(&mut self, core: &Core, recorder: &Recorder, desk: &Desk) -> bool {
        let (began, end) = (stamp(), now() + SLICE);
        let is_weak = matches!(desk.knowledge.registry, Registry::Weak(_));
        let is_done = loop {
            let Some(item) = self.list.list_item(self.next) else { break true };
            self.next += 1;
            let task = if is_weak { item.referent() } else { Some(item) };
            if let Some(task) = task
                && self.request.tasks.get(&(task.address() as u64)) == Some(&core.number.get())
                && let Ok(waiting) =
                    look::look(recorder, desk, &task, &mut self.things, self.request.is_deep).map_err(Raised::forget)
            {
                self.picture.tasks.push(waiting);
            }
            if self.next.is_multiple_of(GLANCE) && now() > end {
                break false;
            }
        };
        let took = stamp() - began;
        self.picture.took += took;
        self.picture.longest = self.picture.longest.max(took);
        self.rested = now();
        is_done
    }

    fn finish(self, core: &Core) -> Picture {
        let own = |source: &Source| matches!(source, Source::Waker | Source::Signals);
        let surroundings = Surroundings {
            ready: core.ready.borrow().len(),
            timers: core.timers.borrow().iter().filter(|(_, handle)| !handle.is_cancelled()).count(),
            descriptors: core.sources.borrow().iter().filter(|(_, source)| !own(source)).count(),
        };
        let things = self.things.into_values().collect();
        Picture { ended: stamp(), surroundings, things, ..self.picture }
    }
}
