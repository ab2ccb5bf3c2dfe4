//! Native methods and attributes for a class that Python code has made, and a look into an object's `__dict__`.
//!
//! The instances hold no Rust value: functions get them as objects. CPython's descriptors check the type of what they are called with.

use std::ffi::CStr;

use pyo3::ffi;

use super::call::Args;
use super::error::{Raised, Result};
use super::object::Object;
use super::spec::method_definition;
use super::trampolines::{getter, setter};

/// A class that is being added to.
pub(crate) struct Addition<'a>(&'a Object);

impl<'a> Addition<'a> {
    /// `class` is a type; what is none is refused when something is added.
    pub(crate) fn to(class: &'a Object) -> Self {
        Self(class)
    }

    /// Adds a method.
    pub(crate) fn method<F>(self, name: &'static CStr, _function: F) -> Result<Self>
    where
        F: Fn(&Object, Args<'_>) -> Result<Object> + Copy + 'static,
    {
        let definition = Box::leak(Box::new(method_definition::<Object, F>(name)));
        self.check_class()?;
        // SAFETY: a type, as just seen, alive (L1); the definition lives for ever.
        let descriptor = unsafe { ffi::PyDescr_NewMethod(self.0.pointer().cast(), definition) };
        // SAFETY: the result is new (L4).
        self.put(name, unsafe { Object::from_new(descriptor) })
    }

    /// Adds an attribute that can be read and set; deleting it sets None.
    pub(crate) fn attribute<G, S>(self, name: &'static CStr, _read: G, _set: S) -> Result<Self>
    where
        G: Fn(&Object) -> Result<Object> + Copy + 'static,
        S: Fn(&Object, &Object) -> Result<()> + Copy + 'static,
    {
        let definition = Box::leak(Box::new(ffi::PyGetSetDef {
            name: name.as_ptr(),
            get: Some(getter::<Object, G>),
            set: Some(setter::<Object, S>),
            ..Default::default()
        }));
        self.check_class()?;
        // SAFETY: as above.
        let descriptor = unsafe { ffi::PyDescr_NewGetSet(self.0.pointer().cast(), definition) };
        // SAFETY: the result is new (L4).
        self.put(name, unsafe { Object::from_new(descriptor) })
    }

    fn put(self, name: &'static CStr, descriptor: Result<Object>) -> Result<Self> {
        self.0.set_attribute(&Object::interned(name)?, &descriptor?)?;
        Ok(self)
    }

    fn check_class(&self) -> Result<()> {
        // SAFETY: alive (L1).
        let is_class = unsafe { ffi::PyType_Check(self.0.pointer()) } != 0;
        if is_class { Ok(()) } else { Err(self.0.unexpected("a class is needed")) }
    }
}

impl Object {
    /// The `__dict__` of an instance, not of a class.
    #[inline]
    pub(crate) fn attributes(&self) -> Result<Object> {
        // SAFETY: alive (L1) and attached (L2).
        let dict = unsafe { ffi::PyObject_GenericGetDict(self.pointer(), std::ptr::null_mut()) };
        // SAFETY: the result is new (L4).
        unsafe { Self::from_new(dict) }
    }

    /// What a dict has under a name. What is no dict has nothing.
    #[inline]
    pub(crate) fn entry(&self, name: &Object) -> Result<Option<Object>> {
        // SAFETY: alive (L1).
        if unsafe { ffi::PyDict_Check(self.pointer()) } == 0 {
            return Ok(None);
        }
        // SAFETY: a dict, as just seen; the name is alive (L1) and this thread is attached (L2).
        let found = unsafe { ffi::PyDict_GetItemWithError(self.pointer(), name.pointer()) };
        if found.is_null() {
            return if Raised::is_pending() {
                // SAFETY: just seen (L4).
                Err(unsafe { Raised::is_set() })
            } else {
                Ok(None)
            };
        }
        // SAFETY: not null, and alive: nothing has run since the dict gave it.
        Ok(Some(unsafe { Self::from_borrowed(found) }))
    }
}
