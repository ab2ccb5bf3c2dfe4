//! A call that waits: what to call, and with which arguments.

use std::cell::Cell;
use std::mem::ManuallyDrop;

use super::error::Result;
use super::object::{Object, Visit};
use super::raw::{ARGUMENTS_OFFSET, NO_NAMES, PyObject_Vectorcall};

/// Arguments beyond these are kept on the heap. Three cover what asyncio schedules itself.
const INLINE: usize = 3;

/// What is to be called. It is made of single pointers, so that it is written to where it stays without a detour over the stack: that was a
/// tenth of `call_soon`, see benches/loops.
#[derive(Clone)]
pub(crate) struct Call {
    callable: Object,
    /// The first ones are there.
    inline: [Option<Object>; INLINE],
    /// All arguments, if they are too many.
    #[expect(clippy::box_collection, reason = "a thin pointer keeps handles small")]
    spilled: Option<Box<Vec<Object>>>,
}

/// A place for a call, until it is run or given up.
#[derive(Default)]
pub(crate) struct CallSlot(Cell<Option<Call>>);

impl CallSlot {
    pub(crate) fn new(call: Call) -> Self {
        Self(Cell::new(Some(call)))
    }

    #[inline]
    pub(crate) fn take(&self) -> Option<Call> {
        self.0.take()
    }

    pub(crate) fn set(&self, call: Call) {
        self.0.set(Some(call));
    }

    /// What is to be called. Taking it all out and putting it back would be five words each way.
    #[inline]
    pub(crate) fn callable(&self) -> Option<Object> {
        self.look_at_callable(Object::clone)
    }

    /// Looks at what is to be called, without a reference of its own. `look` must not run Python.
    #[inline]
    pub(crate) fn look_at_callable<T>(&self, look: impl FnOnce(&Object) -> T) -> Option<T> {
        // SAFETY: nothing runs between the two steps that could look into the cell.
        let pointer = unsafe { (*self.0.as_ptr()).as_ref().map(|call| call.callable.pointer()) };
        // SAFETY: not null, and kept by this call, which nobody takes out while no Python runs (L2).
        let callable = pointer.map(|pointer| ManuallyDrop::new(unsafe { Object::from_visited(pointer) }));
        callable.map(|callable| look(&callable))
    }
}

impl Call {
    #[inline]
    pub(crate) fn new(callable: &Object, arguments: &[Object]) -> Self {
        let (inline, spilled) = match arguments {
            [] => ([None, None, None], None),
            [first] => ([Some(first.clone()), None, None], None),
            [first, second] => ([Some(first.clone()), Some(second.clone()), None], None),
            [first, second, third] => ([Some(first.clone()), Some(second.clone()), Some(third.clone())], None),
            many => ([None, None, None], Some(Box::new(many.to_vec()))),
        };
        Self { callable: callable.clone(), inline, spilled }
    }

    /// `callable(*arguments)`.
    #[inline]
    pub(crate) fn run(&self) -> Result<Object> {
        if let Some(arguments) = &self.spilled {
            return self.callable.call_with(arguments);
        }
        // The first place is free: a bound method puts its `self` there instead of copying the arguments.
        let mut pointers = [std::ptr::null_mut(); INLINE + 1];
        let mut count = 0;
        for argument in self.inline.iter().flatten() {
            count += 1;
            pointers[count] = argument.pointer();
        }
        let first = pointers.as_mut_ptr().wrapping_add(1);
        let count = count | ARGUMENTS_OFFSET;
        // SAFETY: callable and arguments are alive (L1), the place before them is ours, this thread is attached (L2), the result is new (L4).
        let new = unsafe { PyObject_Vectorcall(self.callable.pointer(), first, count, NO_NAMES) };
        // SAFETY: the result is new, or null with an exception set (L4).
        unsafe { Object::from_new(new) }
    }

    pub(crate) fn callable(&self) -> &Object {
        &self.callable
    }

    /// The arguments as a tuple.
    pub(crate) fn arguments(&self) -> Result<Object> {
        let all: Vec<Object> = self.each_argument().cloned().collect();
        Object::tuple_of(&all)
    }

    pub(crate) fn traverse(&self, visit: &Visit<'_>) {
        visit.object(&self.callable);
        self.each_argument().for_each(|argument| visit.object(argument));
    }

    fn each_argument(&self) -> impl Iterator<Item = &Object> {
        self.inline.iter().flatten().chain(self.spilled.iter().flat_map(|all| all.iter()))
    }
}
