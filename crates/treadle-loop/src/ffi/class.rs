//! Python classes whose instances hold a Rust value. [`Spec`](super::spec::Spec) makes them.

use std::marker::PhantomData;
use std::ops::Deref;

use pyo3::ffi::{self, PyTypeObject};

use super::error::{Kind, Raised, Result};
use super::free_list::FreeList;
use super::layout::{Layout, Tail};
use super::object::{Object, Visit};
use super::trampolines::instance;

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

    /// Where the memory of dead instances waits for new ones; for classes that nobody derives from and that have no finalizer, whose having
    /// run the collector remembers in that memory.
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
    /// # Safety
    /// The class was created for `T`.
    pub(super) unsafe fn of(class: Object) -> Self {
        Self(class, PhantomData)
    }

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
    let free = T::free_list().and_then(FreeList::pop);
    let is_tracked = free.is_none();
    let new = if let Some(pointer) = free {
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
    if T::COLLECTED && !is_tracked {
        // SAFETY: memory that the collector's allocator gave and knows nothing of now (L7); the instance is complete.
        unsafe { ffi::PyObject_GC_Track(new.cast()) };
    }
    // SAFETY: the result is new, and complete now.
    let object = unsafe { Object::from_new(new) }?;
    Ok(Instance(object, PhantomData))
}
