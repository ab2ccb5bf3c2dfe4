//! The transport of a datagram socket, UDP or Unix, connected or not: what runs for each packet.
//!
//! Errors of the network go to `error_received` and end nothing. What is sent goes out at once, or waits in a queue until the kernel takes it.
//! Addresses are converted here, unless a name must be looked up or the family is an exotic one; then Python's socket does that datagram.

mod peers;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;

use treadle_reactor::{Interest, io_calls};

use crate::address::{self, Family};
use crate::core::{Core, READ_SIZE};
use crate::ffi::{Args, Instance, Kind, Object, Raised, Readable, Result, Slot, Spec, Type};
use crate::flow::{self, Flow, Flows};
use crate::known::{known, names};
use crate::source::Source;
use crate::transport::{self, Endpoint, Transport, endpoint_class};
use peers::{Recent, Senders};

/// So many datagrams of one socket are received before others get their turn. With 1, an echo with fifty peers takes 15 % longer; from 16 on it is
/// about the same.
const BATCH: usize = 64;

/// What asyncio adds to the size of each waiting datagram, since Python 3.13.
const HEADER: usize = 8;

/// The value of a transport's object.
pub(crate) struct Datagram {
    endpoint: Endpoint,
    family: Family,
    /// The only address that may be sent to, if one was given.
    remote: Slot,
    /// The kernel knows the peer.
    is_connected: bool,
    /// Since Python 3.13 empty datagrams are sent, and headers are counted.
    is_modern: bool,
    queue: RefCell<VecDeque<Packet>>,
    /// The bytes in it.
    queued: Cell<usize>,
    flow: Flow,
    senders: Senders,
    receiver: Recent,
}

/// A datagram that waits.
struct Packet {
    data: Object,
    address: Object,
}

endpoint_class!(Datagram, remote, receiver);

impl Transport for Datagram {
    fn source(this: &Instance<Self>) -> Source {
        Source::Datagram(this.clone())
    }

    fn wanted_interest(&self) -> Interest {
        let reading = if self.is_reading() { Interest::READ } else { Interest::NONE };
        if self.queue.borrow().is_empty() { reading } else { reading | Interest::WRITE }
    }

    fn discard_unsent(&self) {
        let queue = self.queue.take();
        self.queued.set(0);
        drop(queue);
    }

    fn describe(&self) -> String {
        let reading = if self.is_reading() { "reading" } else { "not reading" };
        format!(" {reading} write buffer={}", self.queued.get())
    }
}

impl Flows for Datagram {
    fn flow(&self) -> &Flow {
        &self.flow
    }

    fn unsent(&self) -> usize {
        self.queued.get()
    }
}

/// What one attempt to receive gave.
enum Received {
    Datagram(Object, Object),
    Nothing,
    /// An error of the network.
    Failed(Object),
    /// Anything else, which is a fault of the program.
    Wrong(Object),
}

/// What one attempt to send gave.
enum Sent {
    Done,
    Blocked,
    Failed(Object),
    Wrong(Object),
}

/// Handles an event of the socket.
pub(crate) fn on_ready(this: &Instance<Datagram>, is_readable: bool, is_writable: bool) -> Result<()> {
    if is_readable {
        on_readable(this)?;
    }
    if is_writable && !this.queue.borrow().is_empty() {
        on_writable(this)?;
    }
    Ok(())
}

fn on_readable(this: &Instance<Datagram>) -> Result<()> {
    for _ in 0..BATCH {
        if !this.is_reading() {
            break;
        }
        match this.receive()? {
            Received::Datagram(data, sender) => {
                Datagram::notify(this, &names().datagram_received, [&data, &sender])?;
            }
            Received::Nothing => break,
            Received::Failed(exception) => Datagram::notify(this, &names().error_received, [&exception])?,
            Received::Wrong(exception) => {
                return Datagram::fail(this, &exception, "Fatal read error on datagram transport");
            }
        }
    }
    Ok(())
}

/// Sends what waits, until the kernel takes no more.
fn on_writable(this: &Instance<Datagram>) -> Result<()> {
    while let Some(packet) = { this.queue.borrow_mut().pop_front() } {
        let size = this.size(&packet.data);
        match this.send(&packet.data, &packet.address)? {
            Sent::Done => this.queued.set(this.queued.get() - size),
            Sent::Blocked => {
                this.queue.borrow_mut().push_front(packet);
                break;
            }
            Sent::Failed(exception) => {
                this.queued.set(this.queued.get() - size);
                Datagram::notify(this, &names().error_received, [&exception])?;
            }
            Sent::Wrong(exception) => return fail_to_send(this, &exception),
        }
    }
    if this.lost.get() > 0 {
        return Ok(());
    }
    flow::resume_if_drained(this)?;
    this.update_interest()?;
    if this.is_closing.get() && this.queue.borrow().is_empty() {
        return Datagram::lose(this, &Object::none());
    }
    Ok(())
}

fn fail_to_send(this: &Instance<Datagram>, exception: &Object) -> Result<()> {
    Datagram::fail(this, exception, "Fatal write error on datagram transport")
}

/// `sendto(data, addr=None)`.
fn send_to(this: &Instance<Datagram>, data: &Object, address: &Object) -> Result<()> {
    let length = length(data)?;
    if length == 0 && !this.is_modern {
        return Ok(());
    }
    let remote = this.remote.load();
    if let Some(remote) = &remote
        && !address.is_none()
        && !address.equals(remote)?
    {
        let message = format!("Invalid address: must be None or {}", remote.display());
        return Err(Kind::ValueError.raise(&message));
    }
    // Between the loss and `connection_lost`, what is sent to a given address still goes out, as in asyncio.
    if this.lost.get() > 0 && (remote.is_some() || !this.file.is_some()) {
        return this.note_lost_write("socket.send() raised exception.");
    }
    let address = remote.as_ref().unwrap_or(address);
    if this.queue.borrow().is_empty() {
        match this.send(data, address)? {
            Sent::Done => return Ok(()),
            Sent::Blocked => {}
            // Whatever the protocol raises here is the caller's.
            Sent::Failed(exception) => {
                return this.protocol().method(&names().error_received, [&exception]).map(drop);
            }
            Sent::Wrong(exception) => return fail_to_send(this, &exception),
        }
    }
    if this.lost.get() > 0 {
        return Ok(());
    }
    enqueue(this, data, address)
}

fn enqueue(this: &Instance<Datagram>, data: &Object, address: &Object) -> Result<()> {
    let data = match data.as_bytes() {
        Some(_) => data.clone(),
        // It may be changed before it is sent.
        None => Object::bytes(Readable::of(data)?.as_ref())?,
    };
    this.queued.set(this.queued.get() + this.size(&data));
    this.queue.borrow_mut().push_back(Packet { data, address: address.clone() });
    this.update_interest()?;
    flow::pause_if_full(this)
}

/// How many bytes an argument has, which must be of one of three classes.
fn length(data: &Object) -> Result<usize> {
    if let Some(bytes) = data.as_bytes() {
        return Ok(bytes.len());
    }
    if data.is_instance(&known().mutable_bytes)? {
        // What is not contiguous cannot be sent; sending says so.
        return Ok(Readable::of(data).map_or_else(
            |raised| {
                raised.forget();
                1
            },
            |readable| readable.as_ref().len(),
        ));
    }
    let message = format!("data argument must be a bytes-like object, not '{}'", data.type_name());
    Err(Kind::TypeError.raise(&message))
}

/// `close()`: what waits goes out, then `connection_lost(None)`.
fn close(this: &Instance<Datagram>) -> Result<()> {
    if this.is_closing.replace(true) {
        return Ok(());
    }
    if this.queue.borrow().is_empty() { Datagram::lose(this, &Object::none()) } else { this.update_interest() }
}

impl Datagram {
    /// Receives one datagram.
    fn receive(&self) -> Result<Received> {
        if self.family == Family::Other {
            return self.receive_by_python();
        }
        let mut buffer = self.core.read_buffer();
        let (data, address) = match io_calls::recvfrom(self.fd, &mut buffer) {
            Ok((count, address)) => (Object::bytes(&buffer[..count])?, address),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Received::Nothing),
            Err(error) => return Ok(Received::Failed(Raised::from(error).take())),
        };
        drop(buffer);
        Ok(Received::Datagram(data, self.senders.object_of(address)?))
    }

    #[cold]
    fn receive_by_python(&self) -> Result<Received> {
        let socket = self.file.load().unwrap_or_else(Object::none);
        let received = socket.method(&names().recvfrom, [&Object::size(READ_SIZE)?]);
        match received.and_then(|pair| Ok((pair.item(0)?, pair.item(1)?))) {
            Ok((data, sender)) => Ok(Received::Datagram(data, sender)),
            Err(raised) => Ok(match Sent::from_exception(raised)? {
                Sent::Failed(exception) => Received::Failed(exception),
                Sent::Wrong(exception) => Received::Wrong(exception),
                Sent::Done | Sent::Blocked => Received::Nothing,
            }),
        }
    }

    /// Sends one datagram, if the kernel takes it.
    fn send(&self, data: &Object, address: &Object) -> Result<Sent> {
        self.core.want_poll();
        // A Unix socket may have a peer without a name.
        if self.is_connected || (address.is_none() && self.family == Family::Unix) {
            return Sent::by(data, |bytes| io_calls::send(self.fd, bytes));
        }
        let recent = self.senders.address_of(address).or_else(|| self.receiver.address_of(address));
        if let Some(address) = recent {
            return Sent::by(data, |bytes| io_calls::sendto(self.fd, bytes, &address));
        }
        let Some(parsed) = address::parse(self.family, address) else {
            return self.send_by_python(data, address);
        };
        let sent = Sent::by(data, |bytes| io_calls::sendto(self.fd, bytes, &parsed));
        self.receiver.remember(parsed, address.clone());
        sent
    }

    /// Lets Python's socket look up a name, or refuse what is no address.
    #[cold]
    fn send_by_python(&self, data: &Object, address: &Object) -> Result<Sent> {
        let socket = self.file.load().unwrap_or_else(Object::none);
        match socket.method(&names().sendto, [data, address]) {
            Ok(_) => Ok(Sent::Done),
            Err(raised) => Sent::from_exception(raised),
        }
    }

    /// What a waiting datagram counts for.
    fn size(&self, data: &Object) -> usize {
        data.as_bytes().map_or(0, <[u8]>::len) + if self.is_modern { HEADER } else { 0 }
    }
}

impl Sent {
    fn by(data: &Object, call: impl FnOnce(&[u8]) -> io::Result<usize>) -> Result<Self> {
        let sent = match data.as_bytes() {
            Some(bytes) => call(bytes),
            None => match Readable::of(data) {
                Ok(readable) => call(readable.as_ref()),
                Err(raised) => return Self::from_exception(raised),
            },
        };
        Ok(match sent {
            Ok(_) => Self::Done,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Self::Blocked,
            Err(error) => Self::Failed(Raised::from(error).take()),
        })
    }

    fn from_exception(raised: Raised) -> Result<Self> {
        let exception = raised.take();
        Core::let_through(&exception)?;
        Ok(match exception {
            exception if Kind::BlockingIOError.matches(&exception) => Self::Blocked,
            exception if Kind::OSError.matches(&exception) => Self::Failed(exception),
            exception => Self::Wrong(exception),
        })
    }
}

/// The class of datagram transports, below `asyncio.Transport` and `asyncio.DatagramTransport`, as asyncio's own.
pub(crate) fn class(bases: &Object) -> Result<Type<Datagram>> {
    let spec = Spec::new(c"treadle._native.DatagramTransport", c"The transport of a datagram socket.");
    let spec = flow::methods(transport::reading(transport::methods(spec)));
    spec.method(c"sendto", |this, arguments| {
        if let ([data, address], false) = (arguments.positional(), arguments.has_keywords()) {
            return send_to(this, data, address).map(|()| Object::none());
        }
        let [data, address] = arguments.named("sendto", ["data", "addr"], 1)?;
        let none = Object::none();
        send_to(this, data.unwrap_or(&none), address.unwrap_or(&none)).map(|()| none)
    })
    .method(c"close", |this, arguments| {
        arguments.exactly::<0>("close")?;
        close(this).map(|()| Object::none())
    })
    .method(c"abort", transport::abort)
    .attribute(c"_address", |this| Ok(this.remote.load().unwrap_or_else(Object::none)))
    .attribute(c"_sock", |this| Ok(this.file.load().unwrap_or_else(Object::none)))
    .attribute(c"_sock_fd", |this| Object::integer(i64::from(this.fd)))
    .create(Some(bases))
}

/// `_open_datagram(...)` of the Python half: makes the transport and schedules its beginning.
pub(crate) fn open(core: &Rc<Core>, arguments: Args<'_>) -> Result<Object> {
    let [socket, protocol, address, waiter, extra, is_modern] = arguments.exactly("_open_datagram")?;
    core.check_open()?;
    let endpoint = Endpoint::new(core, socket, protocol, extra)?;
    let peer = extra.method(&names().get, [&names().peername])?;
    let this = known().datagram.instantiate(Datagram {
        family: Family::of(endpoint.fd),
        endpoint,
        remote: Slot::new(if address.is_true()? { Some(address.clone()) } else { None }),
        is_connected: peer.is_true()?,
        is_modern: is_modern.is_true()?,
        queue: RefCell::default(),
        queued: Cell::new(0),
        flow: Flow::default(),
        senders: Senders::default(),
        receiver: Recent::default(),
    })?;
    Datagram::open(&this, waiter)?;
    Ok(this.into_object())
}
