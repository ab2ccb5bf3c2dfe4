//! What tells the time of a loop, with the fewest calls.

use crate::core::Core;
use crate::ffi::{Object, Result, method};
use crate::known::Variable;

/// `time.monotonic`, and the method of asyncio's loops that does nothing but ask it.
pub(super) struct Monotonic {
    function: Variable,
    /// What the variable held at first: the clock that [`Core::time`] reads without a call of Python's.
    original: Object,
    asked_by: Object,
}

impl Monotonic {
    pub(super) fn new() -> Result<Self> {
        let asked_by = Object::import(c"asyncio")?.member(c"BaseEventLoop")?.member(c"time")?;
        let function = Variable::new(c"time", c"monotonic")?;
        Ok(Self { original: function.load()?, function, asked_by })
    }

    #[inline]
    pub(super) fn now(&self) -> Result<f64> {
        let function = self.function.load()?;
        // Who puts another clock in its place, in tests for one, is heard.
        if function.is(&self.original) { Ok(Core::time()) } else { function.call([])?.to_float() }
    }
}

/// A clock, in seconds.
#[derive(Clone)]
pub(super) struct Clock {
    callable: Object,
    /// It is asyncio's own method. Asked from here it takes a quarter of the time.
    is_monotonic: bool,
}

impl Clock {
    /// `callable` is a loop's `time`, or another function that gives seconds.
    pub(super) fn new(callable: Object) -> Self {
        let asked_by = &super::facts().monotonic.asked_by;
        let is_monotonic = method(&callable).is_some_and(|(function, _)| function.is(asked_by));
        Self { callable, is_monotonic }
    }

    #[inline]
    pub(super) fn now(&self) -> Result<f64> {
        if self.is_monotonic {
            return super::facts().monotonic.now();
        }
        self.callable.call([])?.to_float()
    }

    /// Whether [`Monotonic::now`] says the same.
    #[inline]
    pub(super) fn is_monotonic(&self) -> bool {
        self.is_monotonic
    }

    pub(super) fn callable(&self) -> &Object {
        &self.callable
    }
}
