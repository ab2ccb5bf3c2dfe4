//! Exceptions. While a [`Raised`] exists the interpreter's exception is set; whoever handles it takes the exception out.

use std::ffi::{CStr, CString};
use std::io;

use pyo3::ffi::{self, PyObject};

use super::object::{Object, Slot};

/// What calls into Python give.
pub(crate) type Result<T, E = Raised> = std::result::Result<T, E>;

/// Says that an exception is set in this thread. It is either returned to Python, or taken, or forgotten.
#[must_use = "an exception is set; return, take or forget it"]
#[derive(Debug)]
pub(crate) struct Raised(());

/// Exception classes that this crate raises or looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    AttributeError,
    BlockingIOError,
    ConnectionAbortedError,
    ConnectionError,
    InterruptedError,
    KeyboardInterrupt,
    NotImplementedError,
    OSError,
    OverflowError,
    RuntimeError,
    RuntimeWarning,
    StopAsyncIteration,
    StopIteration,
    SystemError,
    SystemExit,
    TypeError,
    ValueError,
}

impl Kind {
    fn pointer(self) -> *mut PyObject {
        // The addresses of variables of the interpreter's, which are set before any extension runs and never change.
        let place = match self {
            Self::AttributeError => &raw const ffi::PyExc_AttributeError,
            Self::BlockingIOError => &raw const ffi::PyExc_BlockingIOError,
            Self::ConnectionAbortedError => &raw const ffi::PyExc_ConnectionAbortedError,
            Self::ConnectionError => &raw const ffi::PyExc_ConnectionError,
            Self::InterruptedError => &raw const ffi::PyExc_InterruptedError,
            Self::KeyboardInterrupt => &raw const ffi::PyExc_KeyboardInterrupt,
            Self::NotImplementedError => &raw const ffi::PyExc_NotImplementedError,
            Self::OSError => &raw const ffi::PyExc_OSError,
            Self::OverflowError => &raw const ffi::PyExc_OverflowError,
            Self::RuntimeError => &raw const ffi::PyExc_RuntimeError,
            Self::RuntimeWarning => &raw const ffi::PyExc_RuntimeWarning,
            Self::StopAsyncIteration => &raw const ffi::PyExc_StopAsyncIteration,
            Self::StopIteration => &raw const ffi::PyExc_StopIteration,
            Self::SystemError => &raw const ffi::PyExc_SystemError,
            Self::SystemExit => &raw const ffi::PyExc_SystemExit,
            Self::TypeError => &raw const ffi::PyExc_TypeError,
            Self::ValueError => &raw const ffi::PyExc_ValueError,
        };
        // SAFETY: one of those variables.
        unsafe { place.read() }
    }

    /// Sets an exception of this class.
    pub(crate) fn raise(self, message: &str) -> Raised {
        let message = CString::new(message.replace('\0', "\\0")).unwrap_or_default();
        self.raise_static(&message)
    }

    /// Sets an exception of this class.
    pub(crate) fn raise_static(self, message: &CStr) -> Raised {
        // SAFETY: class and text are alive and this thread is attached (L2).
        unsafe { ffi::PyErr_SetString(self.pointer(), message.as_ptr()) }
        Raised(())
    }

    /// The class itself.
    pub(crate) fn class(self) -> Object {
        let pointer = self.pointer();
        // SAFETY: not null, and alive: a class that lives for ever.
        unsafe { Object::from_borrowed(pointer) }
    }

    /// Whether an exception is of this class.
    pub(crate) fn matches(self, exception: &Object) -> bool {
        // SAFETY: both are alive (L1) and this thread is attached (L2).
        unsafe { ffi::PyErr_GivenExceptionMatches(exception.pointer(), self.pointer()) != 0 }
    }
}

#[expect(clippy::unused_self, reason = "it is consumed: there is one of it for each exception that is set")]
impl Raised {
    /// Stands for the exception that is set.
    ///
    /// # Safety
    /// An exception is set in this thread.
    #[inline]
    pub(super) unsafe fn is_set() -> Self {
        Self(())
    }

    /// Sets `StopIteration(value)`.
    pub(crate) fn stop_iteration(value: &Object) -> Self {
        match Kind::StopIteration.class().call([value]) {
            Ok(exception) => Self::restore(&exception),
            Err(raised) => raised,
        }
    }

    /// Sets `StopIteration(value)`, with an exception that is kept for it; `name` is that of its attribute. Making one anew was two fifths of a line of a file, see
    /// benches/patterns.
    pub(crate) fn stop_iteration_again(kept: &Slot, name: &Object, value: &Object) -> Self {
        let class = Kind::StopIteration.class();
        // Somebody else may have kept it too.
        let again = kept.take().filter(|exception| exception.reference_count() == 1);
        let exception = match again {
            Some(exception) => exception.set_attribute(name, value).map(|()| exception),
            None => class.call([value]),
        };
        match exception {
            Ok(exception) => {
                kept.store(Some(exception.clone()));
                // SAFETY: a class and an instance of it, new references that are given away; no traceback; this thread is attached (L2).
                unsafe { ffi::PyErr_Restore(class.into_pointer(), exception.into_pointer(), std::ptr::null_mut()) };
                Self(())
            }
            Err(raised) => raised,
        }
    }

    /// Puts an exception that is set aside, if there is one, until the result is dropped: for code that runs in the midst of others'.
    pub(crate) fn set_aside() -> impl Drop {
        struct Aside([*mut PyObject; 3]);
        impl Drop for Aside {
            fn drop(&mut self) {
                let [class, value, traceback] = self.0;
                // SAFETY: the three that were fetched, given back once; this thread is attached (L2).
                unsafe { ffi::PyErr_Restore(class, value, traceback) }
            }
        }
        let mut parts = [std::ptr::null_mut(); 3];
        let [class, value, traceback] = &mut parts;
        // SAFETY: the three are places to write to, and this thread is attached (L2).
        unsafe { ffi::PyErr_Fetch(class, value, traceback) };
        Aside(parts)
    }

    /// Takes the exception out, with its traceback.
    pub(crate) fn take(self) -> Object {
        let (mut class, mut value, mut traceback) = (std::ptr::null_mut(), std::ptr::null_mut(), std::ptr::null_mut());
        // SAFETY: the three are places to write to, and this thread is attached (L2).
        unsafe { ffi::PyErr_Fetch(&raw mut class, &raw mut value, &raw mut traceback) };
        // SAFETY: they hold what was fetched, and may hold something else afterwards.
        unsafe { ffi::PyErr_NormalizeException(&raw mut class, &raw mut value, &raw mut traceback) };
        // SAFETY: the reference that fetching gave is ours, as are the next two.
        drop(unsafe { Object::from_nullable(class) });
        // SAFETY: as above.
        let traceback = unsafe { Object::from_nullable(traceback) };
        // SAFETY: as above.
        let value = unsafe { Object::from_nullable(value) };
        let Some(value) = value else { return Object::none() };
        if let Some(traceback) = traceback {
            // SAFETY: a normalised exception and its traceback, both alive (L1).
            unsafe { ffi::PyException_SetTraceback(value.pointer(), traceback.pointer()) };
        }
        value
    }

    /// Sets an exception that was taken, or made.
    pub(crate) fn restore(exception: &Object) -> Self {
        // SAFETY: an exception is alive and has a type (L1).
        let class = unsafe { ffi::Py_TYPE(exception.pointer()) };
        // SAFETY: both are alive, and this thread is attached (L2).
        unsafe { ffi::PyErr_SetObject(class.cast(), exception.pointer()) };
        Self(())
    }

    /// Handles the exception by dropping it.
    pub(crate) fn forget(self) {
        // SAFETY: this thread is attached (L2).
        unsafe { ffi::PyErr_Clear() };
    }

    /// Handles the exception where nobody can: `sys.unraisablehook` shows it.
    pub(crate) fn write_unraisable(self, place: &Object) {
        // SAFETY: an exception is set, `place` is alive (L1), and this thread is attached (L2).
        unsafe { ffi::PyErr_WriteUnraisable(place.pointer()) };
    }
}

/// Does something whatever has come before; of two exceptions the first comes out.
pub(crate) fn finally(before: Result<()>, after: impl FnOnce() -> Result<()>) -> Result<()> {
    match before.map_err(Raised::take) {
        Ok(()) => after(),
        Err(exception) => {
            let _ = after().map_err(Raised::forget);
            Err(Raised::restore(&exception))
        }
    }
}

impl From<io::Error> for Raised {
    /// `OSError`, of the subclass that belongs to the number.
    fn from(error: io::Error) -> Self {
        let Some(number) = error.raw_os_error() else {
            return Kind::OSError.raise(&error.to_string());
        };
        match os_error(number) {
            Ok(exception) => Self::restore(&exception),
            Err(raised) => raised,
        }
    }
}

/// An `OSError` instance for a number, with the system's words.
pub(crate) fn os_error(number: i32) -> Result<Object> {
    let text = io::Error::from_raw_os_error(number).to_string();
    let text = text.rsplit_once(" (os error").map_or(text.as_str(), |(words, _)| words);
    Kind::OSError.class().call([&Object::integer(i64::from(number))?, &Object::text(text)?])
}
