//! Who waits for a descriptor that is no transport's: `add_reader`, `add_writer` and their counterparts, and the `sock_*` operations.
//!
//! A program's callback is told of a level, for as long as the descriptor is ready. An operation tries first and waits when the call would block,
//! so an edge is enough for it, and its registration can stay when it is done: the next one waits without a system call. What stays is
//! never trusted for another socket object, since programs close descriptors without a word and their numbers are used again. A closed socket
//! whose file lives on in a duplicate, or in a forked child, stays in the kernel's set under its old number; as an edge it is heard once
//! for each change, and not for ever.

use treadle_reactor::{Event, Interest, RawFd, Token};

use crate::again;
use crate::core::Core;
use crate::event_loop::{Loop, descriptor};
use crate::ffi::{Args, Instance, Kind, Object, Raised, Result, Spec};
use crate::handle::{self, Handle};
use crate::known::{known, names};
use crate::source::{Callbacks, Source, Watcher};

/// Adds the methods. Those with an underscore are asyncio's own names, which its standard library uses; they do not look for transports.
pub(crate) fn methods(spec: Spec<Loop>) -> Spec<Loop> {
    spec.method(c"add_reader", |this, arguments| {
        add(this, arguments, "add_reader", Interest::READ).map(|_| Object::none())
    })
    .method(c"add_writer", |this, arguments| {
        add(this, arguments, "add_writer", Interest::WRITE).map(|_| Object::none())
    })
    .method(c"_add_reader", |this, arguments| add(this, arguments, "_add_reader", Interest::READ))
    .method(c"_add_writer", |this, arguments| add(this, arguments, "_add_writer", Interest::WRITE))
    .method(c"remove_reader", |this, arguments| remove(this, arguments, "remove_reader", Interest::READ))
    .method(c"remove_writer", |this, arguments| remove(this, arguments, "remove_writer", Interest::WRITE))
    .method(c"_remove_reader", |this, arguments| remove(this, arguments, "_remove_reader", Interest::READ))
    .method(c"_remove_writer", |this, arguments| remove(this, arguments, "_remove_writer", Interest::WRITE))
    .method(c"_ensure_fd_no_transport", |this, arguments| {
        let [fd] = arguments.exactly("_ensure_fd_no_transport")?;
        ensure_no_transport(&this.core, descriptor(fd)?).map(|()| Object::none())
    })
}

fn add(this: &Instance<Loop>, arguments: Args<'_>, function: &str, interest: Interest) -> Result<Object> {
    let (first, rest, context) = handle::parse(arguments, function, 1)?;
    this.core.check_open()?;
    if this.core.is_watched() {
        crate::watch::check_thread(&this.core);
    }
    let fd = descriptor(&first[0])?;
    ensure_no_transport(&this.core, fd)?;
    let handle = Handle::create(&this.core, &first[1], rest, context, None)?;
    handle.set_repeating();
    watch(&this.core, fd, interest, Watcher::Handle(handle.clone()), None)?;
    this.core.want_poll();
    if !first[0].is_integer() {
        remember(&this.core, fd, &first[0]);
    }
    Ok(handle.into_object())
}

/// Keeps the object that the program named a descriptor by.
fn remember(core: &Core, fd: RawFd, file: &Object) {
    let mut sources = core.sources.borrow_mut();
    let Some(token) = sources.token_of(fd) else { return };
    let Some(Source::Callbacks(callbacks)) = sources.owner_mut(token) else { return };
    let old = callbacks.file.replace(file.clone());
    drop(sources);
    drop(old);
}

fn remove(this: &Instance<Loop>, arguments: Args<'_>, function: &str, interest: Interest) -> Result<Object> {
    let [file] = arguments.exactly(function)?;
    if this.core.closed.get() {
        return Ok(Object::bool(false));
    }
    let fd = match descriptor(file) {
        Ok(fd) => fd,
        Err(raised) => {
            let Some(fd) = remembered(&this.core, file) else { return Err(raised) };
            raised.forget();
            fd
        }
    };
    ensure_no_transport(&this.core, fd)?;
    unwatch(&this.core, fd, interest).map(Object::bool)
}

/// The descriptor that an object had when it was added; it is closed by now.
fn remembered(core: &Core, file: &Object) -> Option<RawFd> {
    let sources = core.sources.borrow();
    let is_of_file = |source: &Source| match source {
        Source::Callbacks(callbacks) => callbacks.file.as_ref().is_some_and(|kept| kept.is(file)),
        _ => false,
    };
    sources.iter().find(|(_, source)| is_of_file(source)).map(|(token, _)| token.fd())
}

/// A descriptor that belongs to a transport is nobody else's.
pub(crate) fn ensure_no_transport(core: &Core, fd: RawFd) -> Result<()> {
    let sources = core.sources.borrow();
    let owner = sources.token_of(fd).and_then(|token| sources.owner(token)).cloned();
    drop(sources);
    match owner.as_ref().and_then(Source::open_transport) {
        Some(transport) => {
            let transport = transport.repr();
            Err(Kind::RuntimeError.raise(&format!("File descriptor {fd} is used by transport {transport}")))
        }
        None => Ok(()),
    }
}

/// Has somebody told when the descriptor is ready. Whoever was there before, for the same direction, is told no more.
///
/// An operation on a true socket names it, and its registration is kept.
pub(crate) fn watch(
    core: &Core,
    fd: RawFd,
    interest: Interest,
    watcher: Watcher,
    socket: Option<&Object>,
) -> Result<()> {
    let mut watcher = Some(watcher);
    let Some(token) = core.sources.borrow().token_of(fd) else {
        return begin(core, fd, interest, watcher, socket);
    };
    let (is_same, old) = {
        let mut sources = core.sources.borrow_mut();
        let is_watched = sources.interest(token).is_some_and(|watched| watched.contains(interest | Interest::EDGE));
        let Some(Source::Callbacks(callbacks)) = sources.owner_mut(token) else {
            drop(sources);
            ensure_no_transport(core, fd)?;
            return Err(Kind::RuntimeError.raise(&format!("File descriptor {fd} is used by the loop")));
        };
        let is_same = socket.is_some_and(|socket| callbacks.is_of(socket));
        // The way of a request and its response: no system call.
        let old = (is_same && is_watched).then(|| std::mem::replace(callbacks.place(interest), watcher.take()));
        (is_same, old)
    };
    if let Some(old) = old {
        return give_up(old);
    }
    if !is_same && is_stale(core, token) {
        make_room(core, fd)?;
        return begin(core, fd, interest, watcher, socket);
    }
    join(core, token, interest, watcher, socket)
}

/// Registers a number that is not registered.
fn begin(core: &Core, fd: RawFd, interest: Interest, watcher: Option<Watcher>, socket: Option<&Object>) -> Result<()> {
    let mut callbacks = Callbacks { socket: socket.map(Object::weak).transpose()?, ..Callbacks::default() };
    *callbacks.place(interest) = watcher;
    let interest = if socket.is_some() { interest | Interest::EDGE } else { interest };
    core.register(fd, interest, Source::Callbacks(callbacks)).map(drop)
}

/// Adds to a registration. The kernel is always told: if the number was closed and used again unnoticed, that puts it right.
fn join(
    core: &Core,
    token: Token,
    interest: Interest,
    watcher: Option<Watcher>,
    socket: Option<&Object>,
) -> Result<()> {
    let weak = socket.map(Object::weak).transpose()?;
    let (old, wanted) = {
        let mut sources = core.sources.borrow_mut();
        let watched = sources.interest(token).unwrap_or(Interest::NONE) | interest;
        let Some(Source::Callbacks(callbacks)) = sources.owner_mut(token) else { return Ok(()) };
        let old_watcher = std::mem::replace(callbacks.place(interest), watcher);
        let old_socket = std::mem::replace(&mut callbacks.socket, weak);
        let is_edge = callbacks.socket.is_some() && !callbacks.has_handles();
        let wanted = if is_edge { watched | Interest::EDGE } else { watched.without(Interest::EDGE) };
        ((old_watcher, old_socket), wanted)
    };
    let renewed = core.renew(token, wanted).map_err(Raised::take);
    give_up(old.0)?;
    renewed.map_err(|exception| {
        core.deregister(token);
        Raised::restore(&exception)
    })
}

/// Whether a registration is left over from another socket, or was kept for one and nobody waits.
fn is_stale(core: &Core, token: Token) -> bool {
    let Some(Source::Callbacks(callbacks)) = core.sources.borrow().owner(token).cloned() else { return true };
    callbacks.is_idle() || callbacks.is_left(token.fd())
}

/// Ends a registration of callbacks, if the number has one. Operations that wait for a socket which is closed are told, and fail.
pub(crate) fn make_room(core: &Core, fd: RawFd) -> Result<()> {
    let Some(token) = core.sources.borrow().token_of(fd) else { return Ok(()) };
    let Some(Source::Callbacks(callbacks)) = core.sources.borrow().owner(token).cloned() else { return Ok(()) };
    core.deregister(token);
    let is_left = callbacks.is_left(fd);
    for watcher in [callbacks.reader, callbacks.writer].into_iter().flatten() {
        match watcher {
            Watcher::Handle(handle) => Handle::cancel(&handle)?,
            Watcher::Future(future) if is_left => wake(&future)?,
            Watcher::Future(_) => {}
        }
    }
    Ok(())
}

/// Ends what `add_reader` or `add_writer` began; says whether there was something to end.
pub(crate) fn unwatch(core: &Core, fd: RawFd, interest: Interest) -> Result<bool> {
    leave(core, fd, interest, |_| true)
}

/// An operation waits no longer, whether or not it was told. A registration for a socket is kept, as long as it costs nothing.
pub(crate) fn stop_waiting(core: &Core, fd: RawFd, interest: Interest, future: &Object) -> Result<()> {
    leave(core, fd, interest, |watcher| matches!(watcher, Watcher::Future(here) if here.is(future)))?;
    let useless = {
        let sources = core.sources.borrow();
        let is_useless = |token: &Token| match sources.owner(*token) {
            Some(Source::Callbacks(callbacks)) => {
                callbacks.is_idle() && !sources.interest(*token).is_some_and(|watched| watched.contains(Interest::EDGE))
            }
            _ => false,
        };
        sources.token_of(fd).filter(is_useless)
    };
    if let Some(token) = useless {
        core.deregister(token);
    }
    Ok(())
}

fn leave(core: &Core, fd: RawFd, interest: Interest, is_meant: impl Fn(&Watcher) -> bool) -> Result<bool> {
    let Some(token) = core.sources.borrow().token_of(fd) else { return Ok(false) };
    let (old, file, is_kept, is_idle) = {
        let mut sources = core.sources.borrow_mut();
        let is_edge = sources.interest(token).is_some_and(|watched| watched.contains(Interest::EDGE));
        let Some(Source::Callbacks(callbacks)) = sources.owner_mut(token) else { return Ok(false) };
        let place = callbacks.place(interest);
        let old = if place.as_ref().is_some_and(is_meant) { place.take() } else { None };
        let file = if callbacks.has_handles() { None } else { callbacks.file.take() };
        (old, file, is_edge && callbacks.socket.is_some(), callbacks.is_idle())
    };
    drop(file);
    let Some(old) = old else { return Ok(false) };
    if is_kept {
        // An edge that nobody waits for costs next to nothing.
    } else if is_idle {
        core.deregister(token);
    } else {
        let rest = core.sources.borrow().interest(token).unwrap_or(Interest::NONE).without(interest);
        core.set_interest(token, rest)?;
    }
    give_up(Some(old))?;
    Ok(true)
}

/// Handles an event: callbacks go to the ready queue, operations are told.
pub(crate) fn on_ready(core: &Core, event: Event) -> Result<()> {
    let mut unheard = Interest::NONE;
    for (interest, is_ready) in [(Interest::READ, event.readable), (Interest::WRITE, event.writable)] {
        if !is_ready {
            continue;
        }
        let watcher = match core.sources.borrow_mut().owner_mut(event.token) {
            Some(Source::Callbacks(callbacks)) => callbacks.told(interest),
            _ => return Ok(()),
        };
        match watcher {
            Some(Watcher::Handle(handle)) if handle.is_cancelled() => {}
            Some(Watcher::Handle(handle)) => {
                if core.is_watched() {
                    again::begin(core, event.token.fd(), interest, &handle);
                }
                core.push_ready(handle);
            }
            Some(Watcher::Future(future)) => wake(&future)?,
            None => unheard = unheard | interest,
        }
    }
    if unheard.is_empty() { Ok(()) } else { lower(core, event, unheard) }
}

/// Stops watching what nobody waits for: a level would be told for ever. An edge that is read by somebody else soon comes again, so reading stays
/// watched until the socket is gone; that a Unix or datagram socket can be written to is told for nothing each time the peer reads.
fn lower(core: &Core, event: Event, unheard: Interest) -> Result<()> {
    let (watched, is_idle, is_dead) = {
        let sources = core.sources.borrow();
        let Some(Source::Callbacks(callbacks)) = sources.owner(event.token) else { return Ok(()) };
        (sources.interest(event.token).unwrap_or_default(), callbacks.is_idle(), callbacks.is_dead())
    };
    let is_edge = watched.contains(Interest::EDGE);
    if is_idle && (is_dead || !is_edge) {
        core.deregister(event.token);
    } else if !is_edge {
        core.set_interest(event.token, watched.without(unheard))?;
    } else if !event.readable && watched.contains(Interest::WRITE) {
        core.set_interest(event.token, watched.without(Interest::WRITE))?;
    }
    Ok(())
}

/// Lets an operation try again.
fn wake(future: &Object) -> Result<()> {
    let Err(raised) = future.method(&names().set_result, [&Object::none()]) else { return Ok(()) };
    // It may have been cancelled in this turn, which is not worth asking about each time.
    let exception = raised.take();
    if future.method(&names().done, [])?.is_true()? { Ok(()) } else { Err(Raised::restore(&exception)) }
}

/// Somebody else has taken the place.
fn give_up(old: Option<Watcher>) -> Result<()> {
    if let Some(Watcher::Handle(handle)) = old { Handle::cancel(&handle) } else { Ok(()) }
}

impl Callbacks {
    fn place(&mut self, interest: Interest) -> &mut Option<Watcher> {
        if interest.contains(Interest::READ) { &mut self.reader } else { &mut self.writer }
    }

    /// Who is told of an event now; an operation only once.
    fn told(&mut self, interest: Interest) -> Option<Watcher> {
        match self.place(interest) {
            Some(Watcher::Handle(handle)) => Some(Watcher::Handle(handle.clone())),
            place => place.take(),
        }
    }

    fn has_handles(&self) -> bool {
        [&self.reader, &self.writer].into_iter().any(|watcher| matches!(watcher, Some(Watcher::Handle(_))))
    }

    fn is_idle(&self) -> bool {
        self.reader.is_none() && self.writer.is_none()
    }

    /// Whether it is kept for just this socket object.
    #[inline]
    fn is_of(&self, socket: &Object) -> bool {
        self.socket.as_ref().is_some_and(|kept| kept.refers_to(socket))
    }

    fn is_dead(&self) -> bool {
        self.socket.as_ref().is_some_and(|kept| kept.refers_to(&Object::none()))
    }

    /// Whether the socket it is kept for has this descriptor no more. Looks at the socket's own number, and so runs no code of the program.
    fn is_left(&self, fd: RawFd) -> bool {
        let Some(kept) = &self.socket else { return false };
        let number = kept.referent().map(|socket| known().sock.descriptor(&socket));
        number.is_none_or(|number| number.unwrap_or(-1) != fd)
    }
}
