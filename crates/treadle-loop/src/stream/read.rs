//! Reading: one `recv` for each event, straight into a buffer that is there already.

use std::io;

use treadle_reactor::io_calls;

use super::Stream;
use crate::core::READ_SIZE;
use crate::ffi::{Instance, Kind, Object, Raised, Result, Spec, Writable};
use crate::known::names;

/// What one read gave.
enum Received {
    Data(Object),
    Count(usize),
    End,
    Nothing,
    Failed(io::Error),
}

pub(super) fn on_readable(this: &Instance<Stream>) -> Result<()> {
    if this.is_reading_paused.get() || this.is_closing.get() || this.has_ended.get() {
        return Ok(());
    }
    if this.is_buffered.get() { read_into_protocol(this) } else { read_bytes(this) }
}

/// For protocols with `data_received`.
fn read_bytes(this: &Instance<Stream>) -> Result<()> {
    match this.receive()? {
        Received::Data(data) => Stream::call_protocol(this, &names().data_received, [&data]).map(drop),
        other => finish(this, other),
    }
}

/// For protocols with `get_buffer` and `buffer_updated`.
fn read_into_protocol(this: &Instance<Stream>) -> Result<()> {
    let hint = Object::integer(-1)?;
    let Some(buffer) = Stream::call_protocol(this, &names().get_buffer, [&hint])? else { return Ok(()) };
    let received = match receive_into(this, &buffer) {
        Ok(received) => received,
        Err(raised) => return Stream::fail(this, &raised.take(), "Fatal error: protocol.get_buffer() call failed."),
    };
    match received {
        Received::Count(count) => {
            let count = Object::integer(count as i64)?;
            Stream::call_protocol(this, &names().buffer_updated, [&count]).map(drop)
        }
        other => finish(this, other),
    }
}

/// Reads what is there into a buffer of the protocol's.
fn receive_into(this: &Stream, buffer: &Object) -> Result<Received> {
    let mut writable = Writable::of(buffer)?;
    let bytes = writable.as_mut();
    if bytes.is_empty() {
        return Err(Kind::RuntimeError.raise_static(c"get_buffer() returned an empty buffer"));
    }
    Ok(count(io_calls::recv(this.fd, bytes)))
}

fn finish(this: &Instance<Stream>, received: Received) -> Result<()> {
    match received {
        Received::End => on_eof(this),
        Received::Failed(error) => {
            let exception = Raised::from(error).take();
            Stream::fail(this, &exception, "Fatal read error on socket transport")
        }
        Received::Data(_) | Received::Count(_) | Received::Nothing => Ok(()),
    }
}

/// The peer will send no more. The protocol says whether it goes on writing.
fn on_eof(this: &Instance<Stream>) -> Result<()> {
    let Some(keep_open) = Stream::call_protocol(this, &names().eof_received, [])? else { return Ok(()) };
    let keep_open = match keep_open.is_true() {
        Ok(keep_open) => keep_open,
        Err(raised) => return Stream::fail(this, &raised.take(), "Fatal error: protocol.eof_received() call failed."),
    };
    if keep_open {
        this.has_ended.set(true);
        this.update_interest()
    } else {
        Stream::close(this)
    }
}

fn count(result: io::Result<usize>) -> Received {
    match result {
        Ok(0) => Received::End,
        Ok(count) => Received::Count(count),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Received::Nothing,
        Err(error) => Received::Failed(error),
    }
}

impl Stream {
    /// Reads what is there into `bytes` of exactly its size. The buffer is the loop's, so that no big block is allocated and shrunk: glibc's
    /// threshold for mapped memory makes that two to four times slower on a fresh heap.
    fn receive(&self) -> Result<Received> {
        let mut buffer = self.core.read_buffer.borrow_mut();
        if buffer.is_empty() {
            *buffer = vec![0; READ_SIZE].into_boxed_slice();
        }
        Ok(match count(io_calls::recv(self.fd, &mut buffer)) {
            Received::Count(count) => Received::Data(Object::bytes(&buffer[..count])?),
            other => other,
        })
    }
}

pub(super) fn methods(spec: Spec<Stream>) -> Spec<Stream> {
    spec.method(c"is_reading", |this, arguments| {
        arguments.exactly::<0>("is_reading")?;
        Ok(Object::bool(!this.is_closing.get() && !this.is_reading_paused.get()))
    })
    .method(c"pause_reading", |this, arguments| {
        arguments.exactly::<0>("pause_reading")?;
        if !this.is_closing.get() && !this.is_reading_paused.replace(true) {
            this.update_interest()?;
        }
        Ok(Object::none())
    })
    .method(c"resume_reading", |this, arguments| {
        arguments.exactly::<0>("resume_reading")?;
        if !this.is_closing.get() && this.is_reading_paused.get() {
            this.is_reading_paused.set(false);
            this.update_interest()?;
        }
        Ok(Object::none())
    })
}
