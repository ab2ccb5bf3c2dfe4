//! What the loop calls while somebody looks: the debug mode, which complains of what takes long, or a listener.
//!
//! All of it is cold. A loop that nobody watches comes here from nowhere.

use crate::core::Core;
use crate::ffi::{Instance, Object, Result};
use crate::handle::Handle;
use crate::known::names;
use crate::listener::Event;

/// Runs one callback.
#[cold]
pub(crate) fn callback(core: &Core, handle: &Instance<Handle>) -> Result<()> {
    core.tell(Event::Callback, handle.object());
    match core.event_loop().filter(|_| core.is_debug()) {
        Some(event_loop) => event_loop.method(&names()._run_in_debug_mode, [handle.object()]).map(drop),
        None => Handle::run(handle),
    }
}

/// Calls a transport whose descriptor is ready.
#[cold]
pub(crate) fn ready(core: &Core, transport: &Object, call: impl FnOnce() -> Result<()>) -> Result<()> {
    core.tell(Event::Ready, transport);
    timed(core, transport, call)
}

/// Calls a transport, which has no handle that could be complained of.
#[cold]
pub(crate) fn timed(core: &Core, transport: &Object, call: impl FnOnce() -> Result<()>) -> Result<()> {
    let Some(event_loop) = core.event_loop().filter(|_| core.is_debug()) else { return call() };
    // Afterwards it may have another one, or none.
    let protocol = transport.attribute(&names()._protocol)?;
    let started = event_loop.method(&names().time, [])?;
    call()?;
    event_loop.method(&names()._transport_ran, [transport, &protocol, &started]).map(drop)
}
