//! One attempt of an operation: the system call on the descriptor, or, where something is unusual, the socket's own method.

use std::io;

use treadle_reactor::io_calls::{self, Connecting};
use treadle_reactor::{Address, RawFd};

use super::{Operation, What, connection};
use crate::address;
use crate::core::READ_SIZE;
use crate::ffi::{Kind, Object, Raised, Readable, Result, Writable};
use crate::known::{known, names};

/// Pieces of big data sent in one step, before others have their turn.
const PIECES: u32 = 16;

/// What an attempt came to.
pub(super) enum Attempt {
    Done(Object),
    /// The call would block.
    Blocked,
    /// There is more to do at once, after others have had their turn.
    Again,
}

/// What a native attempt came to.
enum Native {
    Known(Attempt),
    /// The method knows better what to do.
    Unusual,
}

/// Begins the operation, or goes on with it.
pub(super) fn advance(this: &Operation) -> Result<Attempt> {
    let socket = &this.socket;
    if !this.has_begun.get() {
        begin(this, socket)?;
    }
    if this.is_plain.get() {
        match native(this, socket)? {
            Native::Known(attempt) => return Ok(attempt),
            Native::Unusual => {}
        }
    }
    match by_method(this, socket) {
        Ok(Some(result)) => Ok(Attempt::Done(result)),
        Ok(None) => Ok(Attempt::Blocked),
        Err(raised) => would_block(this, socket, raised).map(|()| Attempt::Blocked),
    }
}

/// Checks the socket, the first time.
fn begin(this: &Operation, socket: &Object) -> Result<()> {
    let facts = &known().sock;
    if !socket.has_type(facts.class()) || this.core.is_debug() {
        this.event_loop.method(&names()._check_socket, [socket])?;
    }
    this.is_plain.set(is_plain(this.what, socket)?);
    this.has_begun.set(this.what != What::Connect);
    Ok(())
}

/// Whether the socket is Python's own and calls Python's own method. A class may have its method replaced, an instance only if it has a `__dict__`.
pub(super) fn is_plain(what: What, socket: &Object) -> Result<bool> {
    let facts = &known().sock;
    let Some((name, own)) = what.method() else { return Ok(false) };
    if !socket.is_of(facts.class()) || !socket.class().attribute(name)?.is(own) {
        return Ok(false);
    }
    if socket.has_type(facts.class()) {
        return Ok(true);
    }
    match socket.attribute(&names().__dict__) {
        Ok(attributes) => Ok(attributes.method(&names().get, [name])?.is_none()),
        Err(raised) => {
            raised.forget();
            Ok(true)
        }
    }
}

fn native(this: &Operation, socket: &Object) -> Result<Native> {
    // Each time anew: the program may have closed the socket meanwhile, and its number may be somebody else's.
    let fd = known().sock.descriptor(socket)?;
    this.fd.set(fd);
    match this.what {
        What::Recv => recv(this, fd),
        What::RecvInto => recv_into(this, fd),
        What::RecvFrom if known().sock.is_known_family(socket)? => recvfrom(this, fd),
        What::RecvFromInto if known().sock.is_known_family(socket)? => recvfrom_into(this, fd),
        What::SendAll => sendall(this, fd),
        What::Accept if known().sock.is_known_family(socket)? => accept(socket, fd),
        What::Connect => connect(this, socket, fd),
        What::RecvFrom | What::RecvFromInto | What::Accept | What::SendTo | What::Write => Ok(Native::Unusual),
    }
}

/// What a call has given, or that it would block.
fn outcome<T>(result: io::Result<T>, to_object: impl FnOnce(T) -> Result<Object>) -> Result<Native> {
    match result {
        Ok(value) => Ok(Native::Known(Attempt::Done(to_object(value)?))),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Native::Known(Attempt::Blocked)),
        Err(error) => Err(error.into()),
    }
}

/// A number of bytes that the loop's buffer holds.
fn size(this: &Operation) -> Result<Option<usize>> {
    let Some(size) = this.arguments[0].load() else { return Ok(None) };
    if !size.is_integer() {
        return Ok(None);
    }
    Ok(usize::try_from(size.to_integer()?).ok().filter(|size| (1..=READ_SIZE).contains(size)))
}

fn recv(this: &Operation, fd: RawFd) -> Result<Native> {
    let Some(size) = size(this)? else { return Ok(Native::Unusual) };
    let mut buffer = this.core.read_buffer();
    outcome(io_calls::recv(fd, &mut buffer[..size]), |count| Object::bytes(&buffer[..count]))
}

fn recvfrom(this: &Operation, fd: RawFd) -> Result<Native> {
    let Some(size) = size(this)? else { return Ok(Native::Unusual) };
    let received = {
        let mut buffer = this.core.read_buffer();
        match io_calls::recvfrom(fd, &mut buffer[..size]) {
            Ok((count, address)) => Ok((Object::bytes(&buffer[..count])?, address)),
            Err(error) => Err(error),
        }
    };
    outcome(received, |(data, address)| Object::tuple([data, address::to_object(&address)?]))
}

/// The buffer to receive into. What is none is left to the method, whose words are Python's.
fn writable(this: &Operation) -> Option<Writable> {
    let buffer = this.arguments[0].load()?;
    Writable::of(&buffer).map_err(Raised::forget).ok()
}

fn recv_into(this: &Operation, fd: RawFd) -> Result<Native> {
    let Some(mut writable) = writable(this) else { return Ok(Native::Unusual) };
    let bytes = writable.as_mut();
    if bytes.is_empty() {
        return Ok(Native::Unusual);
    }
    outcome(io_calls::recv(fd, bytes), Object::size)
}

fn recvfrom_into(this: &Operation, fd: RawFd) -> Result<Native> {
    let wanted = this.arguments[1].load().map_or(Ok(0), |size| size.to_integer())?;
    let Some(mut writable) = writable(this) else { return Ok(Native::Unusual) };
    let bytes = writable.as_mut();
    let wanted = if wanted == 0 { bytes.len() } else { usize::try_from(wanted).unwrap_or(0) };
    let Some(bytes) = bytes.get_mut(..wanted).filter(|bytes| !bytes.is_empty()) else { return Ok(Native::Unusual) };
    let received = io_calls::recvfrom(fd, bytes);
    drop(writable);
    outcome(received, |(count, address)| Object::tuple([Object::size(count)?, address::to_object(&address)?]))
}

/// Sends until all is sent, or the kernel takes no more: only then is it sure to tell when it does again.
fn sendall(this: &Operation, fd: RawFd) -> Result<Native> {
    let Some(data) = this.arguments[0].load() else { return Ok(Native::Unusual) };
    let readable = Readable::of(&data)?;
    let bytes = readable.as_ref();
    this.core.want_poll();
    for _ in 0..PIECES {
        match io_calls::send(fd, bytes.get(this.sent.get()..).unwrap_or_default()) {
            Ok(count) => this.sent.set(this.sent.get() + count),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                drop(readable);
                return hold(this, &data).map(|()| Native::Known(Attempt::Blocked));
            }
            Err(error) => return Err(error.into()),
        }
        if this.sent.get() >= bytes.len() {
            return Ok(Native::Known(Attempt::Done(Object::none())));
        }
    }
    drop(readable);
    hold(this, &data).map(|()| Native::Known(Attempt::Again))
}

/// Keeps data that is half sent from being resized.
fn hold(this: &Operation, data: &Object) -> Result<()> {
    if !data.has_type(&known().sock.memoryview) {
        this.arguments[0].store(Some(known().sock.memoryview.call([data])?));
    }
    Ok(())
}

fn accept(listener: &Object, fd: RawFd) -> Result<Native> {
    outcome(connection::accept(listener, fd), |accepted| {
        let (connection, address) = accepted?;
        Object::tuple([connection, address])
    })
}

fn connect(this: &Operation, socket: &Object, fd: RawFd) -> Result<Native> {
    let facts = &known().sock;
    let Some(address) = this.arguments[0].load() else { return Ok(Native::Unusual) };
    if this.has_begun.get() {
        return match io_calls::take_error(fd)? {
            None => Ok(Native::Known(Attempt::Done(Object::none()))),
            Some(error) => Err(connect_failed(this, &error, &address)),
        };
    }
    let Some(numbers) = facts.numbers(socket, &address)? else { return Ok(Native::Unusual) };
    facts.audit_connect(socket, &address)?;
    let mut state = io_calls::connect(fd, &numbers)?;
    if state == Connecting::InProgress {
        this.has_begun.set(true);
        // Within the machine the connection stands, or is refused, by the time the call returns, although it says otherwise. Asked at once, that
        // saves the registration. The system is asked all the same before the program goes on, so that a server in this loop hears of it as well.
        if is_loopback(&numbers) {
            state = io_calls::connect_again(fd, &numbers).map_err(|error| connect_failed(this, &error, &address))?;
        }
        if state == Connecting::Done {
            this.core.want_poll();
            return Ok(Native::Known(Attempt::Again));
        }
    }
    Ok(Native::Known(match state {
        Connecting::Done => Attempt::Done(Object::none()),
        Connecting::InProgress => Attempt::Blocked,
    }))
}

fn is_loopback(address: &Address) -> bool {
    match address {
        Address::Inet(address) => address.ip().is_loopback(),
        Address::Inet6(address) => address.ip().is_loopback(),
        Address::Unix(_) | Address::Unnamed | Address::Other => false,
    }
}

#[cold]
fn connect_failed(this: &Operation, error: &io::Error, address: &Object) -> Raised {
    let number = Object::integer(i64::from(error.raw_os_error().unwrap_or(0)));
    match number.and_then(|number| this.event_loop.method(&names()._connect_failed, [&number, address])) {
        Err(raised) => raised,
        Ok(_) => Kind::OSError.raise("the connection failed"),
    }
}

/// By the socket's method, which raises where it would block. `None`: not all is done.
fn by_method(this: &Operation, socket: &Object) -> Result<Option<Object>> {
    let [first, second] = &this.arguments;
    let (first, second) = (first.load().unwrap_or_else(Object::none), second.load());
    let Some((name, _)) = this.what.method() else {
        let arguments = second.map(|all| all.iterate()?.collect::<Result<Vec<_>>>()).transpose()?;
        return first.call_with(&arguments.unwrap_or_default()).map(Some);
    };
    match this.what {
        What::SendAll => return send_rest(this, socket, &first),
        What::Connect if this.has_begun.get() => {
            return this.event_loop.method(&names()._finish_connecting, [socket, &first]).map(Some);
        }
        What::Accept => socket.method(name, []),
        What::RecvFromInto if second.is_none() => socket.method(name, [&first, &Object::integer(0)?]),
        What::RecvFromInto | What::SendTo => socket.method(name, [&first, &second.unwrap_or_else(Object::none)]),
        _ => socket.method(name, [&first]),
    }
    .map(Some)
}

/// Sends what is left; whole is `bytes` or the like, and what follows a part is taken by Python.
fn send_rest(this: &Operation, socket: &Object, data: &Object) -> Result<Option<Object>> {
    let length = Readable::of(data)?.as_ref().len();
    let sent = this.sent.get();
    let count = if sent == 0 {
        socket.method(&names().send, [data])?
    } else {
        hold(this, data)?;
        this.event_loop.method(&names()._send_rest, [socket, data, &Object::size(sent)?])?
    };
    this.sent.set(sent + usize::try_from(count.to_integer()?).unwrap_or(0));
    Ok((this.sent.get() >= length).then(Object::none))
}

/// Forgets the exception that says that a call would block; others come back.
fn would_block(this: &Operation, socket: &Object, raised: Raised) -> Result<()> {
    let exception = raised.take();
    if !Kind::BlockingIOError.matches(&exception) && !Kind::InterruptedError.matches(&exception) {
        return Err(Raised::restore(&exception));
    }
    if this.what == What::Connect {
        // A Unix server's queue is full, and nothing has begun: the socket would be writable at once, and not connected.
        if this.is_plain.get() && !this.has_begun.get() && known().sock.is_unix(socket)? {
            return Err(Raised::restore(&exception));
        }
        this.has_begun.set(true);
    }
    Ok(())
}
