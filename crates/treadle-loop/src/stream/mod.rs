//! The transport of a connected stream socket, TCP or Unix: what runs for each packet.

mod accepted;
mod membership;
mod read;
mod write;

use std::cell::Cell;
use std::rc::Rc;

use treadle_reactor::Interest;

use crate::core::Core;
use crate::ffi::{Args, Instance, Kind, Object, Result, Slot, Spec, Type};
use crate::known::known;
use crate::outbox::{self, Outbox};
use crate::source::Source;
use crate::streams;
use crate::tls::Tls;
use crate::transport::{self, Endpoint, Transport, endpoint_class};
use accepted::Accepted;
pub(crate) use accepted::accept;
pub(crate) use membership::check_open;
pub(crate) use write::{flush_later, write};

/// The value of a transport's object.
pub(crate) struct Stream {
    endpoint: Endpoint,
    is_buffered: Cell<bool>,
    /// The protocol is our own TLS layer, which is called without Python in between.
    is_tls: Cell<bool>,
    /// Between `connection_made` (or `set_protocol`) and `connection_lost`.
    server: Slot,
    outbox: Outbox,
    /// The peer has sent its last byte; its end would be readable for ever.
    has_ended: Cell<bool>,
    eof_written: Cell<bool>,
    /// A future that is done when all is written; somebody sends a file then.
    drained: Slot,
    /// What the Python objects of a connection that a server has accepted are made of, when they are asked for.
    accepted: Option<Box<Accepted>>,
}

endpoint_class!(Stream, server, drained);

impl Transport for Stream {
    fn source(this: &Instance<Self>) -> Source {
        Source::Stream(this.clone())
    }

    fn wanted_interest(&self) -> Interest {
        let reading = if self.is_reading() && !self.has_ended.get() { Interest::READ } else { Interest::NONE };
        if self.outbox.is_blocked() { reading | Interest::WRITE } else { reading }
    }

    fn discard_unsent(&self) {
        self.outbox.give_up(self);
    }

    fn set_protocol(this: &Instance<Self>, protocol: &Object) -> Result<()> {
        this.is_buffered.set(protocol.is_instance(&known().buffered_protocol)?);
        this.is_tls.set(known().tls.cast(protocol).is_some());
        streams::adopt(this.core.event_loop(), protocol)?;
        this.protocol.store(Some(protocol.clone()));
        Ok(())
    }

    fn on_closed(this: &Instance<Self>) -> Result<()> {
        if let Some(waiter) = this.drained.take() {
            let gone = Kind::ConnectionError.raise_static(c"Connection is closed by peer").take();
            write::fail_drained(&waiter, &gone)?;
        }
        membership::leave(this)
    }

    fn materialize(this: &Instance<Self>) -> Result<()> {
        let Some(accepted) = this.accepted.as_ref().filter(|_| !this.extra.is_some()) else { return Ok(()) };
        let socket = accepted.socket(&this.bare)?;
        this.extra.store(Some(accepted.extra(&socket)?));
        if this.fd == known().sock.descriptor(&socket)? {
            this.file.store(Some(socket));
        }
        Ok(())
    }

    fn describe(&self) -> String {
        let reading = if self.is_reading() { "reading" } else { "not reading" };
        format!(" {reading} write buffer={}", self.outbox.len())
    }
}

impl Stream {
    /// Makes a transport that does nothing yet.
    fn create(
        endpoint: Endpoint,
        protocol: &Object,
        server: Option<Object>,
        accepted: Option<Box<Accepted>>,
    ) -> Result<Instance<Self>> {
        streams::adopt(endpoint.core.event_loop(), protocol)?;
        known().stream.instantiate(Self {
            endpoint,
            is_buffered: Cell::new(protocol.is_instance(&known().buffered_protocol)?),
            is_tls: Cell::new(known().tls.cast(protocol).is_some()),
            server: Slot::new(server),
            outbox: Outbox::default(),
            has_ended: Cell::new(false),
            eof_written: Cell::new(false),
            drained: Slot::default(),
            accepted,
        })
    }

    /// Whether the loop flushes this at the end of the turn.
    pub(crate) fn is_listed(&self) -> bool {
        self.outbox.is_listed()
    }

    /// The TLS layer above, if there is one.
    fn tls(&self) -> Option<Instance<Tls>> {
        if self.is_tls.get() { self.protocol.load().and_then(|protocol| known().tls.cast(&protocol)) } else { None }
    }

    /// Calls a method of the protocol in the transport's context. An exception ends the connection, and `None` comes back.
    fn call_protocol<const N: usize>(
        this: &Instance<Self>,
        name: &Object,
        arguments: [&Object; N],
    ) -> Result<Option<Object>> {
        if !this.protocol.is_some() {
            return Ok(None);
        }
        match Self::call(this, name, arguments) {
            Ok(result) => Ok(Some(result)),
            Err(raised) => {
                let exception = raised.take();
                let name = name.to_text()?;
                Self::fail(this, &exception, &format!("Fatal error: protocol.{name}() call failed."))?;
                Ok(None)
            }
        }
    }
}

/// Handles an event of the socket.
pub(crate) fn on_ready(this: &Instance<Stream>, is_readable: bool, is_writable: bool) -> Result<()> {
    if is_readable {
        read::on_readable(this)?;
    }
    if is_writable && this.outbox.is_blocked() {
        outbox::flush(this)?;
    }
    Ok(())
}

/// The class of stream transports, below `asyncio.Transport`.
pub(crate) fn class(base: &Object) -> Result<Type<Stream>> {
    let spec = Spec::new(c"treadle._native.StreamTransport", c"The transport of a stream socket.");
    let spec = transport::reading(transport::methods(spec));
    write::methods(internals(spec)).create(Some(base))
}

/// What the Python half uses; the names are asyncio's where its standard library looks for them.
fn internals(spec: Spec<Stream>) -> Spec<Stream> {
    // While a file is sent the descriptor is watched for that.
    spec.method(c"_leave_poll", |this, arguments| {
        arguments.exactly::<0>("_leave_poll")?;
        this.deregister();
        Ok(Object::none())
    })
    .method(c"_join_poll", |this, arguments| {
        arguments.exactly::<0>("_join_poll")?;
        Stream::register(this).map(|()| Object::none())
    })
    .method(c"_force_close", |this, arguments| {
        let [exception] = arguments.exactly("_force_close")?;
        Stream::abort(this, exception).map(|()| Object::none())
    })
    .method(c"_fatal_error", |this, arguments| {
        let [exception, message] = arguments.named("_fatal_error", ["exc", "message"], 1)?;
        let message = message.map_or_else(|| Ok("Fatal error on transport".to_owned()), Object::to_text)?;
        Stream::fail(this, exception.unwrap_or(&Object::none()), &message).map(|()| Object::none())
    })
    .attribute(c"_sock", transport::file)
    .attribute(c"_sock_fd", |this| Object::integer(i64::from(this.fd)))
    .attribute(c"_server", |this| Ok(this.server.load().unwrap_or_else(Object::none)))
    .attribute(c"_eof", |this| Ok(Object::bool(this.eof_written.get())))
    .attribute(c"_start_tls_compatible", |_this| Ok(Object::bool(true)))
    .attribute(c"_sendfile_compatible", |_this| Ok(known().try_native.clone()))
}

/// `socket_transport(...)` of the Python half: makes the transport and schedules its beginning.
pub(crate) fn open(core: &Rc<Core>, arguments: Args<'_>) -> Result<Object> {
    let [socket, protocol, waiter, extra, server, context] = arguments.exactly("_open_stream")?;
    core.check_open()?;
    check_open(server)?;
    let server = (!server.is_none()).then(|| server.clone());
    let endpoint = Endpoint::new(core, socket, protocol, extra)?.in_context(context);
    let this = Stream::create(endpoint, protocol, server, None)?;
    membership::join(&this)?;
    Stream::open(&this, waiter)?;
    Ok(this.into_object())
}
