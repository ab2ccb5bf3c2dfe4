//! What makes an operation a coroutine: `send`, `throw`, `close`, and what `repr()` of a task asks for.

use super::{Operation, Phase, attempt};
use crate::ffi::{Args, Instance, Kind, Object, Raised, Result, Spec, Step};
use crate::known::names;
use crate::readiness;
use crate::source::Watcher;

pub(super) fn methods(spec: Spec<Operation>) -> Spec<Operation> {
    spec.coroutine(send)
        .method(c"send", |this, arguments| {
            let [value] = arguments.exactly("send")?;
            match send(this, value)? {
                Step::Yield(object) => Ok(object),
                Step::Return(value) => Err(Raised::stop_iteration(&value)),
            }
        })
        .method(c"throw", |this, arguments| Err(throw(this, arguments)))
        .method(c"close", |this, arguments| {
            arguments.exactly::<0>("close")?;
            if this.phase.get() == Phase::Running {
                return Err(Kind::ValueError.raise_static(c"coroutine already executing"));
            }
            finish(this).map(|()| Object::none())
        })
        .finalize(|this| {
            if this.phase.get() == Phase::New
                && let Some(event_loop) = this.event_loop.load()
            {
                event_loop.method(&names()._never_awaited, [this.object()])?;
            }
            finish(this)
        })
        .repr(|this| {
            let (name, address) = (this.what.name(), this.object().address());
            Object::text(&format!("<coroutine object {name} at {address:#x}>"))
        })
        .attribute(c"__name__", |this| Object::text(this.what.name()))
        .attribute(c"__qualname__", |this| Object::text(this.what.name()))
        .attribute(c"cr_await", |this| Ok(this.future.load().unwrap_or_else(Object::none)))
        .attribute(c"cr_running", |this| Ok(Object::bool(this.phase.get() == Phase::Running)))
        .attribute(c"cr_suspended", |this| Ok(Object::bool(this.phase.get() == Phase::Waiting)))
        .attribute(c"cr_frame", |_this| Ok(Object::none()))
        .attribute(c"cr_code", |_this| Ok(Object::none()))
        .attribute(c"cr_origin", |_this| Ok(Object::none()))
}

/// One step: tries, and waits if the call would block.
fn send(this: &Instance<Operation>, value: &Object) -> Result<Step> {
    match this.phase.replace(Phase::Running) {
        Phase::New if !value.is_none() => {
            this.phase.set(Phase::New);
            return Err(Kind::TypeError.raise_static(c"can't send non-None value to a just-started coroutine"));
        }
        Phase::New => {}
        Phase::Waiting => {
            if let Err(raised) = woken(this) {
                return Err(fail(this, raised));
            }
        }
        phase => {
            this.phase.set(phase);
            return Err(refused(phase));
        }
    }
    match attempt::advance(this) {
        Ok(attempt::Attempt::Done(result)) => {
            this.phase.set(Phase::Done);
            this.release();
            Ok(Step::Return(result))
        }
        Ok(attempt::Attempt::Again) => {
            this.phase.set(Phase::Waiting);
            Ok(Step::Yield(Object::none()))
        }
        Ok(attempt::Attempt::Blocked) => wait(this).map_err(|raised| fail(this, raised)),
        Err(raised) => Err(fail(this, raised)),
    }
}

/// Takes up what was waited for: the future's exception is raised, if it has one.
fn woken(this: &Instance<Operation>) -> Result<()> {
    let Some(future) = this.future.take() else { return Ok(()) };
    readiness::stop_waiting(&this.core, this.fd.get(), this.what.interest(), &future)?;
    future.method(&names().result, []).map(drop)
}

/// Waits by a future of the loop until the socket is ready.
fn wait(this: &Instance<Operation>) -> Result<Step> {
    let (Some(event_loop), Some(socket)) = (this.event_loop.load(), this.socket.load()) else {
        return Err(refused(Phase::Done));
    };
    let future = event_loop.method(&names().create_future, [])?;
    let fd = if this.is_plain.get() { this.fd.get() } else { crate::event_loop::descriptor(&socket)? };
    let kept = this.is_plain.get().then_some(&socket);
    readiness::watch(&this.core, fd, this.what.interest(), Watcher::Future(future.clone()), kept)?;
    this.fd.set(fd);
    this.future.store(Some(future.clone()));
    future.set_attribute(&names()._asyncio_future_blocking, &Object::bool(true))?;
    this.phase.set(Phase::Waiting);
    Ok(Step::Yield(future))
}

/// Ends with an exception, which stays set.
fn fail(this: &Instance<Operation>, raised: Raised) -> Raised {
    let exception = raised.take();
    let raised = match finish(this) {
        Ok(()) => Raised::restore(&exception),
        Err(other) => other,
    };
    drop(exception);
    raised
}

/// Ends, wherever it is: nobody waits any more, and everything is let go.
fn finish(this: &Instance<Operation>) -> Result<()> {
    this.phase.set(Phase::Done);
    let stopped = match this.future.take() {
        Some(future) => readiness::stop_waiting(&this.core, this.fd.get(), this.what.interest(), &future),
        None => Ok(()),
    };
    this.release();
    stopped
}

fn throw(this: &Instance<Operation>, arguments: Args<'_>) -> Raised {
    let exception = match thrown(arguments) {
        Ok(exception) => exception,
        Err(raised) => return raised,
    };
    match this.phase.get() {
        phase @ (Phase::Running | Phase::Done) => refused(phase),
        Phase::New | Phase::Waiting => fail(this, Raised::restore(&exception)),
    }
}

/// The exception that `throw` was called with: itself, or a class with a value, and a traceback.
fn thrown(arguments: Args<'_>) -> Result<Object> {
    let (first, rest) = match arguments.positional() {
        [first, rest @ ..] if rest.len() < 3 && !arguments.has_keywords() => (first, rest),
        _ => return Err(Kind::TypeError.raise_static(c"throw() takes from 1 to 3 positional arguments")),
    };
    let value = rest.first().filter(|value| !value.is_none());
    let exception = match value {
        None if first.is_exception() => first.clone(),
        None if first.is_exception_class() => first.call([])?,
        Some(value) if first.is_exception_class() && value.is_of(first) => value.clone(),
        Some(value) if first.is_exception_class() => first.call([value])?,
        Some(_) if first.is_exception() => {
            return Err(Kind::TypeError.raise_static(c"instance exception may not have a separate value"));
        }
        _ => return Err(first.unexpected("exceptions must be classes or instances deriving from BaseException")),
    };
    if !exception.is_exception() {
        return Err(exception.unexpected("exceptions must be classes or instances deriving from BaseException"));
    }
    match rest.get(1).filter(|traceback| !traceback.is_none()) {
        Some(traceback) => exception.method(&names().with_traceback, [traceback]),
        None => Ok(exception),
    }
}

#[cold]
fn refused(phase: Phase) -> Raised {
    if phase == Phase::Running {
        return Kind::ValueError.raise_static(c"coroutine already executing");
    }
    Kind::RuntimeError.raise_static(c"cannot reuse already awaited coroutine")
}
