//! What happens once for each connection, and for each alike: it is accepted, described, and told not to wait for more to send.

use std::io;
use std::os::fd::{AsRawFd, IntoRawFd};

use treadle_reactor::{Address, RawFd, io_calls};

use super::form::Form;
use crate::address::{self, Family};
use crate::event_loop::Loop;
use crate::ffi::{Args, Instance, Kind, Object, Result};
use crate::known::{known, names};

/// A connection that waits at a listening socket: its socket object, which does not block, and the peer's address.
pub(super) fn accept(listener: &Object, fd: RawFd) -> io::Result<Result<(Object, Object)>> {
    let (descriptor, address) = io_calls::accept(fd)?;
    let made = || {
        // The descriptor is closed on the way out, unless the socket object has come to be and owns it.
        let socket = Form::of(listener)?.socket(Some(descriptor.as_raw_fd()))?;
        let _ = descriptor.into_raw_fd();
        known().sock.unblock(&socket)?;
        Ok((socket, address::to_object_or(&address, &Object::text("")?)?))
    };
    Ok(made())
}

/// `_accept_connections(sock, count, welcome, factory, *options)`: calls `welcome(factory, connection, peername, *options)` for each connection that
/// waits, at most `count`. False if the socket is not one of Python's own, and nothing was done.
pub(super) fn accept_all(_this: &Instance<Loop>, arguments: Args<'_>) -> Result<Object> {
    let [listener, count, welcome, factory, options @ ..] = arguments.positional() else {
        return Err(Kind::TypeError.raise_static(c"_accept_connections() takes a socket, a number and two functions"));
    };
    if Form::of_listener(listener)?.is_none() {
        return Ok(Object::bool(false));
    }
    for _ in 0..count.to_integer()? {
        let fd = known().sock.descriptor(listener)?;
        if fd < 0 {
            // A connection's factory has closed the server.
            break;
        }
        let (connection, peername) = match accept(listener, fd) {
            Ok(accepted) => accepted?,
            Err(error) if is_over(&error) => break,
            Err(error) => return Err(error.into()),
        };
        let all: Vec<Object> =
            [factory.clone(), connection, peername].into_iter().chain(options.iter().cloned()).collect();
        welcome.call_with(&all)?;
    }
    Ok(Object::bool(true))
}

/// Nobody waits any more, or somebody has gone who did.
pub(crate) fn is_over(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::ConnectionAborted)
}

/// `_set_up_socket(sock, extra)`: puts what `get_extra_info` knows of a socket into `extra`, and switches Nagle's algorithm off. False if the socket is
/// not one of Python's own, and nothing was done.
pub(super) fn set_up(_this: &Instance<Loop>, arguments: Args<'_>) -> Result<Object> {
    let [socket, extra] = arguments.exactly("_set_up_socket")?;
    let facts = &known().sock;
    if !socket.has_type(facts.class()) {
        return Ok(Object::bool(false));
    }
    let form = Form::of(socket)?;
    if form.family == Family::Other {
        return Ok(Object::bool(false));
    }
    let fd = facts.descriptor(socket)?;
    extra.set_item(&names().socket, &facts.shown(socket)?)?;
    extra.set_item(&names().sockname, &address(form, io_calls::sock_name(fd))?)?;
    if extra.method(&names().get, [&names().peername])?.is_none() {
        extra.set_item(&names().peername, &address(form, io_calls::peer_name(fd))?)?;
    }
    if form.has_nagle() {
        // Other protocols than TCP have no such algorithm.
        let _ = io_calls::set_nodelay(fd);
    }
    Ok(Object::bool(true))
}

/// An address, or `None` if there is none.
fn address(form: Form, address: io::Result<Address>) -> Result<Object> {
    let unnamed = form.unnamed()?;
    address.map_or_else(|_| Ok(Object::none()), |address| address::to_object_or(&address, &unnamed))
}
