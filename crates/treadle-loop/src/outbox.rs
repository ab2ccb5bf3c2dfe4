//! What byte transports write: small writes of a turn are gathered and go out together, big ones go at once.

use std::cell::{Cell, RefCell};

use treadle_reactor::{Kind as Descriptor, Outgoing, io_calls};

use crate::core::Core;
use crate::ffi::{Instance, Kind, Object, Raised, Readable, Result, Spec};
use crate::flow::{self, Flow, Flows};
use crate::source::Source;
use crate::transport::{self, Transport};
use crate::watch;

/// With more than this waiting, gathering gains nothing any more and only holds memory: see benches/loops.
const GATHER: usize = 32 * 1024;

/// Something to be sent.
pub(crate) enum Chunk {
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

/// What waits to be sent.
#[derive(Default)]
pub(crate) struct Outbox {
    outgoing: RefCell<Outgoing<Chunk>>,
    /// In the core's list of those that have something to write at the end of the turn.
    is_listed: Cell<bool>,
    /// The kernel takes no more at the moment; the loop waits until it does.
    is_blocked: Cell<bool>,
    flow: Flow,
}

impl Outbox {
    pub(crate) fn len(&self) -> usize {
        self.outgoing.borrow().len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.outgoing.borrow().is_empty()
    }

    pub(crate) fn is_listed(&self) -> bool {
        self.is_listed.get()
    }

    pub(crate) fn is_blocked(&self) -> bool {
        self.is_blocked.get()
    }

    /// Drops everything, but for what is only gathered: asyncio has sent that by now, as far as the kernel takes it.
    pub(crate) fn give_up<T: Writes>(&self, transport: &T) {
        let is_gathered = !self.is_blocked.get() && !self.is_empty() && transport.lost.get() == 0;
        if is_gathered && !transport.core.belongs_to_another_process() {
            // Whoever aborts is not interested in errors.
            let _ = self.outgoing.borrow_mut().write_to(transport.fd, T::KIND);
        }
        self.clear();
    }

    /// Drops everything.
    fn clear(&self) {
        self.is_blocked.set(false);
        let unsent = self.outgoing.borrow_mut().clear();
        drop(unsent);
    }

    /// Drops what has been sent, one by one, while nothing is borrowed.
    fn drop_spent(&self) {
        while let Some(chunk) = { self.outgoing.borrow_mut().pop_spent() } {
            drop(chunk);
        }
    }
}

/// A transport with an [`Outbox`].
pub(crate) trait Writes: Transport {
    const KIND: Descriptor;
    /// What the log says of many writes to a lost connection.
    const LOST: &str;
    /// What the exception handler is told when writing fails.
    const FAILED: &str;

    fn outbox(&self) -> &Outbox;

    /// Whether what is written now goes out.
    fn takes_writes(&self) -> bool {
        self.lost.get() == 0
    }

    /// The turn ends: who stands above may have something to write.
    fn before_flush(_this: &Instance<Self>) -> Result<()> {
        Ok(())
    }

    /// All is sent.
    fn on_empty(this: &Instance<Self>) -> Result<()>;

    /// The kernel has refused; the connection ends next.
    fn on_refused(_this: &Instance<Self>, _exception: &Object) -> Result<()> {
        Ok(())
    }
}

impl<T: Writes> Flows for T {
    fn flow(&self) -> &Flow {
        &self.outbox().flow
    }

    fn unsent(&self) -> usize {
        self.outbox().len()
    }

    fn send_gathered(this: &Instance<Self>) -> Result<()> {
        flush_gathered(this)
    }
}

/// What transports with an outbox have.
pub(crate) fn methods<T: Writes>(spec: Spec<T>) -> Spec<T> {
    flow::methods(spec)
        .method(c"can_write_eof", |_this, arguments| {
            arguments.exactly::<0>("can_write_eof")?;
            Ok(Object::bool(true))
        })
        .method(c"close", |this, arguments| {
            arguments.exactly::<0>("close")?;
            close(this).map(|()| Object::none())
        })
        .method(c"abort", transport::abort)
}

/// `write(data)`.
pub(crate) fn write<T: Writes>(this: &Instance<T>, data: &Object) -> Result<()> {
    let chunk = match data.as_bytes() {
        Some([]) => return Ok(()),
        Some(_) => Chunk::Bytes(data.clone()),
        None => match mutable_chunk(this, data)? {
            Some(chunk) => chunk,
            None => return Ok(()),
        },
    };
    if !this.takes_writes() {
        return this.note_lost_write(T::LOST);
    }
    let outbox = this.outbox();
    outbox.outgoing.borrow_mut().push(chunk);
    if outbox.is_blocked.get() {
        if this.core.is_watched() {
            watch::buffered(&this.core, this.object(), outbox.len(), outbox.flow.high_water());
        }
        return flow::pause_if_full(this);
    }
    if outbox.len() > GATHER.min(outbox.flow.high_water()) || !this.core.is_running() {
        flush(this)?;
        return flow::pause_if_full(this);
    }
    enlist(this);
    Ok(())
}

/// A chunk of an object whose bytes may change later. What the kernel takes at once need not be copied.
fn mutable_chunk<T: Writes>(this: &Instance<T>, data: &Object) -> Result<Option<Chunk>> {
    let readable = readable(data)?;
    let bytes = readable.as_ref();
    let is_next = this.takes_writes() && this.outbox().is_empty() && bytes.len() > GATHER;
    let sent = match T::KIND {
        _ if !is_next => 0,
        Descriptor::Socket => io_calls::send(this.fd, bytes).unwrap_or(0),
        Descriptor::Pipe => io_calls::write(this.fd, bytes).unwrap_or(0),
    };
    if sent > 0 {
        this.core.want_poll();
    }
    Ok((sent < bytes.len()).then(|| Chunk::Copied(bytes[sent..].into())))
}

/// The bytes of an argument.
pub(crate) fn readable(data: &Object) -> Result<Readable> {
    Readable::of(data).map_err(|raised| {
        raised.forget();
        let message = format!("data argument must be a bytes-like object, not '{}'", data.type_name());
        Kind::TypeError.raise(&message)
    })
}

/// Has the loop flush this at the end of the turn.
pub(crate) fn enlist<T: Writes>(this: &Instance<T>) {
    if !this.outbox().is_listed.replace(true) {
        this.core.unflushed.borrow_mut().push_back(T::source(this));
    }
}

/// Sends what has been gathered in this turn.
#[inline]
pub(crate) fn flush_all(core: &Core) -> Result<()> {
    if core.unflushed.borrow().is_empty() { Ok(()) } else { flush_all_listed(core) }
}

fn flush_all_listed(core: &Core) -> Result<()> {
    // Exceptions that end programs end this; what is left in the list is sent when the loop goes on.
    while let Some(source) = { core.unflushed.borrow_mut().pop_front() } {
        if core.is_watched() {
            watch::flush(core, &source, || flush_source(&source))?;
        } else {
            flush_source(&source)?;
        }
    }
    Ok(())
}

fn flush_source(source: &Source) -> Result<()> {
    match source {
        Source::Stream(stream) => flush_listed(stream),
        Source::WritePipe(pipe) => flush_listed(pipe),
        _ => Ok(()),
    }
}

fn flush_listed<T: Writes>(this: &Instance<T>) -> Result<()> {
    this.outbox().is_listed.set(false);
    T::before_flush(this)?;
    flush_gathered(this)?;
    flow::pause_if_full(this)
}

/// Sends what this turn has gathered. What the kernel did not take before waits for the kernel, so that the protocol hears of its end.
pub(crate) fn flush_gathered<T: Writes>(this: &Instance<T>) -> Result<()> {
    if this.outbox().is_blocked.get() { Ok(()) } else { flush(this) }
}

/// Sends as much as the kernel takes, now or when it takes bytes again. When all is sent, does what was waiting for that.
pub(crate) fn flush<T: Writes>(this: &Instance<T>) -> Result<()> {
    let outbox = this.outbox();
    if this.lost.get() > 0 || outbox.is_empty() {
        return Ok(());
    }
    // In a child process the bytes are the parent's to send.
    this.core.check_process()?;
    let result = outbox.outgoing.borrow_mut().write_to(this.fd, T::KIND);
    this.core.want_poll();
    outbox.drop_spent();
    if let Err(error) = result {
        let exception = Raised::from(error).take();
        T::on_refused(this, &exception)?;
        return T::fail(this, &exception, T::FAILED);
    }
    let is_empty = outbox.is_empty();
    if outbox.is_blocked.replace(!is_empty) == is_empty {
        if is_empty && this.core.is_watched() {
            watch::drained(&this.core, this.object());
        }
        this.update_interest()?;
    }
    // What this makes the protocol write still goes out before the end.
    flow::resume_if_drained(this)?;
    if outbox.is_empty() { T::on_empty(this) } else { Ok(()) }
}

/// `close()`: what was written goes out, then `connection_lost(None)`.
pub(crate) fn close<T: Writes>(this: &Instance<T>) -> Result<()> {
    if this.is_closing.replace(true) {
        return Ok(());
    }
    flush_gathered(this)?;
    if this.outbox().is_empty() {
        return T::lose(this, &Object::none());
    }
    this.update_interest()
}
