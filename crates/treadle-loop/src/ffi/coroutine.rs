//! Coroutines from both sides: native ones that Python awaits, and Python's that native code drives.

use std::ffi::c_void;

use pyo3::ffi;

use super::class::{Class, Instance};
use super::error::{Raised, Result};
use super::object::Object;
use super::spec::{Spec, Step};
use super::trampolines::{item, next, send, unary};

impl<T: Class> Spec<T> {
    /// Makes instances what `async def` gives: `awaited` answers `__await__` with an iterator, and also `yield from`, whose generator takes
    /// Python's own without asking; `resumed` answers `send(value)`.
    pub(crate) fn awaitable<A, F>(self, _awaited: A, _resumed: F) -> Self
    where
        A: Fn(&Instance<T>) -> Result<Object> + Copy + 'static,
        F: Fn(&Instance<T>, &Object) -> Result<Step> + Copy + 'static,
    {
        self.slot(ffi::Py_am_await, unary::<T, A> as *mut c_void)
            .slot(ffi::Py_tp_iter, unary::<T, A> as *mut c_void)
            .slot(ffi::Py_tp_iternext, next::<T, F> as *mut c_void)
            .slot(ffi::Py_am_send, send::<T, F> as *mut c_void)
    }
}

impl<T: Class> Spec<T> {
    /// As [`Self::awaitable`], with `next` for who asks without a value, which is each `await` since Python 3.12: it raises `StopIteration` at the end.
    pub(crate) fn awaitable_by<A, F, N>(self, _awaited: A, _resumed: F, _next: N) -> Self
    where
        A: Fn(&Instance<T>) -> Result<Object> + Copy + 'static,
        F: Fn(&Instance<T>, &Object) -> Result<Step> + Copy + 'static,
        N: Fn(&Instance<T>) -> Result<Object> + Copy + 'static,
    {
        self.slot(ffi::Py_am_await, unary::<T, A> as *mut c_void)
            .slot(ffi::Py_tp_iter, unary::<T, A> as *mut c_void)
            .slot(ffi::Py_tp_iternext, unary::<T, N> as *mut c_void)
            .slot(ffi::Py_am_send, send::<T, F> as *mut c_void)
    }

    /// Makes instances iterators: `taken` gives the next item, or nothing at the end.
    pub(crate) fn iterator<F>(self, _taken: F) -> Self
    where
        F: Fn(&Instance<T>) -> Result<Option<Object>> + Copy + 'static,
    {
        self.slot(ffi::Py_tp_iter, ffi::PyObject_SelfIter as *mut c_void)
            .slot(ffi::Py_tp_iternext, item::<T, F> as *mut c_void)
    }

    /// Makes instances asynchronous iterators: `awaited` answers `__anext__`.
    pub(crate) fn asynchronous_iterator<F>(self, _awaited: F) -> Self
    where
        F: Fn(&Instance<T>) -> Result<Object> + Copy + 'static,
    {
        self.slot(ffi::Py_am_aiter, ffi::PyObject_SelfIter as *mut c_void)
            .slot(ffi::Py_am_anext, unary::<T, F> as *mut c_void)
    }
}

impl Object {
    /// `self.send(value)` of a coroutine, of Python's or of any iterator.
    pub(crate) fn send(&self, value: &Object) -> Result<Step> {
        let mut result = std::ptr::null_mut();
        // SAFETY: both are alive (L1), this thread is attached (L2), and `result` is a place to write to.
        let status = unsafe { ffi::PyIter_Send(self.pointer(), value.pointer(), &raw mut result) };
        // SAFETY: null with an exception (L4), or a new reference.
        let result = unsafe { Object::from_nullable(result) };
        match (status, result) {
            (ffi::PySendResult::PYGEN_NEXT, Some(object)) => Ok(Step::Yield(object)),
            (ffi::PySendResult::PYGEN_RETURN, Some(object)) => Ok(Step::Return(object)),
            // SAFETY: without a result there is an exception (L4).
            _ => Err(unsafe { Raised::is_set() }),
        }
    }
}
