//! The transport of a connected stream socket, TCP or Unix: what runs for each packet.
//!
//! The Python socket object owns the descriptor; a transport holds that object from birth until `connection_lost` has been called and closes it
//! then, once. `read` and `write` use the number in between. States: open → closing (nothing is read any more, what was written goes out)
//! → lost (`connection_lost` is scheduled) → closed (socket and protocol are gone).

mod read;
mod write;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use treadle_reactor::{Interest, Outgoing, RawFd, Token};

use crate::core::Core;
use crate::ffi::{Args, Class, Context, Instance, Kind, Object, Raised, Result, Slot, Spec, TransportHead, Type, Visit, WeakAndDict};
use crate::handle::Handle;
use crate::known::{known, names};
use crate::readiness;
use crate::source::Source;
use write::Chunk;
pub(crate) use write::flush_all;

/// asyncio's high-water mark: more bytes than this waiting to be written pause the protocol.
const HIGH_WATER: usize = 64 * 1024;

/// The value of a transport's object.
pub(crate) struct Stream {
    core: Rc<Core>,
    fd: RawFd,
    token: Cell<Option<Token>>,
    socket: Slot,
    protocol: Slot,
    is_buffered: Cell<bool>,
    /// Between `connection_made` (or `set_protocol`) and `connection_lost`.
    server: Slot,
    /// What `get_extra_info` knows.
    extra: Object,
    /// In which the protocol is called: as it was when the transport was made, like the context of asyncio's reader.
    context: Object,
    outgoing: RefCell<Outgoing<Chunk>>,
    /// In the core's list of those that have something to write at the end of the turn.
    is_listed: Cell<bool>,
    /// The kernel takes no more at the moment; the loop waits until it does.
    is_blocked: Cell<bool>,
    low_water: Cell<usize>,
    high_water: Cell<usize>,
    is_protocol_paused: Cell<bool>,
    is_reading_paused: Cell<bool>,
    /// The peer has sent its last byte; its end would be readable for ever.
    has_ended: Cell<bool>,
    is_closing: Cell<bool>,
    eof_written: Cell<bool>,
    /// Writes after the connection was lost, the loss itself included; nobody reads or writes any more once it is not 0.
    lost: Cell<u32>,
    /// A future that is done when all is written; somebody sends a file then.
    drained: Slot,
}

impl Class for Stream {
    type Head = TransportHead;
    type Tail = WeakAndDict;
    const FINALIZED: bool = true;

    fn traverse(&self, visit: &Visit<'_>) {
        [&self.socket, &self.protocol, &self.server, &self.drained].into_iter().for_each(|slot| visit.cell(slot));
        visit.object(&self.extra);
        visit.object(&self.context);
    }

    fn clear(&self) {
        for slot in [&self.protocol, &self.server, &self.drained] {
            slot.store(None);
        }
    }
}

impl Stream {
    /// Makes a transport that does nothing yet.
    pub(crate) fn create(
        core: &Rc<Core>,
        socket: &Object,
        protocol: &Object,
        extra: &Object,
        server: Option<Object>,
    ) -> Result<Instance<Self>> {
        let fd = crate::event_loop::descriptor(socket)?;
        known().stream.instantiate(Self {
            core: Rc::clone(core),
            fd,
            token: Cell::new(None),
            socket: Slot::new(Some(socket.clone())),
            protocol: Slot::new(Some(protocol.clone())),
            is_buffered: Cell::new(protocol.is_instance(&known().buffered_protocol)?),
            server: Slot::new(server),
            extra: extra.clone(),
            context: Context::copy_current()?,
            outgoing: RefCell::new(Outgoing::new()),
            is_listed: Cell::new(false),
            is_blocked: Cell::new(false),
            low_water: Cell::new(HIGH_WATER / 4),
            high_water: Cell::new(HIGH_WATER),
            is_protocol_paused: Cell::new(false),
            is_reading_paused: Cell::new(false),
            has_ended: Cell::new(false),
            is_closing: Cell::new(false),
            eof_written: Cell::new(false),
            lost: Cell::new(0),
            drained: Slot::default(),
        })
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.is_closing.get()
    }

    fn protocol(&self) -> Object {
        self.protocol.load().unwrap_or_else(Object::none)
    }

    /// Begins to read, as the second step after `connection_made`; `waiter` is told.
    fn begin(this: &Instance<Self>, waiter: &Object) -> Result<()> {
        let registered = Self::register(this).map_err(Raised::take);
        if !waiter.is_none() && !waiter.method(&names().done, [])?.is_true()? {
            match &registered {
                Ok(()) => waiter.method(&names().set_result, [&Object::none()])?,
                Err(exception) => waiter.method(&names().set_exception, [exception])?,
            };
        }
        registered.or_else(|exception| Self::fail(this, &exception, "Fatal error: the socket cannot be watched"))
    }

    /// What this transport waits for.
    fn wanted_interest(&self) -> Interest {
        let reads = !self.is_reading_paused.get() && !self.is_closing.get() && !self.has_ended.get();
        let reading = if reads { Interest::READ } else { Interest::NONE };
        if self.is_blocked.get() { reading | Interest::WRITE } else { reading }
    }

    fn update_interest(&self) -> Result<()> {
        self.token.get().map_or(Ok(()), |token| self.core.set_interest(token, self.wanted_interest()))
    }

    fn register(this: &Instance<Self>) -> Result<()> {
        if this.token.get().is_none() && this.lost.get() == 0 && !this.core.closed.get() {
            // Whoever watched the descriptor, or one of this number that was closed meanwhile, has lost it to us.
            readiness::unwatch(&this.core, this.fd, Interest::READ)?;
            readiness::unwatch(&this.core, this.fd, Interest::WRITE)?;
            let interest = this.wanted_interest();
            this.token.set(Some(this.core.register(this.fd, interest, Source::Stream(this.clone()))?));
        }
        Ok(())
    }

    fn deregister(&self) {
        if let Some(token) = self.token.take() {
            self.core.deregister(token);
        }
    }

    /// `close()`: what was written goes out, then `connection_lost(None)`.
    fn close(this: &Instance<Self>) -> Result<()> {
        if this.is_closing.replace(true) {
            return Ok(());
        }
        write::flush_gathered(this)?;
        if this.outgoing.borrow().is_empty() {
            return Self::lose(this, &Object::none());
        }
        this.update_interest()
    }

    /// Ends the connection at once: what was written and not sent is dropped.
    pub(crate) fn abort(this: &Instance<Self>, exception: &Object) -> Result<()> {
        this.is_closing.set(true);
        let unsent = this.outgoing.borrow_mut().clear();
        drop(unsent);
        Self::lose(this, exception)
    }

    /// Stops watching the socket and schedules `connection_lost`, the first time.
    fn lose(this: &Instance<Self>, exception: &Object) -> Result<()> {
        if this.lost.get() > 0 {
            return Ok(());
        }
        this.lost.set(1);
        this.is_blocked.set(false);
        this.deregister();
        if this.core.closed.get() {
            return Self::finish(this, &Object::none());
        }
        let callback = this.object().attribute(&names()._call_connection_lost)?;
        // Not in the current context: losses are mostly noticed outside of any.
        let context = this.context.clone();
        this.core.push_ready(Handle::create(&this.core, &callback, &[exception.clone()], context, None)?);
        Ok(())
    }

    /// Calls `connection_lost`, then closes the socket and lets go of everything, whatever the protocol has done.
    fn finish(this: &Instance<Self>, exception: &Object) -> Result<()> {
        let protocol = this.protocol.load().filter(|_| !this.core.closed.get());
        let told = protocol.map_or(Ok(()), |protocol| protocol.method(&names().connection_lost, [exception]).map(drop));
        let told = told.map_err(Raised::take);
        let released = Self::release(this);
        match told {
            Ok(()) => released,
            Err(exception) => {
                let _ = released.map_err(Raised::forget);
                Err(Raised::restore(&exception))
            }
        }
    }

    fn release(this: &Instance<Self>) -> Result<()> {
        this.deregister();
        drop(this.protocol.take());
        if let Some(waiter) = this.drained.take() {
            let gone = Kind::ConnectionError.raise_static(c"Connection is closed by peer").take();
            write::fail_drained(&waiter, &gone)?;
        }
        if let Some(socket) = this.socket.take() {
            socket.method(&names().close, [])?;
        }
        if let (Some(server), Some(event_loop)) = (this.server.take(), this.core.event_loop()) {
            event_loop.method(&names()._detach_server, [&server, this.object()])?;
        }
        Ok(())
    }

    /// An error that ends the connection: reported unless it is an ordinary one of the network.
    fn fail(this: &Instance<Self>, exception: &Object, message: &str) -> Result<()> {
        Core::let_through(exception)?;
        Self::report(this, exception, message)?;
        Self::abort(this, exception)
    }

    /// Gives an exception to the loop's exception handler; errors of the network only appear in debug mode's log.
    fn report(this: &Instance<Self>, exception: &Object, message: &str) -> Result<()> {
        let Some(event_loop) = this.core.event_loop() else { return Ok(()) };
        let message = Object::text(message)?;
        event_loop.method(&names()._transport_failed, [this.object(), &this.protocol(), exception, &message]).map(drop)
    }

    /// Calls a method of the protocol in the transport's context. An exception ends the connection, and `None` comes back.
    fn call_protocol<const N: usize>(this: &Instance<Self>, name: &Object, arguments: [&Object; N]) -> Result<Option<Object>> {
        let Some(protocol) = this.protocol.load() else { return Ok(None) };
        match Context::run(&this.context, || protocol.method(name, arguments)) {
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
    if is_writable && this.is_blocked.get() {
        write::on_writable(this)?;
    }
    Ok(())
}

/// The class of stream transports, below `asyncio.Transport`.
pub(crate) fn class(transport: &Object) -> Result<Type<Stream>> {
    let spec = Spec::new(c"treadle._native.StreamTransport", c"The transport of a stream socket.");
    let spec = connection(spec);
    let spec = internals(spec);
    read::methods(write::methods(spec)).create(Some(transport))
}

fn connection(spec: Spec<Stream>) -> Spec<Stream> {
    spec.method(c"get_extra_info", |this, arguments| {
        let [name, default] = arguments.named("get_extra_info", ["name", "default"], 1)?;
        let none = Object::none();
        this.extra.method(&names().get, [name.unwrap_or(&none), default.unwrap_or(&none)])
    })
    .method(c"set_protocol", |this, arguments| {
        let [protocol] = arguments.exactly("set_protocol")?;
        this.is_buffered.set(protocol.is_instance(&known().buffered_protocol)?);
        this.protocol.store(Some(protocol.clone()));
        Ok(Object::none())
    })
    .method(c"get_protocol", |this, arguments| {
        arguments.exactly::<0>("get_protocol")?;
        Ok(this.protocol())
    })
    .method(c"is_closing", |this, arguments| {
        arguments.exactly::<0>("is_closing")?;
        Ok(Object::bool(this.is_closing.get()))
    })
    .method(c"close", |this, arguments| {
        arguments.exactly::<0>("close")?;
        Stream::close(this).map(|()| Object::none())
    })
    .method(c"abort", |this, arguments| {
        arguments.exactly::<0>("abort")?;
        Stream::abort(this, &Object::none()).map(|()| Object::none())
    })
    .repr(|this| match this.core.event_loop() {
        Some(event_loop) => event_loop.method(&names()._show_transport, [this.object()]),
        None => Object::text("<StreamTransport closed>"),
    })
    .finalize(|this| match (this.socket.is_some(), this.core.event_loop()) {
        (true, Some(event_loop)) => event_loop.method(&names()._unclosed_transport, [this.object()]).map(drop),
        _ => Ok(()),
    })
}

/// What the Python half uses; the names are asyncio's where its standard library looks for them.
fn internals(spec: Spec<Stream>) -> Spec<Stream> {
    spec.method(c"_begin", |this, arguments| {
        let [waiter] = arguments.exactly("_begin")?;
        Stream::begin(this, waiter).map(|()| Object::none())
    })
    // While a file is sent the descriptor is watched for that.
    .method(c"_leave_poll", |this, arguments| {
        arguments.exactly::<0>("_leave_poll")?;
        this.deregister();
        Ok(Object::none())
    })
    .method(c"_join_poll", |this, arguments| {
        arguments.exactly::<0>("_join_poll")?;
        Stream::register(this).map(|()| Object::none())
    })
    .method(c"_call_connection_lost", |this, arguments| {
        let [exception] = arguments.exactly("_call_connection_lost")?;
        Stream::finish(this, exception).map(|()| Object::none())
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
    .attribute(c"_loop", |this| Ok(this.core.event_loop().unwrap_or_else(Object::none)))
    .attribute(c"_sock", |this| Ok(this.socket.load().unwrap_or_else(Object::none)))
    .attribute(c"_sock_fd", |this| Object::integer(i64::from(this.fd)))
    .attribute(c"_protocol", |this| Ok(this.protocol()))
    .attribute(c"_server", |this| Ok(this.server.load().unwrap_or_else(Object::none)))
    .attribute(c"_extra", |this| Ok(this.extra.clone()))
    .settable(|_this, _value| Ok(()))
    .attribute(c"_closing", |this| Ok(Object::bool(this.is_closing.get())))
    .attribute(c"_paused", |this| Ok(Object::bool(this.is_reading_paused.get())))
    .attribute(c"_eof", |this| Ok(Object::bool(this.eof_written.get())))
    .attribute(c"_conn_lost", |this| Object::integer(i64::from(this.lost.get())))
    .attribute(c"_protocol_paused", |this| Ok(Object::bool(this.is_protocol_paused.get())))
    .attribute(c"_start_tls_compatible", |_this| Ok(Object::bool(true)))
}

/// `socket_transport(...)` of the Python half: makes the transport and schedules its beginning.
pub(crate) fn open(core: &Rc<Core>, arguments: Args<'_>) -> Result<Object> {
    let [socket, protocol, waiter, extra, server] = arguments.exactly("_open_stream")?;
    core.check_open()?;
    let server = (!server.is_none()).then(|| server.clone());
    let this = Stream::create(core, socket, protocol, extra, server)?;
    core.call_soon(&protocol.attribute(&names().connection_made)?, &[this.object().clone()])?;
    core.call_soon(&this.object().attribute(&names()._begin)?, &[waiter.clone()])?;
    if this.fd < 0 {
        return Err(Kind::ValueError.raise_static(c"the socket is closed"));
    }
    Ok(this.into_object())
}
