//! What `call_soon_threadsafe` promises from Python 3.14 on: other threads that cancel a callback, or ask whether it is cancelled, wait
//! until it does not run any more.
//!
//! asyncio gives each such handle a lock. Here a handle notes which thread runs it, and only who has to wait makes a lock: the loop's
//! gate, which is found locked and opens for all who wait when the callback ends. A look and what is done then are one step for other
//! threads, because this thread stays attached in between.

use std::cell::Cell;
use std::num::NonZeroUsize;

use crate::core::Core;
use crate::ffi::{Object, Result, finally, thread_identifier};
use crate::known::names;

/// Who runs a callback.
#[derive(Default)]
pub(crate) struct Guard(Cell<Option<NonZeroUsize>>);

impl Guard {
    /// Runs the callback. One that another thread runs has to end first.
    #[inline]
    pub(crate) fn run(&self, core: &Core, run: impl FnOnce() -> Result<()>) -> Result<()> {
        self.wait(core)?;
        let outer = self.0.replace(Some(thread_identifier()));
        let result = run();
        self.0.set(outer);
        if core.gate.is_some() { open(core, result) } else { result }
    }

    /// Returns when no other thread runs the callback.
    #[inline]
    pub(crate) fn wait(&self, core: &Core) -> Result<()> {
        if self.0.get().is_some() { self.wait_for_others(core) } else { Ok(()) }
    }

    #[cold]
    fn wait_for_others(&self, core: &Core) -> Result<()> {
        let mut new: Option<Object> = None;
        while self.0.get().is_some_and(|thread| thread != thread_identifier()) {
            if let Some(gate) = core.gate.load() {
                // Signals are handled while this waits.
                gate.method(&names().acquire, [])?;
                gate.method(&names().release, [])?;
            } else if let Some(gate) = new.take() {
                core.gate.store(Some(gate));
            } else {
                // Other threads may run meanwhile, so that all is looked at anew.
                new = Some(closed_gate()?);
            }
        }
        Ok(())
    }
}

fn closed_gate() -> Result<Object> {
    let gate = Object::import(c"_thread")?.attribute(&names().allocate_lock)?.call([])?;
    gate.method(&names().acquire, [])?;
    Ok(gate)
}

/// Lets all go on that wait. Those whose callback runs still will make another gate.
#[cold]
fn open(core: &Core, result: Result<()>) -> Result<()> {
    finally(result, || core.gate.take().map_or(Ok(()), |gate| gate.method(&names().release, []).map(drop)))
}
