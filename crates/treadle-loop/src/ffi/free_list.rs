//! Memory of dead instances, kept for new ones.

use std::cell::RefCell;

use pyo3::ffi::PyObject;

/// Memory of dead instances of one layout. Allocating and freeing were an eighth of `call_soon`, see benches/loops.
pub(crate) struct FreeList(RefCell<ArrayVec>);

/// As many as wait at most: what a busy turn schedules.
const FREE: usize = 1024;

struct ArrayVec {
    pointers: [*mut PyObject; FREE],
    length: usize,
}

// SAFETY: only touched by attached threads, of which there is one at a time (L2, L5).
unsafe impl Sync for FreeList {}

impl FreeList {
    pub(crate) const fn new() -> Self {
        Self(RefCell::new(ArrayVec { pointers: [std::ptr::null_mut(); FREE], length: 0 }))
    }

    #[inline]
    pub(super) fn pop(&self) -> Option<*mut PyObject> {
        let mut list = self.0.borrow_mut();
        list.length = list.length.checked_sub(1)?;
        Some(list.pointers[list.length])
    }

    /// Keeps the memory of a dead instance, unless there is enough.
    #[inline]
    pub(super) fn push(&self, dead: *mut PyObject) -> bool {
        let mut list = self.0.borrow_mut();
        let length = list.length;
        let Some(place) = list.pointers.get_mut(length) else { return false };
        *place = dead;
        list.length += 1;
        true
    }
}
