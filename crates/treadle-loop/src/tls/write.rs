//! From the application to the socket: small writes of a turn become few records, and one write of the transport below.

use super::{Phase, Tls, load, pending, wants_more};
use crate::ffi::{Instance, Kind, Object, Raised, Readable, Result, Spec};
use crate::known::names;
use crate::stream;

/// The data of one record, and what small writes are gathered to.
const RECORD: usize = 16 * 1024;

pub(super) fn methods(spec: Spec<Tls>) -> Spec<Tls> {
    spec.method(c"_write_appdata", |this, arguments| {
        let [list] = arguments.exactly("_write_appdata")?;
        write(this, list)
    })
    .method(c"_do_write", |this, arguments| {
        arguments.exactly::<0>("_do_write")?;
        encrypt_and_send(this).map(|()| Object::none())
    })
    .method(c"_process_outgoing", |this, arguments| {
        arguments.exactly::<0>("_process_outgoing")?;
        send(this).map(|()| Object::none())
    })
    .method(c"_send_gathered", |this, arguments| {
        arguments.exactly::<0>("_send_gathered")?;
        send_gathered(this);
        Ok(Object::none())
    })
    .method(c"_drop_backlog", |this, arguments| {
        arguments.exactly::<0>("_drop_backlog")?;
        let backlog = this.backlog.take();
        drop(backlog);
        Ok(Object::none())
    })
}

/// Takes data to be written.
fn write(this: &Instance<Tls>, list: &Object) -> Result<Object> {
    let phase = this.phase.get();
    if !matches!(phase, Phase::Wrapped | Phase::Handshake) {
        return this.object().method(&names()._write_after_end, [list]);
    }
    let taken = take(this, list).and_then(|()| if phase == Phase::Wrapped { enlist(this) } else { Ok(()) });
    taken.or_else(|raised| Tls::fail(this, raised)).map(|()| Object::none())
}

fn take(this: &Tls, list: &Object) -> Result<()> {
    if list.tuple_length() == Some(1) {
        return take_one(this, list.item(0)?);
    }
    list.iterate()?.try_for_each(|data| take_one(this, data?))
}

fn take_one(this: &Tls, data: Object) -> Result<()> {
    let data = immutable(data)?;
    let length = data.as_bytes().map_or(0, <[u8]>::len);
    if length > 0 {
        this.waiting.set(this.waiting.get() + length.cast_signed() as i64);
        this.backlog.borrow_mut().push_back(data);
    }
    Ok(())
}

/// `bytes` stay what they are; of anything else the content may change until it is encrypted.
fn immutable(data: Object) -> Result<Object> {
    if data.as_bytes().is_some() {
        return Ok(data);
    }
    let readable = Readable::of(&data).map_err(|raised| {
        raised.forget();
        Kind::TypeError.raise(&format!("data: expecting a bytes-like instance, got {}", data.type_name()))
    })?;
    Object::bytes(readable.as_ref())
}

/// Has the transport below ask for the data at the end of the turn. Much data, and transports that do not ask, get it at once.
fn enlist(this: &Instance<Tls>) -> Result<()> {
    let limit = (RECORD.cast_signed() as i64).min(this.outgoing_high.get());
    if this.waiting.get() < limit
        && let Some(stream) = this.stream()
        && stream::flush_later(&stream)
    {
        return Ok(());
    }
    encrypt_and_send(this)
}

/// The end of a turn. Exceptions go to the state machine.
pub(crate) fn flush(this: &Instance<Tls>) -> Result<()> {
    if this.phase.get() != Phase::Wrapped || this.backlog.borrow().is_empty() {
        return Ok(());
    }
    encrypt_and_send(this).or_else(|raised| Tls::fail(this, raised))
}

/// The end of the connection: what is only gathered goes out as far as it can, as asyncio has sent it by now.
pub(super) fn send_gathered(this: &Instance<Tls>) {
    if this.phase.get() == Phase::Wrapped && !this.backlog.borrow().is_empty() {
        let _ = encrypt_and_send(this).map_err(Raised::forget);
    }
}

/// What was read may have made OpenSSL write, and may have been what it waited for.
pub(super) fn write_after_reading(this: &Instance<Tls>) -> Result<()> {
    let has_more = this.stock_backlog.load().map_or(Ok(false), |stock| stock.is_true())?;
    let will_be_flushed = this.phase.get() == Phase::Wrapped && !this.backlog.borrow().is_empty() && this.is_listed();
    if will_be_flushed && !has_more {
        return Ok(());
    }
    if has_more || this.waiting.get() > 0 {
        return encrypt_and_send(this);
    }
    if pending(&this.outgoing)? > 0 { send(this) } else { control_protocol(this) }
}

fn encrypt_and_send(this: &Instance<Tls>) -> Result<()> {
    encrypt(this)?;
    send(this)
}

/// Before asyncio's state machine goes on to the shutdown.
pub(super) fn encrypt_gathered(this: &Instance<Tls>) -> Result<()> {
    if this.phase.get() != Phase::Wrapped || this.backlog.borrow().is_empty() {
        return Ok(());
    }
    encrypt(this).or_else(|raised| Tls::fail(this, raised))
}

/// Has OpenSSL encrypt all that waits, unless it wants to read first.
fn encrypt(this: &Instance<Tls>) -> Result<()> {
    if let Some(stock) = this.stock_backlog.load() {
        while stock.is_true()? {
            let data = immutable(stock.method(&names().popleft, [])?)?;
            this.backlog.borrow_mut().push_back(data);
        }
    }
    while let Some(piece) = this.next_piece()? {
        let length = piece.as_bytes().map_or(0, <[u8]>::len);
        match load(&this.encrypt).call([&piece]).and_then(|count| count.to_integer()) {
            Ok(count) => {
                this.waiting.set(this.waiting.get() - count);
                let written = count.unsigned_abs() as usize;
                if written < length {
                    let rest = Object::bytes(&piece.as_bytes().unwrap_or_default()[written..])?;
                    this.backlog.borrow_mut().push_front(rest);
                }
            }
            Err(raised) => {
                wants_more(raised)?;
                this.backlog.borrow_mut().push_front(piece);
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Hands what OpenSSL has encrypted to the transport below.
fn send(this: &Instance<Tls>) -> Result<()> {
    if !this.is_writing_paused.get() {
        let data = load(&this.take).call([])?;
        if data.as_bytes().is_some_and(|bytes| !bytes.is_empty()) {
            match this.stream() {
                Some(stream) => stream::write(&stream, &data)?,
                None => drop(load(&this.transport).method(&names().write, [&data])?),
            }
        }
    }
    control_protocol(this)
}

/// Has asyncio's flow control look, if there is something to see.
fn control_protocol(this: &Instance<Tls>) -> Result<()> {
    let is_paused = this.is_protocol_paused.get();
    // Unless the transport is full, nothing is left in `outgoing`.
    let unsent = if this.is_writing_paused.get() { pending(&this.outgoing)? } else { 0 };
    let waiting = this.waiting.get() + unsent;
    let is_full = waiting >= this.outgoing_high.get() && !is_paused;
    let is_drained = waiting <= this.outgoing_low.get() && is_paused;
    if is_full || is_drained { this.object().method(&names()._control_app_writing, []).map(drop) } else { Ok(()) }
}

impl Instance<Tls> {
    /// Whether the transport below asks for the data at the end of the turn.
    fn is_listed(&self) -> bool {
        self.stream().is_some_and(|stream| stream.is_listed())
    }

    /// The data of the next write: one long one, or short ones together.
    fn next_piece(&self) -> Result<Option<Object>> {
        let Some(first) = self.backlog.borrow_mut().pop_front() else { return Ok(None) };
        let mut together = first.as_bytes().map_or(0, <[u8]>::len);
        let mut pieces = smallvec::SmallVec::<[Object; 8]>::new();
        loop {
            let mut backlog = self.backlog.borrow_mut();
            let Some(next) = backlog.front().map(|next| next.as_bytes().map_or(0, <[u8]>::len)) else { break };
            if together + next > RECORD {
                break;
            }
            together += next;
            pieces.extend(backlog.pop_front());
        }
        if pieces.is_empty() {
            return Ok(Some(first));
        }
        pieces.insert(0, first);
        Object::joined(&pieces).map(Some)
    }
}
