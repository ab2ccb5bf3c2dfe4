//! `contextvars.Context`, entered and left natively, and variables in it.

use std::ffi::CStr;

use super::error::{Raised, Result};
use super::object::Object;
use super::raw;

/// A context of the program.
pub(crate) struct Context;

impl Context {
    /// `contextvars.copy_context()`.
    #[inline]
    pub(crate) fn copy_current() -> Result<Object> {
        // SAFETY: this thread is attached (L2) and the result is new (L4).
        let new = unsafe { raw::PyContext_CopyCurrent() };
        // SAFETY: the result is new, or null with an exception set (L4).
        unsafe { Object::from_new(new) }
    }

    /// `context.copy()`.
    pub(crate) fn copy(context: &Object) -> Result<Object> {
        // SAFETY: alive (L1), attached (L2), what is no context is an exception, and the result is new (L4).
        let new = unsafe { raw::PyContext_Copy(context.pointer()) };
        // SAFETY: the result is new, or null with an exception set (L4).
        unsafe { Object::from_new(new) }
    }

    /// `context.run(function)`. An exception that `function` has set stays set while the context is left.
    #[inline]
    pub(crate) fn run<T>(context: &Object, function: impl FnOnce() -> Result<T>) -> Result<T> {
        // SAFETY: alive (L1), attached (L2); an object that is no context is refused with an exception.
        if unsafe { raw::PyContext_Enter(context.pointer()) } != 0 {
            // SAFETY: the call has failed (L4).
            return Err(unsafe { Raised::is_set() });
        }
        let result = function();
        // SAFETY: entered above in this thread, and whatever `function` entered it has left.
        if unsafe { raw::PyContext_Exit(context.pointer()) } != 0 {
            // SAFETY: the call has failed (L4).
            return Err(unsafe { Raised::is_set() });
        }
        result
    }
}

/// A `contextvars.ContextVar`.
pub(crate) struct ContextVariable(Object);

impl ContextVariable {
    /// A variable without a default.
    pub(crate) fn new(name: &CStr) -> Result<Self> {
        // SAFETY: the name ends with a nul, this thread is attached (L2), and the result is new (L4).
        let new = unsafe { raw::PyContextVar_New(name.as_ptr(), std::ptr::null_mut()) };
        // SAFETY: the result is new, or null with an exception set (L4).
        unsafe { Object::from_new(new) }.map(Self)
    }

    /// Its value in the context that runs, if it has one.
    #[inline]
    pub(crate) fn load(&self) -> Result<Option<Object>> {
        let mut value = std::ptr::null_mut();
        // SAFETY: a variable (by construction), no default, a place to write to; this thread is attached (L2).
        if unsafe { raw::PyContextVar_Get(self.0.pointer(), std::ptr::null_mut(), &raw mut value) } != 0 {
            // SAFETY: the call has failed (L4).
            return Err(unsafe { Raised::is_set() });
        }
        // SAFETY: null, or a new reference.
        Ok(unsafe { Object::from_nullable(value) })
    }

    /// Sets it in the context that runs.
    #[inline]
    pub(crate) fn store(&self, value: &Object) -> Result<()> {
        // SAFETY: a variable (by construction) and an object that is alive (L1); this thread is attached (L2).
        let token = unsafe { raw::PyContextVar_Set(self.0.pointer(), value.pointer()) };
        // SAFETY: the result is new, or null with an exception set (L4).
        unsafe { Object::from_new(token) }.map(drop)
    }
}
