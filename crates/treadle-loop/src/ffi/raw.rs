//! Functions of the C API that `pyo3-ffi` hides under the stable ABI of 3.11, and reference counting.
//!
//! The functions are public API that CPython 3.9 to 3.15 export with these signatures; `PyObject_Vectorcall` and its kin joined the
//! stable ABI in 3.12. Counting is inline, as in a C extension for the same stable ABI: calls of `_Py_IncRef` were 9 % of `call_soon`.

use std::ffi::c_int;

use pyo3::ffi::{Py_ssize_t, PyObject};

unsafe extern "C" {
    pub(super) fn PyObject_Vectorcall(
        callable: *mut PyObject,
        arguments: *const *mut PyObject,
        count: usize,
        names: *mut PyObject,
    ) -> *mut PyObject;
    pub(super) fn PyObject_VectorcallMethod(
        name: *mut PyObject,
        arguments: *const *mut PyObject,
        count: usize,
        names: *mut PyObject,
    ) -> *mut PyObject;
    pub(super) fn PyContext_Copy(context: *mut PyObject) -> *mut PyObject;
    pub(super) fn PyContext_CopyCurrent() -> *mut PyObject;
    pub(super) fn PyContext_Enter(context: *mut PyObject) -> c_int;
    pub(super) fn PyContext_Exit(context: *mut PyObject) -> c_int;
    pub(super) fn PyContextVar_New(name: *const std::ffi::c_char, default: *mut PyObject) -> *mut PyObject;
    pub(super) fn PyContextVar_Get(variable: *mut PyObject, default: *mut PyObject, value: *mut *mut PyObject)
    -> c_int;
    pub(super) fn PyContextVar_Set(variable: *mut PyObject, value: *mut PyObject) -> *mut PyObject;
    pub(super) fn PyObject_CallFinalizerFromDealloc(object: *mut PyObject) -> c_int;
    pub(super) fn PyThread_get_thread_native_id() -> std::ffi::c_ulong;
    pub(super) fn PyEval_GetFrame() -> *mut PyObject;
    pub(super) fn PyFrame_GetBack(frame: *mut PyObject) -> *mut PyObject;
    pub(super) fn PyFrame_GetCode(frame: *mut PyObject) -> *mut PyObject;
    pub(super) fn PyFrame_GetLasti(frame: *mut PyObject) -> c_int;
    pub(super) fn PyCode_Addr2Line(code: *mut PyObject, offset: c_int) -> c_int;
    pub(super) fn PyFunction_GetCode(function: *mut PyObject) -> *mut PyObject;
    pub(super) fn PyMethod_Function(method: *mut PyObject) -> *mut PyObject;
    pub(super) fn PyMethod_Self(method: *mut PyObject) -> *mut PyObject;
    fn _Py_Dealloc(object: *mut PyObject);
}

/// `PY_VECTORCALL_ARGUMENTS_OFFSET`: the callee may use the slot before the first argument.
pub(super) const ARGUMENTS_OFFSET: usize = 1 << (usize::BITS - 1);

/// The names of a call without keywords.
pub(super) const NO_NAMES: *mut PyObject = std::ptr::null_mut();

/// Adds a reference.
///
/// # Safety
/// `object` is alive and this thread attached.
#[inline]
pub(super) unsafe fn incref(object: *mut PyObject) {
    let count = object.cast::<Py_ssize_t>();
    // SAFETY: the count is the first word of a living object (L6).
    let now = unsafe { count.read() };
    if now as i32 >= 0 {
        // SAFETY: as above; no other thread is attached (L2, L5).
        unsafe { count.write(now + 1) }
    }
}

/// Gives a reference up.
///
/// # Safety
/// `object` is alive, the caller owns a reference and forgets it, and this thread is attached.
#[inline]
pub(super) unsafe fn decref(object: *mut PyObject) {
    let count = object.cast::<Py_ssize_t>();
    // SAFETY: the count is the first word of a living object (L6).
    let now = unsafe { count.read() };
    if (now as i32) < 0 {
        return;
    }
    // SAFETY: as above; no other thread is attached (L2, L5).
    unsafe { count.write(now - 1) }
    if (now - 1) as i32 == 0 {
        // SAFETY: nobody holds a reference any more (L6).
        unsafe { _Py_Dealloc(object) }
    }
}
