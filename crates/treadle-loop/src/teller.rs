//! What the loop tells the Python half of the doctor: that a task has failed, was cancelled, or that a loop begins or ends.
//!
//! All of it is rare. The Python half looks at the objects and says what it makes of them in words; it keeps weak references only. What it
//! wants to look at again later, it looks at on the loop's thread, from the loop's way to the system.

use std::time::Duration;

use treadle_events::PlaceId;
use treadle_reactor::now;

use crate::core::Core;
use crate::ffi::{CancelCount, Instance, NativeTask, Object, Raised, Result};
use crate::handle::Handle;
use crate::known::names;

/// How long after something was told the Python half looks again, in nanoseconds.
const PATIENCE: u64 = 1_000_000_000;

/// The shortest time until then.
const SHORTEST: u64 = 1_000_000;

/// Whoever in Python is told.
pub(crate) struct Teller {
    /// Has a method for everything that is told.
    ear: Object,
    /// Where the number of a task's cancellations is.
    cancels: Option<CancelCount>,
    /// The code that a `gather` runs when one of its tasks has ended.
    gathered: PlaceId,
}

impl Teller {
    pub(crate) fn new(ear: Object, cancels: Option<CancelCount>, gathered: PlaceId) -> Self {
        Self { ear, cancels, gathered }
    }

    /// Whether a task was told to end, and has not said that it goes on.
    #[inline]
    pub(crate) fn is_cancelled(&self, task: &NativeTask) -> bool {
        self.cancels.as_ref().is_some_and(|cancels| cancels.of(task) != 0)
    }

    /// Whether a callback's code is what a `gather` runs for one of its tasks.
    #[inline]
    pub(crate) fn is_gathered(&self, place: PlaceId) -> bool {
        place == self.gathered && place != PlaceId::UNKNOWN
    }

    /// A task that was cancelled takes a step.
    #[cold]
    pub(crate) fn cancel_coming(&self, task: &Object) -> Result<()> {
        quiet(self.ear.method(&names().cancel_coming, [task])).map(drop)
    }

    /// It has taken it, and has not ended.
    #[cold]
    pub(crate) fn cancel_stayed(&self, core: &Core, task: &Object) -> Result<()> {
        self.tell(core, &names().cancel_stayed, task)
    }

    /// It has ended with a result.
    #[cold]
    pub(crate) fn cancel_answered(&self, task: &Object) -> Result<()> {
        quiet(self.ear.method(&names().cancel_answered, [task])).map(drop)
    }

    /// A task has ended with an exception.
    #[cold]
    pub(crate) fn task_failed(&self, core: &Core, task: &Object) -> Result<()> {
        self.tell(core, &names().task_failed, task)
    }

    /// A `gather` is about to be told of the end of one of its tasks.
    pub(crate) fn gathered(&self, handle: &Instance<Handle>) -> Result<()> {
        let Some(task) = handle.first_argument() else { return Ok(()) };
        let exception = quiet(task.attribute(&names()._exception))?;
        if exception.is_none_or(|exception| exception.is_none()) {
            return Ok(());
        }
        quiet(self.ear.method(&names().gathered, [handle.object()])).map(drop)
    }

    /// The loop begins to run, stops, or is closed.
    #[cold]
    pub(crate) fn loop_changed(&self, core: &Core, name: &Object) -> Result<()> {
        let Some(event_loop) = core.event_loop() else { return Ok(()) };
        quiet(self.ear.method(name, [&event_loop])).map(drop)
    }

    /// Has the Python half look at what it wanted to look at, if it is time.
    #[inline]
    pub(crate) fn inspect(&self, core: &Core) -> Result<()> {
        if core.inspection.get() == u64::MAX || core.inspection.get() > now() { Ok(()) } else { self.inspect_now(core) }
    }

    #[cold]
    fn inspect_now(&self, core: &Core) -> Result<()> {
        core.inspection.set(u64::MAX);
        let Some(event_loop) = core.event_loop() else { return Ok(()) };
        let wanted = quiet(self.ear.method(&names().inspect, [&event_loop]))?;
        if let Some(wanted) = wanted
            && let Ok(wait) = wanted.to_integer().map_err(Raised::forget)
            && let Ok(wait @ 1..) = u64::try_from(wait)
        {
            await_inspection(core, wait.max(SHORTEST));
        }
        Ok(())
    }

    /// The Python half has heard by itself of something that it wants to look at.
    pub(crate) fn expect_inspection(core: &Core) {
        await_inspection(core, PATIENCE);
    }

    fn tell(&self, core: &Core, name: &Object, subject: &Object) -> Result<()> {
        let Some(event_loop) = core.event_loop() else { return Ok(()) };
        quiet(self.ear.method(name, [&event_loop, subject])).map(drop)?;
        // Not before it is told: what it wants to look at counts its time from then on.
        await_inspection(core, PATIENCE);
        Ok(())
    }
}

/// How long the system may be asked, so that what is to be looked at is.
#[inline]
pub(crate) fn until_inspection(core: &Core, timeout: Option<Duration>) -> Option<Duration> {
    if core.inspection.get() == u64::MAX {
        return timeout;
    }
    let wait = Duration::from_nanos(core.inspection.get().saturating_sub(now()));
    Some(timeout.map_or(wait, |timeout| timeout.min(wait)))
}

fn await_inspection(core: &Core, wait: u64) {
    core.inspection.set(core.inspection.get().min(now() + wait));
}

/// What goes wrong in the doctor is not the program's; what ends programs is.
fn quiet(told: Result<Object>) -> Result<Option<Object>> {
    match told {
        Ok(answer) => Ok(Some(answer)),
        Err(raised) => {
            let exception: Object = Raised::take(raised);
            Core::let_through(&exception).map(|()| None)
        }
    }
}
