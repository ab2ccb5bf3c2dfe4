//! Coroutines in native code: what calling an `async def` function gives, without a frame.
//!
//! A [`Work`] says what happens between two waits; this module is the rest of a coroutine: nothing runs before the first `send`, one that is
//! never awaited says so, one that has ended cannot be awaited again, and all it holds is let go at its end. Where a work does not want to
//! do what has come up, it hands over to a coroutine of Python's, which is driven from here on.

use std::cell::{Cell, RefCell};

use crate::ffi::{Args, Class, Instance, Kind, Object, Plain, Raised, Result, Slot, Spec, Step, Type, Visit, Weak};
use crate::known::{known, names};

/// What a coroutine does.
pub(crate) trait Work: Sized + 'static {
    /// The name that a coroutine shows, with its class.
    fn name(&self) -> &'static str;

    /// Goes on until the end or the next wait.
    fn advance(&self, is_first: bool) -> Result<Progress>;

    /// What stands in the `finally` of a wait for this future.
    fn waited(&self, _future: &Object) -> Result<()> {
        Ok(())
    }

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
    /// Go on after others have had their turn.
    Pause,
    /// Do what this coroutine of Python's does from its beginning.
    Delegate(Object),
    /// Do what it does from here on: it has yielded something.
    Delegated(Object, Object),
}

/// How far a coroutine is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    New,
    /// For the future that is kept.
    Waiting,
    Paused,
    /// Python's coroutine is kept and driven; there is no work any more.
    Delegated,
    Running,
    Done,
}

/// The value of a coroutine's object.
pub(crate) struct Coroutine<W: Work> {
    name: &'static str,
    phase: Cell<Phase>,
    /// Until the end. It is only exchanged by whoever has set the phase to `Running` or `Done`, so a step may go on while it is borrowed.
    work: RefCell<Option<W>>,
    /// A future, or the coroutine that it was delegated to.
    awaited: Slot,
}

impl<W: Work> Class for Coroutine<W> {
    type Head = Plain;
    type Tail = Weak;
    const FINALIZED: bool = true;

    fn traverse(&self, visit: &Visit<'_>) {
        if let Ok(Some(work)) = self.work.try_borrow().as_deref() {
            work.traverse(visit);
        }
        self.awaited.traverse(visit);
    }

    fn clear(&self) {
        self.end();
    }
}

impl<W: Work> Coroutine<W> {
    /// A coroutine that has not begun.
    #[inline]
    pub(crate) fn create(class: &Type<Self>, work: W) -> Result<Object> {
        let coroutine = Self {
            name: work.name(),
            phase: Cell::new(Phase::New),
            work: RefCell::new(Some(work)),
            awaited: Slot::default(),
        };
        class.instantiate(coroutine).map(Instance::into_object)
    }

    /// Lets go of everything.
    fn end(&self) {
        self.phase.set(Phase::Done);
        let work = self.work.take();
        self.awaited.store(None);
        drop(work);
    }

    /// Asks the work, while there is one.
    #[inline]
    fn ask<T>(&self, question: impl FnOnce(&W) -> Result<T>) -> Result<T> {
        self.work.borrow().as_ref().map_or_else(|| Err(refusal(Phase::Done)), question)
    }

    /// A wait is over, however it has ended.
    fn end_wait(&self) -> Result<Option<Object>> {
        let future = self.awaited.take();
        if let Some(future) = &future {
            self.ask(|work| work.waited(future))?;
        }
        Ok(future)
    }

    fn is_suspended(&self) -> bool {
        matches!(self.phase.get(), Phase::Waiting | Phase::Paused | Phase::Delegated)
    }

    /// What Python 3.15 has coroutines say themselves; before, `inspect` looked at the other attributes.
    fn state(&self) -> &'static str {
        match self.phase.get() {
            Phase::New => "CORO_CREATED",
            Phase::Waiting | Phase::Paused | Phase::Delegated => "CORO_SUSPENDED",
            Phase::Running => "CORO_RUNNING",
            Phase::Done => "CORO_CLOSED",
        }
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
    .finalize(give_up)
    .attribute(c"__name__", |this| Object::text(this.name.rsplit('.').next().unwrap_or(this.name)))
    .attribute(c"__qualname__", |this| Object::text(this.name))
    .attribute(c"cr_running", |this| Ok(Object::bool(this.phase.get() == Phase::Running)))
    .attribute(c"cr_suspended", |this| Ok(Object::bool(this.is_suspended())))
    .attribute(c"cr_state", |this| Object::text(this.state()))
    .attribute(c"cr_await", |this| Ok(this.awaited.load().unwrap_or_else(Object::none)))
    .attribute(c"cr_frame", |_this| Ok(Object::none()))
    .attribute(c"cr_code", |_this| Ok(Object::none()))
    .attribute(c"cr_origin", |_this| Ok(Object::none()))
    .repr(|this| Object::text(&format!("<coroutine object {} at {:#x}>", this.name, this.object().address())))
    .create(None)
}

/// `__await__`, and what `yield from` asks: itself, unless somebody awaits it already.
fn awaited<W: Work>(this: &Instance<Coroutine<W>>) -> Result<Object> {
    if this.is_suspended() {
        return Err(Kind::RuntimeError.raise_static(c"coroutine is being awaited already"));
    }
    Ok(this.object().clone())
}

fn send<W: Work>(this: &Instance<Coroutine<W>>, value: &Object) -> Result<Step> {
    let phase = this.phase.replace(Phase::Running);
    let step = match phase {
        Phase::New if !value.is_none() => {
            this.phase.set(phase);
            return Err(Kind::TypeError.raise_static(c"can't send non-None value to a just-started coroutine"));
        }
        Phase::Running | Phase::Done => return Err(refuse(this, phase)),
        Phase::New | Phase::Paused => go_on(this, phase == Phase::New),
        Phase::Waiting => wake(this),
        Phase::Delegated => drive(this, value),
    };
    if !matches!(step, Ok(Step::Yield(_))) {
        this.end();
    }
    step
}

/// Takes up what was waited for.
fn wake<W: Work>(this: &Instance<Coroutine<W>>) -> Result<Step> {
    let future = this.end_wait()?.unwrap_or_else(Object::none);
    match future.method(&names().result, []).or_else(|raised| check_woken(&future, raised)) {
        Ok(_) => go_on(this, false),
        Err(raised) => this.ask(|work| work.failed(raised)).map(Step::Return),
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

fn go_on<W: Work>(this: &Instance<Coroutine<W>>, is_first: bool) -> Result<Step> {
    match this.ask(|work| work.advance(is_first))? {
        Progress::Done(result) => Ok(Step::Return(result)),
        Progress::Wait(future) => {
            this.awaited.store(Some(future.clone()));
            if let Err(raised) = future.set_attribute(&names()._asyncio_future_blocking, &Object::bool(true)) {
                let exception = raised.take();
                this.end_wait()?;
                return Err(Raised::restore(&exception));
            }
            this.phase.set(Phase::Waiting);
            Ok(Step::Yield(future))
        }
        Progress::Pause => {
            this.phase.set(Phase::Paused);
            Ok(Step::Yield(Object::none()))
        }
        Progress::Delegate(coroutine) => {
            delegate(this, coroutine);
            drive(this, &Object::none())
        }
        Progress::Delegated(coroutine, yielded) => {
            delegate(this, coroutine);
            this.phase.set(Phase::Delegated);
            Ok(Step::Yield(yielded))
        }
    }
}

fn delegate<W: Work>(this: &Instance<Coroutine<W>>, coroutine: Object) {
    let work = this.work.take();
    this.awaited.store(Some(coroutine));
    drop(work);
}

fn drive<W: Work>(this: &Instance<Coroutine<W>>, value: &Object) -> Result<Step> {
    let step = this.awaited.load().unwrap_or_else(Object::none).send(value)?;
    this.phase.set(Phase::Delegated);
    Ok(step)
}

/// Puts the phase of a coroutine back that cannot go on, and says why.
#[cold]
fn refuse<W: Work>(this: &Instance<Coroutine<W>>, phase: Phase) -> Raised {
    this.phase.set(phase);
    refusal(phase)
}

fn refusal(phase: Phase) -> Raised {
    if phase == Phase::Running {
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
    let phase = this.phase.replace(Phase::Running);
    let thrown = match phase {
        Phase::Running | Phase::Done => return Err(refuse(this, phase)),
        Phase::New | Phase::Paused => Err(raise()),
        Phase::Waiting => this.end_wait().and_then(|_future| {
            let value = this.ask(|work| work.failed(raise()))?;
            Err(Raised::stop_iteration(&value))
        }),
        Phase::Delegated => {
            let coroutine = this.awaited.load().unwrap_or_else(Object::none);
            coroutine.method(&names().throw, [exception])
        }
    };
    if thrown.is_ok() {
        this.phase.set(Phase::Delegated);
    } else {
        this.end();
    }
    thrown
}

/// The exception that `throw` was called with: itself, or a class with a value, and a traceback.
pub(crate) fn thrown(arguments: Args<'_>) -> Result<Object> {
    let (first, rest) = match arguments.positional() {
        [first, rest @ ..] if rest.len() < 3 && !arguments.has_keywords() => (first, rest),
        _ => return Err(Kind::TypeError.raise_static(c"throw() takes from 1 to 3 positional arguments")),
    };
    let value = rest.first().filter(|value| !value.is_none());
    let exception = match value {
        None if first.is_exception_class() => first.call([])?,
        None => first.clone(),
        Some(value) if first.is_exception_class() && value.is_of(first) => value.clone(),
        Some(value) if first.is_exception_class() => first.call([value])?,
        Some(_) if first.is_exception() => {
            return Err(Kind::TypeError.raise_static(c"instance exception may not have a separate value"));
        }
        Some(_) => first.clone(),
    };
    if !exception.is_exception() {
        return Err(exception.unexpected("exceptions must be classes or instances deriving from BaseException"));
    }
    match rest.get(1).filter(|traceback| !traceback.is_none()) {
        Some(traceback) => exception.method(&names().with_traceback, [traceback]),
        None => Ok(exception),
    }
}

fn close<W: Work>(this: &Instance<Coroutine<W>>) -> Result<()> {
    let phase = this.phase.replace(Phase::Running);
    let closed = match phase {
        Phase::Running => return Err(refuse(this, phase)),
        Phase::Waiting => this.end_wait().map(drop),
        Phase::Delegated => {
            let coroutine = this.awaited.load().unwrap_or_else(Object::none);
            coroutine.method(&names().close, []).map(drop)
        }
        Phase::New | Phase::Paused | Phase::Done => Ok(()),
    };
    this.end();
    closed
}

/// Nobody has it any more, so nobody can await it to the end. A coroutine that it was delegated to sees to itself.
fn give_up<W: Work>(this: &Instance<Coroutine<W>>) -> Result<()> {
    let given_up = match this.phase.get() {
        Phase::New => warn(this),
        Phase::Waiting => this.end_wait().map(drop),
        Phase::Paused | Phase::Delegated | Phase::Running | Phase::Done => return Ok(()),
    };
    this.end();
    given_up
}

/// Warns of a coroutine that has not begun, as Python does of its own.
#[cold]
fn warn<W: Work>(this: &Instance<Coroutine<W>>) -> Result<()> {
    let message = Object::text(&format!("coroutine '{}' was never awaited", this.name))?;
    let names = Object::tuple([names().source.clone()])?;
    known().warn.call_named([&message, &Kind::RuntimeWarning.class(), this.object()], &names, 1).map(drop)
}
