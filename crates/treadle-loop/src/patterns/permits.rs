//! Permits that are given back: what `treadle.Semaphore` is made of. The line of those that wait is Python's; here is known whether there is one.

use std::cell::Cell;

use super::entering::{Entering, Target};
use super::{facts, names};
use crate::ffi::{Args, Class, Instance, Nothing, Object, Plain, Raised, Result, Spec, Type};

/// The permits of one semaphore. Their numbers are whole.
pub(super) struct Permits {
    value: Cell<f64>,
    free: Cell<f64>,
    /// Somebody waits, so that nobody else goes through.
    is_awaited: Cell<bool>,
}

impl Class for Permits {
    type Head = Plain;
    type Tail = Nothing;

    fn new() -> Result<Self> {
        Ok(Self { value: Cell::new(0.0), free: Cell::new(0.0), is_awaited: Cell::new(false) })
    }
}

impl Permits {
    /// Takes permits that are free, if nobody waits.
    #[inline]
    pub(super) fn take(&self, count: f64) -> bool {
        let left = self.free.get() - count;
        if left < 0.0 || self.is_awaited.get() {
            return false;
        }
        self.free.set(left);
        true
    }

    /// Whether so many were given out and not given back.
    #[inline]
    fn has_given(&self, count: f64) -> bool {
        count > 0.0 && count <= self.value.get() - self.free.get()
    }

    /// Gives permits back, at once to whoever is next.
    #[inline]
    pub(super) fn give(this: &Instance<Self>, count: f64) -> Result<()> {
        this.free.set(this.free.get() + count);
        if this.is_awaited.get() { this.object().method(&names()._grant, []).map(drop) } else { Ok(()) }
    }
}

pub(super) fn class() -> Result<Type<Permits>> {
    Spec::<Permits>::new(c"treadle._native.Permits", c"Permits that are given back.")
        .subclassable()
        .method(c"try_acquire", try_acquire)
        .documented(
            c"try_acquire($self, /, n=1)\n--\n\nTake ``n`` permits if they are free and nobody waits, and return whether that was so.\n\nRaises:\n    ValueError: as for :meth:`acquire`.",
        )
        .method(c"release", release)
        .documented(
            c"release($self, /, n=1)\n--\n\nGive ``n`` permits back, at once to whoever is next.\n\nRaises:\n    ValueError: more would be free than there are.",
        )
        .method(c"__aenter__", |this, arguments| {
            arguments.exactly::<0>("__aenter__")?;
            Entering::create(Target::Permits(this.clone()))
        })
        .documented(c"__aenter__($self, /)\n--\n\nAcquire one permit.")
        .method(c"__aexit__", |this, arguments| {
            arguments.exactly::<3>("__aexit__")?;
            if this.has_given(1.0) {
                Permits::give(this, 1.0)?;
            } else {
                refuse(this, &Object::integer(1)?)?;
            }
            Ok(facts().ready.with(None))
        })
        .documented(c"__aexit__($self, kind, error, traceback, /)\n--\n\nGive it back.")
        .attribute(c"_value", |this| number(this.value.get()))
        .settable(|this, value| value.to_float().map(|value| this.value.set(value)))
        .attribute(c"_free", |this| number(this.free.get()))
        .settable(|this, free| free.to_float().map(|free| this.free.set(free)))
        .attribute(c"_is_awaited", |this| Ok(Object::bool(this.is_awaited.get())))
        .settable(|this, value| value.is_true().map(|value| this.is_awaited.set(value)))
        .create(None)
}

fn try_acquire(this: &Instance<Permits>, arguments: Args<'_>) -> Result<Object> {
    let [n] = arguments.named("try_acquire", ["n"], 0)?;
    let Some(n) = n else { return Ok(Object::bool(this.take(1.0))) };
    let count = n.to_float()?;
    if !(count >= 1.0 && count <= this.value.get() && count.fract() == 0.0) {
        this.object().method(&names()._check, [n])?;
    }
    Ok(Object::bool(this.take(count)))
}

fn release(this: &Instance<Permits>, arguments: Args<'_>) -> Result<Object> {
    let [n] = arguments.named("release", ["n"], 0)?;
    let count = n.map_or(Ok(1.0), Object::to_float)?;
    if this.has_given(count) {
        Permits::give(this, count)?;
    } else {
        refuse(this, &n.map_or_else(|| Object::integer(1), |n| Ok(n.clone()))?)?;
    }
    Ok(Object::none())
}

/// Raises what is said of permits that were not given out.
#[cold]
fn refuse(this: &Instance<Permits>, n: &Object) -> Result<()> {
    this.object().method(&names()._refuse_release, [n]).map(drop)
}

/// As an integer, if it is one.
fn number(value: f64) -> Result<Object> {
    #[expect(clippy::cast_possible_truncation, reason = "what does not fit is left as it is")]
    let whole = value as i64;
    #[expect(clippy::float_cmp, reason = "it is the very number, or it is not")]
    let is_whole = whole as f64 == value && whole != i64::MAX;
    if is_whole { Object::integer(whole) } else { Object::float(value) }
}

/// What is given out can be given back even if nobody asks any more: see [`Entering`].
pub(super) fn give_back_untold(permits: &Instance<Permits>) {
    if let Err(raised) = Permits::give(permits, 1.0) {
        Raised::write_unraisable(raised, permits.object());
    }
}
