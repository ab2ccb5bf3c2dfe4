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
    /// The class that the Python half has derived for readers.
    native_reader: Slot,
    reader: Type<Reader>,
    reading: Type<Coroutine<Read>>,
    draining: Type<Coroutine<Drain>>,
}

impl Streams {
    pub(crate) fn new() -> Result<Self> {
        let text = |name| Object::interned(name);
        let module = Object::import(c"asyncio.streams")?;
        let protocol_class = module.attribute(&text(c"StreamReaderProtocol")?)?;
        let reader_class = module.attribute(&text(c"StreamReader")?)?;
        let writer_class = module.attribute(&text(c"StreamWriter")?)?;
        Ok(Self {
            data_received: protocol_class.attribute(&text(c"data_received")?)?,
            drain_helper: protocol_class.attribute(&text(c"_drain_helper")?)?,
            feed_data: reader_class.attribute(&text(c"feed_data")?)?,
            at_eof: reader_class.attribute(&text(c"at_eof")?)?,
            read: reader_class.attribute(&text(c"read")?)?,
            readline: reader_class.attribute(&text(c"readline")?)?,
            readuntil: reader_class.attribute(&text(c"readuntil")?)?,
            readexactly: reader_class.attribute(&text(c"readexactly")?)?,
            anext: reader_class.attribute(&text(c"__anext__")?)?,
            write: writer_class.attribute(&text(c"write")?)?,
            drain: writer_class.attribute(&text(c"drain")?)?,
            incomplete: Object::import(c"asyncio")?.attribute(&text(c"IncompleteReadError")?)?,
            overrun: Object::import(c"asyncio")?.attribute(&text(c"LimitOverrunError")?)?,
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

/// The value of the reader that a protocol feeds, if its data may go there past `data_received`.
pub(crate) fn find_reader(event_loop: Option<Object>, protocol: &Object) -> Result<Option<Object>> {
    if !protocol.has_type(&known().streams.protocol_class) {
        return Ok(None);
    }
    let Some(event_loop) = event_loop else { return Ok(None) };
    let value = event_loop.method(&names()._adopt_streams, [protocol])?;
    Ok((!value.is_none()).then_some(value))
}

/// Gives data to a reader as `protocol.data_received(data)` would; false if that must be called, because something is not as it was.
pub(crate) fn feed(protocol: &Object, value: &Object, data: &Object) -> Result<bool> {
    let streams = &known().streams;
    let Some(value) = streams.reader.cast(value) else { return Ok(false) };
    if value.is_odd() || value.has_ended() {
        return Ok(false);
    }
    let Some(reader) = value.object_fed_by(protocol)? else { return Ok(false) };
    let is_stock = streams.protocol_class.attribute(&names().data_received)?.is(&streams.data_received)
        && streams.reads_by(&names().feed_data, &streams.feed_data)?
        && reader.attributes()?.entry(&names().feed_data)?.is_none();
    if is_stock {
        value.feed(data)?;
    }
    Ok(is_stock)
}

/// Whether a transport is the loop's own and open.
fn is_open_stream(transport: &Object) -> bool {
    known().stream.is_exactly(transport, |stream: &Instance<Stream>| !stream.is_closing.get())
}
