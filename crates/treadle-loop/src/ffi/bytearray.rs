//! What a read buffer needs of `bytes` and `bytearray`.

use pyo3::ffi;

use super::error::{Raised, Result};
use super::object::Object;

impl Object {
    /// Whether this is a `bytes` object, not one of a subclass.
    #[inline]
    pub(crate) fn is_exactly_bytes(&self) -> bool {
        // SAFETY: alive (L1).
        unsafe { ffi::PyBytes_CheckExact(self.pointer()) != 0 }
    }

    /// How many bytes a `bytearray` holds; none if this is no `bytearray`, or one of a subclass.
    #[inline]
    pub(crate) fn bytearray_length(&self) -> Option<usize> {
        // SAFETY: alive (L1).
        if unsafe { ffi::PyByteArray_CheckExact(self.pointer()) } == 0 {
            return None;
        }
        // SAFETY: a `bytearray`, as just seen.
        Some(unsafe { ffi::PyByteArray_Size(self.pointer()) }.unsigned_abs())
    }

    /// The number of things in memory.
    pub(crate) fn count(count: usize) -> Result<Object> {
        Self::integer(count.cast_signed() as i64)
    }

    /// `del self[:count]`.
    pub(crate) fn delete_front(&self, count: usize) -> Result<()> {
        // SAFETY: alive (L1) and attached (L2); what is no sequence is an exception.
        match unsafe { ffi::PySequence_DelSlice(self.pointer(), 0, count.cast_signed()) } {
            0 => Ok(()),
            // SAFETY: anything else is an exception (L4).
            _ => Err(unsafe { Raised::is_set() }),
        }
    }

    /// Whether this is an integer, not of a subclass.
    #[inline]
    pub(crate) fn is_exactly_integer(&self) -> bool {
        // SAFETY: alive (L1).
        unsafe { ffi::PyLong_CheckExact(self.pointer()) != 0 }
    }

    /// Whether this is `True` itself, or `False` itself, as asked.
    #[inline]
    pub(crate) fn is_exactly(&self, value: bool) -> bool {
        // SAFETY: both live for ever; their addresses are read.
        let (yes, no) = (unsafe { ffi::Py_True() }, unsafe { ffi::Py_False() });
        self.pointer() == if value { yes } else { no }
    }
}
