//! `sock_recv`, `sock_sendall` and the others: coroutines in native code.
//!
//! As with `async def`, nothing happens before the first `send`. Then the system call is tried, and as long as it would block the
//! operation waits by a future of the loop and tries again when the socket is ready. The call is made in the task's own step: an operation that
//! is cancelled has received nothing that is lost with it. How waiting works, and what stays registered, is `readiness`'s matter.

mod attempt;
mod connection;
mod facts;
mod form;

use std::cell::Cell;
use std::rc::Rc;

use treadle_reactor::{Interest, RawFd};

use crate::core::Core;
use crate::coroutine::{Coroutine, Progress, Work};
use crate::event_loop::Loop;
use crate::ffi::{Args, Instance, Object, Result, Slot, Spec, Visit};
use crate::known::{known, names};
use crate::readiness;
use crate::source::Watcher;
use attempt::Attempt;
pub(crate) use connection::is_over;
pub(crate) use facts::Facts;
pub(crate) use form::Form;

/// Which operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Recv,
    RecvInto,
    RecvFrom,
    RecvFromInto,
    SendAll,
    SendTo,
    Accept,
    Connect,
    /// Anything that raises `BlockingIOError` until the socket can be written to: a callable with a tuple of arguments.
    Write,
}

/// An operation.
pub(crate) struct Operation {
    core: Rc<Core>,
    /// The loop's object, as the frame of a method would hold it.
    event_loop: Object,
    what: What,
    socket: Object,
    /// What the socket's method is called with.
    arguments: [Slot; 2],
    /// The socket is one of Python's own, with its own method: the descriptor may be used in its place, and its registration be kept.
    is_plain: Cell<bool>,
    /// A connection has begun; what is left is to ask how it has ended.
    has_begun: Cell<bool>,
    sent: Cell<usize>,
    /// The number that is waited for.
    fd: Cell<RawFd>,
}

impl Work for Operation {
    fn name(&self) -> &'static str {
        self.what.name()
    }

    fn advance(&self, _is_first: bool) -> Result<Progress> {
        Ok(match attempt::advance(self)? {
            Attempt::Done(result) => Progress::Done(result),
            Attempt::Blocked => Progress::Wait(self.wait()?),
            Attempt::Again => Progress::Pause,
        })
    }

    fn waited(&self, future: &Object) -> Result<()> {
        readiness::stop_waiting(&self.core, self.fd.get(), self.what.interest(), future)
    }

    fn traverse(&self, visit: &Visit<'_>) {
        visit.object(&self.event_loop);
        visit.object(&self.socket);
        self.arguments.iter().for_each(|argument| argument.traverse(visit));
    }
}

impl Operation {
    /// A future of the loop that is done when the socket is ready.
    fn wait(&self) -> Result<Object> {
        let future = self.event_loop.method(&names().create_future, [])?;
        let is_plain = self.is_plain.get();
        let fd = if is_plain { self.fd.get() } else { crate::event_loop::descriptor(&self.socket)? };
        let watcher = Watcher::Future(future.clone());
        readiness::watch(&self.core, fd, self.what.interest(), watcher, is_plain.then_some(&self.socket))?;
        self.fd.set(fd);
        Ok(future)
    }
}

impl What {
    fn name(self) -> &'static str {
        match self {
            Self::Recv => "sock_recv",
            Self::RecvInto => "sock_recv_into",
            Self::RecvFrom => "sock_recvfrom",
            Self::RecvFromInto => "sock_recvfrom_into",
            Self::SendAll => "sock_sendall",
            Self::SendTo => "sock_sendto",
            Self::Accept => "sock_accept",
            Self::Connect => "sock_connect",
            Self::Write => "sock_sendfile",
        }
    }

    /// The socket's method, and Python's own implementation of it.
    fn method(self) -> Option<(&'static Object, &'static Object)> {
        let facts = &known().sock;
        Some(match self {
            Self::Recv => (&names().recv, &facts.recv),
            Self::RecvInto => (&names().recv_into, &facts.recv_into),
            Self::RecvFrom => (&names().recvfrom, &facts.recvfrom),
            Self::RecvFromInto => (&names().recvfrom_into, &facts.recvfrom_into),
            Self::SendAll => (&names().send, &facts.send),
            Self::SendTo => (&names().sendto, &facts.sendto),
            Self::Accept => (&names().accept, &facts.accept),
            Self::Connect => (&names().connect, &facts.connect),
            Self::Write => return None,
        })
    }

    fn interest(self) -> Interest {
        match self {
            Self::Recv | Self::RecvInto | Self::RecvFrom | Self::RecvFromInto | Self::Accept => Interest::READ,
            Self::SendAll | Self::SendTo | Self::Connect | Self::Write => Interest::WRITE,
        }
    }
}

/// Adds the methods to the loop.
pub(crate) fn methods(spec: Spec<Loop>) -> Spec<Loop> {
    spec.method(c"sock_recv", |this, arguments| two(this, arguments, What::Recv, ["sock", "n"]))
        .method(c"sock_recv_into", |this, arguments| two(this, arguments, What::RecvInto, ["sock", "buf"]))
        .method(c"sock_recvfrom", |this, arguments| two(this, arguments, What::RecvFrom, ["sock", "bufsize"]))
        .method(c"sock_recvfrom_into", |this, arguments| {
            let [socket, buffer, size] = arguments.named("sock_recvfrom_into", ["sock", "buf", "nbytes"], 2)?;
            create(this, What::RecvFromInto, socket, [buffer, size])
        })
        .method(c"sock_sendall", |this, arguments| two(this, arguments, What::SendAll, ["sock", "data"]))
        .method(c"sock_sendto", |this, arguments| {
            let [socket, data, address] = arguments.named("sock_sendto", ["sock", "data", "address"], 3)?;
            create(this, What::SendTo, socket, [data, address])
        })
        .method(c"sock_accept", |this, arguments| {
            let [socket] = arguments.named("sock_accept", ["sock"], 1)?;
            create(this, What::Accept, socket, [None, None])
        })
        .method(c"sock_connect", |this, arguments| {
            let [socket, address] = arguments.named("sock_connect", ["sock", "address"], 2)?;
            let (Some(socket), Some(address)) = (socket, address) else { return Ok(Object::none()) };
            if facts::is_resolved(socket, address)? {
                create(this, What::Connect, Some(socket), [Some(address), None])
            } else {
                this.object().method(&names()._connect_by_name, [socket, address])
            }
        })
        // For the Python half: the address needs no resolver, or the socket knows what to do with it.
        .method(c"_connect_resolved", |this, arguments| two(this, arguments, What::Connect, ["sock", "address"]))
        .method(c"_sock_write", |this, arguments| {
            let [socket, callable, rest] = arguments.exactly("_sock_write")?;
            create(this, What::Write, Some(socket), [Some(callable), Some(rest)])
        })
        .method(c"_accept_connections", connection::accept_all)
        .method(c"_set_up_socket", connection::set_up)
}

fn two(this: &Instance<Loop>, arguments: Args<'_>, what: What, parameters: [&str; 2]) -> Result<Object> {
    let [socket, argument] = arguments.named(what.name(), parameters, 2)?;
    create(this, what, socket, [argument, None])
}

fn create(
    this: &Instance<Loop>,
    what: What,
    socket: Option<&Object>,
    arguments: [Option<&Object>; 2],
) -> Result<Object> {
    let operation = Operation {
        core: Rc::clone(&this.core),
        event_loop: this.object().clone(),
        what,
        socket: socket.map_or_else(Object::none, Object::clone),
        arguments: arguments.map(|argument| Slot::new(argument.cloned())),
        is_plain: Cell::new(false),
        has_begun: Cell::new(false),
        sent: Cell::new(0),
        fd: Cell::new(-1),
    };
    Coroutine::create(&known().operation, operation)
}
