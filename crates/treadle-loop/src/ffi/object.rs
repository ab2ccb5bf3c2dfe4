//! A reference to a Python object, and what can be asked of any object.

use std::marker::PhantomData;
use std::ptr::NonNull;

use pyo3::ffi::{self, PyObject};

use super::error::{Raised, Result};
use super::raw;

/// A strong reference. `&Object` is a borrowed one.
#[repr(transparent)]
pub(crate) struct Object(NonNull<PyObject>);

impl Clone for Object {
    #[inline]
    fn clone(&self) -> Self {
        // SAFETY: alive and attached (L1, L2).
        unsafe { raw::incref(self.pointer()) }
        Self(self.0)
    }
}

impl Drop for Object {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: this wrapper owns a reference and is gone after this (L1, L2).
        unsafe { raw::decref(self.pointer()) }
    }
}

impl Object {
    /// Takes over a new reference that a call of the C API returned, or its exception.
    ///
    /// # Safety
    /// `pointer` is null with an exception set, or a reference that the caller gives away.
    #[inline]
    pub(super) unsafe fn from_new(pointer: *mut PyObject) -> Result<Self> {
        match NonNull::new(pointer) {
            Some(pointer) => Ok(Self(pointer)),
            // SAFETY: the exception is set, as the caller promises (L4).
            None => Err(unsafe { Raised::is_set() }),
        }
    }

    /// As [`Self::from_new`], where null means that there is nothing and not that something failed.
    ///
    /// # Safety
    /// `pointer` is null, or a reference that the caller gives away.
    #[inline]
    pub(super) unsafe fn from_nullable(pointer: *mut PyObject) -> Option<Self> {
        NonNull::new(pointer).map(Self)
    }

    /// Makes a reference of one that somebody else keeps.
    ///
    /// # Safety
    /// `pointer` is not null and its object alive.
    #[inline]
    pub(super) unsafe fn from_borrowed(pointer: *mut PyObject) -> Self {
        // SAFETY: alive, as the caller promises, and attached (L2).
        unsafe { raw::incref(pointer) }
        // SAFETY: not null, as the caller promises.
        Self(unsafe { NonNull::new_unchecked(pointer) })
    }

    /// A wrapper that has no reference of its own, and must not be dropped.
    ///
    /// # Safety
    /// `pointer` is not null and its object alive as long as the wrapper is used.
    #[inline]
    pub(super) unsafe fn from_visited(pointer: *mut PyObject) -> Self {
        // SAFETY: not null, as the caller promises.
        Self(unsafe { NonNull::new_unchecked(pointer) })
    }

    /// The pointer, still owned by this wrapper.
    #[inline]
    pub(super) fn pointer(&self) -> *mut PyObject {
        self.0.as_ptr()
    }

    /// The pointer, whose reference is now the caller's.
    #[inline]
    pub(super) fn into_pointer(self) -> *mut PyObject {
        let pointer = self.pointer();
        std::mem::forget(self);
        pointer
    }

    /// The same reference for code that is written with `PyO3`.
    pub(crate) fn into_bound(self, py: pyo3::Python<'_>) -> pyo3::Bound<'_, pyo3::PyAny> {
        // SAFETY: a new reference, handed over (L1).
        unsafe { pyo3::Bound::from_owned_ptr(py, self.into_pointer()) }
    }

    /// The reference of code that is written with `PyO3`.
    pub(crate) fn of(bound: &pyo3::Bound<'_, pyo3::PyAny>) -> Self {
        let pointer = bound.as_ptr();
        // SAFETY: not null, and alive.
        unsafe { Self::from_borrowed(pointer) }
    }

    #[inline]
    pub(crate) fn none() -> Self {
        // SAFETY: `None` lives for ever.
        let pointer = unsafe { ffi::Py_None() };
        // SAFETY: not null, and alive.
        unsafe { Self::from_borrowed(pointer) }
    }

    #[inline]
    pub(crate) fn bool(value: bool) -> Self {
        let pointer = if value {
            // SAFETY: the address of `True`, which lives for ever.
            unsafe { ffi::Py_True() }
        } else {
            // SAFETY: the address of `False`, which lives for ever.
            unsafe { ffi::Py_False() }
        };
        // SAFETY: not null, and alive.
        unsafe { Self::from_borrowed(pointer) }
    }

    #[inline]
    pub(crate) fn is_none(&self) -> bool {
        // SAFETY: reads the address of a static.
        self.pointer() == unsafe { ffi::Py_None() }
    }

    /// Whether both are the same object.
    #[inline]
    pub(crate) fn is(&self, other: &Object) -> bool {
        self.0 == other.0
    }

    /// Whether this is an instance of just this type, not of a subclass.
    #[inline]
    pub(crate) fn has_type(&self, class: &Object) -> bool {
        // SAFETY: a living object has a type (L1).
        unsafe { ffi::Py_TYPE(self.pointer()) }.cast() == class.pointer()
    }

    /// Whether this is laid out as an instance of the class: by its true type, whatever `__class__` says.
    pub(crate) fn is_of(&self, class: &Object) -> bool {
        // SAFETY: alive (L1).
        let is_class = unsafe { ffi::PyType_Check(class.pointer()) } != 0;
        // SAFETY: both are alive (L1), and the class is a type, as just seen.
        is_class && unsafe { ffi::PyObject_TypeCheck(self.pointer(), class.pointer().cast()) } != 0
    }

    /// `type(self)`.
    #[inline]
    pub(crate) fn class(&self) -> Object {
        // SAFETY: a living object has a type (L1).
        let class = unsafe { ffi::Py_TYPE(self.pointer()) };
        let pointer = class.cast();
        // SAFETY: not null, and alive.
        unsafe { Self::from_borrowed(pointer) }
    }

    /// Whether this is a class of exceptions.
    pub(crate) fn is_exception_class(&self) -> bool {
        // SAFETY: alive (L1).
        unsafe { ffi::PyExceptionClass_Check(self.pointer()) != 0 }
    }

    /// Whether this is an exception.
    pub(crate) fn is_exception(&self) -> bool {
        // SAFETY: alive (L1).
        unsafe { ffi::PyExceptionInstance_Check(self.pointer()) != 0 }
    }

    /// `isinstance(self, class)`.
    pub(crate) fn is_instance(&self, class: &Object) -> Result<bool> {
        // SAFETY: both are alive (L1) and this thread is attached (L2).
        match unsafe { ffi::PyObject_IsInstance(self.pointer(), class.pointer()) } {
            // SAFETY: a negative answer is an exception (L4).
            ..0 => Err(unsafe { Raised::is_set() }),
            answer => Ok(answer != 0),
        }
    }

    /// `bool(self)`.
    pub(crate) fn is_true(&self) -> Result<bool> {
        // SAFETY: alive (L1) and attached (L2).
        match unsafe { ffi::PyObject_IsTrue(self.pointer()) } {
            // SAFETY: a negative answer is an exception (L4).
            ..0 => Err(unsafe { Raised::is_set() }),
            answer => Ok(answer != 0),
        }
    }

    /// `getattr(self, name)`.
    pub(crate) fn attribute(&self, name: &Object) -> Result<Object> {
        // SAFETY: both are alive (L1), this thread is attached (L2), and the result is new (L4).
        let new = unsafe { ffi::PyObject_GetAttr(self.pointer(), name.pointer()) };
        // SAFETY: the result is new, or null with an exception set (L4).
        unsafe { Self::from_new(new) }
    }

    /// `hasattr(self, name)`.
    pub(crate) fn has_attribute(&self, name: &Object) -> bool {
        self.attribute(name).map_err(Raised::forget).is_ok()
    }

    /// `getattr(self, name)`, for what is looked up once.
    pub(crate) fn member(&self, name: &std::ffi::CStr) -> Result<Object> {
        self.attribute(&Object::interned(name)?)
    }

    /// `setattr(self, name, value)`.
    pub(crate) fn set_attribute(&self, name: &Object, value: &Object) -> Result<()> {
        // SAFETY: all three are alive (L1) and this thread is attached (L2).
        match unsafe { ffi::PyObject_SetAttr(self.pointer(), name.pointer(), value.pointer()) } {
            0 => Ok(()),
            // SAFETY: anything else is an exception (L4).
            _ => Err(unsafe { Raised::is_set() }),
        }
    }

    /// `repr(self)`, or a stand-in if that fails.
    pub(crate) fn repr(&self) -> String {
        // SAFETY: alive (L1), attached (L2), and the result is new (L4).
        let new = unsafe { ffi::PyObject_Repr(self.pointer()) };
        // SAFETY: the result is new, or null with an exception set (L4).
        shown(unsafe { Self::from_new(new) })
    }

    /// `str(self)`, or a stand-in if that fails.
    pub(crate) fn display(&self) -> String {
        // SAFETY: alive (L1), attached (L2), and the result is new (L4).
        let new = unsafe { ffi::PyObject_Str(self.pointer()) };
        // SAFETY: the result is new, or null with an exception set (L4).
        shown(unsafe { Self::from_new(new) })
    }

    /// `self is other or self == other`.
    pub(crate) fn equals(&self, other: &Object) -> Result<bool> {
        // SAFETY: both are alive (L1) and this thread is attached (L2).
        match unsafe { ffi::PyObject_RichCompareBool(self.pointer(), other.pointer(), ffi::Py_EQ) } {
            // SAFETY: a negative answer is an exception (L4).
            ..0 => Err(unsafe { Raised::is_set() }),
            answer => Ok(answer != 0),
        }
    }

    /// `importlib.import_module(name)`.
    pub(crate) fn import(name: &std::ffi::CStr) -> Result<Object> {
        // SAFETY: the name ends with a nul, this thread is attached (L2), and the result is new (L4).
        let new = unsafe { ffi::PyImport_ImportModule(name.as_ptr()) };
        // SAFETY: the result is new, or null with an exception set (L4).
        unsafe { Self::from_new(new) }
    }

    /// The object that this weak reference leads to, if it lives.
    pub(crate) fn referent(&self) -> Option<Object> {
        // SAFETY: alive (L1), attached (L2); the result is borrowed, and kept alive by nobody but until the next line.
        let pointer = unsafe { ffi::PyWeakref_GetObject(self.pointer()) };
        // SAFETY: reads the address of a static.
        if pointer.is_null() || pointer == unsafe { ffi::Py_None() } {
            return None;
        }
        // SAFETY: not null, and alive: nothing has run since it was looked up.
        Some(unsafe { Self::from_borrowed(pointer) })
    }

    /// Whether this is a weak reference to that object.
    #[inline]
    pub(crate) fn refers_to(&self, object: &Object) -> bool {
        // SAFETY: alive (L1), attached (L2); what comes is only compared.
        unsafe { ffi::PyWeakref_GetObject(self.pointer()) == object.pointer() }
    }

    /// A weak reference to this object.
    pub(crate) fn weak(&self) -> Result<Object> {
        // SAFETY: alive (L1), attached (L2), no callback, and the result is new (L4).
        let new = unsafe { ffi::PyWeakref_NewRef(self.pointer(), std::ptr::null_mut()) };
        // SAFETY: the result is new, or null with an exception set (L4).
        unsafe { Self::from_new(new) }
    }

    /// Whether this is an instance of a class that was made by Python code or like one, and neither a class nor an exception.
    pub(crate) fn is_plain_instance(&self) -> bool {
        // SAFETY: a living object has a type (L1).
        let class = unsafe { ffi::Py_TYPE(self.pointer()) };
        // SAFETY: a type, which is alive (L1).
        let flags = unsafe { ffi::PyType_GetFlags(class) };
        let built_in = ffi::Py_TPFLAGS_TYPE_SUBCLASS
            | ffi::Py_TPFLAGS_BASE_EXC_SUBCLASS
            | ffi::Py_TPFLAGS_LIST_SUBCLASS
            | ffi::Py_TPFLAGS_TUPLE_SUBCLASS
            | ffi::Py_TPFLAGS_DICT_SUBCLASS;
        flags & ffi::Py_TPFLAGS_HEAPTYPE != 0 && flags & built_in == 0
    }

    /// How many items a dict, list, tuple or set has; none if this is something else, or of a class of the program's.
    pub(crate) fn container_length(&self) -> Option<usize> {
        let object = self.pointer();
        // SAFETY: alive (L1).
        let is_list = unsafe { ffi::PyList_CheckExact(object) != 0 };
        // SAFETY: as above.
        let is_tuple = unsafe { ffi::PyTuple_CheckExact(object) != 0 };
        // SAFETY: as above.
        let is_set = unsafe { ffi::PyAnySet_CheckExact(object) != 0 };
        if !(is_list || is_tuple || is_set || self.is_dict()) {
            return None;
        }
        // SAFETY: alive (L1) and attached (L2); none of these types runs Python code for it, or fails.
        usize::try_from(unsafe { ffi::PyObject_Size(object) }).ok()
    }

    /// Whether this is a dict.
    pub(crate) fn is_dict(&self) -> bool {
        // SAFETY: alive (L1).
        unsafe { ffi::PyDict_CheckExact(self.pointer()) != 0 }
    }

    /// The address of the type, to be compared with that of another.
    #[inline]
    pub(crate) fn class_address(&self) -> usize {
        self.class_pointer() as usize
    }

    /// What `id()` gives.
    pub(crate) fn address(&self) -> usize {
        self.pointer() as usize
    }

    /// How many references there are.
    pub(crate) fn reference_count(&self) -> isize {
        // SAFETY: alive (L1).
        unsafe { ffi::Py_REFCNT(self.pointer()) }
    }
}

fn shown(text: Result<Object>) -> String {
    text.and_then(|text| text.to_text()).unwrap_or_else(|raised| {
        raised.forget();
        "<unprintable>".to_owned()
    })
}

/// What a class hands its references to while the garbage collector looks for cycles.
pub(crate) struct Visit<'a> {
    pub(super) function: ffi::visitproc,
    pub(super) argument: *mut std::ffi::c_void,
    pub(super) status: std::cell::Cell<std::ffi::c_int>,
    pub(super) lifetime: PhantomData<&'a ()>,
}

impl Visit<'_> {
    /// Shows the collector one reference that the visited object owns.
    pub(crate) fn object(&self, object: &Object) {
        if self.status.get() == 0 {
            // SAFETY: function and argument are the collector's own, passed on unchanged; the object is alive (L1).
            self.status.set(unsafe { (self.function)(object.pointer(), self.argument) });
        }
    }
}

/// A place for an object that can be exchanged through a shared reference.
#[derive(Default)]
pub(crate) struct Slot(std::cell::Cell<Option<Object>>);

impl Slot {
    pub(crate) fn new(object: Option<Object>) -> Self {
        Self(std::cell::Cell::new(object))
    }

    /// A new reference to what is here.
    #[inline]
    pub(crate) fn load(&self) -> Option<Object> {
        // SAFETY: nothing runs between the two steps that could look into the cell; cloning runs no Python.
        unsafe { (*self.0.as_ptr()).clone() }
    }

    /// Puts something here; what was here is dropped after the exchange.
    #[inline]
    pub(crate) fn store(&self, object: Option<Object>) {
        drop(self.0.replace(object));
    }

    #[inline]
    pub(crate) fn take(&self) -> Option<Object> {
        self.0.take()
    }

    pub(crate) fn clear(&self) {
        self.store(None);
    }

    /// Shows the collector what is here.
    pub(crate) fn traverse(&self, visit: &Visit<'_>) {
        // SAFETY: the collector's visits run no code that could exchange the content.
        if let Some(object) = unsafe { &*self.0.as_ptr() } {
            visit.object(object);
        }
    }

    #[inline]
    pub(crate) fn is_some(&self) -> bool {
        // SAFETY: a look at whether the pointer is null; nothing else runs.
        unsafe { (*self.0.as_ptr()).is_some() }
    }

    /// Whether this very object is here.
    #[inline]
    pub(crate) fn holds(&self, object: &Object) -> bool {
        // SAFETY: two pointers are compared; nothing else runs.
        unsafe { (*self.0.as_ptr()).as_ref().is_some_and(|held| held.is(object)) }
    }
}
