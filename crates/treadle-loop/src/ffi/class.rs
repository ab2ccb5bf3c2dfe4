//! Python classes whose instances hold a Rust value, made from type specs.
//!
//! Methods take their arguments by `METH_FASTCALL | METH_KEYWORDS`. Each function given to a [`Spec`] is an item of size zero, so a generic
//! trampoline for its type can call it without any closure or table; a panic in it becomes a `SystemError`.

use std::cell::RefCell;
use std::ffi::{CStr, c_int, c_void};
use std::marker::PhantomData;
use std::ops::Deref;
use std::ptr::NonNull;

use pyo3::ffi::{self, Py_ssize_t, PyObject, PyTypeObject};

use super::call::Args;
use super::error::{Kind, Raised, Result};
use super::object::{Object, Visit};
use super::trampolines::{
    clear, compare, deallocate, finalize, getter, hash, instance, method, new, setter, traverse, unary,
};

/// A Rust value that lives in Python objects.
pub(crate) trait Class: Sized + 'static {
    /// What stands before the value: the object's head, and what a base class keeps there.
    type Head;
    /// What stands behind the value: room for weak references and for a `__dict__`.
    type Tail: Tail;
    /// Whether the garbage collector follows the references in the value.
    const COLLECTED: bool = true;
    /// Whether instances are of subclasses that Python code makes. Those show the collector their type themselves.
    const SUBCLASSED: bool = false;

    /// Whether there is something to do before deallocation: see [`Spec::finalize`].
    const FINALIZED: bool = false;

    /// Where the memory of dead instances waits for new ones; for classes that are not collected.
    fn free_list() -> Option<&'static FreeList> {
        None
    }

    /// The value of `cls()`, for classes that programs, or subclasses in Python, may instantiate.
    fn new() -> Result<Self> {
        Err(Kind::TypeError.raise_static(c"this class cannot be instantiated"))
    }

    /// Shows all references to the collector.
    fn traverse(&self, _visit: &Visit<'_>) {}

    /// Gives up the references that may close a cycle.
    fn clear(&self) {}
}

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

/// A reference to an object that holds a `T`.
#[repr(transparent)]
pub(crate) struct Instance<T: Class>(Object, PhantomData<T>);

impl<T: Class> Clone for Instance<T> {
    #[inline]
    fn clone(&self) -> Self {
        Self(self.0.clone(), PhantomData)
    }
}

impl<T: Class> Deref for Instance<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the object holds a `T` for as long as it lives (L3).
        let value = unsafe { Layout::<T>::value(self.0.pointer()) };
        // SAFETY: as above; only shared references to it are ever made, but on deallocation.
        unsafe { &*value }
    }
}

impl<T: Class> Instance<T> {
    #[inline]
    pub(crate) fn object(&self) -> &Object {
        &self.0
    }

    #[inline]
    pub(crate) fn into_object(self) -> Object {
        self.0
    }

    /// Whether both are the same object.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.0.is(&other.0)
    }
}

/// A class made by [`Spec::create`].
pub(crate) struct Type<T: Class>(Object, PhantomData<T>);

impl<T: Class> Type<T> {
    pub(crate) fn object(&self) -> &Object {
        &self.0
    }

    /// A new instance with this value.
    #[inline]
    pub(crate) fn instantiate(&self, value: T) -> Result<Instance<T>> {
        // SAFETY: the class was made for `T`; moving a value allocates nothing.
        unsafe { allocate(self.0.pointer().cast(), || value) }
    }

    /// A new instance with the value that `make` gives when there is room for it, so that it is written to where it stays. A detour over the stack
    /// was a tenth of `call_soon`, see benches/loops.
    #[inline]
    pub(crate) fn instantiate_in_place(&self, make: impl FnOnce() -> T) -> Result<Instance<T>> {
        const { assert!(!T::COLLECTED, "the collector would find an instance without a value") };
        // SAFETY: the class was made for `T`, whose instances the collector does not know.
        unsafe { allocate(self.0.pointer().cast(), make) }
    }

    /// Whether the object is an instance of just this class, for which `condition` holds.
    #[inline]
    pub(crate) fn is_exactly(&self, object: &Object, condition: impl FnOnce(&Instance<T>) -> bool) -> bool {
        let pointer = object.pointer();
        // SAFETY: an instance of a class that was made for `T` (L3).
        object.has_type(&self.0) && condition(unsafe { instance::<T>(&pointer) })
    }

    /// The object as an instance, if it is one of this class or of a subclass.
    pub(crate) fn cast(&self, object: &Object) -> Option<Instance<T>> {
        // SAFETY: both are alive (L1); the class is a type.
        let is_one = unsafe { ffi::PyObject_TypeCheck(object.pointer(), self.0.pointer().cast()) } != 0;
        is_one.then(|| Instance(object.clone(), PhantomData))
    }
}

/// Makes an instance. If `make` panics its memory is lost.
///
/// # Safety
/// `class` was created for `T`, or is a subclass of such. If the collector knows its instances, `make` allocates no Python object.
#[inline]
pub(super) unsafe fn allocate<T: Class>(class: *mut PyTypeObject, make: impl FnOnce() -> T) -> Result<Instance<T>> {
    let new = if let Some(pointer) = T::free_list().and_then(FreeList::pop) {
        // SAFETY: memory of a dead instance of this layout (L7); this gives it a head with one reference.
        unsafe { ffi::PyObject_Init(pointer, class) }
    } else {
        // SAFETY: a class that is alive; the result is new (L4).
        unsafe { ffi::PyType_GenericAlloc(class, 0) }
    };
    if new.is_null() {
        // SAFETY: the call has failed (L4).
        return Err(unsafe { Raised::is_set() });
    }
    // SAFETY: just allocated with the layout of `T`.
    let place = unsafe { Layout::<T>::value(new) };
    // SAFETY: memory of our own, not yet seen by anybody.
    unsafe { place.write(make()) };
    // SAFETY: the tail lies behind the value.
    let tail = unsafe { Layout::<T>::tail(new) };
    // SAFETY: as above.
    unsafe { tail.write(T::Tail::default()) };
    // SAFETY: the result is new, and complete now.
    let object = unsafe { Object::from_new(new) }?;
    Ok(Instance(object, PhantomData))
}

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
    fn pop(&self) -> Option<*mut PyObject> {
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
        Self { name, doc, flags: 0, methods, attributes, slots, value: PhantomData }
    }

    /// Lets Python code derive from the class, and instantiate it.
    pub(crate) fn subclassable(mut self) -> Self {
        self.flags |= ffi::Py_TPFLAGS_BASETYPE;
        self.slot(ffi::Py_tp_new, new::<T> as *mut c_void)
    }

    /// Adds a method.
    pub(crate) fn method<F>(mut self, name: &'static CStr, _function: F) -> Self
    where
        F: Fn(&Instance<T>, Args<'_>) -> Result<Object> + Copy + 'static,
    {
        self.methods.push(ffi::PyMethodDef {
            ml_name: name.as_ptr(),
            ml_meth: ffi::PyMethodDefPointer { PyCFunctionFastWithKeywords: method::<Instance<T>, F> },
            ml_flags: ffi::METH_FASTCALL | ffi::METH_KEYWORDS,
            ml_doc: std::ptr::null(),
        });
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
            let size = first.attribute(&Object::interned(c"__basicsize__")?)?.to_integer()?;
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
        Ok(Type(class, PhantomData))
    }

    pub(super) fn slot(mut self, number: c_int, function: *mut c_void) -> Self {
        self.slots.push(slot(number, function));
        self
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
