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

    /// `del self[:count]`.
    pub(crate) fn delete_front(&self, count: usize) -> Result<()> {
        // SAFETY: alive (L1) and attached (L2); what is no sequence is an exception.
        match unsafe { ffi::PySequence_DelSlice(self.pointer(), 0, count.cast_signed()) } {
            0 => Ok(()),
            // SAFETY: anything else is an exception (L4).
            _ => Err(unsafe { Raised::is_set() }),
        }
    }
}
