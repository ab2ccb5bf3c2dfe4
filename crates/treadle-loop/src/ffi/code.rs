//! Code objects and frames: where in the program something is done.
//!
//! Lines are worked out when a place is met for the first time; after that a place is a code object's address and an offset.

use std::ffi::c_int;

use pyo3::ffi::{self, PyObject};

use super::error::Result;
use super::object::Object;
use super::raw::{
    PyCode_Addr2Line, PyEval_GetFrame, PyFrame_GetBack, PyFrame_GetCode, PyFrame_GetLasti, PyFunction_GetCode,
    PyMethod_Function, PyMethod_Self,
};

/// The call of a function, while it lasts.
pub(crate) struct Frame(Object);

impl Frame {
    /// The innermost call of Python code in this thread.
    #[inline]
    pub(crate) fn current() -> Option<Self> {
        // SAFETY: this thread is attached (L2); the result is borrowed from the thread's state.
        let frame = unsafe { PyEval_GetFrame() };
        // SAFETY: not null, and alive as long as this native function is called from it.
        (!frame.is_null()).then(|| Self(unsafe { Object::from_borrowed(frame) }))
    }

    /// The call that an object stands for.
    pub(crate) fn of(object: &Object) -> Option<Self> {
        let class = &raw mut PyFrame_Type;
        (object.class_pointer() == class.cast()).then(|| Self(object.clone()))
    }

    /// The call that this one was made from.
    #[inline]
    pub(crate) fn caller(&self) -> Option<Self> {
        // SAFETY: a frame (by construction) that is alive (L1); this thread is attached (L2); null means that there is none.
        let frame = unsafe { PyFrame_GetBack(self.0.pointer()) };
        // SAFETY: null, or a new reference.
        unsafe { Object::from_nullable(frame) }.map(Self)
    }

    /// The code that runs.
    #[inline]
    pub(crate) fn code(&self) -> Result<Object> {
        // SAFETY: a frame (by construction) that is alive (L1); this thread is attached (L2).
        let code = unsafe { PyFrame_GetCode(self.0.pointer()) };
        // SAFETY: a frame always has code: a new reference.
        unsafe { Object::from_new(code) }
    }

    /// How far it has come, in bytes of the code.
    #[inline]
    pub(crate) fn offset(&self) -> i32 {
        // SAFETY: a frame (by construction) that is alive (L1).
        unsafe { PyFrame_GetLasti(self.0.pointer()) }
    }
}

/// The line of a code object at an offset in bytes, if there is one.
pub(crate) fn line(code: &Object, offset: i32) -> Option<u32> {
    if !is_code(code) {
        return None;
    }
    // SAFETY: a code object, as just seen, that is alive (L1).
    let line = unsafe { PyCode_Addr2Line(code.pointer(), offset as c_int) };
    u32::try_from(line).ok()
}

/// The code that a callable runs, if it is a function of Python's or a method of one.
#[inline]
pub(crate) fn code_of(callable: &Object) -> Option<Object> {
    let function = match method(callable) {
        Some((function, _)) => function,
        None => callable.clone(),
    };
    let class = &raw mut PyFunction_Type;
    if function.class_pointer() != class.cast() {
        return None;
    }
    // SAFETY: a function, as just seen, that is alive (L1); what comes is borrowed from it.
    let code = unsafe { PyFunction_GetCode(function.pointer()) };
    // SAFETY: alive while the function is.
    (!code.is_null()).then(|| unsafe { Object::from_borrowed(code) })
}

/// What a bound method of a Python function is made of: the function and `self`.
#[inline]
pub(crate) fn method(callable: &Object) -> Option<(Object, Object)> {
    let class = &raw mut PyMethod_Type;
    if callable.class_pointer() != class.cast() {
        return None;
    }
    // SAFETY: a method, as just seen, that is alive (L1); what comes is borrowed from it.
    let function = unsafe { PyMethod_Function(callable.pointer()) };
    // SAFETY: as above.
    let receiver = unsafe { PyMethod_Self(callable.pointer()) };
    // SAFETY: a method always has both, alive while it is.
    let function = unsafe { Object::from_borrowed(function) };
    // SAFETY: as above.
    Some((function, unsafe { Object::from_borrowed(receiver) }))
}

/// Whether a callable is a function that is not written in Python, or a method of an object's that is not.
pub(crate) fn is_builtin(callable: &Object) -> bool {
    callable.class_pointer() == (&raw mut PyCFunction_Type).cast()
}

fn is_code(object: &Object) -> bool {
    object.class_pointer() == (&raw mut PyCode_Type).cast()
}

unsafe extern "C" {
    static mut PyCFunction_Type: ffi::PyTypeObject;
    static mut PyFunction_Type: ffi::PyTypeObject;
    static mut PyFrame_Type: ffi::PyTypeObject;
    static mut PyMethod_Type: ffi::PyTypeObject;
    pub(super) static mut PyCode_Type: ffi::PyTypeObject;
}

impl Object {
    /// The address of the type, to be compared with another.
    #[inline]
    pub(super) fn class_pointer(&self) -> *mut PyObject {
        // SAFETY: a living object has a type (L1).
        unsafe { ffi::Py_TYPE(self.pointer()) }.cast()
    }
}
