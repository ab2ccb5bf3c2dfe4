//! What C calls: one generic function for each kind of slot and method, which finds the instance, calls Rust, and turns the result into C's.
//! A panic in Rust becomes a `SystemError`.

use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};

use pyo3::ffi::{self, Py_ssize_t, PyObject, PyTypeObject};

use super::call::Args;
use super::class::{Class, Instance, allocate};
use super::error::{Kind, Raised, Result};
use super::layout::{Layout, Tail};
use super::object::{Object, Visit};
use super::raw;
use super::spec::{Comparison, Item, Step};

/// Calls Rust from C: a panic becomes an exception.
#[inline]
pub(super) fn guarded<R>(function: impl FnOnce() -> Result<R>) -> Result<R> {
    catch_unwind(AssertUnwindSafe(function)).unwrap_or_else(|panic| {
        let words = panic.downcast_ref::<&str>().map(|words| (*words).to_owned());
        let words = words.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
        Err(Kind::SystemError.raise(&format!("treadle's event loop has a fault, please report it: {words}")))
    })
}

#[inline]
pub(super) fn answer(result: Result<Object>) -> *mut PyObject {
    match result {
        Ok(object) => object.into_pointer(),
        Err(_raised) => std::ptr::null_mut(),
    }
}

/// The instance that C calls a function of.
///
/// # Safety
/// `object` points to a variable that holds an instance of a class made for `T`.
#[inline]
pub(super) unsafe fn instance<T: Class>(object: &*mut PyObject) -> &Instance<T> {
    // SAFETY: an `Instance` is a pointer and nothing else; the caller vouches for the class (L1, L3).
    unsafe { &*(&raw const *object).cast() }
}

/// A borrowed object that C hands over.
///
/// # Safety
/// `object` points to a variable that holds a living object.
#[inline]
pub(super) unsafe fn borrowed(object: &*mut PyObject) -> &Object {
    // SAFETY: an `Object` is a pointer and nothing else; the caller vouches for it (L1).
    unsafe { &*(&raw const *object).cast() }
}

/// What functions take as `self`: an object, or an instance of a class of ours.
pub(super) trait Receiver: 'static {
    /// What C calls a function of.
    ///
    /// # Safety
    /// `object` points to a variable that holds a living object; for an [`Instance`] one of a class made for it.
    unsafe fn of(object: &*mut PyObject) -> &Self;
}

impl Receiver for Object {
    #[inline]
    unsafe fn of(object: &*mut PyObject) -> &Self {
        // SAFETY: the caller vouches for it.
        unsafe { borrowed(object) }
    }
}

impl<T: Class> Receiver for Instance<T> {
    #[inline]
    unsafe fn of(object: &*mut PyObject) -> &Self {
        // SAFETY: the caller vouches for it.
        unsafe { instance(object) }
    }
}

/// A table of borrowed objects that C hands over.
///
/// # Safety
/// `first` points to `length` living objects, or `length` is 0.
#[inline]
pub(super) unsafe fn borrowed_slice<'a>(first: *const *mut PyObject, length: usize) -> &'a [Object] {
    if length == 0 {
        return &[];
    }
    // SAFETY: an `Object` is a pointer and nothing else; the caller of the C function holds them all for the length of the call (L1).
    unsafe { std::slice::from_raw_parts(first.cast(), length) }
}

pub(super) unsafe extern "C" fn method<R, F>(
    this: *mut PyObject,
    arguments: *const *mut PyObject,
    count: Py_ssize_t,
    names: *mut PyObject,
) -> *mut PyObject
where
    R: Receiver,
    F: Fn(&R, Args<'_>) -> Result<Object> + Copy + 'static,
{
    let count = count.unsigned_abs();
    // SAFETY: null, or a tuple that the caller holds.
    let names = if names.is_null() { None } else { Some(unsafe { borrowed(&names) }) };
    let named = names.and_then(Object::tuple_length).unwrap_or(0);
    // SAFETY: vectorcall's protocol: positional arguments, then those with names.
    let all = unsafe { borrowed_slice(arguments, count + named) };
    let (positional, values) = all.split_at(count);
    // SAFETY: methods are called with an instance of their class.
    let this = unsafe { R::of(&this) };
    answer(guarded(|| F::item()(this, Args { positional, names, values })))
}

pub(super) unsafe extern "C" fn unary<T, F>(this: *mut PyObject) -> *mut PyObject
where
    T: Class,
    F: Fn(&Instance<T>) -> Result<Object> + Copy + 'static,
{
    // SAFETY: slots are called with an instance of their class.
    let this = unsafe { instance::<T>(&this) };
    answer(guarded(|| F::item()(this)))
}

pub(super) unsafe extern "C" fn finalize<T, F>(this: *mut PyObject)
where
    T: Class,
    F: Fn(&Instance<T>) -> Result<()> + Copy + 'static,
{
    let raised = Raised::set_aside();
    // SAFETY: slots are called with an instance of their class.
    let this = unsafe { instance::<T>(&this) };
    if let Err(raised) = guarded(|| F::item()(this)) {
        raised.write_unraisable(this.object());
    }
    drop(raised);
}

pub(super) unsafe extern "C" fn getter<R, F>(this: *mut PyObject, _closure: *mut c_void) -> *mut PyObject
where
    R: Receiver,
    F: Fn(&R) -> Result<Object> + Copy + 'static,
{
    // SAFETY: descriptors are called with an instance of their class.
    let this = unsafe { R::of(&this) };
    answer(guarded(|| F::item()(this)))
}

pub(super) unsafe extern "C" fn setter<R, F>(this: *mut PyObject, value: *mut PyObject, _closure: *mut c_void) -> c_int
where
    R: Receiver,
    F: Fn(&R, &Object) -> Result<()> + Copy + 'static,
{
    // SAFETY: reads the address of a static.
    let value = if value.is_null() { unsafe { ffi::Py_None() } } else { value };
    // SAFETY: descriptors are called with an instance of their class.
    let this = unsafe { R::of(&this) };
    // SAFETY: the caller holds the value.
    let value = unsafe { borrowed(&value) };
    guarded(|| F::item()(this, value)).map_or(-1, |()| 0)
}

pub(super) unsafe extern "C" fn compare<T, F>(
    this: *mut PyObject,
    other: *mut PyObject,
    operator: c_int,
) -> *mut PyObject
where
    T: Class,
    F: Fn(&Instance<T>, &Object, Comparison) -> Result<Option<bool>> + Copy + 'static,
{
    let operator = match operator {
        ffi::Py_LT => Comparison::Less,
        ffi::Py_LE => Comparison::LessOrEqual,
        ffi::Py_EQ => Comparison::Equal,
        ffi::Py_NE => Comparison::NotEqual,
        ffi::Py_GT => Comparison::Greater,
        _ => Comparison::GreaterOrEqual,
    };
    // SAFETY: slots are called with an instance of their class.
    let this = unsafe { instance::<T>(&this) };
    // SAFETY: the caller holds it.
    let other = unsafe { borrowed(&other) };
    let result = guarded(|| F::item()(this, other, operator));
    let unknown = || {
        // SAFETY: reads the address of a static.
        let unknown = unsafe { ffi::Py_NotImplemented() };
        // SAFETY: it lives for ever.
        unsafe { Object::from_borrowed(unknown) }
    };
    answer(result.map(|result| result.map_or_else(unknown, Object::bool)))
}

/// Identity is what is hashed, as for any object without a value.
pub(super) unsafe extern "C" fn hash(this: *mut PyObject) -> ffi::Py_hash_t {
    (this as usize >> 4) as ffi::Py_hash_t
}

pub(super) unsafe extern "C" fn send<T, F>(
    this: *mut PyObject,
    value: *mut PyObject,
    result: *mut *mut PyObject,
) -> ffi::PySendResult
where
    T: Class,
    F: Fn(&Instance<T>, &Object) -> Result<Step> + Copy + 'static,
{
    // SAFETY: slots are called with an instance of their class.
    let this = unsafe { instance::<T>(&this) };
    // SAFETY: the caller holds it.
    let value = unsafe { borrowed(&value) };
    let (object, status) = match guarded(|| F::item()(this, value)) {
        Ok(Step::Yield(object)) => (object.into_pointer(), ffi::PySendResult::PYGEN_NEXT),
        Ok(Step::Return(object)) => (object.into_pointer(), ffi::PySendResult::PYGEN_RETURN),
        Err(_raised) => (std::ptr::null_mut(), ffi::PySendResult::PYGEN_ERROR),
    };
    // SAFETY: where the caller wants the result.
    unsafe { result.write(object) };
    status
}

pub(super) unsafe extern "C" fn next<T, F>(this: *mut PyObject) -> *mut PyObject
where
    T: Class,
    F: Fn(&Instance<T>, &Object) -> Result<Step> + Copy + 'static,
{
    // SAFETY: slots are called with an instance of their class.
    let this = unsafe { instance::<T>(&this) };
    match guarded(|| F::item()(this, &Object::none())) {
        Ok(Step::Yield(object)) => object.into_pointer(),
        // An end without an exception stands for `None`, and costs less.
        Ok(Step::Return(value)) if value.is_none() => std::ptr::null_mut(),
        Ok(Step::Return(value)) => answer(Err(Raised::stop_iteration(&value))),
        Err(raised) => answer(Err(raised)),
    }
}

pub(super) unsafe extern "C" fn item<T, F>(this: *mut PyObject) -> *mut PyObject
where
    T: Class,
    F: Fn(&Instance<T>) -> Result<Option<Object>> + Copy + 'static,
{
    // SAFETY: slots are called with an instance of their class.
    let this = unsafe { instance::<T>(&this) };
    // Null without an exception is the end.
    guarded(|| F::item()(this)).ok().flatten().map_or(std::ptr::null_mut(), Object::into_pointer)
}

pub(super) unsafe extern "C" fn new<T: Class>(
    class: *mut PyTypeObject,
    _arguments: *mut PyObject,
    _keywords: *mut PyObject,
) -> *mut PyObject {
    answer(guarded(|| {
        let value = T::new()?;
        // SAFETY: the slot of a class made for `T`, inherited by its subclasses; moving a value allocates nothing.
        unsafe { allocate(class, || value) }.map(Instance::into_object)
    }))
}

pub(super) unsafe extern "C" fn traverse<T: Class>(
    this: *mut PyObject,
    function: ffi::visitproc,
    argument: *mut c_void,
) -> c_int {
    let visit = Visit { function, argument, status: Cell::new(0), lifetime: PhantomData };
    if !T::SUBCLASSED {
        // SAFETY: a living object has a type; instances of heap types own a reference to it.
        let class = unsafe { ffi::Py_TYPE(this) };
        // SAFETY: function and argument are the collector's own.
        visit.status.set(unsafe { function(class.cast(), argument) });
    }
    // SAFETY: called with an instance of the class (L3).
    unsafe { instance::<T>(&this) }.traverse(&visit);
    if let Some(place) = T::Tail::DICT {
        // SAFETY: the place of the `__dict__`.
        let dict = unsafe { Layout::<T>::pointer_in_tail(this, place) };
        // SAFETY: null or an object.
        let dict = unsafe { dict.read() };
        if !dict.is_null() && visit.status.get() == 0 {
            // SAFETY: function and argument are the collector's own.
            visit.status.set(unsafe { function(dict, argument) });
        }
    }
    visit.status.get()
}

pub(super) unsafe extern "C" fn clear<T: Class>(this: *mut PyObject) -> c_int {
    // SAFETY: called with an instance of the class, which the collector holds (L3).
    let this_value = unsafe { instance::<T>(&this) };
    let _ = guarded(|| {
        this_value.clear();
        Ok(())
    });
    // SAFETY: as above.
    unsafe { clear_dict::<T>(this) };
    0
}

/// Gives up the `__dict__`, if there is one.
///
/// # Safety
/// `this` is an instance of a class made for `T`.
unsafe fn clear_dict<T: Class>(this: *mut PyObject) {
    if let Some(place) = T::Tail::DICT {
        // SAFETY: the place of the `__dict__`.
        let dict = unsafe { Layout::<T>::pointer_in_tail(this, place) };
        // SAFETY: null or a reference of ours, which is taken out before it is dropped.
        let pointer = unsafe { dict.replace(std::ptr::null_mut()) };
        // SAFETY: a new reference, or null.
        let old = unsafe { Object::from_nullable(pointer) };
        drop(old);
    }
}

pub(super) unsafe extern "C" fn deallocate<T: Class>(this: *mut PyObject) {
    // SAFETY: a dying object still has its type.
    let class = unsafe { ffi::Py_TYPE(this) };
    // SAFETY: an object whose last reference is gone; negative if `finalize` has revived it.
    if T::FINALIZED && unsafe { raw::PyObject_CallFinalizerFromDealloc(this) } < 0 {
        return;
    }
    if T::COLLECTED {
        // SAFETY: an object of a collected class; untracking twice is allowed.
        unsafe { ffi::PyObject_GC_UnTrack(this.cast()) };
    }
    if let Some(place) = T::Tail::WEAK {
        // SAFETY: the place of the list of weak references.
        let list = unsafe { Layout::<T>::pointer_in_tail(this, place) };
        // SAFETY: null or an object.
        let list = unsafe { list.read() };
        if !list.is_null() {
            // SAFETY: the object has no references any more.
            unsafe { ffi::PyObject_ClearWeakRefs(this) };
        }
    }
    // SAFETY: called once for an instance of the class (L3).
    unsafe { clear_dict::<T>(this) };
    // SAFETY: the value was written on allocation, and nobody can see it any more.
    let value = unsafe { Layout::<T>::value(this) };
    let _ = guarded(|| {
        // SAFETY: dropped once.
        unsafe { value.drop_in_place() };
        Ok(())
    });
    if T::free_list().is_some_and(|list| list.push(this)) {
        // SAFETY: the reference to its type that the instance had.
        drop(unsafe { Object::from_nullable(class.cast()) });
        return;
    }
    // SAFETY: every type has a function that frees what its allocation gave.
    let free = unsafe { ffi::PyType_GetSlot(class, ffi::Py_tp_free) };
    // SAFETY: the slot holds a function of this kind.
    let free = unsafe { std::mem::transmute::<*mut c_void, ffi::freefunc>(free) };
    // SAFETY: allocated by this type, and dead.
    unsafe { free(this.cast()) };
    // SAFETY: the reference to its type that the instance had.
    drop(unsafe { Object::from_nullable(class.cast()) });
}
