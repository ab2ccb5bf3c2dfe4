//! One turn of the loop: ask the system, run what is ready, write what was written.
//!
//! ```text
//! poll point (signals, events, timers)  →  ready batch  →  flush  →  stopping?
//! ```
//!
//! A turn that finds callbacks ready asks the system only now and then: after [`TURNS`] turns or [`PATIENCE`] at the latest. Transports are called
//! from the poll point itself, or after the callbacks that were ready before; readers, writers and timers go to the end of the ready queue, as in
//! asyncio.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use treadle_reactor::{Event, Events, Poll, now};

use crate::core::{Core, seconds};
use crate::ffi::{Result, check_signals, detached, finally};
use crate::handle::Handle;
use crate::recorder::stamp;
use crate::source::Source;
use crate::teller::until_inspection;
use crate::{datagram, inspection, outbox, pipe, readiness, signals, stream, watch};

/// Turns without a look at the system. A chain of `call_soon` costs half as much as with a poll in each turn, see benches/loops.
const TURNS: u32 = 64;

/// The longest time without a look at the system while callbacks keep the loop busy, in nanoseconds.
const PATIENCE: u64 = 50_000;

/// The same in seconds. A timer that is due earlier has the next turn look at the clock, lest what asyncio runs after it come first.
pub(crate) const SOON: f64 = Duration::from_nanos(PATIENCE).as_secs_f64();

/// The clock is read every so many turns, a reading costs as much as a small callback.
const GLANCE: u32 = 8;

/// When the system was asked last.
struct Asked {
    turns: u32,
    at: u64,
}

/// Runs turns until the loop is told to stop.
pub(crate) fn run(core: &Rc<Core>) -> Result<()> {
    watch::start(core);
    core.is_in_turns.set(true);
    let result = watch::started(core).and_then(|()| run_turns(core));
    core.is_in_turns.set(false);
    core.end_wake();
    watch::stop(core);
    let result = finally(result, || watch::stopped(core));
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
            // A clock of the program's may have any time in the next turn.
            asked = Asked { turns: if core.has_own_clock.get() { TURNS } else { 0 }, at: now() };
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
            watch::callback(core, &handle)?;
        } else {
            Handle::run(&handle)?;
        }
    }
    Ok(())
}

/// Handles signals, asks the system for events and the clock for timers. Sleeps if there is nothing to do.
///
/// Transports wait for callbacks that were ready before them; whether there were any is what is returned.
fn poll_point(core: &Rc<Core>) -> Result<bool> {
    core.end_wake();
    check_signals()?;
    let descriptors = core.descriptors()?;
    if core.is_watched() {
        watch::inspect(core)?;
        inspection::go_on(core);
    }
    let timeout = timeout(core)?;
    // A clock that jumps does not wait for timers.
    let jumps_after = core.jumps_after.get().filter(|_| !matches!(timeout, None | Some(Duration::ZERO)));
    let timeout = if jumps_after.is_some() { jumps_after } else { until_inspection(core, timeout) };
    let Some(mut events) = core.events.take() else { return Ok(false) };
    events.clear();
    let polled = if core.is_watched() {
        watch::poll(core, timeout, || wait(core, &descriptors.poll, &mut events, timeout, stamp))
    } else {
        wait(core, &descriptors.poll, &mut events, timeout, || ()).0
    };
    let is_busy = !core.ready.borrow().is_empty();
    if jumps_after.is_some() && !is_busy && polled.is_ok() && events.iter().next().is_none() {
        jump(core);
    }
    let handled = match polled {
        Ok(()) => dispatch_all(core, &events, |source| !(is_busy && source.is_transport())),
        Err(error) if error.kind() == std::io::ErrorKind::Interrupted => check_signals(),
        Err(error) => Err(error.into()),
    };
    core.events.set(Some(events));
    handled?;
    collect_due_timers(core)?;
    Ok(is_busy)
}

/// Sets a clock that jumps to the time of the next timer.
#[cold]
fn jump(core: &Core) {
    if let Some(deadline) = core.timers.borrow().next_deadline() {
        core.virtual_time.set(core.virtual_time.get().max(seconds(deadline)));
    }
}

/// Asks the system, and notes when it had the answer.
#[inline]
fn wait<S: Send>(
    core: &Core,
    poll: &Poll,
    events: &mut Events,
    timeout: Option<Duration>,
    stamp: impl FnOnce() -> S + Send,
) -> (io::Result<()>, S) {
    if timeout == Some(Duration::ZERO) {
        return (poll.wait(events, timeout), stamp());
    }
    core.sleeping.set(true);
    let polled = detached(|| (poll.wait(events, timeout), stamp()));
    core.sleeping.set(false);
    polled
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
        let Some(source) = source.filter(&which) else { continue };
        if core.is_watched() {
            watch::ready(core, source, |source| dispatch(core, source, event))?;
        } else {
            dispatch(core, source, event)?;
        }
    }
    Ok(())
}

/// How long the poll may sleep; `None` is for ever.
fn timeout(core: &Core) -> Result<Option<Duration>> {
    if core.stopping.get() || !core.ready.borrow().is_empty() || core.inspector.is_busy() {
        return Ok(Some(Duration::ZERO));
    }
    let Some(deadline) = core.timers.borrow().next_deadline() else { return Ok(None) };
    Ok(Some(Duration::from_nanos(deadline.saturating_sub(core.clock()?))))
}

/// Moves timers that are due to the ready queue, in the order of their time.
fn collect_due_timers(core: &Core) -> Result<()> {
    if core.timers.borrow().next_deadline().is_none() {
        return Ok(());
    }
    let time = core.clock()?;
    loop {
        let Some(handle) = core.timers.borrow_mut().pop_due(time) else { return Ok(()) };
        Handle::set_unscheduled(&handle);
        if handle.is_cancelled() {
            core.timers.borrow_mut().note_cancelled_popped();
        } else {
            core.push_timer(handle);
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
