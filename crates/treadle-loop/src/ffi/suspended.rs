//! Coroutines and generators that stand at an `await` or a `yield`, without making frame objects of them.
//!
//! A frame object, once made, stays until its coroutine ends: a hundred bytes and more for each, and a tenth of a microsecond. The code, how far it
//! has come and its arguments lie in the coroutine itself. Where, is found out on examples whose answers are known, and used only if
//! it is right for all of them.

use std::ffi::{c_int, c_void};
use std::mem::ManuallyDrop;

use pyo3::ffi::{self, PyObject};

use super::error::Result;
use super::object::Object;

/// Where things are in the coroutines, or generators, of one class.
pub(crate) struct FrameLayout {
    class: Object,
    /// Where the local variables begin.
    locals: usize,
    code: usize,
    /// Where the address of the instruction is.
    instruction: usize,
    /// How far behind a code object's beginning its instructions are.
    shift: usize,
}

/// One that is suspended, and what is known of it.
pub(crate) struct Example {
    pub(crate) suspended: Object,
    pub(crate) code: Object,
    /// How far it has come, in bytes of the code.
    pub(crate) offset: usize,
    /// Its first argument.
    pub(crate) first: Object,
}

/// References in frames have marks in these bits from Python 3.14 on.
const MARKS: usize = 3;

/// The farthest that instructions may begin behind a code object's beginning.
const FARTHEST: usize = 1024;

impl FrameLayout {
    /// Finds out from examples of one class; nothing if anything is in doubt.
    pub(crate) fn discover(examples: &[Example]) -> Result<Option<Self>> {
        let [first, _, _, ..] = examples else { return Ok(None) };
        let class = first.suspended.class();
        let Ok(locals) = usize::try_from(class.member(c"__basicsize__")?.to_integer()?) else { return Ok(None) };
        if !examples.iter().all(|example| example.suspended.has_type(&class)) || !(64..4096).contains(&locals) {
            return Ok(None);
        }
        let places = || (size_of::<PyObject>()..locals).step_by(size_of::<usize>());
        let is_code = |place: &usize| examples.iter().all(|one| one.at(*place) & !MARKS == one.code.address());
        let is_instruction = |place: &usize| {
            let shift = first.shift(*place);
            shift.is_some() && examples.iter().all(|one| one.shift(*place) == shift)
        };
        let (codes, instructions): (Vec<usize>, Vec<usize>) =
            (places().filter(is_code).collect(), places().filter(is_instruction).collect());
        let has_locals = examples.iter().all(|one| one.at(locals) & !MARKS == one.first.address());
        // Python 3.11 keeps the code in two places.
        let ([code, ..], [instruction], true) = (codes.as_slice(), instructions.as_slice(), has_locals) else {
            return Ok(None);
        };
        let shift = first.shift(*instruction).unwrap_or(0);
        Ok(Some(Self { class, locals, code: *code, instruction: *instruction, shift }))
    }

    /// Whether an object is of this class.
    #[inline]
    pub(crate) fn fits(&self, object: &Object) -> bool {
        object.has_type(&self.class)
    }

    /// The code of one, in whatever state it is.
    #[inline]
    pub(crate) fn code_alone(&self, coroutine: &Object) -> Object {
        debug_assert!(self.fits(coroutine), "the layout is that of another class");
        let code = coroutine.word(self.code) & !MARKS;
        // SAFETY: it keeps its code from its beginning until it is thrown away, and this is where it does, as was seen on examples (L1).
        unsafe { Object::from_borrowed(code as *mut PyObject) }
    }

    /// The code of one that is suspended, and how far it has come, in bytes.
    #[inline]
    pub(crate) fn code(&self, suspended: &Object) -> (Object, i32) {
        debug_assert!(self.fits(suspended), "the layout is that of another class");
        let code = suspended.word(self.code) & !MARKS;
        let offset = suspended.word(self.instruction).wrapping_sub(code).wrapping_sub(self.shift) as i32;
        // SAFETY: whoever is suspended keeps its code, and this is where it does, as was seen on examples (L1).
        (unsafe { Object::from_borrowed(code as *mut PyObject) }, offset)
    }

    /// The address of what a variable or a place of the stack holds, or 0. Only to be compared: places of the stack may be out of use.
    ///
    /// `place` is below the number of variables and of the stack's places that the code has.
    #[inline]
    pub(crate) fn slot(&self, suspended: &Object, place: usize) -> usize {
        suspended.word(self.locals + place * size_of::<usize>()) & !MARKS
    }
}

impl Example {
    fn at(&self, place: usize) -> usize {
        self.suspended.word(place)
    }

    fn shift(&self, place: usize) -> Option<usize> {
        let shift = self.at(place).checked_sub(self.code.address())?.checked_sub(self.offset)?;
        (1..FARTHEST).contains(&shift).then_some(shift)
    }
}

impl Object {
    /// Shows everything that this object tells the garbage collector of, as `gc.get_referents` does, without a list. What is called must not run Python.
    pub(crate) fn each_referent<F: FnMut(&Object)>(&self, mut take: F) {
        unsafe extern "C" fn visit<F: FnMut(&Object)>(object: *mut PyObject, take: *mut c_void) -> c_int {
            // SAFETY: the closure that was handed over below, which nobody else has meanwhile.
            let take = unsafe { &mut *take.cast::<F>() };
            // SAFETY: alive: its owner keeps it, and nothing runs meanwhile (L1). What the wrapper took is not given back, so nothing is counted.
            let object = ManuallyDrop::new(unsafe { Object::from_visited(object) });
            take(&object);
            0
        }
        let class = self.class();
        // SAFETY: a type, which is alive (L1).
        let slot = unsafe { ffi::PyType_GetSlot(class.pointer().cast(), ffi::Py_tp_traverse) };
        if slot.is_null() {
            return;
        }
        // SAFETY: what is in that slot of a type has this signature.
        let traverse = unsafe { std::mem::transmute::<*mut c_void, ffi::traverseproc>(slot) };
        // SAFETY: the object is alive (L1) and of that type; the visitor takes what it is given here.
        unsafe { traverse(self.pointer(), visit::<F>, (&raw mut take).cast()) };
    }

    /// Eight bytes of an object, within its size.
    #[inline]
    fn word(&self, place: usize) -> usize {
        // SAFETY: within the object, as the callers have seen.
        let word = unsafe { self.pointer().byte_add(place) }.cast::<usize>();
        // SAFETY: as above, and the object is alive (L1).
        unsafe { word.read_unaligned() }
    }
}

/// What a cell holds, if this is a cell.
pub(crate) fn cell_content(object: &Object) -> Option<Object> {
    if object.class_pointer() != (&raw mut PyCell_Type).cast() {
        return None;
    }
    // SAFETY: a cell, as just seen, that is alive (L1).
    let content = unsafe { PyCell_Get(object.pointer()) };
    // SAFETY: a new reference, or null if the cell is empty.
    unsafe { Object::from_nullable(content) }
}

unsafe extern "C" {
    static mut PyCell_Type: ffi::PyTypeObject;
    fn PyCell_Get(cell: *mut PyObject) -> *mut PyObject;
}
