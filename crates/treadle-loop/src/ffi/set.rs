//! Going through a set piece by piece, while others may change it in between.

use std::ffi::{c_char, c_int, c_void};

use pyo3::ffi::{self, Py_ssize_t, PyObject};

use super::error::Result;
use super::object::Object;

/// `_PySet_NextEntry`, which CPython has for its own modules.
type NextEntry = unsafe extern "C" fn(*mut PyObject, *mut Py_ssize_t, *mut *mut PyObject, *mut ffi::Py_hash_t) -> c_int;

/// A place in a set, or in a list of what was in it.
pub(crate) struct SetCursor {
    set: Object,
    position: Py_ssize_t,
    next_entry: Option<NextEntry>,
}

impl SetCursor {
    /// The beginning of a set. A hundred thousand items of a list would be counted up at once, which takes milliseconds; it is the way
    /// where there is no other.
    pub(crate) fn new(set: &Object) -> Result<Self> {
        // SAFETY: alive (L1).
        let is_set = unsafe { ffi::PySet_Check(set.pointer()) } != 0;
        let next_entry = if is_set { next_entry() } else { None };
        let set = if next_entry.is_some() { set.clone() } else { set.list()? };
        Ok(Self { set, position: 0, next_entry })
    }

    /// The next item, or nothing at the end.
    #[inline]
    pub(crate) fn next(&mut self) -> Option<Object> {
        let Some(next_entry) = self.next_entry else {
            self.position += 1;
            return self.set.list_item(self.position as usize - 1);
        };
        let (mut key, mut hash) = (std::ptr::null_mut(), 0);
        // SAFETY: a set, as was seen, that is alive (L1); the position is compared with its size each time.
        let is_there = unsafe { next_entry(self.set.pointer(), &raw mut self.position, &raw mut key, &raw mut hash) };
        // SAFETY: an item is alive while it is in the set.
        (is_there == 1 && !key.is_null()).then(|| unsafe { Object::from_borrowed(key) })
    }
}

/// Looked up by name, so that a Python without it can still import this module.
fn next_entry() -> Option<NextEntry> {
    // SAFETY: the name ends with a nul.
    let found = unsafe { dlsym(ANYWHERE, c"_PySet_NextEntry".as_ptr()) };
    // SAFETY: CPython 3.11 to 3.15 export it with this signature.
    (!found.is_null()).then(|| unsafe { std::mem::transmute::<*mut c_void, NextEntry>(found) })
}

/// `RTLD_DEFAULT`.
#[cfg(target_vendor = "apple")]
const ANYWHERE: *mut c_void = std::ptr::without_provenance_mut(usize::MAX - 1);
#[cfg(not(target_vendor = "apple"))]
const ANYWHERE: *mut c_void = std::ptr::null_mut();

unsafe extern "C" {
    fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
}
