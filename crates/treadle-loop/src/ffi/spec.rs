//! What a class is made of, and how it is made: a type spec.
//!
//! Methods take their arguments by `METH_FASTCALL | METH_KEYWORDS`. Each function given to a [`Spec`] is an item of size zero, so a generic
//! trampoline for its type can call it without any closure or table; a panic in it becomes a `SystemError`.

use std::ffi::{CStr, c_int, c_void};
use std::marker::PhantomData;
use std::ptr::NonNull;

use pyo3::ffi::{self, Py_ssize_t};

use super::call::Args;
use super::class::{Class, Instance, Type};
use super::error::{Kind, Result};
use super::layout::{Layout, Tail};
use super::object::Object;
use super::trampolines::{
    Receiver, clear, compare, deallocate, finalize, getter, hash, method, new, setter, traverse, unary,
};

/// What a class is made of.
pub(crate) struct Spec<T: Class> {
    name: &'static CStr,
    doc: &'static CStr,
    flags: u64,
    methods: Vec<ffi::PyMethodDef>,
    attributes: Vec<ffi::PyGetSetDef>,
    slots: Vec<ffi::PyType_Slot>,
    value: PhantomData<T>,
}

/// A function item: of size zero, so that its type says which it is.
pub(super) trait Item: Copy + 'static {
    /// The only value of a type without size.
    fn item() -> Self {
        const { assert!(size_of::<Self>() == 0, "a function item, not a pointer nor a closure with captures") };
        // SAFETY: a type of size zero is valid at any aligned address.
        unsafe { NonNull::<Self>::dangling().read() }
    }
}

impl<F: Copy + 'static> Item for F {}

impl<T: Class> Spec<T> {
    /// `name` is dotted: module and class.
    pub(crate) fn new(name: &'static CStr, doc: &'static CStr) -> Self {
        let (methods, attributes, slots) = (Vec::new(), Vec::new(), Vec::new());
        // The constructor that would be inherited writes no value (L3).
        Self {
            name,
            doc,
            flags: ffi::Py_TPFLAGS_DISALLOW_INSTANTIATION,
            methods,
            attributes,
            slots,
            value: PhantomData,
        }
    }

    /// Lets Python code derive from the class, and instantiate it.
    pub(crate) fn subclassable(mut self) -> Self {
        self.flags |= ffi::Py_TPFLAGS_BASETYPE;
        self.flags &= !ffi::Py_TPFLAGS_DISALLOW_INSTANTIATION;
        self.slot(ffi::Py_tp_new, new::<T> as *mut c_void)
    }

    /// Adds a method.
    pub(crate) fn method<F>(mut self, name: &'static CStr, _function: F) -> Self
    where
        F: Fn(&Instance<T>, Args<'_>) -> Result<Object> + Copy + 'static,
    {
        self.methods.push(method_definition::<Instance<T>, F>(name));
        self
    }

    /// Says what the method is for that was added last: signature, `--`, and text.
    pub(crate) fn documented(mut self, text: &'static CStr) -> Self {
        if let Some(last) = self.methods.last_mut() {
            last.ml_doc = text.as_ptr();
        }
        self
    }

    /// Adds an attribute that can be read.
    pub(crate) fn attribute<F>(mut self, name: &'static CStr, _function: F) -> Self
    where
        F: Fn(&Instance<T>) -> Result<Object> + Copy + 'static,
    {
        self.attributes.push(ffi::PyGetSetDef {
            name: name.as_ptr(),
            get: Some(getter::<Instance<T>, F>),
            ..Default::default()
        });
        self
    }

    /// Lets the attribute that was added last be set; deleting it sets None.
    pub(crate) fn settable<F>(mut self, _function: F) -> Self
    where
        F: Fn(&Instance<T>, &Object) -> Result<()> + Copy + 'static,
    {
        if let Some(last) = self.attributes.last_mut() {
            last.set = Some(setter::<Instance<T>, F>);
        }
        self
    }

    /// Sets what `repr()` gives.
    pub(crate) fn repr<F>(self, _function: F) -> Self
    where
        F: Fn(&Instance<T>) -> Result<Object> + Copy + 'static,
    {
        self.slot(ffi::Py_tp_repr, unary::<T, F> as *mut c_void)
    }

    /// Sets what happens when the last reference is given up, before anything is cleared.
    pub(crate) fn finalize<F>(self, _function: F) -> Self
    where
        F: Fn(&Instance<T>) -> Result<()> + Copy + 'static,
    {
        self.slot(ffi::Py_tp_finalize, finalize::<T, F> as *mut c_void)
    }

    /// Sets what comparisons give.
    pub(crate) fn compare<F>(self, _function: F) -> Self
    where
        F: Fn(&Instance<T>, &Object, Comparison) -> Result<Option<bool>> + Copy + 'static,
    {
        self.slot(ffi::Py_tp_richcompare, compare::<T, F> as *mut c_void).slot(ffi::Py_tp_hash, hash as *mut c_void)
    }

    /// Makes the class, below `base` if one is given: a class, or a tuple of classes that lay out their instances alike.
    pub(crate) fn create(mut self, base: Option<&Object>) -> Result<Type<T>> {
        if let Some(base) = base {
            let first = if base.tuple_length().is_some() { &base.item(0)? } else { base };
            let size = first.member(c"__basicsize__")?.to_integer()?;
            if usize::try_from(size) != Ok(size_of::<T::Head>()) {
                return Err(Kind::SystemError.raise("treadle does not know how this Python lays out its transports"));
            }
        }
        self.flags |= ffi::Py_TPFLAGS_DEFAULT;
        self.slots.push(slot(ffi::Py_tp_dealloc, deallocate::<T> as *mut c_void));
        self.slots.push(slot(ffi::Py_tp_members, leak(members::<T>()).cast()));
        self.slots.push(slot(ffi::Py_tp_doc, self.doc.as_ptr().cast_mut().cast()));
        if T::COLLECTED {
            self.flags |= ffi::Py_TPFLAGS_HAVE_GC;
            self.slots.push(slot(ffi::Py_tp_traverse, traverse::<T> as *mut c_void));
            self.slots.push(slot(ffi::Py_tp_clear, clear::<T> as *mut c_void));
        }
        // SAFETY: an entry of zeros ends each of the tables.
        self.methods.push(unsafe { std::mem::zeroed() });
        self.attributes.push(ffi::PyGetSetDef::default());
        self.slots.push(slot(ffi::Py_tp_methods, leak(self.methods).cast()));
        self.slots.push(slot(ffi::Py_tp_getset, leak(self.attributes).cast()));
        self.slots.push(slot(0, std::ptr::null_mut()));
        let mut spec = ffi::PyType_Spec {
            name: self.name.as_ptr(),
            basicsize: size_of::<Layout<T>>() as c_int,
            itemsize: 0,
            flags: self.flags as u32,
            slots: self.slots.as_mut_ptr(),
        };
        let bases = base.map_or(std::ptr::null_mut(), Object::pointer);
        // SAFETY: the spec and its tables are complete and live long enough (methods, attributes, members for ever); the result is new (L4).
        let new = unsafe { ffi::PyType_FromSpecWithBases(&raw mut spec, bases) };
        // SAFETY: the result is new, or null with an exception set (L4).
        let class = unsafe { Object::from_new(new) }?;
        // SAFETY: made for `T` just now.
        Ok(unsafe { Type::of(class) })
    }

    pub(super) fn slot(mut self, number: c_int, function: *mut c_void) -> Self {
        self.slots.push(slot(number, function));
        self
    }
}

impl Object {
    /// A function of a module, which it is called with. `module_name` is what it says that it is of, and where it is looked up when it is
    /// unpickled; `text` is what `help()` shows: signature, `--`, and text.
    pub(crate) fn function<F>(
        module: &Object,
        module_name: &Object,
        name: &'static CStr,
        text: &'static CStr,
        _function: F,
    ) -> Result<Object>
    where
        F: Fn(&Object, Args<'_>) -> Result<Object> + Copy + 'static,
    {
        let mut definition = method_definition::<Object, F>(name);
        definition.ml_doc = text.as_ptr();
        let definition = Box::leak(Box::new(definition));
        // SAFETY: the definition lives for ever; the module and the name are alive (L1), and this thread is attached (L2).
        let new = unsafe { ffi::PyCFunction_NewEx(definition, module.pointer(), module_name.pointer()) };
        // SAFETY: the result is new, or null with an exception set (L4).
        unsafe { Self::from_new(new) }
    }
}

/// What one `send()` of a coroutine leads to.
pub(crate) enum Step {
    /// It waits: this goes to the task.
    Yield(Object),
    /// It is done: this is what `await` gives.
    Return(Object),
}

/// The operators `<`, `<=`, `==`, `!=`, `>`, `>=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparison {
    Less,
    LessOrEqual,
    Equal,
    NotEqual,
    Greater,
    GreaterOrEqual,
}

/// The entry of a method in a class's table.
pub(super) fn method_definition<R, F>(name: &'static CStr) -> ffi::PyMethodDef
where
    R: Receiver,
    F: Fn(&R, Args<'_>) -> Result<Object> + Copy + 'static,
{
    ffi::PyMethodDef {
        ml_name: name.as_ptr(),
        ml_meth: ffi::PyMethodDefPointer { PyCFunctionFastWithKeywords: method::<R, F> },
        ml_flags: ffi::METH_FASTCALL | ffi::METH_KEYWORDS,
        ml_doc: std::ptr::null(),
    }
}

fn slot(number: c_int, function: *mut c_void) -> ffi::PyType_Slot {
    ffi::PyType_Slot { slot: number, pfunc: function }
}

/// Tables of a class live as long as the process.
fn leak<M>(table: Vec<M>) -> *mut M {
    Vec::leak(table).as_mut_ptr()
}

/// The members that say where weak references and the `__dict__` are.
fn members<T: Class>() -> Vec<ffi::PyMemberDef> {
    let places = [(c"__weaklistoffset__", T::Tail::WEAK), (c"__dictoffset__", T::Tail::DICT)];
    let mut members: Vec<ffi::PyMemberDef> = places
        .into_iter()
        .filter_map(|(name, place)| {
            Some(ffi::PyMemberDef {
                name: name.as_ptr(),
                type_code: ffi::Py_T_PYSSIZET,
                offset: (Layout::<T>::TAIL + place?) as Py_ssize_t,
                flags: ffi::Py_READONLY,
                doc: std::ptr::null(),
            })
        })
        .collect();
    members.push(ffi::PyMemberDef::default());
    members
}
