//! `write` and `drain` of a writer. Its attributes stay where the stock class has them: a message takes four looks.

use super::{Reader, is_open};
use crate::coroutine::{Coroutine, Progress, Work};
use crate::ffi::{Addition, Args, Object, Result, Visit};
use crate::known::{known, names};

/// A `drain()`.
pub(super) struct Drain {
    writer: Object,
}

impl Work for Drain {
    fn name(&self) -> &'static str {
        "StreamWriter.drain"
    }

    /// Done at once if nothing is wrong and the protocol not paused; everything else is the stock method's matter.
    fn advance(&self, _is_first: bool) -> Result<Progress> {
        if self.is_drained()? {
            return Ok(Progress::Done(Object::none()));
        }
        known().streams.drain.call([&self.writer]).map(Progress::Delegate)
    }

    fn traverse(&self, visit: &Visit<'_>) {
        visit.object(&self.writer);
    }
}

impl Drain {
    fn is_drained(&self) -> Result<bool> {
        let streams = &known().streams;
        // No descriptors stand before these in either class.
        let attributes = self.writer.attributes()?;
        let of_writer = |name| -> Result<Object> { Ok(attributes.entry(name)?.unwrap_or_else(Object::none)) };
        let reader = of_writer(&names()._reader)?;
        if !reader.is_none() && (!streams.is_native_reader(&reader) || Reader::of(&reader)?.has_exception()) {
            return Ok(false);
        }
        let protocol = of_writer(&names()._protocol)?;
        Ok(is_open(&of_writer(&names()._transport)?)?
            && protocol.has_type(&streams.protocol_class)
            && streams.protocol_class.attribute(&names()._drain_helper)?.is(&streams.drain_helper)
            && is_false(&protocol, &names()._connection_lost)?
            && is_false(&protocol, &names()._paused)?)
    }
}

fn is_false(protocol: &Object, name: &Object) -> Result<bool> {
    Ok(protocol.attributes()?.entry(name)?.is_some_and(|value| value.is_exactly(false)))
}

/// Adds the methods to the class of writers.
pub(super) fn add_to(class: Addition<'_>) -> Result<()> {
    class.method(c"write", write)?.method(c"drain", drain).map(drop)
}

fn write(writer: &Object, arguments: Args<'_>) -> Result<Object> {
    let streams = &known().streams;
    if let ([data], false) = (arguments.positional(), arguments.has_keywords())
        && streams.writes_by(&names().write, &streams.write)?
    {
        writer.attribute(&names()._transport)?.method(&names().write, [data])?;
        return Ok(Object::none());
    }
    by_stock(writer, &names().write, arguments)
}

fn drain(writer: &Object, arguments: Args<'_>) -> Result<Object> {
    let streams = &known().streams;
    if arguments.is_empty() && streams.writes_by(&names().drain, &streams.drain)? {
        return Coroutine::create(&streams.draining, Drain { writer: writer.clone() });
    }
    by_stock(writer, &names().drain, arguments)
}

/// Calls what the stock class has, which may be a program's patch.
fn by_stock(writer: &Object, name: &Object, arguments: Args<'_>) -> Result<Object> {
    known().streams.writer_class.attribute(name)?.method(&names().__get__, [writer])?.forward(arguments)
}
