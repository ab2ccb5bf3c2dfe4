//! How an instance lies in memory: the object's head, the Rust value, and room for what CPython keeps behind it.

use pyo3::ffi::PyObject;

use super::class::Class;

/// An object's head and nothing else.
pub(crate) type Plain = PyObject;

/// The head of an instance of `asyncio.BaseTransport`, which keeps `_extra` in a slot. Ours stays empty: the attribute is overridden.
#[repr(C)]
pub(crate) struct TransportHead {
    head: PyObject,
    extra: *mut PyObject,
}

/// Where weak references and the `__dict__` are kept.
pub(crate) trait Tail: Default {
    const WEAK: Option<usize>;
    const DICT: Option<usize>;
}

#[derive(Default)]
pub(crate) struct Nothing;

#[repr(C)]
pub(crate) struct Weak(*mut PyObject);

#[repr(C)]
pub(crate) struct WeakAndDict(*mut PyObject, *mut PyObject);

impl Default for Weak {
    fn default() -> Self {
        Self(std::ptr::null_mut())
    }
}

impl Default for WeakAndDict {
    fn default() -> Self {
        Self(std::ptr::null_mut(), std::ptr::null_mut())
    }
}

impl Tail for Nothing {
    const WEAK: Option<usize> = None;
    const DICT: Option<usize> = None;
}

impl Tail for Weak {
    const WEAK: Option<usize> = Some(0);
    const DICT: Option<usize> = None;
}

impl Tail for WeakAndDict {
    const WEAK: Option<usize> = Some(0);
    const DICT: Option<usize> = Some(size_of::<usize>());
}

/// How an instance lies in memory.
#[repr(C)]
pub(super) struct Layout<T: Class> {
    head: T::Head,
    value: T,
    tail: T::Tail,
}

impl<T: Class> Layout<T> {
    pub(super) const VALUE: usize = std::mem::offset_of!(Self, value);
    pub(super) const TAIL: usize = std::mem::offset_of!(Self, tail);

    /// Where the value of an instance is.
    ///
    /// # Safety
    /// `object` is laid out like this.
    #[inline]
    pub(super) unsafe fn value(object: *mut PyObject) -> *mut T {
        // SAFETY: the value is at this offset of the object (L3).
        unsafe { object.byte_add(Self::VALUE).cast() }
    }

    /// Where the tail of an instance is.
    ///
    /// # Safety
    /// `object` is laid out like this.
    #[inline]
    pub(super) unsafe fn tail(object: *mut PyObject) -> *mut T::Tail {
        // SAFETY: the tail is at this offset of the object.
        unsafe { object.byte_add(Self::TAIL).cast() }
    }

    /// Where a pointer in the tail of an instance is.
    ///
    /// # Safety
    /// `object` is laid out like this, and its tail has a pointer at `place`.
    pub(super) unsafe fn pointer_in_tail(object: *mut PyObject, place: usize) -> *mut *mut PyObject {
        // SAFETY: the tail is at this offset of the object.
        unsafe { object.byte_add(Self::TAIL + place).cast() }
    }
}
