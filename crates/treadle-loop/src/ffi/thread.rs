//! Threads and signals.

use std::num::NonZeroUsize;

use pyo3::ffi;

use super::error::{Raised, Result};
use super::raw;

/// Runs `function` while other threads may run Python. It cannot hold objects: none of the wrappers is `Send`.
pub(crate) fn detached<T: Send>(function: impl FnOnce() -> T + Send) -> T {
    struct Attach(*mut ffi::PyThreadState);
    impl Drop for Attach {
        fn drop(&mut self) {
            // SAFETY: the state that was saved in this thread a moment ago.
            unsafe { ffi::PyEval_RestoreThread(self.0) }
        }
    }
    // SAFETY: this thread is attached (L2), and is so again when `Attach` is dropped, also when `function` panics.
    let _attach = Attach(unsafe { ffi::PyEval_SaveThread() });
    function()
}

/// Lets Python's signal handlers run that are due. They run in the main thread only.
#[inline]
pub(crate) fn check_signals() -> Result<()> {
    // SAFETY: this thread is attached (L2).
    match unsafe { ffi::PyErr_CheckSignals() } {
        0 => Ok(()),
        // SAFETY: a handler has raised (L4).
        _ => Err(unsafe { Raised::is_set() }),
    }
}

/// What `threading.get_native_id()` gives in this thread.
pub(crate) fn system_thread() -> u64 {
    // SAFETY: needs nothing.
    unsafe { raw::PyThread_get_thread_native_id() as u64 }
}

/// Whether that is what `threading.get_ident()` gives in this thread. Where it is, a fifth of asking Python.
#[inline]
pub(crate) fn is_this_thread(identifier: i64) -> bool {
    // SAFETY: needs nothing.
    let own = unsafe { libc::pthread_self() };
    own as i64 == identifier || thread_identifier().get() as i64 == identifier
}

/// What `threading.get_ident()` gives in this thread.
#[inline]
pub(crate) fn thread_identifier() -> NonZeroUsize {
    // SAFETY: needs nothing; 0 stands for no thread.
    NonZeroUsize::new(unsafe { ffi::PyThread_get_thread_ident() } as usize).unwrap_or(NonZeroUsize::MAX)
}
