//! Writing: small writes of a turn are gathered and go out together, big ones go at once.

use std::io;

use treadle_reactor::io_calls::{self, Shutdown};
use treadle_reactor::Kind as Descriptor;

use super::{HIGH_WATER, Stream};
use crate::core::Core;
use crate::ffi::{Context, Instance, Kind, Object, Raised, Readable, Result, Spec};
use crate::known::names;

/// With more than this waiting, gathering gains nothing any more and only holds memory: see benches/loops.
const GATHER: usize = 32 * 1024;

/// After so many writes to a lost connection the log says so, as in asyncio.
const WRITES_BEFORE_WARNING: u32 = 5;

/// Something to be sent.
pub(super) enum Chunk {
    /// `bytes`, which cannot change.
    Bytes(Object),
    /// A copy of what can.
    Copied(Box<[u8]>),
}

impl AsRef<[u8]> for Chunk {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Bytes(bytes) => bytes.as_bytes().unwrap_or_default(),
            Self::Copied(bytes) => bytes,
        }
    }
}

pub(super) fn methods(spec: Spec<Stream>) -> Spec<Stream> {
    spec.method(c"write", |this, arguments| {
        let [data] = arguments.exactly("write")?;
        write(this, data).map(|()| Object::none())
    })
    .method(c"writelines", |this, arguments| {
        let [list] = arguments.exactly("writelines")?;
        for data in list.iterate()? {
            write(this, &data?)?;
        }
        Ok(Object::none())
    })
    .method(c"write_eof", |this, arguments| {
        arguments.exactly::<0>("write_eof")?;
        write_eof(this).map(|()| Object::none())
    })
    .method(c"can_write_eof", |_this, arguments| {
        arguments.exactly::<0>("can_write_eof")?;
        Ok(Object::bool(true))
    })
    .method(c"get_write_buffer_size", |this, arguments| {
        arguments.exactly::<0>("get_write_buffer_size")?;
        Object::integer(this.outgoing.borrow().len() as i64)
    })
    .method(c"get_write_buffer_limits", |this, arguments| {
        arguments.exactly::<0>("get_write_buffer_limits")?;
        let (low, high) = (this.low_water.get(), this.high_water.get());
        Object::tuple([Object::integer(low as i64)?, Object::integer(high as i64)?])
    })
    .method(c"set_write_buffer_limits", |this, arguments| {
        let [high, low] = arguments.named("set_write_buffer_limits", ["high", "low"], 0)?;
        let given = |mark: Option<&Object>| mark.filter(|mark| !mark.is_none()).map(Object::to_integer).transpose();
        flush_gathered(this)?;
        set_limits(this, given(high)?, given(low)?)?;
        pause_protocol_if_full(this)?;
        Ok(Object::none())
    })
    // For sending files, which must come after what was written.
    .method(c"_make_empty_waiter", |this, arguments| {
        arguments.exactly::<0>("_make_empty_waiter")?;
        make_drained(this)
    })
    .method(c"_reset_empty_waiter", |this, arguments| {
        arguments.exactly::<0>("_reset_empty_waiter")?;
        this.drained.store(None);
        Ok(Object::none())
    })
}

fn write(this: &Instance<Stream>, data: &Object) -> Result<()> {
    if let Some(reason) = this.refuses_writes() {
        if data.as_bytes().is_none() {
            Readable::of(data).map_err(|raised| not_bytes(data, raised))?;
        }
        return Err(Kind::RuntimeError.raise_static(reason));
    }
    let chunk = match data.as_bytes() {
        Some([]) => return Ok(()),
        Some(_) => Chunk::Bytes(data.clone()),
        None => match mutable_chunk(this, data)? {
            Some(chunk) => chunk,
            None => return Ok(()),
        },
    };
    if this.lost.get() > 0 {
        return this.warn_of_lost_write();
    }
    this.outgoing.borrow_mut().push(chunk);
    if this.is_blocked.get() {
        return pause_protocol_if_full(this);
    }
    let waiting = this.outgoing.borrow().len();
    if waiting > GATHER.min(this.high_water.get()) || !this.core.is_running() {
        flush(this)?;
        return pause_protocol_if_full(this);
    }
    enlist(this);
    Ok(())
}

/// A chunk of an object whose bytes may change later. What the socket takes at once need not be copied.
fn mutable_chunk(this: &Stream, data: &Object) -> Result<Option<Chunk>> {
    let readable = Readable::of(data).map_err(|raised| not_bytes(data, raised))?;
    let bytes = readable.as_ref();
    let is_next = this.lost.get() == 0 && this.outgoing.borrow().is_empty();
    let sent = if is_next && bytes.len() > GATHER { io_calls::send(this.fd, bytes).unwrap_or(0) } else { 0 };
    Ok((sent < bytes.len()).then(|| Chunk::Copied(bytes[sent..].into())))
}

fn not_bytes(data: &Object, raised: Raised) -> Raised {
    raised.forget();
    let message = format!("data argument must be a bytes-like object, not '{}'", data.type_name());
    Kind::TypeError.raise(&message)
}

/// Has the loop flush this at the end of the turn.
fn enlist(this: &Instance<Stream>) {
    if !this.is_listed.replace(true) {
        this.core.unflushed.borrow_mut().push(this.clone());
    }
}

fn write_eof(this: &Instance<Stream>) -> Result<()> {
    if this.is_closing.get() || this.eof_written.replace(true) {
        return Ok(());
    }
    flush_gathered(this)?;
    if this.outgoing.borrow().is_empty() && this.lost.get() == 0 {
        this.shut_down()?;
    }
    Ok(())
}

/// Sends what the streams have gathered in this turn.
pub(crate) fn flush_all(core: &Core) -> Result<()> {
    while !core.unflushed.borrow().is_empty() {
        let mut streams = core.unflushed.take();
        let mut waiting = streams.drain(..);
        while let Some(stream) = waiting.next() {
            stream.is_listed.set(false);
            if let Err(raised) = flush_gathered(&stream).and_then(|()| pause_protocol_if_full(&stream)) {
                // `let_through`'s exceptions end the loop; what is left is sent when it goes on.
                core.unflushed.borrow_mut().extend(waiting);
                return Err(raised);
            }
        }
        drop(waiting);
        // The vector keeps its room.
        let mut unflushed = core.unflushed.borrow_mut();
        if unflushed.is_empty() {
            *unflushed = streams;
        }
    }
    Ok(())
}

/// The socket takes bytes again.
pub(super) fn on_writable(this: &Instance<Stream>) -> Result<()> {
    flush(this)?;
    resume_protocol_if_drained(this)
}

/// Sends what this turn has gathered. What the socket did not take before waits for the socket, so that the protocol hears of its end.
pub(super) fn flush_gathered(this: &Instance<Stream>) -> Result<()> {
    if this.is_blocked.get() { Ok(()) } else { flush(this) }
}

/// Sends as much as the socket takes. When all is sent, does what was waiting for that.
pub(super) fn flush(this: &Instance<Stream>) -> Result<()> {
    if this.lost.get() > 0 || this.outgoing.borrow().is_empty() {
        return Ok(());
    }
    // In a child process the bytes are the parent's to send.
    this.core.check_process()?;
    let result = this.outgoing.borrow_mut().write_to(this.fd, Descriptor::Socket);
    this.drop_spent();
    if let Err(error) = result {
        let exception = Raised::from(error).take();
        if let Some(waiter) = this.drained.load() {
            fail_drained(&waiter, &exception)?;
        }
        return Stream::fail(this, &exception, "Fatal write error on socket transport");
    }
    let is_empty = this.outgoing.borrow().is_empty();
    if this.is_blocked.replace(!is_empty) == is_empty {
        this.update_interest()?;
    }
    if is_empty { when_empty(this) } else { Ok(()) }
}

fn when_empty(this: &Instance<Stream>) -> Result<()> {
    if let Some(waiter) = this.drained.load()
        && !waiter.method(&names().done, [])?.is_true()?
    {
        waiter.method(&names().set_result, [&Object::none()])?;
    }
    if this.eof_written.get() {
        this.shut_down()?;
    }
    // `close` has found something unsent before, or it would not have come here.
    if this.is_closing.get() && this.lost.get() == 0 && !this.is_blocked.get() {
        return Stream::lose(this, &Object::none());
    }
    Ok(())
}

fn pause_protocol_if_full(this: &Instance<Stream>) -> Result<()> {
    if this.outgoing.borrow().len() <= this.high_water.get() || this.is_protocol_paused.replace(true) {
        return Ok(());
    }
    let paused = this.protocol().method(&names().pause_writing, []);
    paused.map_or_else(|raised| report_flow(this, raised, "protocol.pause_writing() failed"), |_| Ok(()))
}

fn resume_protocol_if_drained(this: &Instance<Stream>) -> Result<()> {
    if this.outgoing.borrow().len() > this.low_water.get() || !this.is_protocol_paused.replace(false) {
        return Ok(());
    }
    let Some(protocol) = this.protocol.load() else { return Ok(()) };
    let resumed = Context::run(&this.context, || protocol.method(&names().resume_writing, []));
    resumed.map_or_else(|raised| report_flow(this, raised, "protocol.resume_writing() failed"), |_| Ok(()))
}

fn report_flow(this: &Instance<Stream>, raised: Raised, message: &str) -> Result<()> {
    let exception = raised.take();
    Core::let_through(&exception)?;
    Stream::report(this, &exception, message)
}

fn set_limits(this: &Stream, high: Option<i64>, low: Option<i64>) -> Result<()> {
    let high = high.unwrap_or_else(|| low.map_or(HIGH_WATER as i64, |low| 4 * low));
    let low = low.unwrap_or(high / 4);
    if !(high >= low && low >= 0) {
        return Err(Kind::ValueError.raise(&format!("high ({high}) must be >= low ({low}) must be >= 0")));
    }
    this.high_water.set(high.unsigned_abs() as usize);
    this.low_water.set(low.unsigned_abs() as usize);
    Ok(())
}

fn make_drained(this: &Instance<Stream>) -> Result<Object> {
    if this.drained.is_some() {
        return Err(Kind::RuntimeError.raise_static(c"Empty waiter is already set"));
    }
    flush_gathered(this)?;
    let event_loop = this.core.event_loop().unwrap_or_else(Object::none);
    let waiter = event_loop.method(&names().create_future, [])?;
    this.drained.store(Some(waiter.clone()));
    if this.outgoing.borrow().is_empty() {
        waiter.method(&names().set_result, [&Object::none()])?;
    }
    Ok(waiter)
}

/// Tells who waits to send a file that the connection is gone.
pub(super) fn fail_drained(waiter: &Object, exception: &Object) -> Result<()> {
    if !waiter.method(&names().done, [])?.is_true()? {
        waiter.method(&names().set_exception, [exception])?;
    }
    Ok(())
}

impl Stream {
    /// Drops what has been sent, one by one, while nothing is borrowed.
    fn drop_spent(&self) {
        while let Some(chunk) = { self.outgoing.borrow_mut().pop_spent() } {
            drop(chunk);
        }
    }

    fn refuses_writes(&self) -> Option<&'static std::ffi::CStr> {
        if self.eof_written.get() {
            return Some(c"Cannot call write() after write_eof()");
        }
        self.drained.is_some().then_some(c"unable to write; sendfile is in progress")
    }

    fn shut_down(&self) -> Result<()> {
        match io_calls::shutdown(self.fd, Shutdown::Write) {
            // The peer may be gone already; reading will say so.
            Err(error) if error.kind() != io::ErrorKind::NotConnected => Err(error.into()),
            _ => Ok(()),
        }
    }

    fn warn_of_lost_write(&self) -> Result<()> {
        if self.lost.get() >= WRITES_BEFORE_WARNING
            && let Some(event_loop) = self.core.event_loop()
        {
            event_loop.method(&names()._write_after_loss, [])?;
        }
        self.lost.set(self.lost.get().saturating_add(1));
        Ok(())
    }
}
