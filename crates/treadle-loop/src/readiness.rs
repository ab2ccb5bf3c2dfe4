//! `add_reader`, `add_writer` and their counterparts.

use treadle_reactor::{Interest, RawFd};

use crate::core::Core;
use crate::event_loop::{Loop, descriptor};
use crate::ffi::{Args, Instance, Kind, Object, Result, Spec};
use crate::handle::{self, Handle};
use crate::source::{Callbacks, Source};

/// Adds the methods. Those with an underscore are asyncio's own names, which its standard library uses; they do not look for transports.
pub(crate) fn methods(spec: Spec<Loop>) -> Spec<Loop> {
    spec.method(c"add_reader", |this, arguments| add(this, arguments, "add_reader", Interest::READ).map(|_| Object::none()))
        .method(c"add_writer", |this, arguments| add(this, arguments, "add_writer", Interest::WRITE).map(|_| Object::none()))
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
    let fd = descriptor(&first[0])?;
    ensure_no_transport(&this.core, fd)?;
    let handle = Handle::create(&this.core, &first[1], rest, context, None)?;
    handle.set_repeating();
    watch(&this.core, fd, interest, handle.clone())?;
    Ok(handle.into_object())
}

fn remove(this: &Instance<Loop>, arguments: Args<'_>, function: &str, interest: Interest) -> Result<Object> {
    let [fd] = arguments.exactly(function)?;
    if this.core.closed.get() {
        return Ok(Object::bool(false));
    }
    let fd = descriptor(fd)?;
    ensure_no_transport(&this.core, fd)?;
    unwatch(&this.core, fd, interest).map(Object::bool)
}

/// A descriptor that belongs to a transport is nobody else's.
pub(crate) fn ensure_no_transport(core: &Core, fd: RawFd) -> Result<()> {
    let sources = core.sources.borrow();
    let owner = sources.token_of(fd).and_then(|token| sources.owner(token)).cloned();
    drop(sources);
    match owner {
        Some(Source::Stream(stream)) if !stream.is_closing() => {
            let transport = stream.object().repr();
            Err(Kind::RuntimeError.raise(&format!("File descriptor {fd} is used by transport {transport}")))
        }
        _ => Ok(()),
    }
}

/// Has a handle run whenever the descriptor is ready. One that was there before is cancelled.
pub(crate) fn watch(core: &Core, fd: RawFd, interest: Interest, handle: Instance<Handle>) -> Result<()> {
    let token = core.sources.borrow().token_of(fd);
    let Some(token) = token else {
        let mut callbacks = Callbacks::default();
        *place(&mut callbacks, interest) = Some(handle);
        return core.register(fd, interest, Source::Callbacks(callbacks)).map(drop);
    };
    let wanted = core.sources.borrow().interest(token).unwrap_or(Interest::NONE) | interest;
    core.set_interest(token, wanted)?;
    let old = match core.sources.borrow_mut().owner_mut(token) {
        Some(Source::Callbacks(callbacks)) => place(callbacks, interest).replace(handle),
        _ => None,
    };
    old.map_or(Ok(()), |old| Handle::cancel(&old))
}

/// Ends that; says whether there was something to end.
pub(crate) fn unwatch(core: &Core, fd: RawFd, interest: Interest) -> Result<bool> {
    let Some(token) = core.sources.borrow().token_of(fd) else { return Ok(false) };
    let (old, is_empty) = match core.sources.borrow_mut().owner_mut(token) {
        Some(Source::Callbacks(callbacks)) => {
            let old = place(callbacks, interest).take();
            (old, callbacks.reader.is_none() && callbacks.writer.is_none())
        }
        _ => (None, false),
    };
    let Some(old) = old else { return Ok(false) };
    if is_empty {
        core.deregister(token);
    } else {
        let rest = core.sources.borrow().interest(token).unwrap_or(Interest::NONE).without(interest);
        core.set_interest(token, rest)?;
    }
    Handle::cancel(&old)?;
    Ok(true)
}

fn place(callbacks: &mut Callbacks, interest: Interest) -> &mut Option<Instance<Handle>> {
    if interest == Interest::READ { &mut callbacks.reader } else { &mut callbacks.writer }
}
