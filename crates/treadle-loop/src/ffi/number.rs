//! Numbers and tuples between Rust and Python.

use pyo3::ffi;

use super::error::{Raised, Result};
use super::object::Object;

impl Object {
    #[inline]
    pub(crate) fn integer(value: i64) -> Result<Object> {
        // SAFETY: this thread is attached (L2) and the result is new (L4).
        let new = unsafe { ffi::PyLong_FromLongLong(value) };
        // SAFETY: the result is new, or null with an exception set (L4).
        unsafe { Self::from_new(new) }
    }

    /// The integer of a size, which no object in memory makes too big for one.
    #[inline]
    pub(crate) fn size(value: usize) -> Result<Object> {
        Self::integer(i64::try_from(value).unwrap_or(i64::MAX))
    }

    #[inline]
    pub(crate) fn float(value: f64) -> Result<Object> {
        // SAFETY: this thread is attached (L2) and the result is new (L4).
        let new = unsafe { ffi::PyFloat_FromDouble(value) };
        // SAFETY: the result is new, or null with an exception set (L4).
        unsafe { Self::from_new(new) }
    }

    /// The integer here; objects with `__index__` count as one.
    #[inline]
    pub(crate) fn to_integer(&self) -> Result<i64> {
        // SAFETY: alive (L1) and attached (L2).
        let value = unsafe { ffi::PyLong_AsLongLong(self.pointer()) };
        if value == -1 && Raised::is_pending() {
            // SAFETY: just seen (L4).
            return Err(unsafe { Raised::is_set() });
        }
        Ok(value)
    }

    #[inline]
    pub(crate) fn to_float(&self) -> Result<f64> {
        // `PyFloat_AsDouble` makes an object of an integer.
        if self.is_exactly_integer() {
            match self.to_integer() {
                Ok(value) => return Ok(value as f64),
                Err(too_big) => too_big.forget(),
            }
        }
        // SAFETY: alive (L1) and attached (L2).
        let value = unsafe { ffi::PyFloat_AsDouble(self.pointer()) };
        #[expect(clippy::float_cmp, reason = "this very number is how the call fails")]
        let may_have_failed = value == -1.0;
        if may_have_failed && Raised::is_pending() {
            // SAFETY: just seen (L4).
            return Err(unsafe { Raised::is_set() });
        }
        Ok(value)
    }

    pub(crate) fn is_integer(&self) -> bool {
        // SAFETY: alive (L1).
        unsafe { ffi::PyLong_Check(self.pointer()) != 0 }
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

    /// A tuple of these.
    pub(crate) fn tuple<const N: usize>(items: [Object; N]) -> Result<Object> {
        // SAFETY: this thread is attached (L2) and the result is new (L4).
        let new = unsafe { ffi::PyTuple_New(N as isize) };
        // SAFETY: the result is new, or null with an exception set (L4).
        let tuple = unsafe { Self::from_new(new) }?;
        for (index, item) in (0..).zip(items) {
            // SAFETY: a new tuple that nobody else has seen; the index is below its length, and the item's reference goes over to it.
            unsafe { ffi::PyTuple_SetItem(tuple.pointer(), index, item.into_pointer()) };
        }
        Ok(tuple)
    }

    /// A tuple of references to these.
    pub(crate) fn tuple_of(items: &[Object]) -> Result<Object> {
        // SAFETY: this thread is attached (L2) and the result is new (L4).
        let new = unsafe { ffi::PyTuple_New(items.len() as isize) };
        // SAFETY: the result is new, or null with an exception set (L4).
        let tuple = unsafe { Self::from_new(new) }?;
        for (index, item) in (0..).zip(items) {
            // SAFETY: as above.
            unsafe { ffi::PyTuple_SetItem(tuple.pointer(), index, item.clone().into_pointer()) };
        }
        Ok(tuple)
    }

    /// The item of a tuple.
    pub(crate) fn item(&self, index: usize) -> Result<Object> {
        // SAFETY: alive (L1), attached (L2); what is no tuple, or too short, is an exception.
        let item = unsafe { ffi::PyTuple_GetItem(self.pointer(), index as isize) };
        if item.is_null() {
            // SAFETY: the call has failed (L4).
            return Err(unsafe { Raised::is_set() });
        }
        // SAFETY: not null, and alive as long as the tuple is.
        Ok(unsafe { Self::from_borrowed(item) })
    }

    /// How many items a tuple has; none if it is no tuple.
    pub(crate) fn tuple_length(&self) -> Option<usize> {
        // SAFETY: alive (L1).
        if unsafe { ffi::PyTuple_Check(self.pointer()) } == 0 {
            return None;
        }
        // SAFETY: a tuple, as just seen.
        usize::try_from(unsafe { ffi::PyTuple_Size(self.pointer()) }).ok()
    }

    /// `self[name] = value` of a dict.
    pub(crate) fn set_item(&self, name: &Object, value: &Object) -> Result<()> {
        // SAFETY: all three are alive (L1) and this thread is attached (L2).
        match unsafe { ffi::PyObject_SetItem(self.pointer(), name.pointer(), value.pointer()) } {
            0 => Ok(()),
            // SAFETY: anything else is an exception (L4).
            _ => Err(unsafe { Raised::is_set() }),
        }
    }

    /// `list(self)`.
    pub(crate) fn list(&self) -> Result<Object> {
        // SAFETY: alive (L1), attached (L2), and the result is new (L4).
        let new = unsafe { ffi::PySequence_List(self.pointer()) };
        // SAFETY: the result is new, or null with an exception set (L4).
        unsafe { Self::from_new(new) }
    }

    /// The item of a list, if it is one and is long enough.
    #[inline]
    pub(crate) fn list_item(&self, index: usize) -> Option<Object> {
        // SAFETY: alive (L1).
        if unsafe { ffi::PyList_Check(self.pointer()) } == 0 {
            return None;
        }
        // SAFETY: a list, as just seen.
        let length = unsafe { ffi::PyList_Size(self.pointer()) };
        if index as isize >= length {
            return None;
        }
        // SAFETY: a list with an item there, as just seen; it is borrowed from it.
        let item = unsafe { ffi::PyList_GetItem(self.pointer(), index as isize) };
        // SAFETY: not null, and alive as long as the list is.
        Some(unsafe { Self::from_borrowed(item) })
    }

    /// `len(self)` of what is built in.
    pub(crate) fn length(&self) -> Result<usize> {
        // SAFETY: alive (L1) and attached (L2).
        let length = unsafe { ffi::PyObject_Size(self.pointer()) };
        // SAFETY: a negative answer is an exception (L4).
        usize::try_from(length).map_err(|_| unsafe { Raised::is_set() })
    }

    /// `iter(self)`, item by item.
    pub(crate) fn iterate(&self) -> Result<impl Iterator<Item = Result<Object>>> {
        // SAFETY: alive (L1), attached (L2), and the result is new (L4).
        let new = unsafe { ffi::PyObject_GetIter(self.pointer()) };
        // SAFETY: the result is new, or null with an exception set (L4).
        let iterator = unsafe { Self::from_new(new) }?;
        Ok(std::iter::from_fn(move || {
            // SAFETY: an iterator, as just made; null is the end, or an exception.
            let pointer = unsafe { ffi::PyIter_Next(iterator.pointer()) };
            // SAFETY: a new reference, or null.
            let item = unsafe { Self::from_nullable(pointer) };
            // SAFETY: just seen to be set (L4).
            item.map(Ok).or_else(|| Raised::is_pending().then(|| Err(unsafe { Raised::is_set() })))
        }))
    }

    pub(crate) fn dict() -> Result<Object> {
        // SAFETY: this thread is attached (L2) and the result is new (L4).
        let new = unsafe { ffi::PyDict_New() };
        // SAFETY: the result is new, or null with an exception set (L4).
        unsafe { Self::from_new(new) }
    }
}

impl Raised {
    /// Whether an exception is set; asked where a result alone does not say.
    pub(super) fn is_pending() -> bool {
        // SAFETY: this thread is attached (L2).
        unsafe { !ffi::PyErr_Occurred().is_null() }
    }
}
