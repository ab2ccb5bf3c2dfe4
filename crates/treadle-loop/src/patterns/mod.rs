//! What the patterns of `python/treadle/patterns` do so often that it is native: deadlines, and limits that let through at once.
//!
//! All of it works on any asyncio loop, and without the loop of this crate. Native is the way that is taken nearly always: a block that ends in
//! time, a permit that is there. Whoever has to wait does so in Python, in `_wait` of the limiter, and what a deadline that has passed does to
//! the exception of its block is told in Python too.

mod clock;
mod deadlines;
mod entering;
mod heap;
mod pace;
mod permits;
mod ready;
mod timeout;

use crate::ffi::{ContextVariable, Object, Result, Shared, Slot, Type};
use crate::known::interned_names;
use clock::Monotonic;
use deadlines::Deadlines;
use entering::Entering;
use pace::Pace;
use permits::Permits;
use ready::Ready;
use timeout::Timeout;

interned_names! {
    __await__
    _bind
    _check
    _expire
    _grant
    _refuse_release
    _ring
    _treadle_deadlines
    _wait
    call_at
    cancel
    cancelling
    close
    throw
    time
    try_acquire
    uncancel
}

/// The module that the functions say they are of.
const MODULE: &std::ffi::CStr = c"treadle.patterns.deadlines";

/// The classes, and what of asyncio they need. Looked up once, kept for ever.
struct Facts {
    names: Names,
    deadlines: Type<Deadlines>,
    timeout: Type<Timeout>,
    move_on_after: Type<Timeout>,
    entering: Type<Entering>,
    permits: Type<Permits>,
    pace: Type<Pace>,
    ready: Ready,
    /// `asyncio.get_running_loop` and `asyncio.current_task`.
    running_loop: Object,
    current_task: Object,
    /// `asyncio.Task`, and its method: looking that up for each task was a third of asking it.
    task: Object,
    cancelling: Object,
    /// A weak reference to the deadlines that were asked for last.
    last: Slot,
    monotonic: Monotonic,
    /// The innermost deadline of the code that runs, or one that lay inside of it and has ended.
    scope: ContextVariable,
}

static FACTS: Shared<Facts> = Shared::new();

fn facts() -> &'static Facts {
    #[expect(clippy::expect_used, reason = "every way to native code leads through the classes that `load` made")]
    FACTS.get().expect("the classes of the patterns are made before they are used")
}

fn names() -> &'static Names {
    &facts().names
}

/// The classes and functions of the module, by name. Classes are made at the first call, which imports `asyncio`.
pub(crate) fn load(module: &Object) -> Result<Vec<(&'static str, Object)>> {
    if FACTS.get().is_none() {
        let asyncio = Object::import(c"asyncio")?;
        FACTS.set(Facts {
            names: Names::new()?,
            deadlines: deadlines::class()?,
            timeout: timeout::class(c"treadle.patterns.deadlines.Timeout", timeout::OF_TIMEOUT)?,
            move_on_after: timeout::class(c"treadle.patterns.deadlines.MoveOnAfter", timeout::OF_MOVE_ON_AFTER)?,
            entering: entering::class()?,
            permits: permits::class()?,
            pace: pace::class()?,
            ready: Ready::new()?,
            running_loop: asyncio.member(c"get_running_loop")?,
            current_task: asyncio.member(c"current_task")?,
            task: asyncio.member(c"Task")?,
            cancelling: asyncio.member(c"Task")?.member(c"cancelling")?,
            last: Slot::default(),
            monotonic: Monotonic::new()?,
            scope: ContextVariable::new(c"treadle deadline")?,
        });
    }
    let facts = facts();
    let name = Object::interned(MODULE)?;
    Ok(vec![
        ("Timeout", facts.timeout.object().clone()),
        ("MoveOnAfter", facts.move_on_after.object().clone()),
        ("Permits", facts.permits.object().clone()),
        ("Pace", facts.pace.object().clone()),
        ("timeout", Object::function(module, &name, c"timeout", timeout::ON_TIMEOUT, timeout::timeout)?),
        (
            "move_on_after",
            Object::function(module, &name, c"move_on_after", timeout::ON_MOVE_ON_AFTER, timeout::move_on_after)?,
        ),
        ("remaining", Object::function(module, &name, c"remaining", timeout::ON_REMAINING, timeout::remaining)?),
    ])
}
