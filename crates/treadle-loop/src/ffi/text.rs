//! `str` and `bytes` between Rust and Python.

use std::ffi::CStr;

use pyo3::ffi;

use super::error::{Kind, Result};
use super::object::Object;

impl Object {
    pub(crate) fn text(text: &str) -> Result<Object> {
        // SAFETY: pointer and length are one text's, this thread is attached (L2), the result is new (L4).
        let new = unsafe { ffi::PyUnicode_FromStringAndSize(text.as_ptr().cast(), text.len() as isize) };
        // SAFETY: the result is new, or null with an exception set (L4).
        unsafe { Self::from_new(new) }
    }

    /// A name that is compared by identity.
    pub(crate) fn interned(text: &CStr) -> Result<Object> {
        // SAFETY: the text ends with a nul, this thread is attached (L2), the result is new (L4).
        let new = unsafe { ffi::PyUnicode_InternFromString(text.as_ptr()) };
        // SAFETY: the result is new, or null with an exception set (L4).
        unsafe { Self::from_new(new) }
    }

    pub(crate) fn is_text(&self) -> bool {
        // SAFETY: alive (L1).
        unsafe { ffi::PyUnicode_Check(self.pointer()) != 0 }
    }

    /// The text of a `str`.
    pub(crate) fn to_text(&self) -> Result<String> {
        let mut length = 0;
        // SAFETY: alive (L1), attached (L2); what is no `str` is an exception.
        let start = unsafe { ffi::PyUnicode_AsUTF8AndSize(self.pointer(), &raw mut length) };
        if start.is_null() {
            // SAFETY: the call has failed (L4).
            return Err(unsafe { super::error::Raised::is_set() });
        }
        // SAFETY: the text is kept by the object, which is alive for the length of this call (L1).
        let bytes = unsafe { std::slice::from_raw_parts(start.cast::<u8>(), length.unsigned_abs()) };
        Ok(String::from_utf8_lossy(bytes).into_owned())
    }

    /// A `bytes` object with a copy of these.
    #[inline]
    pub(crate) fn bytes(bytes: &[u8]) -> Result<Object> {
        // SAFETY: pointer and length are one slice's, this thread is attached (L2), the result is new (L4).
        let new = unsafe { ffi::PyBytes_FromStringAndSize(bytes.as_ptr().cast(), bytes.len() as isize) };
        // SAFETY: the result is new, or null with an exception set (L4).
        unsafe { Self::from_new(new) }
    }

    /// A `bytes` object with what these `bytes` objects hold, one after the other.
    pub(crate) fn joined(pieces: &[Object]) -> Result<Object> {
        let length = pieces.iter().map(|piece| piece.as_bytes().map_or(0, <[u8]>::len)).sum::<usize>();
        // SAFETY: no content is given, this thread is attached (L2), the result is new (L4).
        let new = unsafe { ffi::PyBytes_FromStringAndSize(std::ptr::null(), length as isize) };
        // SAFETY: the result is new, or null with an exception set (L4).
        let joined = unsafe { Self::from_new(new) }?;
        // SAFETY: a `bytes` object, as just made.
        let mut place = unsafe { ffi::PyBytes_AsString(joined.pointer()) }.cast::<u8>();
        for bytes in pieces.iter().filter_map(Object::as_bytes) {
            // SAFETY: the object has room for all pieces, nobody else has seen it yet, and this piece is another object's.
            unsafe { place.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
            // SAFETY: at most the end of the object's room.
            place = unsafe { place.add(bytes.len()) };
        }
        Ok(joined)
    }

    /// What a `bytes` object holds; nothing if this is none.
    #[inline]
    pub(crate) fn as_bytes(&self) -> Option<&[u8]> {
        // SAFETY: alive (L1).
        if unsafe { ffi::PyBytes_Check(self.pointer()) } == 0 {
            return None;
        }
        // SAFETY: a `bytes` object, as just seen.
        let start = unsafe { ffi::PyBytes_AsString(self.pointer()) };
        // SAFETY: likewise.
        let length = unsafe { ffi::PyBytes_Size(self.pointer()) };
        // SAFETY: the content of `bytes` never changes nor moves, and lives as long as the object, which this borrow keeps (L1).
        Some(unsafe { std::slice::from_raw_parts(start.cast(), length.unsigned_abs()) })
    }

    /// The type's name, for messages.
    pub(crate) fn type_name(&self) -> String {
        // SAFETY: alive, so it has a type, which is alive (L1).
        let pointer = unsafe { ffi::Py_TYPE(self.pointer()).cast() };
        // SAFETY: not null, and alive.
        let class = unsafe { Object::from_borrowed(pointer) };
        let named =
            Object::interned(c"__name__").and_then(|name| class.attribute(&name)).and_then(|name| name.to_text());
        named.unwrap_or_else(|raised| {
            raised.forget();
            "object".to_owned()
        })
    }

    /// `TypeError` that says what was given.
    pub(crate) fn unexpected(&self, wanted: &str) -> super::error::Raised {
        Kind::TypeError.raise(&format!("{wanted}, not {:?}", self.type_name()))
    }
}
