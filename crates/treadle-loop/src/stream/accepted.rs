//! Connections that a server has accepted, from the kernel to `connection_made`.
//!
//! Their socket objects are made when somebody asks for them; until then the transport owns the descriptor itself. Most programs never ask:
//! without them a connection is accepted in seven tenths of the time and keeps a third of the memory, see benches/loops.

use std::cell::Cell;
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd};
use std::rc::Rc;

use treadle_reactor::{Address, io_calls};

use super::{Stream, membership};
use crate::address;
use crate::core::Core;
use crate::event_loop::Loop;
use crate::ffi::{Args, Context, Instance, Object, Result};
use crate::known::{known, names};
use crate::sock;
use crate::transport::{Endpoint, Transport};

/// What is known of a connection that nobody has asked about yet.
pub(super) struct Accepted {
    form: sock::Form,
    peer: Address,
    /// It is asked for at once: nobody can after the end.
    name: Option<Address>,
}

/// Who accepts, and for whom.
struct Reception<'a> {
    event_loop: &'a Instance<Loop>,
    form: sock::Form,
    factory: &'a Object,
    context: &'a Object,
    server: &'a Object,
}

/// `_accept_streams(sock, count, factory, context, server)`: makes transports for the connections that wait, at most `count`. False if the socket
/// is not one of Python's own, and nothing was done.
pub(crate) fn accept(this: &Instance<Loop>, arguments: Args<'_>) -> Result<Object> {
    let [listener, count, factory, context, server] = arguments.exactly("_accept_streams")?;
    let Some(form) = sock::Form::of_listener(listener)? else { return Ok(Object::bool(false)) };
    let reception = Reception { event_loop: this, form, factory, context, server };
    for _ in 0..count.to_integer()? {
        let fd = known().sock.descriptor(listener)?;
        if fd < 0 {
            // A connection's factory has closed the server.
            break;
        }
        match io_calls::accept(fd) {
            Ok((descriptor, peer)) => reception.welcome(descriptor, peer)?,
            Err(error) if sock::is_over(&error) => break,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Object::bool(true))
}

impl Reception<'_> {
    /// Makes the transport of a connection, in a context of its own. What fails concerns one connection.
    fn welcome(&self, descriptor: OwnedFd, peer: Address) -> Result<()> {
        let own = if self.context.is_none() { Context::copy_current()? } else { Context::copy(self.context)? };
        let (mut protocol, mut transport) = (None, None);
        let welcomed = Context::run(&own, || {
            let protocol = protocol.insert(self.factory.call([])?);
            super::check_open(self.server)?;
            // From Python 3.15 on everything of the connection runs in this very context.
            let context = if self.context.is_none() { self.context } else { &own };
            let transport = transport.insert(self.connect(descriptor, peer, protocol, context)?);
            membership::join(transport)?;
            Stream::open(transport, &Object::none())
        });
        let Err(raised) = welcomed else { return Ok(()) };
        let exception = raised.take();
        if let Some(transport) = &transport {
            Stream::release(transport)?;
        }
        Core::let_through(&exception)?;
        let none = Object::none();
        let transport = transport.map_or_else(|| none.clone(), Instance::into_object);
        let arguments = [&exception, protocol.as_ref().unwrap_or(&none), &transport];
        self.event_loop.object().method(&names()._accept_failed, arguments).map(drop)
    }

    fn connect(
        &self,
        descriptor: OwnedFd,
        peer: Address,
        protocol: &Object,
        context: &Object,
    ) -> Result<Instance<Stream>> {
        let core: &Rc<Core> = &self.event_loop.core;
        core.check_open()?;
        if self.form.has_nagle() {
            // Other protocols than TCP have no such algorithm.
            let _ = io_calls::set_nodelay(descriptor.as_raw_fd());
        }
        let name = io_calls::sock_name(descriptor.as_raw_fd()).ok();
        let accepted = Accepted { form: self.form, peer, name };
        let endpoint = Endpoint::of_descriptor(core, descriptor, protocol)?.in_context(context);
        let server = (!self.server.is_none()).then(|| self.server.clone());
        Stream::create(endpoint, protocol, server, Some(Box::new(accepted)))
    }
}

impl Accepted {
    /// The socket object, which takes the descriptor over; one that is closed, if the descriptor is.
    pub(super) fn socket(&self, bare: &Cell<Option<OwnedFd>>) -> Result<Object> {
        let Some(descriptor) = bare.take() else {
            let socket = self.form.socket(None)?;
            socket.method(&names().close, [])?;
            return Ok(socket);
        };
        match self.form.socket(Some(descriptor.as_raw_fd())) {
            Ok(socket) => {
                let _ = descriptor.into_raw_fd();
                known().sock.unblock(&socket).map(|()| socket)
            }
            Err(raised) => {
                bare.set(Some(descriptor));
                Err(raised)
            }
        }
    }

    /// What `get_extra_info` knows.
    pub(super) fn extra(&self, socket: &Object) -> Result<Object> {
        let extra = Object::dict()?;
        let unnamed = self.form.unnamed()?;
        extra.set_item(&names().peername, &address::to_object_or(&self.peer, &unnamed)?)?;
        extra.set_item(&names().socket, &known().sock.shown(socket)?)?;
        let name =
            self.name.as_ref().map_or_else(|| Ok(Object::none()), |name| address::to_object_or(name, &unnamed))?;
        extra.set_item(&names().sockname, &name)?;
        Ok(extra)
    }
}
