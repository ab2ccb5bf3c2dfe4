//! The native half of the TLS layer: what runs for each record, between the socket's bytes and the application's.
//!
//! [`Tls`] stands before `asyncio.sslproto.SSLProtocol` in the bases of `treadle.loop.tls.Tls`. It takes over the methods of the data path and
//! keeps the attributes that these need, under asyncio's names, so that asyncio's own state machine sets them; handshakes, shutdowns and their
//! time limits are asyncio's, of the Python that runs. OpenSSL is reached through the objects of the `ssl` module, whatever their context is set to.
//!
//! Invariant: nothing is borrowed while OpenSSL or Python code runs. OpenSSL gets its bytes in the order of their arrival, and `records` knows them.

mod attributes;
mod read;
mod records;
mod write;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use crate::core::Core;
use crate::ffi::{Class, Instance, Nothing, Object, Plain, Raised, Result, Slot, Type, Visit};
use crate::known::{known, names};
use crate::stream::Stream;
pub(crate) use read::feed;
use records::Records;
pub(crate) use write::flush;

/// Which part of asyncio's state machine gets what arrives.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Unwrapped,
    Handshake,
    Wrapped,
    Flushing,
    Shutdown,
}

/// The value of a TLS protocol's object.
#[derive(Default)]
pub(crate) struct Tls {
    phase: Cell<Phase>,
    /// `SSLProtocolState`
    state: Slot,
    ssl_object: Slot,
    incoming: Slot,
    outgoing: Slot,
    /// Their methods, bound: `read` and `write` of the engine, `write` of `incoming` and `read` of `outgoing`.
    decrypt: Slot,
    encrypt: Slot,
    put: Slot,
    take: Slot,
    /// Of the encrypted bytes.
    transport: Slot,
    /// The application's.
    protocol: Slot,
    protocol_is_buffered: Cell<bool>,
    /// By the application.
    is_reading_paused: Cell<bool>,
    /// Because too much is in `incoming`.
    is_transport_paused: Cell<bool>,
    /// By the transport.
    is_writing_paused: Cell<bool>,
    /// Because too much waits to be written.
    is_protocol_paused: Cell<bool>,
    records: RefCell<Records>,
    /// `bytes` that wait to be encrypted.
    backlog: RefCell<VecDeque<Object>>,
    /// asyncio's own, which only tests fill.
    stock_backlog: Slot,
    /// Bytes in both.
    waiting: Cell<i64>,
    outgoing_high: Cell<i64>,
    outgoing_low: Cell<i64>,
    incoming_high: Cell<i64>,
    incoming_low: Cell<i64>,
}

impl Class for Tls {
    type Head = Plain;
    type Tail = Nothing;
    const SUBCLASSED: bool = true;

    fn new() -> Result<Self> {
        Ok(Self::default())
    }

    fn traverse(&self, visit: &Visit<'_>) {
        self.slots().into_iter().for_each(|slot| slot.traverse(visit));
        // `bytes` refer to nothing, so the backlog cannot be part of a cycle.
    }

    fn clear(&self) {
        self.slots().into_iter().for_each(|slot| slot.store(None));
    }
}

impl Tls {
    fn slots(&self) -> impl IntoIterator<Item = &Slot> {
        let bound = [&self.decrypt, &self.encrypt, &self.put, &self.take];
        let other = [&self.state, &self.ssl_object, &self.incoming, &self.outgoing, &self.transport, &self.protocol];
        bound.into_iter().chain(other).chain([&self.stock_backlog])
    }

    /// The transport below, if it is ours.
    #[inline]
    fn stream(&self) -> Option<Instance<Stream>> {
        self.transport.load().and_then(|transport| known().stream.cast(&transport))
    }

    fn is_open(&self) -> bool {
        matches!(self.phase.get(), Phase::Wrapped | Phase::Flushing)
    }

    /// Hands an exception of the data path to asyncio's state machine, which ends the connection.
    fn fail(this: &Instance<Self>, raised: Raised) -> Result<()> {
        let exception = raised.take();
        Core::let_through(&exception)?;
        write::send_gathered(this);
        let message = Object::text("Fatal error on SSL protocol")?;
        this.object().method(&names()._fatal_error, [&exception, &message]).map(drop)
    }
}

/// What is in a place that `__init__` fills.
fn load(slot: &Slot) -> Object {
    slot.load().unwrap_or_else(Object::none)
}

/// The bytes in a `MemoryBIO`.
fn pending(bio: &Slot) -> Result<i64> {
    let Some(bio) = bio.load() else { return Ok(0) };
    bio.attribute(&names().pending)?.to_integer()
}

/// Whether OpenSSL wants bytes that are not here yet; other exceptions come back.
fn wants_more(raised: Raised) -> Result<()> {
    let exception = raised.take();
    if exception.is_instance(&attributes::constants().again)? { Ok(()) } else { Err(Raised::restore(&exception)) }
}

/// The class `treadle._native.Tls`.
pub(crate) fn class() -> Result<Type<Tls>> {
    attributes::class()
}
