//! What `__aenter__` of a limit gives: a coroutine without a frame, since there is nearly always nothing to wait for.
//!
//! Nothing is done at the call. When it is awaited, what is there is taken; else Python's `_wait` of the limiter takes its place, so that stacks
//! show that. A permit that was taken by `__await__` and then not by the first `send` is given back; tokens that were are not: time gives those
//! back.

use std::cell::Cell;

use super::pace::Pace;
use super::permits::{Permits, give_back_untold};
use super::{facts, names};
use crate::coroutine::thrown;
use crate::ffi::{
    Args, Class, FreeList, Instance, Kind, Object, Plain, Raised, Result, Slot, Spec, Step, Type, Visit, Weak,
};

/// What is entered.
pub(super) enum Target {
    Permits(Instance<Permits>),
    Pace(Instance<Pace>),
}

impl Target {
    fn object(&self) -> &Object {
        match self {
            Self::Permits(permits) => permits.object(),
            Self::Pace(pace) => pace.object(),
        }
    }

    /// Enters, if that can be done at once.
    #[inline]
    fn enter(&self) -> Result<bool> {
        match self {
            Self::Permits(permits) => Ok(permits.take(1.0)),
            Self::Pace(pace) => Pace::take_one(pace),
        }
    }

    /// Python's coroutine that waits until one can enter.
    fn wait(&self) -> Result<Object> {
        self.object().method(&names()._wait, [&Object::integer(1)?, &Object::integer(0)?])
    }
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    New,
    /// Something was taken, and nobody knows yet.
    Taken,
    /// Python's coroutine is driven.
    Waiting,
    Done,
}

/// The value of the coroutine's object.
pub(super) struct Entering {
    phase: Cell<Phase>,
    /// While it is new, or something is taken.
    target: Cell<Option<Target>>,
    /// Python's coroutine.
    waits: Slot,
}

impl Class for Entering {
    type Head = Plain;
    type Tail = Weak;

    fn free_list() -> Option<&'static FreeList> {
        static FREE: FreeList = FreeList::new();
        Some(&FREE)
    }

    fn traverse(&self, visit: &Visit<'_>) {
        self.waits.traverse(visit);
        let target = self.target.take();
        if let Some(target) = &target {
            visit.object(target.object());
        }
        self.target.set(target);
    }

    fn clear(&self) {
        self.waits.clear();
        self.give_up();
    }
}

impl Drop for Entering {
    fn drop(&mut self) {
        self.give_up();
    }
}

impl Entering {
    #[inline]
    pub(super) fn create(target: Target) -> Result<Object> {
        let entering = Self { phase: Cell::new(Phase::New), target: Cell::new(Some(target)), waits: Slot::default() };
        facts().entering.instantiate(entering).map(Instance::into_object)
    }

    /// Nobody has it any more, so nobody can enter by it.
    fn give_up(&self) {
        let phase = self.phase.get();
        if !matches!(phase, Phase::New | Phase::Taken) {
            return;
        }
        let _aside = Raised::set_aside();
        if let (Phase::New, Some(target)) = (phase, self.end())
            && let Err(raised) = warn(&target)
        {
            raised.write_unraisable(target.object());
        }
    }

    /// Gives back what was taken, and lets go of the rest. What it was for is returned.
    fn end(&self) -> Option<Target> {
        let phase = self.phase.replace(Phase::Done);
        let target = self.target.take();
        if let (Phase::Taken, Some(Target::Permits(permits))) = (phase, &target) {
            give_back_untold(permits);
        }
        target
    }
}

pub(super) fn class() -> Result<Type<Entering>> {
    Spec::<Entering>::new(
        c"treadle._native.Entering",
        c"What `__aenter__` of a limit gives; `collections.abc.Coroutine` describes it.",
    )
    .awaitable(awaited, send)
    .method(c"send", |this, arguments| {
        let [value] = arguments.exactly("send")?;
        match send(this, value)? {
            Step::Yield(object) => Ok(object),
            Step::Return(value) => Err(Raised::stop_iteration(&value)),
        }
    })
    .method(c"throw", throw)
    .method(c"close", |this, arguments| {
        arguments.exactly::<0>("close")?;
        if let Some(waits) = this.waits.take() {
            waits.method(&names().close, [])?;
        }
        drop(this.end());
        Ok(Object::none())
    })
    .attribute(c"cr_await", |this| Ok(this.waits.load().unwrap_or_else(Object::none)))
    .create(None)
}

/// `__await__`: itself, if there is nothing to wait for, and else what waits.
fn awaited(this: &Instance<Entering>) -> Result<Object> {
    match (this.phase.get(), this.target.take()) {
        (Phase::New, Some(target)) => {
            this.phase.set(Phase::Done);
            if !target.enter()? {
                return target.wait()?.method(&names().__await__, []);
            }
            this.target.set(Some(target));
            this.phase.set(Phase::Taken);
        }
        (Phase::Taken | Phase::Waiting, target) => {
            this.target.set(target);
            return Err(Kind::RuntimeError.raise_static(c"coroutine is being awaited already"));
        }
        (Phase::New | Phase::Done, _) => {}
    }
    Ok(this.object().clone())
}

fn send(this: &Instance<Entering>, value: &Object) -> Result<Step> {
    let phase = this.phase.get();
    if phase == Phase::New && !value.is_none() {
        return Err(Kind::TypeError.raise_static(c"can't send non-None value to a just-started coroutine"));
    }
    match (phase, this.target.take()) {
        (Phase::Taken, _) => {
            this.phase.set(Phase::Done);
            Ok(Step::Return(Object::none()))
        }
        (Phase::New, Some(target)) => {
            this.phase.set(Phase::Done);
            if target.enter()? {
                return Ok(Step::Return(Object::none()));
            }
            this.waits.store(Some(target.wait()?));
            this.phase.set(Phase::Waiting);
            drive(this, value)
        }
        (Phase::Waiting, _) => drive(this, value),
        _ => Err(reused()),
    }
}

/// Python's coroutine goes on.
fn drive(this: &Instance<Entering>, value: &Object) -> Result<Step> {
    let Some(waits) = this.waits.load() else { return Err(reused()) };
    let step = waits.send(value);
    if !matches!(step, Ok(Step::Yield(_))) {
        this.phase.set(Phase::Done);
        this.waits.clear();
    }
    step
}

fn throw(this: &Instance<Entering>, arguments: Args<'_>) -> Result<Object> {
    let exception = thrown(arguments)?;
    match (this.phase.get(), this.waits.load()) {
        (Phase::Waiting, Some(waits)) => {
            let thrown = waits.method(&names().throw, [&exception]);
            if thrown.is_err() {
                this.phase.set(Phase::Done);
                this.waits.clear();
            }
            thrown
        }
        (Phase::New | Phase::Taken, _) => {
            drop(this.end());
            Err(Raised::restore(&exception))
        }
        _ => Err(reused()),
    }
}

fn reused() -> Raised {
    Kind::RuntimeError.raise_static(c"cannot reuse already awaited coroutine")
}

/// Warns of one that has not begun, as Python does of its own.
#[cold]
fn warn(target: &Target) -> Result<()> {
    let class = target.object().class().member(c"__name__")?.to_text()?;
    let message = Object::text(&format!("coroutine '{class}.__aenter__' was never awaited"))?;
    Object::import(c"warnings")?.member(c"warn")?.call([&message, &Kind::RuntimeWarning.class()]).map(drop)
}
