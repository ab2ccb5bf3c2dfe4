//! Reading: one `recv` for each event, straight into a buffer that is there already.

use std::io;

use treadle_reactor::io_calls;

use super::Stream;
use crate::ffi::{Context, Instance, Kind, Object, Raised, Result, Writable};
use crate::known::names;
use crate::outbox;
use crate::streams;
use crate::tls::{self, Tls};
use crate::transport::Transport;

/// What one read gave.
enum Received {
    Data(Object),
    Count(usize),
    End,
    Nothing,
    Failed(io::Error),
}

pub(super) fn on_readable(this: &Instance<Stream>) -> Result<()> {
    if !this.is_reading() || this.has_ended.get() {
        return Ok(());
    }
    if let Some(tls) = this.tls() {
        return read_records(this, &tls);
    }
    if this.is_buffered.get() { read_into_protocol(this) } else { read_bytes(this) }
}

/// For protocols with `data_received`.
fn read_bytes(this: &Instance<Stream>) -> Result<()> {
    match this.receive()? {
        Received::Data(data) => give(this, &data),
        other => finish(this, other),
    }
}

/// For the TLS layer: straight to OpenSSL.
fn read_records(this: &Instance<Stream>, tls: &Instance<Tls>) -> Result<()> {
    let data = match this.receive()? {
        Received::Data(data) => data,
        other => return finish(this, other),
    };
    Context::run(&this.context, || tls::feed(tls, &data)).or_else(|raised| {
        let exception = raised.take();
        Stream::fail(this, &exception, "Fatal error: protocol.buffer_updated() call failed.")
    })
}

/// Gives data to the protocol, or to its reader where that comes to the same.
fn give(this: &Instance<Stream>, data: &Object) -> Result<()> {
    match streams::feed(&this.protocol(), data) {
        Ok(true) => Ok(()),
        Ok(false) => Stream::call_protocol(this, &names().data_received, [data]).map(drop),
        Err(raised) => Stream::fail(this, &raised.take(), "Fatal error: protocol.data_received() call failed."),
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
            let count = Object::size(count)?;
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
        outbox::close(this)
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
    /// Reads what is there into `bytes` of exactly its size.
    fn receive(&self) -> Result<Received> {
        let mut buffer = self.core.read_buffer();
        Ok(match count(io_calls::recv(self.fd, &mut buffer)) {
            Received::Count(count) => Received::Data(Object::bytes(&buffer[..count])?),
            other => other,
        })
    }
}
