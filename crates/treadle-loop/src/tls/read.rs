//! From the socket to the application.

use smallvec::SmallVec;

use super::records::Records;
use super::{Phase, Tls, load, pending, wants_more};
use crate::ffi::{Instance, Kind, Object, Result, Spec, Writable};
use crate::known::{known, names};
use crate::streams;

/// One message is seldom more than a few records.
type Pieces = SmallVec<[Object; 8]>;

pub(super) fn methods(spec: Spec<Tls>) -> Spec<Tls> {
    spec.method(c"_do_read", |this, arguments| {
        arguments.exactly::<0>("_do_read")?;
        read(this).map(|()| Object::none())
    })
    .method(c"_feed", |this, arguments| {
        let [data] = arguments.exactly("_feed")?;
        feed(this, data).map(|()| Object::none())
    })
}

/// Takes `bytes` that have arrived and does with them what is to be done now.
pub(crate) fn feed(this: &Instance<Tls>, data: &Object) -> Result<()> {
    this.records.borrow_mut().note(data.as_bytes().unwrap_or_default());
    load(&this.put).call([data])?;
    let step = match this.phase.get() {
        Phase::Wrapped => return read(this),
        Phase::Handshake => &names()._do_handshake,
        Phase::Flushing => &names()._do_flush,
        Phase::Shutdown => &names()._do_shutdown,
        Phase::Unwrapped => return Ok(()),
    };
    this.object().method(step, []).map(drop)
}

/// Decrypts what is there, hands it over, and writes what is to be written then.
fn read(this: &Instance<Tls>) -> Result<()> {
    if !this.is_open() {
        return Ok(());
    }
    let done = try_read(this).and_then(|()| control_transport(this));
    done.or_else(|raised| Tls::fail(this, raised))
}

fn try_read(this: &Instance<Tls>) -> Result<()> {
    if this.is_reading_paused.get() {
        return Ok(());
    }
    if this.protocol_is_buffered.get() && !leads_to_tls(this) {
        read_into_protocol(this)?;
    } else {
        read_bytes(this)?;
    }
    super::write::write_after_reading(this)
}

/// TLS within TLS.
fn leads_to_tls(this: &Tls) -> bool {
    this.protocol.load().is_some_and(|protocol| known().tls.cast(&protocol).is_some())
}

/// For protocols with `data_received`.
fn read_bytes(this: &Instance<Tls>) -> Result<()> {
    let mut pieces = Pieces::new();
    let mut has_ended = false;
    while let Some(size) = this.next_size() {
        match this.read(size)? {
            None => break,
            Some(piece) if piece.as_bytes() == Some(&[]) => {
                has_ended = true;
                break;
            }
            Some(piece) => pieces.push(piece),
        }
    }
    let data = match &pieces[..] {
        [] => None,
        [piece] => Some(piece.clone()),
        _ => Some(Object::joined(&pieces)?),
    };
    drop(pieces);
    if let Some(data) = data {
        deliver(this, &data)?;
    }
    if has_ended { end(this) } else { Ok(()) }
}

fn deliver(this: &Instance<Tls>, data: &Object) -> Result<()> {
    let protocol = load(&this.protocol);
    match known().tls.cast(&protocol) {
        Some(inner) => feed(&inner, data),
        None if streams::feed(&protocol, data)? => Ok(()),
        None => protocol.method(&names().data_received, [data]).map(drop),
    }
}

/// For protocols with `get_buffer` and `buffer_updated`: one buffer, and the next in the next turn.
fn read_into_protocol(this: &Instance<Tls>) -> Result<()> {
    let Some(mut size) = this.next_size() else { return Ok(()) };
    let protocol = load(&this.protocol);
    let buffer = protocol.method(&names().get_buffer, [&Object::integer(pending(&this.incoming)?)?])?;
    let mut writable = Writable::of(&buffer)?;
    let room = writable.as_mut().len();
    if room == 0 {
        return Err(Kind::RuntimeError.raise_static(c"get_buffer() returned an empty buffer"));
    }
    let (mut filled, mut has_ended) = (0, false);
    loop {
        let Some(piece) = this.read(size.min(room - filled))? else { break };
        let bytes = piece.as_bytes().unwrap_or_default();
        writable.as_mut()[filled..filled + bytes.len()].copy_from_slice(bytes);
        filled += bytes.len();
        has_ended = bytes.is_empty();
        if has_ended || filled == room {
            break;
        }
        let Some(next) = this.next_size() else { break };
        size = next;
    }
    drop(writable);
    if filled == room {
        // The size asked for may have been less than the record's.
        this.records.borrow_mut().doubt();
        if let Some(event_loop) = this.event_loop()? {
            event_loop.method(&names().call_soon, [&this.object().attribute(&names()._do_read)?])?;
        }
    }
    if filled > 0 {
        protocol.method(&names().buffer_updated, [&Object::size(filled)?])?;
    }
    if has_ended { end(this) } else { Ok(()) }
}

/// The peer's `close_notify`.
fn end(this: &Instance<Tls>) -> Result<()> {
    this.object().method(&names()._call_eof_received, [])?;
    this.object().method(&names()._start_shutdown, []).map(drop)
}

/// Has asyncio's flow control look, if there is something to see.
fn control_transport(this: &Instance<Tls>) -> Result<()> {
    let is_drained = !this.is_reading_paused.get() && !this.records.borrow().has_more();
    if is_drained && !this.is_transport_paused.get() && this.incoming_high.get() > Records::PARTIAL {
        return Ok(());
    }
    let (waiting, is_paused) = (pending(&this.incoming)?, this.is_transport_paused.get());
    let is_full = waiting >= this.incoming_high.get() && !is_paused;
    let is_drained = waiting <= this.incoming_low.get() && is_paused;
    if is_full || is_drained { this.object().method(&names()._control_ssl_reading, []).map(drop) } else { Ok(()) }
}

impl Instance<Tls> {
    fn next_size(&self) -> Option<usize> {
        self.records.borrow_mut().next()
    }

    /// Up to `size` bytes; none if more has to arrive first, and empty `bytes` at the end.
    fn read(&self, size: usize) -> Result<Option<Object>> {
        let size_wanted = Object::size(size)?;
        match load(&self.decrypt).call([&size_wanted]) {
            Ok(piece) => {
                if piece.as_bytes().is_some_and(|bytes| bytes.len() == size) {
                    self.records.borrow_mut().doubt();
                }
                Ok(Some(piece))
            }
            Err(raised) => {
                wants_more(raised)?;
                self.records.borrow_mut().exhausted();
                Ok(None)
            }
        }
    }

    fn event_loop(&self) -> Result<Option<Object>> {
        let event_loop = self.object().attribute(&names()._loop)?;
        Ok((!event_loop.is_none()).then_some(event_loop))
    }
}
