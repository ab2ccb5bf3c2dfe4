//! `read`, `readline`, `readuntil`, `readexactly`, `async for`: what a reader gives out.
//!
//! Native are the reads that find what they look for, and those that wait for it. At the end of the stream, over the limit, when somebody else
//! waits, and after an exception, the stock coroutine function decides: it finds the same state and raises what it raises.

use std::cell::Cell;

use memchr::{memchr, memmem};

use super::Reader;
use crate::coroutine::{Coroutine, Progress, Work};
use crate::ffi::{Addition, Args, Instance, Kind, Object, Raised, Result, Step, Visit};
use crate::known::{known, names};

/// What is to be read.
#[derive(Clone)]
enum Wanted {
    /// At most so many bytes, and at least one.
    Some(u32),
    Exactly(u32),
    Until(Object),
    Line,
    /// The next line of `async for`.
    Next,
}

/// A read.
pub(super) struct Read {
    /// The reader's object: a read keeps it, as a frame would.
    reader: Object,
    value: Instance<Reader>,
    wanted: Wanted,
    /// Up to here there is no separator.
    offset: Cell<usize>,
}

impl Work for Read {
    fn name(&self) -> &'static str {
        match self.wanted {
            Wanted::Some(_) => "StreamReader.read",
            Wanted::Exactly(_) => "StreamReader.readexactly",
            Wanted::Until(_) => "StreamReader.readuntil",
            Wanted::Line => "StreamReader.readline",
            Wanted::Next => "StreamReader.__anext__",
        }
    }

    fn advance(&self, is_first: bool) -> Result<Progress> {
        if self.value.is_odd() || (is_first && self.value.has_exception()) {
            return self.delegate(is_first);
        }
        match &self.wanted {
            Wanted::Some(0) => Object::bytes(&[]).map(Progress::Done),
            Wanted::Some(count) => self.read_some(*count as usize, is_first),
            Wanted::Exactly(count) => self.read_exactly(*count as usize, is_first),
            Wanted::Until(separator) => self.read_until(separator.as_bytes().unwrap_or_default(), is_first),
            Wanted::Line | Wanted::Next => self.read_until(b"\n", is_first),
        }
    }

    fn waited(&self, _future: &Object) -> Result<()> {
        self.value.end_to_wait();
        Ok(())
    }

    /// `readline` makes a line, or another exception, of those that `readuntil` raises; also if somebody else has thrown or set them.
    fn failed(&self, raised: Raised) -> Result<Object> {
        if !matches!(self.wanted, Wanted::Line | Wanted::Next) {
            return Err(raised);
        }
        let exception = raised.take();
        let streams = &known().streams;
        if !exception.is_instance(&streams.incomplete)? && !exception.is_instance(&streams.overrun)? {
            return Err(Raised::restore(&exception));
        }
        let line = self.reader.method(&names()._end_line, [&exception])?;
        if matches!(self.wanted, Wanted::Next) && !line.is_true()? {
            return Err(Kind::StopAsyncIteration.raise_static(c""));
        }
        Ok(line)
    }

    fn traverse(&self, visit: &Visit<'_>) {
        visit.object(&self.reader);
        visit.object(self.value.object());
        if let Wanted::Until(separator) = &self.wanted {
            visit.object(separator);
        }
    }
}

impl Read {
    fn create(reader: &Object, wanted: Wanted) -> Result<Object> {
        let work = Self { reader: reader.clone(), value: Reader::of(reader)?, wanted, offset: Cell::new(0) };
        Coroutine::create(&known().streams.reading, work)
    }

    fn read_some(&self, count: usize, is_first: bool) -> Result<Progress> {
        // After a wait there is something, or the end.
        if is_first && self.value.length() == 0 && !self.value.has_ended() {
            return self.wait(is_first);
        }
        self.value.take(count).map(Progress::Done)
    }

    fn read_exactly(&self, count: usize, is_first: bool) -> Result<Progress> {
        if count > 0 && self.value.length() < count {
            return if self.value.has_ended() { self.delegate(is_first) } else { self.wait(is_first) };
        }
        if count == 0 { Object::bytes(&[]).map(Progress::Done) } else { self.value.take(count).map(Progress::Done) }
    }

    fn read_until(&self, separator: &[u8], is_first: bool) -> Result<Progress> {
        let length = self.value.length();
        let limit = self.value.limit();
        // The program may have taken something out of the buffer during a wait.
        let offset = self.offset.get();
        if length >= offset + separator.len() {
            let found = self.value.find(|bytes| find(&bytes[offset..], separator))?;
            if let Some(place) = found.map(|place| place + offset) {
                if place > limit {
                    return self.overrun(is_first, "Separator is found, but chunk is longer than limit", place);
                }
                return self.value.take(place + separator.len()).map(Progress::Done);
            }
            self.offset.set(length + 1 - separator.len());
            if self.offset.get() > limit {
                let message = "Separator is not found, and chunk exceed the limit";
                return self.overrun(is_first, message, self.offset.get());
            }
        }
        if self.value.has_ended() { self.meet_end(is_first) } else { self.wait(is_first) }
    }

    /// The stock method would search anew from the beginning, which was searched before the wait; so it is only asked before that.
    #[cold]
    fn overrun(&self, is_first: bool, message: &str, consumed: usize) -> Result<Progress> {
        if is_first {
            return self.delegate(is_first);
        }
        let exception = known().streams.overrun.call([&Object::text(message)?, &Object::size(consumed)?])?;
        self.failed(Raised::restore(&exception)).map(Progress::Done)
    }

    #[cold]
    fn meet_end(&self, is_first: bool) -> Result<Progress> {
        if is_first {
            return self.delegate(is_first);
        }
        let rest = self.value.take_all()?;
        let exception = known().streams.incomplete.call([&rest, &Object::none()])?;
        self.failed(Raised::restore(&exception)).map(Progress::Done)
    }

    fn wait(&self, is_first: bool) -> Result<Progress> {
        match self.value.begin_to_wait()? {
            Some(future) => Ok(Progress::Wait(future)),
            None => self.delegate(is_first),
        }
    }

    /// Leaves it to the stock method. That looks for an exception only at its beginning, so one that came later must not be seen.
    #[cold]
    fn delegate(&self, is_first: bool) -> Result<Progress> {
        let coroutine = self.stock()?;
        if is_first {
            return Ok(Progress::Delegate(coroutine));
        }
        match self.value.without_exception(|| coroutine.send(&Object::none()))? {
            Step::Return(result) => Ok(Progress::Done(result)),
            Step::Yield(yielded) => Ok(Progress::Delegated(coroutine, yielded)),
        }
    }

    fn stock(&self) -> Result<Object> {
        let streams = &known().streams;
        match &self.wanted {
            Wanted::Some(count) => streams.read.call([&self.reader, &Object::integer(i64::from(*count))?]),
            Wanted::Exactly(count) => streams.readexactly.call([&self.reader, &Object::integer(i64::from(*count))?]),
            Wanted::Until(separator) => streams.readuntil.call([&self.reader, separator]),
            Wanted::Line => streams.readline.call([&self.reader]),
            Wanted::Next => streams.anext.call([&self.reader]),
        }
    }
}

fn find(bytes: &[u8], separator: &[u8]) -> Option<usize> {
    match separator {
        [byte] => memchr(*byte, bytes),
        _ => memmem::find(bytes, separator),
    }
}

/// Adds the methods to the class of readers.
pub(super) fn add_to(class: Addition<'_>) -> Result<()> {
    class
        .method(c"feed_data", feed_data)?
        .method(c"at_eof", at_eof)?
        .method(c"read", read)?
        .method(c"readline", readline)?
        .method(c"readuntil", readuntil)?
        .method(c"readexactly", readexactly)?
        .method(c"__anext__", anext)
        .map(drop)
}

fn feed_data(reader: &Object, arguments: Args<'_>) -> Result<Object> {
    let streams = &known().streams;
    let value = Reader::of(reader)?;
    if let ([data], false) = (arguments.positional(), arguments.has_keywords())
        && !value.is_odd()
        && !value.has_ended()
        && streams.reads_by(&names().feed_data, &streams.feed_data)?
    {
        return value.feed(data).map(|()| Object::none());
    }
    by_stock(reader, &names().feed_data, arguments)
}

fn at_eof(reader: &Object, arguments: Args<'_>) -> Result<Object> {
    let streams = &known().streams;
    let value = Reader::of(reader)?;
    if arguments.is_empty() && !value.is_odd() && streams.reads_by(&names().at_eof, &streams.at_eof)? {
        return Ok(Object::bool(value.has_ended() && value.length() == 0));
    }
    by_stock(reader, &names().at_eof, arguments)
}

fn read(reader: &Object, arguments: Args<'_>) -> Result<Object> {
    let streams = &known().streams;
    if let Some(count) = count(arguments)
        && streams.reads_by(&names().read, &streams.read)?
    {
        return Read::create(reader, Wanted::Some(count));
    }
    by_stock(reader, &names().read, arguments)
}

fn readexactly(reader: &Object, arguments: Args<'_>) -> Result<Object> {
    let streams = &known().streams;
    if let Some(count) = count(arguments)
        && streams.reads_by(&names().readexactly, &streams.readexactly)?
    {
        return Read::create(reader, Wanted::Exactly(count));
    }
    by_stock(reader, &names().readexactly, arguments)
}

fn readuntil(reader: &Object, arguments: Args<'_>) -> Result<Object> {
    let streams = &known().streams;
    let separator = match (arguments.positional(), arguments.has_keywords()) {
        ([], false) => &streams.newline,
        ([separator], false) => separator,
        _ => return by_stock(reader, &names().readuntil, arguments),
    };
    let is_plain = separator.is_exactly_bytes() && separator.as_bytes().is_some_and(|bytes| !bytes.is_empty());
    if is_plain && streams.reads_by(&names().readuntil, &streams.readuntil)? {
        return Read::create(reader, Wanted::Until(separator.clone()));
    }
    by_stock(reader, &names().readuntil, arguments)
}

fn readline(reader: &Object, arguments: Args<'_>) -> Result<Object> {
    let streams = &known().streams;
    if arguments.is_empty() && streams.reads_by(&names().readline, &streams.readline)? && reads_until_itself(reader)? {
        return Read::create(reader, Wanted::Line);
    }
    by_stock(reader, &names().readline, arguments)
}

fn anext(reader: &Object, arguments: Args<'_>) -> Result<Object> {
    let streams = &known().streams;
    if arguments.is_empty()
        && streams.reads_by(&names().__anext__, &streams.anext)?
        && streams.reads_by(&names().readline, &streams.readline)?
        && reader.attributes()?.entry(&names().readline)?.is_none()
        && reads_until_itself(reader)?
    {
        return Read::create(reader, Wanted::Next);
    }
    by_stock(reader, &names().__anext__, arguments)
}

/// Whether `self.readuntil` of the stock `readline` would be the stock `readuntil`.
fn reads_until_itself(reader: &Object) -> Result<bool> {
    let streams = &known().streams;
    Ok(streams.reads_by(&names().readuntil, &streams.readuntil)?
        && reader.attributes()?.entry(&names().readuntil)?.is_none())
}

/// The only argument, if it is an ordinary number of bytes.
fn count(arguments: Args<'_>) -> Option<u32> {
    match (arguments.positional(), arguments.has_keywords()) {
        ([number], false) if number.is_exactly_integer() => match number.to_integer() {
            Ok(number) => u32::try_from(number).ok(),
            Err(raised) => {
                raised.forget();
                None
            }
        },
        _ => None,
    }
}

/// Calls what the stock class has, which may be a program's patch.
fn by_stock(reader: &Object, name: &Object, arguments: Args<'_>) -> Result<Object> {
    known().streams.reader_class.attribute(name)?.method(&names().__get__, [reader])?.forward(arguments)
}
