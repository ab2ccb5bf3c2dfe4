//! Coroutines in native code: what calling an `async def` function gives, without a frame.
//!
//! A [`Work`] says what happens between two waits; this module is the rest of a coroutine: nothing runs before the first `send`, one that is
//! never awaited says so, one that has ended cannot be awaited again, and all it holds is let go at its end. Where a work does not want to
//! do what has come up, it hands over to a coroutine of Python's, which is driven from here on.

use std::cell::Cell;

use crate::ffi::{Args, Class, Instance, Kind, Object, Plain, Raised, Result, Spec, Step, Type, Visit, Weak};
use crate::known::names;

/// What a coroutine does.
pub(crate) trait Work: Sized + 'static {
    /// The name that a coroutine shows, with its class.
    fn name(&self) -> &'static str;

    /// Goes on until the end or the next wait.
    fn advance(&self, is_first: bool) -> Result<Progress>;

    /// What stands in the `finally` of a wait.
    fn waited(&self) {}

    /// A wait has ended with an exception.
    fn failed(&self, raised: Raised) -> Result<Object> {
        Err(raised)
    }

    /// Shows all references to the collector.
    fn traverse(&self, visit: &Visit<'_>);
}

/// What a step of a work came to.
pub(crate) enum Progress {
    /// This is the result.
    Done(Object),
    /// Wait for this future.
    Wait(Object),
    /// Do what this coroutine of Python's does from its beginning.
    Delegate(Object),
    /// Do what it does from here on: it has yielded something.
    Delegated(Object, Object),
}

/// How far a coroutine is.
enum State<W> {
    New(W),
    Waiting(W, Object),
    Delegated(Object),
    Running,
    Done,
}

/// The value of a coroutine's object.
pub(crate) struct Coroutine<W: Work> {
    name: &'static str,
    state: Cell<State<W>>,
}

impl<W: Work> Class for Coroutine<W> {
    type Head = Plain;
    type Tail = Weak;

    fn traverse(&self, visit: &Visit<'_>) {
        let state = self.state.replace(State::Running);
        match &state {
            State::New(work) => work.traverse(visit),
            State::Waiting(work, future) => {
                work.traverse(visit);
                visit.object(future);
            }
            State::Delegated(coroutine) => visit.object(coroutine),
            State::Running | State::Done => {}
        }
        self.state.set(state);
    }

    fn clear(&self) {
        self.give_up();
    }
}

impl<W: Work> Drop for Coroutine<W> {
    fn drop(&mut self) {
        self.give_up();
    }
}

impl<W: Work> Coroutine<W> {
    /// A coroutine that has not begun.
    #[inline]
    pub(crate) fn create(class: &Type<Self>, work: W) -> Result<Object> {
        let coroutine = Self { name: work.name(), state: Cell::new(State::New(work)) };
        class.instantiate(coroutine).map(Instance::into_object)
    }

    /// Ends without being awaited to the end: nobody can any more.
    fn give_up(&self) {
        match self.state.replace(State::Done) {
            State::New(work) => {
                self.warn();
                drop(work);
            }
            State::Waiting(work, future) => {
                work.waited();
                drop((work, future));
            }
            // Python's coroutine sees to itself.
            State::Delegated(_) | State::Running | State::Done => {}
        }
    }

    #[cold]
    fn warn(&self) {
        let pending = Raised::set_aside();
        if let Err(raised) = Kind::RuntimeWarning.warn(&format!("coroutine '{}' was never awaited", self.name)) {
            raised.write_unraisable(&Object::none());
        }
        drop(pending);
    }
}

/// The class of coroutines with this work.
pub(crate) fn class<W: Work>(name: &'static std::ffi::CStr) -> Result<Type<Coroutine<W>>> {
    Spec::<Coroutine<W>>::new(
        name,
        c"What a native coroutine function returns; `collections.abc.Coroutine` describes it.",
    )
    .awaitable(awaited, send)
    .method(c"send", |this, arguments| {
        let [value] = arguments.exactly("send")?;
        match send(this, value)? {
            Step::Yield(object) => Ok(object),
            Step::Return(value) => Err(Raised::stop_iteration(&value)),
        }
    })
    .method(c"throw", |this, arguments| throw(this, &thrown(arguments)?))
    .method(c"close", |this, arguments| {
        arguments.exactly::<0>("close")?;
        close(this).map(|()| Object::none())
    })
    .attribute(c"__name__", |this| Object::text(this.name.rsplit('.').next().unwrap_or(this.name)))
    .attribute(c"__qualname__", |this| Object::text(this.name))
    .attribute(c"cr_running", |this| Ok(Object::bool(peek(this, |state| matches!(state, State::Running)))))
    .attribute(c"cr_suspended", |this| {
        Ok(Object::bool(peek(this, |state| matches!(state, State::Waiting(..) | State::Delegated(_)))))
    })
    .repr(|this| Object::text(&format!("<coroutine object {} at {:#x}>", this.name, this.object().address())))
    .create(None)
}

fn peek<W: Work>(this: &Instance<Coroutine<W>>, look: impl FnOnce(&State<W>) -> bool) -> bool {
    let state = this.state.replace(State::Running);
    let found = look(&state);
    this.state.set(state);
    found
}

/// `__await__`: itself, unless somebody awaits it already.
fn awaited<W: Work>(this: &Instance<Coroutine<W>>) -> Result<Object> {
    if peek(this, |state| matches!(state, State::Waiting(..) | State::Delegated(_))) {
        return Err(Kind::RuntimeError.raise_static(c"coroutine is being awaited already"));
    }
    Ok(this.object().clone())
}

fn send<W: Work>(this: &Instance<Coroutine<W>>, value: &Object) -> Result<Step> {
    match this.state.replace(State::Running) {
        State::New(work) if value.is_none() => go_on(this, work, true),
        State::New(work) => {
            this.state.set(State::New(work));
            Err(Kind::TypeError.raise_static(c"can't send non-None value to a just-started coroutine"))
        }
        State::Waiting(work, future) => {
            let result = future.method(&names().result, []).or_else(|raised| check_woken(&future, raised));
            work.waited();
            match result {
                Ok(_) => go_on(this, work, false),
                Err(raised) => {
                    this.state.set(State::Done);
                    work.failed(raised).map(Step::Return)
                }
            }
        }
        State::Delegated(coroutine) => drive(this, coroutine, value),
        state @ (State::Running | State::Done) => Err(refuse(this, state)),
    }
}

/// The exception of a future that is done; it is not if somebody else than its callbacks resumes the coroutine.
#[cold]
fn check_woken(future: &Object, raised: Raised) -> Result<Object> {
    let exception = raised.take();
    if future.method(&names().done, [])?.is_true()? {
        return Err(Raised::restore(&exception));
    }
    Err(Kind::RuntimeError.raise_static(c"await wasn't used with future"))
}

fn go_on<W: Work>(this: &Instance<Coroutine<W>>, work: W, is_first: bool) -> Result<Step> {
    match work.advance(is_first) {
        Ok(Progress::Done(result)) => {
            this.state.set(State::Done);
            Ok(Step::Return(result))
        }
        Ok(Progress::Wait(future)) => {
            if let Err(raised) = future.set_attribute(&names()._asyncio_future_blocking, &Object::bool(true)) {
                work.waited();
                this.state.set(State::Done);
                return Err(raised);
            }
            this.state.set(State::Waiting(work, future.clone()));
            Ok(Step::Yield(future))
        }
        Ok(Progress::Delegate(coroutine)) => {
            drop(work);
            drive(this, coroutine, &Object::none())
        }
        Ok(Progress::Delegated(coroutine, yielded)) => {
            this.state.set(State::Delegated(coroutine));
            Ok(Step::Yield(yielded))
        }
        Err(raised) => {
            this.state.set(State::Done);
            Err(raised)
        }
    }
}

fn drive<W: Work>(this: &Instance<Coroutine<W>>, coroutine: Object, value: &Object) -> Result<Step> {
    let step = coroutine.send(value);
    this.state.set(if matches!(step, Ok(Step::Yield(_))) { State::Delegated(coroutine) } else { State::Done });
    step
}

/// Puts the state of a coroutine back that cannot go on, and says why.
#[cold]
fn refuse<W: Work>(this: &Instance<Coroutine<W>>, state: State<W>) -> Raised {
    let is_running = matches!(state, State::Running);
    this.state.set(state);
    if is_running {
        Kind::ValueError.raise_static(c"coroutine already executing")
    } else {
        Kind::RuntimeError.raise_static(c"cannot reuse already awaited coroutine")
    }
}

fn throw<W: Work>(this: &Instance<Coroutine<W>>, exception: &Object) -> Result<Object> {
    let raise = || {
        if Kind::StopIteration.matches(exception) {
            return Kind::RuntimeError.raise_static(c"coroutine raised StopIteration");
        }
        Raised::restore(exception)
    };
    match this.state.replace(State::Running) {
        State::New(work) => {
            this.state.set(State::Done);
            drop(work);
            Err(raise())
        }
        State::Waiting(work, future) => {
            work.waited();
            this.state.set(State::Done);
            let value = work.failed(raise())?;
            drop(future);
            Err(Raised::stop_iteration(&value))
        }
        State::Delegated(coroutine) => {
            let thrown = coroutine.method(&names().throw, [exception]);
            this.state.set(if thrown.is_ok() { State::Delegated(coroutine) } else { State::Done });
            thrown
        }
        state @ (State::Running | State::Done) => Err(refuse(this, state)),
    }
}

/// The exception that `throw` was called with: itself, or a class with a value; the traceback is the exception's own.
fn thrown(arguments: Args<'_>) -> Result<Object> {
    let (first, rest) = match arguments.positional() {
        [first, rest @ ..] if rest.len() < 3 && !arguments.has_keywords() => (first, rest),
        _ => return Err(Kind::TypeError.raise_static(c"throw() takes from 1 to 3 positional arguments")),
    };
    let exception = match rest.first().filter(|value| !value.is_none()) {
        None if first.is_exception_class() => first.call([])?,
        Some(value) if first.is_exception_class() && !value.is_exception() => first.call([value])?,
        Some(value) if first.is_exception_class() => value.clone(),
        _ => first.clone(),
    };
    if exception.is_exception() {
        Ok(exception)
    } else {
        Err(exception.unexpected("exceptions must be classes or instances deriving from BaseException"))
    }
}

fn close<W: Work>(this: &Instance<Coroutine<W>>) -> Result<()> {
    match this.state.replace(State::Done) {
        State::Waiting(work, _) => work.waited(),
        State::Delegated(coroutine) => drop(coroutine.method(&names().close, [])?),
        State::Running => return Err(refuse(this, State::Running)),
        State::New(_) | State::Done => {}
    }
    Ok(())
}
