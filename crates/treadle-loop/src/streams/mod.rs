//! `asyncio.StreamReader` and `asyncio.StreamWriter` in native code, for programs that use just these.
//!
//! The standard library makes the objects, of its own classes, before the loop sees them. When the loop gets an `asyncio.StreamReaderProtocol`,
//! the Python half gives its reader, and the writer of a server's connection, another class: a subclass of the stock one with the same layout
//! whose few hot methods are those here. Everything else stays what the standard library of the running version does, and whatever is not the
//! common case (errors, limits, several separators, odd values) is left to a coroutine of that library: see `Read::delegate`.
//!
//! The reader's state moves from its `__dict__` into a [`Reader`], and `_buffer`, `_waiter` and the other attributes become descriptors that
//! look there. Left where it was, a look would cost 10 to 20 ns in place of one, and a message takes about fifteen; and what is moved can do
//! without the `bytearray` when a whole chunk is read: the object that came from the socket goes to the program, uncopied. A message of
//! 1 KiB on one of fifty connections took 13.9 µs of processor time with the stock classes, and takes 11 to 13, see benches/loops. Objects that
//! are native throughout were the alternative: the program would hold others than those that the standard library made.
//!
//! Invariant: whoever patches a class or an instance, before or after, gets what he patched. A method asks whether the stock class still has
//! the function that it stands for (a patch of an instance is found before it), and the road past `data_received` asks for both.

mod attributes;
mod reader;
mod reads;
mod writer;

use crate::coroutine::{self, Coroutine};
use crate::ffi::{Addition, Instance, Object, Result, Slot, Type};
use crate::known::{known, names};
use crate::stream::Stream;
use reader::Reader;
use reads::Read;
use writer::Drain;

/// What the standard library has, and the native classes beside it.
pub(crate) struct Streams {
    protocol_class: Object,
    reader_class: Object,
    writer_class: Object,
    data_received: Object,
    feed_data: Object,
    at_eof: Object,
    read: Object,
    readline: Object,
    readuntil: Object,
    readexactly: Object,
    anext: Object,
    write: Object,
    drain: Object,
    drain_helper: Object,
    incomplete: Object,
    overrun: Object,
    newline: Object,
    reference_class: Object,
    /// The class that the Python half has derived for readers.
    native_reader: Slot,
    reader: Type<Reader>,
    reading: Type<Coroutine<Read>>,
    draining: Type<Coroutine<Drain>>,
}

impl Streams {
    pub(crate) fn new() -> Result<Self> {
        let module = Object::import(c"asyncio.streams")?;
        let protocol_class = module.member(c"StreamReaderProtocol")?;
        let reader_class = module.member(c"StreamReader")?;
        let writer_class = module.member(c"StreamWriter")?;
        Ok(Self {
            data_received: protocol_class.member(c"data_received")?,
            drain_helper: protocol_class.member(c"_drain_helper")?,
            feed_data: reader_class.member(c"feed_data")?,
            at_eof: reader_class.member(c"at_eof")?,
            read: reader_class.member(c"read")?,
            readline: reader_class.member(c"readline")?,
            readuntil: reader_class.member(c"readuntil")?,
            readexactly: reader_class.member(c"readexactly")?,
            anext: reader_class.member(c"__anext__")?,
            write: writer_class.member(c"write")?,
            drain: writer_class.member(c"drain")?,
            incomplete: Object::import(c"asyncio")?.member(c"IncompleteReadError")?,
            overrun: Object::import(c"asyncio")?.member(c"LimitOverrunError")?,
            reference_class: Object::import(c"weakref")?.member(c"ref")?,
            newline: Object::bytes(b"\n")?,
            native_reader: Slot::default(),
            reader: reader::class()?,
            reading: coroutine::class(c"treadle._native.StreamRead")?,
            draining: coroutine::class(c"treadle._native.StreamDrain")?,
            protocol_class,
            reader_class,
            writer_class,
        })
    }

    /// The native reader that a stock protocol feeds, if nobody has given the protocol another `data_received`.
    fn reader_fed_by(&self, protocol: &Object) -> Result<Option<Object>> {
        let attributes = protocol.attributes()?;
        if attributes.entry(&names().data_received)?.is_some() {
            return Ok(None);
        }
        let reference = attributes.entry(&names()._stream_reader_wr)?;
        let reader = reference.filter(|reference| reference.has_type(&self.reference_class));
        Ok(reader.and_then(|reference| reference.referent()).filter(|reader| self.is_native_reader(reader)))
    }

    fn is_native_reader(&self, reader: &Object) -> bool {
        self.native_reader.load().is_some_and(|class| reader.has_type(&class))
    }

    /// Whether the stock class still has this function.
    #[inline]
    fn writes_by(&self, name: &Object, function: &Object) -> Result<bool> {
        Ok(self.writer_class.attribute(name)?.is(function))
    }

    /// Whether the stock class still has this function.
    #[inline]
    fn reads_by(&self, name: &Object, function: &Object) -> Result<bool> {
        Ok(self.reader_class.attribute(name)?.is(function))
    }
}

/// Adds the native methods to the two classes that the Python half has derived from the stock ones.
pub(crate) fn complete(reader: &Object, writer: &Object) -> Result<()> {
    known().streams.native_reader.store(Some(reader.clone()));
    reads::add_to(attributes::add_to(Addition::to(reader))?)?;
    writer::add_to(Addition::to(writer))
}

/// Makes the reader of a stock protocol native, and the writer that a server's connection will have.
pub(crate) fn adopt(event_loop: Option<Object>, protocol: &Object) -> Result<()> {
    match event_loop.filter(|_| protocol.has_type(&known().streams.protocol_class)) {
        Some(event_loop) => event_loop.method(&names()._adopt_streams, [protocol]).map(drop),
        None => Ok(()),
    }
}

/// Gives data to a native reader as `protocol.data_received(data)` would; false if that must be called.
pub(crate) fn feed(protocol: &Object, data: &Object) -> Result<bool> {
    let streams = &known().streams;
    if !protocol.has_type(&streams.protocol_class) {
        return Ok(false);
    }
    let Some(reader) = streams.reader_fed_by(protocol)? else { return Ok(false) };
    let attributes = reader.attributes()?;
    let value = attributes.entry(&names()._native_state)?.and_then(|value| streams.reader.cast(&value));
    let Some(value) = value.filter(|value| !value.is_odd() && !value.has_ended()) else { return Ok(false) };
    let is_stock = attributes.entry(&names().feed_data)?.is_none()
        && streams.protocol_class.attribute(&names().data_received)?.is(&streams.data_received)
        && streams.reads_by(&names().feed_data, &streams.feed_data)?;
    if is_stock {
        value.feed(data)?;
    }
    Ok(is_stock)
}

/// Whether `transport.is_closing()` is false.
fn is_open(transport: &Object) -> Result<bool> {
    if known().stream.is_exactly(transport, |stream: &Instance<Stream>| !stream.is_closing.get()) {
        return Ok(true);
    }
    Ok(transport.method(&names().is_closing, [])?.is_exactly(false))
}
