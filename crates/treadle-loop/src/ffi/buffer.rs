//! The buffer protocol: bytes of a Python object, held for as long as they are looked at.

use std::mem::MaybeUninit;

use pyo3::ffi;

use super::error::{Raised, Result};
use super::object::Object;

/// A contiguous view of an object, given back on drop.
struct View(ffi::Py_buffer);

impl View {
    fn of(object: &Object, flags: std::ffi::c_int) -> Result<Self> {
        let mut view = MaybeUninit::<ffi::Py_buffer>::uninit();
        // SAFETY: alive (L1), attached (L2), and `view` is a place to write to.
        if unsafe { ffi::PyObject_GetBuffer(object.pointer(), view.as_mut_ptr(), flags) } != 0 {
            // SAFETY: the call has failed (L4).
            return Err(unsafe { Raised::is_set() });
        }
        // SAFETY: filled in by the call, which has succeeded.
        Ok(Self(unsafe { view.assume_init() }))
    }

    fn length(&self) -> usize {
        self.0.len.unsigned_abs()
    }
}

impl Drop for View {
    fn drop(&mut self) {
        // SAFETY: filled in by `PyObject_GetBuffer` and given back once; this thread is attached (L2).
        unsafe { ffi::PyBuffer_Release(&raw mut self.0) }
    }
}

/// Bytes to read.
pub(crate) struct Readable(View);

impl Readable {
    pub(crate) fn of(object: &Object) -> Result<Self> {
        View::of(object, ffi::PyBUF_SIMPLE).map(Self)
    }
}

impl AsRef<[u8]> for Readable {
    fn as_ref(&self) -> &[u8] {
        if self.0.length() == 0 {
            return &[];
        }
        // SAFETY: a contiguous view of that length, which cannot be resized while it is held. Its content may be changed by Python code, which
        // does not run while the slice is looked at: callers copy it or hand it to one system call.
        unsafe { std::slice::from_raw_parts(self.0.0.buf.cast(), self.0.length()) }
    }
}

/// Bytes to be written over.
pub(crate) struct Writable(View);

impl Writable {
    pub(crate) fn of(object: &Object) -> Result<Self> {
        View::of(object, ffi::PyBUF_WRITABLE).map(Self)
    }
}

impl AsMut<[u8]> for Writable {
    fn as_mut(&mut self) -> &mut [u8] {
        if self.0.length() == 0 {
            return &mut [];
        }
        // SAFETY: a contiguous writable view of that length, which cannot be resized while it is held; no Python code runs while the slice exists.
        unsafe { std::slice::from_raw_parts_mut(self.0.0.buf.cast(), self.0.length()) }
    }
}
