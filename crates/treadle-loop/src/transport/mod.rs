//! What all transports have in common: the descriptor, the protocol, and how both are let go.
//!
//! A Python object, socket or file, owns the descriptor; an [`Endpoint`] holds that object from birth until `connection_lost` has been called
//! and closes it then, once. States: open → closing (nothing is read any more, what was written goes out) → lost (`connection_lost` is
//! scheduled) → closed (file and protocol are gone). What differs between kinds of transports they say by [`Transport`].

mod methods;

use std::cell::Cell;
use std::ops::Deref;
use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::Rc;
use std::slice;

use treadle_events::{Event, Kind};
use treadle_reactor::{Interest, RawFd, Token, io_calls};

use crate::core::Core;
use crate::ffi::{Class, Context, Instance, Object, Raised, Result, Slot, Visit, finally};
use crate::known::names;
use crate::readiness;
use crate::source::Source;
pub(crate) use methods::{abort, file, methods, reading};

/// After so many writes to a lost connection the log says so, as in asyncio.
const WRITES_BEFORE_WARNING: u32 = 5;

/// The end of a connection that is this process's.
pub(crate) struct Endpoint {
    pub(crate) core: Rc<Core>,
    pub(crate) fd: RawFd,
    token: Cell<Option<Token>>,
    /// A copy of the descriptor that is polled in its stead, if another transport polls it: a terminal may be read and written by two.
    twin: Cell<Option<OwnedFd>>,
    /// The socket or file.
    pub(crate) file: Slot,
    /// The descriptor, as long as there is no socket object yet that owns it.
    pub(crate) bare: Cell<Option<OwnedFd>>,
    pub(crate) protocol: Slot,
    /// What `get_extra_info` knows; see [`Transport::materialize`].
    pub(crate) extra: Slot,
    /// In which the protocol is called: as it was when the transport was made, like the context of asyncio's reader.
    pub(crate) context: Object,
    /// Also the beginning and the end run in this very context, from Python 3.15 on.
    has_one_context: bool,
    pub(crate) is_reading_paused: Cell<bool>,
    pub(crate) is_closing: Cell<bool>,
    /// Writes after the connection was lost, the loss itself included; nobody reads or writes any more once it is not 0.
    pub(crate) lost: Cell<u32>,
}

impl Endpoint {
    pub(crate) fn new(core: &Rc<Core>, file: &Object, protocol: &Object, extra: &Object) -> Result<Self> {
        let endpoint = Self::of_number(core, crate::event_loop::descriptor(file)?, protocol)?;
        endpoint.file.store(Some(file.clone()));
        endpoint.extra.store(Some(extra.clone()));
        Ok(endpoint)
    }

    /// One whose socket object is made when somebody asks for it.
    pub(crate) fn of_descriptor(core: &Rc<Core>, descriptor: OwnedFd, protocol: &Object) -> Result<Self> {
        let endpoint = Self::of_number(core, descriptor.as_raw_fd(), protocol)?;
        endpoint.bare.set(Some(descriptor));
        Ok(endpoint)
    }

    fn of_number(core: &Rc<Core>, fd: RawFd, protocol: &Object) -> Result<Self> {
        Ok(Self {
            core: Rc::clone(core),
            fd,
            token: Cell::new(None),
            twin: Cell::new(None),
            file: Slot::default(),
            bare: Cell::new(None),
            protocol: Slot::new(Some(protocol.clone())),
            extra: Slot::default(),
            context: Context::copy_current()?,
            has_one_context: false,
            is_reading_paused: Cell::new(false),
            is_closing: Cell::new(false),
            lost: Cell::new(0),
        })
    }

    /// Everything of the connection runs in the context given, if there is one.
    pub(crate) fn in_context(self, context: &Object) -> Self {
        if context.is_none() { self } else { Self { context: context.clone(), has_one_context: true, ..self } }
    }

    pub(crate) fn traverse(&self, visit: &Visit<'_>) {
        self.file.traverse(visit);
        self.protocol.traverse(visit);
        self.extra.traverse(visit);
        visit.object(&self.context);
    }

    pub(crate) fn clear(&self) {
        self.protocol.store(None);
    }

    pub(crate) fn protocol(&self) -> Object {
        self.protocol.load().unwrap_or_else(Object::none)
    }

    /// Whether there is a descriptor still.
    fn is_open(&self) -> bool {
        let bare = self.bare.take();
        let is_open = bare.is_some() || self.file.is_some();
        self.bare.set(bare);
        is_open
    }

    /// Whether what arrives is to be read.
    pub(crate) fn is_reading(&self) -> bool {
        !self.is_reading_paused.get() && !self.is_closing.get()
    }

    pub(crate) fn deregister(&self) {
        if let Some(token) = self.token.take() {
            self.core.deregister(token);
        }
        drop(self.twin.take());
    }

    /// The descriptor to be polled.
    fn polled(&self) -> Result<RawFd> {
        readiness::make_room(&self.core, self.fd)?;
        if !self.core.is_registered(self.fd) {
            return Ok(self.fd);
        }
        let twin = io_calls::duplicate(self.fd)?;
        let fd = twin.as_raw_fd();
        readiness::make_room(&self.core, fd)?;
        self.twin.set(Some(twin));
        Ok(fd)
    }

    /// Counts a write that goes nowhere, and says so in the log when there are many. While something is still to be sent none is counted.
    pub(crate) fn note_lost_write(&self, warning: &str) -> Result<()> {
        let lost = self.lost.get();
        if lost >= WRITES_BEFORE_WARNING
            && let Some(event_loop) = self.core.event_loop()
        {
            event_loop.method(&names()._write_after_loss, [&Object::text(warning)?])?;
        }
        self.lost.set(lost.saturating_add(u32::from(lost > 0)));
        Ok(())
    }
}

/// Makes a struct the value of a transport's class, by its field `endpoint`. The other fields that are named hold references too.
macro_rules! endpoint_class {
    ($name:ident $(, $field:ident)*) => {
        impl $crate::ffi::Class for $name {
            type Head = $crate::ffi::TransportHead;
            type Tail = $crate::ffi::WeakAndDict;
            const FINALIZED: bool = true;

            fn traverse(&self, visit: &$crate::ffi::Visit<'_>) {
                self.endpoint.traverse(visit);
                $(self.$field.traverse(visit);)*
            }

            fn clear(&self) {
                self.endpoint.clear();
                $(self.$field.clear();)*
            }
        }

        impl std::ops::Deref for $name {
            type Target = $crate::transport::Endpoint;

            #[inline]
            fn deref(&self) -> &Self::Target {
                &self.endpoint
            }
        }
    };
}

pub(crate) use endpoint_class;

/// A kind of transports. It is an endpoint with something more.
pub(crate) trait Transport: Class + Deref<Target = Endpoint> {
    /// The owner of the registration.
    fn source(this: &Instance<Self>) -> Source;

    /// What this transport waits for.
    fn wanted_interest(&self) -> Interest;

    /// Gives up what was written and not sent, but for a last attempt where asyncio has made one.
    fn discard_unsent(&self) {}

    /// Makes the socket object and what `get_extra_info` knows, if nobody has asked so far.
    fn materialize(_this: &Instance<Self>) -> Result<()> {
        Ok(())
    }

    /// Another protocol takes over.
    fn set_protocol(this: &Instance<Self>, protocol: &Object) -> Result<()> {
        this.protocol.store(Some(protocol.clone()));
        Ok(())
    }

    /// The descriptor is closed.
    fn on_closed(_this: &Instance<Self>) -> Result<()> {
        Ok(())
    }

    /// What `repr` shows of an open one.
    fn describe(&self) -> String;

    /// Schedules `connection_made` and the beginning.
    fn open(this: &Instance<Self>, waiter: &Object) -> Result<()> {
        if let Some(recorder) = this.core.recorder() {
            let (subject, place, value) = (this.object().address() as u64, recorder.here(), this.fd as u64);
            recorder.write(&this.core, Kind::TransportMade, |event| Event { subject, place, value, ..event });
        }
        let own = this.has_one_context.then(|| this.context.clone());
        let connection_made = this.protocol().attribute(&names().connection_made)?;
        this.core.call_soon(&connection_made, slice::from_ref(this.object()), own.clone())?;
        this.core.call_soon(&this.object().attribute(&names()._begin)?, slice::from_ref(waiter), own)
    }

    /// Begins to read, as the second step after `connection_made`; `waiter` is told. What cannot be polled is reported, as in asyncio.
    fn begin(this: &Instance<Self>, waiter: &Object) -> Result<()> {
        let registered = Self::register(this).map_err(Raised::take);
        if !waiter.is_none() && !waiter.method(&names().done, [])?.is_true()? {
            waiter.method(&names().set_result, [&Object::none()])?;
        }
        registered.map_err(|exception| Raised::restore(&exception))
    }

    fn update_interest(&self) -> Result<()> {
        self.token.get().map_or(Ok(()), |token| self.core.set_interest(token, self.wanted_interest()))
    }

    fn register(this: &Instance<Self>) -> Result<()> {
        if this.token.get().is_none() && this.lost.get() == 0 && !this.core.closed.get() {
            let interest = this.wanted_interest();
            this.token.set(Some(this.core.register(this.polled()?, interest, Self::source(this))?));
        }
        Ok(())
    }

    /// Ends the connection at once: what was written and the kernel does not take now is dropped.
    fn abort(this: &Instance<Self>, exception: &Object) -> Result<()> {
        this.is_closing.set(true);
        this.discard_unsent();
        Self::lose(this, exception)
    }

    /// Stops watching the descriptor and schedules `connection_lost`, the first time.
    fn lose(this: &Instance<Self>, exception: &Object) -> Result<()> {
        if this.lost.get() > 0 {
            return Ok(());
        }
        this.lost.set(1);
        this.deregister();
        if this.core.closed.get() {
            return Self::finish(this, &Object::none());
        }
        let callback = this.object().attribute(&names()._call_connection_lost)?;
        // If no callback of the program's runs, there is no current context to copy.
        let is_own = this.has_one_context || this.core.is_outside.get();
        let context = is_own.then(|| this.context.clone());
        this.core.call_soon(&callback, slice::from_ref(exception), context)
    }

    /// Calls `connection_lost`, then closes the descriptor and lets go of everything, whatever the protocol has done.
    fn finish(this: &Instance<Self>, exception: &Object) -> Result<()> {
        let protocol = this.protocol.load().filter(|_| !this.core.closed.get());
        let told = protocol.map_or(Ok(()), |protocol| protocol.method(&names().connection_lost, [exception]).map(drop));
        finally(told, || Self::release(this))
    }

    fn release(this: &Instance<Self>) -> Result<()> {
        this.deregister();
        drop(this.protocol.take());
        let (bare, file) = (this.bare.take(), this.file.take());
        let was_open = bare.is_some() || file.is_some();
        this.core.want_poll();
        drop(bare);
        let closed = file.map_or(Ok(()), |file| file.method(&names().close, []).map(drop));
        // Who waits for the end hears of it also if closing has failed.
        finally(closed, || {
            if let Some(recorder) = this.core.recorder().filter(|_| was_open) {
                let subject = this.object().address() as u64;
                recorder.write(&this.core, Kind::TransportLost, |event| Event { subject, ..event });
            }
            Self::on_closed(this)
        })
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

    /// Gives an exception of the protocol's, whatever it is, to the loop's exception handler.
    fn complain(this: &Instance<Self>, raised: Raised, message: &str) -> Result<()> {
        let exception = raised.take();
        Core::let_through(&exception)?;
        let Some(event_loop) = this.core.event_loop() else { return Ok(()) };
        let context = Object::dict()?;
        context.set_item(&names().message, &Object::text(message)?)?;
        context.set_item(&names().exception, &exception)?;
        context.set_item(&names().transport, this.object())?;
        context.set_item(&names().protocol, &this.protocol())?;
        event_loop.method(&names().call_exception_handler, [&context]).map(drop)
    }

    /// Calls a method of the protocol in the transport's context.
    fn call<const N: usize>(this: &Instance<Self>, name: &Object, arguments: [&Object; N]) -> Result<Object> {
        let Some(protocol) = this.protocol.load() else { return Ok(Object::none()) };
        Context::run(&this.context, || protocol.method(name, arguments))
    }

    /// The same where an exception of the protocol's leaves the connection as it is.
    fn notify<const N: usize>(this: &Instance<Self>, name: &Object, arguments: [&Object; N]) -> Result<()> {
        match Self::call(this, name, arguments) {
            Ok(_) => Ok(()),
            Err(raised) => {
                // Python code of whatever kind may stand between: the name is asked for before anything is taken out.
                let exception = raised.take();
                let message = format!("Exception in protocol.{}()", name.to_text()?);
                Self::complain(this, Raised::restore(&exception), &message)
            }
        }
    }
}
