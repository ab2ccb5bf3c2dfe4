//! One turn of the loop: ask the system, run what is ready, write what was written.
//!
//! ```text
//! poll point (signals, events, timers)  →  ready batch  →  flush  →  stopping?
//! ```
//!
//! A turn that finds callbacks ready asks the system only now and then: after [`TURNS`] turns or [`PATIENCE`] at the latest. Transports are called
//! from the poll point itself, or after the callbacks that were ready before; readers, writers and timers go to the end of the ready queue, as in
//! asyncio.

use std::rc::Rc;
use std::time::Duration;

use treadle_reactor::{Event, Events, now};

use crate::core::Core;
use crate::ffi::{Instance, Result, check_signals, detached};
use crate::handle::Handle;
use crate::known::names;
use crate::source::Source;
use crate::{datagram, listener, outbox, pipe, readiness, signals, stream};

/// Turns without a look at the system. A chain of `call_soon` costs half as much as with a poll in each turn, see benches/loops.
const TURNS: u32 = 64;

/// The longest time without a look at the system while callbacks keep the loop busy, in nanoseconds.
const PATIENCE: u64 = 50_000;

/// The clock is read every so many turns, a reading costs as much as a small callback.
const GLANCE: u32 = 8;

/// When the system was asked last.
struct Asked {
    turns: u32,
    at: u64,
}

/// Runs turns until the loop is told to stop.
pub(crate) fn run(core: &Rc<Core>) -> Result<()> {
    let result = run_turns(core);
    core.is_outside.set(false);
    result
}

fn run_turns(core: &Rc<Core>) -> Result<()> {
    let mut asked = Asked { turns: TURNS, at: 0 };
    loop {
        let mut transports_wait = false;
        core.is_outside.set(true);
        if core.ready.borrow().is_empty() || core.stopping.get() || core.is_poll_wanted.get() || asked.is_long_ago() {
            core.is_poll_wanted.set(false);
            transports_wait = poll_point(core)?;
            asked = Asked { turns: 0, at: now() };
        }
        asked.turns += 1;
        core.is_outside.set(false);
        run_ready(core)?;
        core.is_outside.set(true);
        if transports_wait {
            call_late_transports(core)?;
        }
        outbox::flush_all(core)?;
        if core.stopping.get() {
            return Ok(());
        }
    }
}

impl Asked {
    fn is_long_ago(&self) -> bool {
        self.turns >= TURNS || (self.turns.is_multiple_of(GLANCE) && now() - self.at > PATIENCE)
    }
}

/// Runs what is ready now; what becomes ready meanwhile waits for the next turn.
#[inline]
fn run_ready(core: &Rc<Core>) -> Result<()> {
    let count = core.ready.borrow().len();
    for _ in 0..count {
        // Closing the loop inside of a callback is refused, but its queue may be emptied all the same.
        let Some(handle) = core.ready.borrow_mut().pop_front() else { break };
        if handle.is_cancelled() {
            continue;
        }
        if core.is_watched() {
            run_watched(core, &handle)?;
        } else {
            Handle::run(&handle)?;
        }
    }
    Ok(())
}

/// Runs one callback that somebody listens to, or under the stop watch of the debug mode.
#[cold]
fn run_watched(core: &Core, handle: &Instance<Handle>) -> Result<()> {
    core.tell(listener::Event::Callback, handle.object());
    match core.event_loop().filter(|_| core.is_debug()) {
        Some(event_loop) => event_loop.method(&names()._run_in_debug_mode, [handle.object()]).map(drop),
        None => Handle::run(handle),
    }
}

/// Handles signals, asks the system for events and the clock for timers. Sleeps if there is nothing to do.
///
/// Transports wait for callbacks that were ready before them; whether there were any is what is returned.
fn poll_point(core: &Rc<Core>) -> Result<bool> {
    check_signals()?;
    let descriptors = core.descriptors()?;
    let Some(mut events) = core.events.take() else { return Ok(false) };
    events.clear();
    let timeout = timeout(core);
    let polled = if timeout == Some(Duration::ZERO) {
        descriptors.poll.wait(&mut events, timeout)
    } else {
        core.sleeping.set(true);
        let poll = &descriptors.poll;
        let polled = detached(|| poll.wait(&mut events, timeout));
        core.sleeping.set(false);
        polled
    };
    let is_busy = !core.ready.borrow().is_empty();
    let handled = match polled {
        Ok(()) => dispatch_all(core, &events, |source| !(is_busy && source.is_transport())),
        Err(error) if error.kind() == std::io::ErrorKind::Interrupted => check_signals(),
        Err(error) => Err(error.into()),
    };
    core.events.set(Some(events));
    handled?;
    collect_due_timers(core);
    Ok(is_busy)
}

/// Calls the transports that have waited since the poll point.
fn call_late_transports(core: &Rc<Core>) -> Result<()> {
    let Some(events) = core.events.take() else { return Ok(()) };
    let handled = dispatch_all(core, &events, Source::is_transport);
    core.events.set(Some(events));
    handled
}

fn dispatch_all(core: &Rc<Core>, events: &Events, which: impl Fn(&Source) -> bool) -> Result<()> {
    for event in events.iter() {
        // Taken out by reference count: what runs may deregister it.
        let source = core.sources.borrow().owner(event.token).cloned();
        if let Some(source) = source.filter(&which) {
            dispatch(core, source, event)?;
        }
    }
    Ok(())
}

/// How long the poll may sleep; `None` is for ever.
fn timeout(core: &Core) -> Option<Duration> {
    if core.stopping.get() || !core.ready.borrow().is_empty() {
        return Some(Duration::ZERO);
    }
    let deadline = core.timers.borrow().next_deadline()?;
    Some(Duration::from_nanos(deadline.saturating_sub(now())))
}

/// Moves timers that are due to the ready queue, in the order of their time.
fn collect_due_timers(core: &Core) {
    if core.timers.borrow().next_deadline().is_none() {
        return;
    }
    let time = now();
    loop {
        let Some(handle) = core.timers.borrow_mut().pop_due(time) else { return };
        handle.set_unscheduled();
        if handle.is_cancelled() {
            core.timers.borrow_mut().note_cancelled_popped();
        } else {
            core.push_ready(handle);
        }
    }
}

/// Hands an event to whoever the descriptor belongs to.
fn dispatch(core: &Rc<Core>, source: Source, event: Event) -> Result<()> {
    match source {
        Source::Waker => {
            if let Some(descriptors) = &*core.descriptors.borrow() {
                descriptors.waker.drain();
            }
            Ok(())
        }
        Source::Signals => signals::process(core, event.token.fd()),
        Source::Callbacks(_) => readiness::on_ready(core, event),
        Source::Stream(stream) => stream::on_ready(&stream, event.readable, event.writable),
        Source::Datagram(datagram) => datagram::on_ready(&datagram, event.readable, event.writable),
        Source::ReadPipe(pipe) => pipe::on_read_ready(&pipe),
        Source::WritePipe(pipe) => pipe::on_write_ready(&pipe, event.readable, event.writable),
    }
}
