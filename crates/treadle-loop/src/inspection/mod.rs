//! A loop looks at its own tasks that wait, when the doctor asks, and answers with plain data.
//!
//! It does so in slices on its way to the system, so that it never stands still for long; nothing of the program runs meanwhile. What is looked at
//! is not kept: between two slices there is a place in asyncio's set of weak references, up to Python 3.13, else a list of all tasks.

mod entered;
mod explicit;
mod knowledge;
mod look;
mod owners;
mod patterns;

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use rustc_hash::FxHashMap;
use treadle_events::{Exchange, Picture, Request, Surroundings};
use treadle_reactor::now;

pub(crate) use knowledge::Knowledge;
use knowledge::Registry;
use patterns::Reading;

use crate::core::Core;
use crate::ffi::{Object, Raised, Result, SetCursor};
use crate::recorder::{Recorder, stamp};
use crate::source::Source;

/// The longest slice, in nanoseconds.
const SLICE: u64 = 2_000_000;

/// How long callbacks have the loop for themselves between two slices.
const PAUSE: u64 = 4_000_000;

/// Of so many tasks at once it is seen by way of which objects they come to what they wait for.
const FEW: usize = 5_000;

/// The clock is read every so many tasks.
const GLANCE: usize = 16;

/// Who asks, and what is known.
pub(crate) struct Desk {
    pub(crate) exchange: Arc<Exchange>,
    pub(crate) knowledge: Knowledge,
    entered: RefCell<FxHashMap<usize, look::Entered>>,
    explicit: explicit::Known,
}

/// What a loop is looking at.
#[derive(Default)]
pub(crate) struct Inspector {
    /// The last request that was begun.
    begun: Cell<u64>,
    is_busy: Cell<bool>,
    round: Cell<Option<Box<Round>>>,
}

/// A request that is being answered.
struct Round {
    request: Arc<Request>,
    items: Items,
    /// The statistics that are left, if they are asked for.
    reading: Option<Reading>,
    /// When the first slice began, in ticks.
    began: u64,
    /// When the last slice ended, in nanoseconds.
    rested: u64,
}

/// The tasks that are left.
enum Items {
    /// Of a set of weak references, from a place on. If the set grows meanwhile, some may be passed over, and are asked for again.
    Set(SetCursor),
    /// Of a list, from an index on.
    List(Object, usize),
    /// None is asked for.
    None,
}

impl Items {
    /// The next task, or a weak reference to it; nothing at the end.
    fn next(&mut self) -> Option<Object> {
        match self {
            Self::Set(cursor) => cursor.next(),
            Self::List(list, next) => {
                *next += 1;
                list.list_item(*next - 1)
            }
            Self::None => None,
        }
    }

    /// The task that an item stands for, if it is alive.
    fn task(&self, item: Object) -> Option<Object> {
        if matches!(self, Self::Set(_)) { item.referent() } else { Some(item) }
    }
}

impl Desk {
    pub(crate) fn new(exchange: Arc<Exchange>, knowledge: Knowledge) -> Self {
        Self { exchange, knowledge, entered: RefCell::default(), explicit: explicit::Known::default() }
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
    if !is_idle && now() < round.rested + PAUSE {
        inspector.round.set(Some(round));
        return;
    }
    let picture = round.go_on(core, recorder, desk);
    inspector.is_busy.set(!picture.is_last);
    if !picture.is_last {
        inspector.round.set(Some(round));
    }
    desk.exchange.answer(picture);
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
    let is_asked = request.tasks.values().any(|event_loop| *event_loop == number);
    let items =
        if is_asked { tasks(core, &desk.knowledge.registry).map_err(Raised::forget).ok()? } else { Items::None };
    let reading = if request.reader == Some(number) { Reading::begin(&desk.knowledge) } else { None };
    Some(Box::new(Round { request, items, reading, began, rested: 0 }))
}

/// All tasks.
fn tasks(core: &Core, registry: &Registry) -> Result<Items> {
    match registry {
        Registry::Weak(references) => Ok(Items::Set(SetCursor::new(references)?)),
        Registry::Asked(all_tasks) => {
            let tasks = all_tasks.call([&core.event_loop().unwrap_or_else(Object::none)])?;
            Ok(Items::List(tasks.list()?, 0))
        }
    }
}

impl Round {
    /// Looks at some tasks.
    fn go_on(&mut self, core: &Core, recorder: &Recorder, desk: &Desk) -> Picture {
        let end = now() + SLICE;
        // Making the list belongs to the first slice.
        let began = if self.rested == 0 { self.began } else { stamp() };
        let mut picture = Picture { event_loop: core.number.get(), began, ..Picture::default() };
        if self.reading.as_mut().is_some_and(|reading| !reading.go_on(&mut picture)) {
            self.reading = None;
        }
        let mut things = FxHashMap::default();
        let depth = look::Depth { sees_queues: self.request.is_deep, sees_owners: self.request.tasks.len() <= FEW };
        let mut count = 0_usize;
        while count == 0 || !count.is_multiple_of(GLANCE) || now() < end {
            let Some(item) = self.items.next() else {
                picture.is_last = self.reading.is_none();
                break;
            };
            count += 1;
            if let Some(task) = self.items.task(item)
                && self.request.tasks.get(&(task.address() as u64)) == Some(&core.number.get())
                && let Ok(waiting) = look::look(recorder, desk, &task, &mut things, depth).map_err(Raised::forget)
            {
                picture.tasks.push(waiting);
            }
        }
        if picture.is_last {
            picture.surroundings = surroundings(core);
        }
        picture.things = things.into_values().collect();
        picture.ended = stamp();
        self.rested = now();
        picture
    }
}

/// What else may wake a task.
fn surroundings(core: &Core) -> Surroundings {
    let own = |source: &Source| matches!(source, Source::Waker | Source::Signals);
    let sources = core.sources.borrow();
    Surroundings {
        ready: core.ready.borrow().len(),
        timers: core.timers.borrow().len(),
        descriptors: sources.iter().filter(|(_, source)| !own(source)).count(),
        transports: sources.iter().filter(|(_, source)| source.is_transport()).count(),
        unsent: sources.iter().map(|(_, source)| source.unsent()).sum(),
    }
}
