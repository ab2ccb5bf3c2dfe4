//! Permits that time gives back: what `treadle.TokenBucket` and `treadle.SlidingWindow` are made of.
//!
//! A bucket is native: all there is to know of it is when it is full again. A window keeps times, in Python; native is only that entering it
//! makes no coroutine.

use std::cell::{Cell, OnceCell, RefCell};

use super::clock::Clock;
use super::entering::{Entering, Target};
use super::{facts, names};
use crate::ffi::{Args, Class, Instance, Kind, Nothing, Object, Plain, Result, Slot, Spec, Type, Visit};

/// Timers may be this early, and sums of floating-point seconds are equal if they differ by less.
const EPSILON: f64 = 1e-8;

/// What limits of time have in common.
pub(super) struct Pace {
    event_loop: Slot,
    clock: RefCell<Option<Clock>>,
    /// Nobody goes through before this time.
    held: Cell<f64>,
    /// How often somebody was let through.
    granted: Cell<i64>,
    /// Somebody waits, so that nobody else goes through.
    is_awaited: Cell<bool>,
    bucket: OnceCell<Bucket>,
}

/// A bucket of tokens.
struct Bucket {
    /// In which one token comes.
    interval: f64,
    /// Tokens that it holds.
    burst: f64,
    /// In which it gets full.
    span: f64,
    /// When it is full again.
    full: Cell<f64>,
}

impl Class for Pace {
    type Head = Plain;
    type Tail = Nothing;

    fn new() -> Result<Self> {
        Ok(Self {
            event_loop: Slot::default(),
            clock: RefCell::new(None),
            held: Cell::new(f64::NEG_INFINITY),
            granted: Cell::new(0),
            is_awaited: Cell::new(false),
            bucket: OnceCell::new(),
        })
    }

    fn traverse(&self, visit: &Visit<'_>) {
        self.event_loop.traverse(visit);
        if let Ok(Some(clock)) = self.clock.try_borrow().as_deref() {
            visit.object(clock.callable());
        }
    }

    fn clear(&self) {
        self.event_loop.clear();
        drop(self.clock.take());
    }
}

impl Pace {
    #[inline]
    fn now(&self) -> Result<f64> {
        let clock = match self.clock.borrow().as_ref() {
            Some(clock) if clock.is_monotonic() => None,
            Some(clock) => Some(clock.clone()),
            None => return Err(Kind::AttributeError.raise_static(c"_clock")),
        };
        clock.map_or_else(|| facts().monotonic.now(), |clock| clock.now())
    }

    /// Takes one permit, if that can be done now.
    #[inline]
    pub(super) fn take_one(this: &Instance<Self>) -> Result<bool> {
        match this.bucket.get() {
            Some(bucket) => Self::take(this, bucket, 1.0),
            None => this.object().method(&names().try_acquire, [])?.is_true(),
        }
    }

    /// Takes tokens, if that can be done now.
    #[inline]
    fn take(this: &Instance<Self>, bucket: &Bucket, count: f64) -> Result<bool> {
        let running = facts().running_loop.call([])?;
        if !this.event_loop.holds(&running) {
            this.object().method(&names()._bind, [])?;
        }
        if this.is_awaited.get() {
            return Ok(false);
        }
        let now = this.now()?;
        let full = bucket.full.get().max(now) + count * bucket.interval;
        if full > now + bucket.span || this.held.get() > now + EPSILON {
            return Ok(false);
        }
        bucket.full.set(full);
        this.granted.set(this.granted.get() + 1);
        Ok(true)
    }

    /// When the bucket is full again, for Python.
    fn full(&self) -> f64 {
        self.bucket.get().map_or(f64::NEG_INFINITY, |bucket| bucket.full.get())
    }
}

pub(super) fn class() -> Result<Type<Pace>> {
    Spec::<Pace>::new(c"treadle._native.Pace", c"Permits that time gives back.")
        .subclassable()
        .method(c"_fill", fill)
        .documented(c"_fill($self, interval, burst, /)\n--\n\nBe a full bucket of ``burst`` tokens, of which one comes in ``interval`` seconds.")
        .method(c"try_acquire", try_acquire)
        .documented(
            c"try_acquire($self, /, n=1)\n--\n\nTake ``n`` permits if they can be had now and nobody waits, and return whether that was so.\n\nRaises:\n    ValueError: ``n`` can never be had.\n    RuntimeError: no loop runs, or the limiter is bound to another.",
        )
        .method(c"__aenter__", |this, arguments| {
            arguments.exactly::<0>("__aenter__")?;
            Entering::create(Target::Pace(this.clone()))
        })
        .documented(c"__aenter__($self, /)\n--\n\nAcquire one permit.")
        .method(c"__aexit__", |_this, arguments| {
            arguments.exactly::<3>("__aexit__")?;
            Ok(facts().ready.with(None))
        })
        .documented(c"__aexit__($self, kind, error, traceback, /)\n--\n\nDo nothing: time gives it back.")
        .attribute(c"_loop", |this| Ok(this.event_loop.load().unwrap_or_else(Object::none)))
        .settable(|this, event_loop| {
            this.event_loop.store((!event_loop.is_none()).then(|| event_loop.clone()));
            Ok(())
        })
        .attribute(c"_clock", |this| {
            let clock = this.clock.borrow().clone();
            Ok(clock.map_or_else(Object::none, |clock| clock.callable().clone()))
        })
        .settable(|this, clock| {
            drop(this.clock.replace(Some(Clock::new(clock.clone()))));
            Ok(())
        })
        .attribute(c"_held", |this| Object::float(this.held.get()))
        .settable(|this, held| held.to_float().map(|held| this.held.set(held)))
        .attribute(c"_granted", |this| Object::integer(this.granted.get()))
        .settable(|this, granted| granted.to_integer().map(|granted| this.granted.set(granted)))
        .attribute(c"_is_awaited", |this| Ok(Object::bool(this.is_awaited.get())))
        .settable(|this, value| value.is_true().map(|value| this.is_awaited.set(value)))
        .attribute(c"_full", |this| Object::float(this.full()))
        .settable(|this, full| {
            let full = full.to_float()?;
            if let Some(bucket) = this.bucket.get() {
                bucket.full.set(full);
            }
            Ok(())
        })
        .create(None)
}

fn fill(this: &Instance<Pace>, arguments: Args<'_>) -> Result<Object> {
    let [interval, burst] = arguments.exactly("_fill")?;
    let (interval, burst) = (interval.to_float()?, burst.to_float()?);
    let span = burst * interval + EPSILON;
    let _ = this.bucket.set(Bucket { interval, burst, span, full: Cell::new(f64::NEG_INFINITY) });
    Ok(Object::none())
}

fn try_acquire(this: &Instance<Pace>, arguments: Args<'_>) -> Result<Object> {
    let Some(bucket) = this.bucket.get() else {
        return Err(Kind::NotImplementedError.raise_static(c"only a bucket has tokens"));
    };
    if arguments.is_empty() {
        return Pace::take(this, bucket, 1.0).map(Object::bool);
    }
    let [n] = arguments.named("try_acquire", ["n"], 0)?;
    let n = n.map_or_else(|| Object::integer(1), |n| Ok(n.clone()))?;
    let count = n.to_float()?;
    if !(count > 0.0 && count <= bucket.burst) {
        this.object().method(&names()._check, [&n])?;
    }
    Pace::take(this, bucket, count).map(Object::bool)
}
