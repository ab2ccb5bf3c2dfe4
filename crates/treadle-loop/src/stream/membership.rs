//! The `asyncio.Server` that a connection belongs to: it is told when the connection comes and when it has gone.

use super::Stream;
use crate::ffi::{Instance, Kind, Object, Result};
use crate::known::{known, names};

/// Refuses to make a transport for a server that would not take it: whoever fails closes the socket under it.
pub(crate) fn check_open(server: &Object) -> Result<()> {
    if !server.is_none() && server.attribute(&names()._sockets)?.is_none() {
        return Err(Kind::ConnectionAbortedError.raise_static(c"the server was closed"));
    }
    Ok(())
}

pub(super) fn join(this: &Instance<Stream>) -> Result<()> {
    this.server.load().map_or(Ok(()), |server| tell(&server, &names()._attach, this))
}

pub(super) fn leave(this: &Instance<Stream>) -> Result<()> {
    this.server.take().map_or(Ok(()), |server| tell(&server, &names()._detach, this))
}

/// Before Python 3.13 a server counts its connections and does not know them.
fn tell(server: &Object, what: &Object, transport: &Instance<Stream>) -> Result<()> {
    let told =
        if known().servers_know_clients { server.method(what, [transport.object()]) } else { server.method(what, []) };
    told.map(drop)
}
