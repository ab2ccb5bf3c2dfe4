//! What the loop calls while somebody looks: the debug mode, which complains of what takes long, or a recorder.
//!
//! All of it is cold. A loop that nobody watches comes here from nowhere.

use std::time::Duration;

use treadle_events::{Event, Kind};

use crate::core::Core;
use crate::ffi::{Instance, Object, Raised, Result, is_this_thread, publish, system_thread, unpublish};
use crate::handle::Handle;
use crate::known::names;
use crate::recorder::stamp;
use crate::source::Source;
use crate::teller::Teller;

/// The least size of a buffer that is worth a word, in bytes.
const OVERFULL: usize = 1024 * 1024;

/// Runs one callback.
pub(crate) fn callback(core: &Core, handle: &Instance<Handle>) -> Result<()> {
    let run = || match debugged(core) {
        Some(event_loop) => event_loop.method(&names()._run_in_debug_mode, [handle.object()]).map(drop),
        None => Handle::run(handle),
    };
    match core.recorder() {
        Some(recorder) => recorder.callback(core, handle, run),
        None => run(),
    }
}

/// Calls a transport whose descriptor is ready.
#[inline]
pub(crate) fn ready(core: &Core, source: Source, call: impl FnOnce(Source) -> Result<()>) -> Result<()> {
    let Some((transport, endpoint)) = source.endpoint() else { return call(source) };
    if let Some(recorder) = core.recorder() {
        let (subject, small) = (transport.address() as u64, endpoint.fd as u16);
        let place =
            endpoint.protocol.load().map_or_else(Default::default, |protocol| recorder.place_of_protocol(&protocol));
        let value = u64::from(core.next_wake());
        recorder.write(core, Kind::Ready, |event| Event { subject, place, small, value, ..event });
    }
    if !core.is_debug() {
        return call(source);
    }
    let transport = transport.clone();
    timed(core, &transport, || call(source))
}

/// Sends what a transport has gathered.
#[inline]
pub(crate) fn flush(core: &Core, source: &Source, call: impl FnOnce() -> Result<()>) -> Result<()> {
    let Some(transport) = source.transport() else { return call() };
    if let Some(recorder) = core.recorder() {
        let subject = transport.address() as u64;
        let value = u64::from(core.next_wake());
        recorder.write(core, Kind::Flush, |event| Event { subject, value, ..event });
    }
    if core.is_debug() { timed(core, &transport.clone(), call) } else { call() }
}

/// Calls a transport, which has no handle that could be complained of.
#[cold]
fn timed(core: &Core, transport: &Object, call: impl FnOnce() -> Result<()>) -> Result<()> {
    let Some(event_loop) = debugged(core) else { return call() };
    // Afterwards it may have another one, or none.
    let protocol = transport.attribute(&names()._protocol)?;
    let started = event_loop.method(&names().time, [])?;
    call()?;
    event_loop.method(&names()._transport_ran, [transport, &protocol, &started]).map(drop)
}

/// The loop's object, if it is in debug mode.
#[inline]
fn debugged(core: &Core) -> Option<Object> {
    if core.is_debug() { core.event_loop() } else { None }
}

/// Asks the system; `poll` also says when it had the answer.
pub(crate) fn poll<T>(core: &Core, timeout: Option<Duration>, poll: impl FnOnce() -> (T, u64)) -> T {
    let Some(recorder) = core.recorder() else { return poll().0 };
    let value = timeout.map_or(u64::MAX, |timeout| timeout.as_nanos() as u64);
    let small = u16::try_from(core.ready.borrow().len()).unwrap_or(u16::MAX);
    recorder.write(core, Kind::Poll, |event| Event { value, small, ..event });
    let (answer, answered) = poll();
    let (value, subject) = (stamp().saturating_sub(answered), u64::from(core.next_wake()));
    recorder.write(core, Kind::Woke, |event| Event { value, subject, ..event });
    answer
}

/// Writes down that somebody writes to a transport although its buffer is far beyond its limit.
pub(crate) fn buffered(core: &Core, transport: &Object, size: usize, high_water: usize) {
    let Some(recorder) = core.recorder().filter(|_| size > OVERFULL.max(4 * high_water)) else { return };
    let (subject, value, place) = (transport.address() as u64, size as u64, recorder.here());
    recorder.write(core, Kind::BufferOverfull, |event| Event { subject, value, place, ..event });
}

/// Writes down that a transport has sent all it had.
pub(crate) fn drained(core: &Core, transport: &Object) {
    if let Some(recorder) = core.recorder() {
        let subject = transport.address() as u64;
        recorder.write(core, Kind::BufferDrained, |event| Event { subject, ..event });
    }
}

/// Writes down that the loop begins to run, and in which thread.
pub(crate) fn start(core: &Core) {
    if let Some(recorder) = core.recorder() {
        publish(core.number.get());
        let value = system_thread();
        recorder.write(core, Kind::LoopStarted, |event| Event { value, ..event });
    }
}

/// Writes down that it stops.
pub(crate) fn stop(core: &Core) {
    if core.recorder().is_some() {
        unpublish(core.number.get());
    }
    mark(core, Kind::LoopStopped, 0);
}

/// Writes down what has become of the loop.
pub(crate) fn mark(core: &Core, kind: Kind, value: u64) {
    if let Some(recorder) = core.recorder() {
        recorder.write(core, kind, |event| Event { value, ..event });
    }
}

/// Tells that the loop begins to run.
pub(crate) fn started(core: &Core) -> Result<()> {
    teller(core).map_or(Ok(()), |teller| teller.loop_changed(core, &names().loop_started))
}

/// Tells that it has stopped.
pub(crate) fn stopped(core: &Core) -> Result<()> {
    teller(core).map_or(Ok(()), |teller| teller.loop_changed(core, &names().loop_stopped))
}

/// Writes down that the loop is closed, and which transports are open all the same.
pub(crate) fn close(core: &Core) {
    if core.recorder().is_none() {
        return;
    }
    let told = teller(core).map_or(Ok(()), |teller| teller.loop_changed(core, &names().loop_closed));
    told.unwrap_or_else(Raised::forget);
    let open: Vec<(Object, Option<Object>)> = {
        let sources = core.sources.borrow();
        let endpoints = sources.iter().filter_map(|(_, source)| source.endpoint());
        let open = endpoints.filter(|(_, endpoint)| !endpoint.is_closing.get());
        open.map(|(transport, endpoint)| (transport.clone(), endpoint.protocol.load())).collect()
    };
    for (transport, protocol) in open {
        // One that carries TLS stays open until the peer has taken leave, however early it was closed.
        if !protocol.is_some_and(|protocol| protocol.has_attribute(&names()._app_protocol)) {
            left(core, &transport);
        }
    }
    mark(core, Kind::LoopClosed, 0);
}

/// Has the doctor look at what it wanted to look at later.
pub(crate) fn inspect(core: &Core) -> Result<()> {
    teller(core).map_or(Ok(()), |teller| teller.inspect(core))
}

/// Writes down that a callback comes from another thread than the one the loop runs in, if it does.
pub(crate) fn handed(core: &Core, handle: &Instance<Handle>) {
    if let Some(recorder) = core.recorder()
        && core.thread.get().is_some_and(|own| !is_this_thread(own))
    {
        recorder.handed(core, handle);
    }
}

/// Writes down that somebody uses the loop from another thread than its own.
#[inline]
pub(crate) fn check_thread(core: &Core) {
    if let Some(recorder) = core.recorder()
        && core.thread.get().is_some_and(|own| !is_this_thread(own))
    {
        recorder.cross(core);
    }
}

#[inline]
fn teller(core: &Core) -> Option<&'static Teller> {
    core.recorder()?.teller()
}

/// Writes down that a timer has run or was cancelled.
#[cold]
pub(crate) fn timer_gone(core: &Core, handle: &Object, is_cancelled: bool) {
    if let Some(recorder) = core.recorder() {
        let (subject, small) = (handle.address() as u64, u16::from(is_cancelled));
        recorder.write(core, Kind::TimerGone, |event| Event { subject, small, ..event });
    }
}

/// Writes down that a transport is collected which nobody has closed.
pub(crate) fn left(core: &Core, transport: &Object) {
    if let Some(recorder) = core.recorder() {
        let subject = transport.address() as u64;
        recorder.write(core, Kind::TransportLeft, |event| Event { subject, ..event });
    }
}
