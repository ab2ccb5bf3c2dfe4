//! Values for all threads that are attached to the interpreter.

use std::cell::OnceCell;

/// A value made once, read from any attached thread.
pub(crate) struct Shared<T>(OnceCell<T>);

// SAFETY: whoever calls a method is attached (L2), and there is one GIL (L5), so no two threads are in here at once.
unsafe impl<T> Sync for Shared<T> {}

impl<T> Shared<T> {
    pub(crate) const fn new() -> Self {
        Self(OnceCell::new())
    }

    #[inline]
    pub(crate) fn get(&self) -> Option<&T> {
        self.0.get()
    }

    /// Sets the value unless there is one.
    pub(crate) fn set(&self, value: T) {
        let _ = self.0.set(value);
    }
}
