//! The calls that last in this very thread, read where they lie: a tenth of what the C API takes, which makes an object of each.
//!
//! - **O1** The offsets have proved right in this process, see [`Window::open`](super::stack::Window::open), and this thread is attached (L2), so
//!   nobody else changes its frames: a frame is alive while its call lasts, and so is its code.

use std::mem::ManuallyDrop;
use std::ops::ControlFlow;

use pyo3::ffi::{self, PyObject};

use super::object::Object;
use super::offsets::{NATIVE_OWNER, Offsets};

/// Reads them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OwnCalls(Offsets);

impl OwnCalls {
    /// `offsets` have proved right.
    pub(super) fn new(offsets: Offsets) -> Self {
        Self(offsets)
    }

    /// Shows code and offset of at most `limit` calls, from the innermost on, until that is enough.
    #[inline]
    pub(crate) fn visit(&self, limit: usize, mut visit: impl FnMut(&Object, i32) -> ControlFlow<()>) {
        let (thread, at) = (&self.0.thread, &self.0.frame);
        // SAFETY: this thread is attached (L2), so it has a state.
        let state = unsafe { ffi::PyThreadState_Get() } as u64;
        // SAFETY: the state of this thread, which has its frame there (O1).
        let mut frame = unsafe { word(state, thread.frame) };
        if let Some(further) = thread.in_between {
            // SAFETY: as above; what leads to the frame has it there (O1).
            frame = unsafe { word(frame, further) };
        }
        let mut count = 0;
        while frame != 0 && count < limit {
            // SAFETY: a frame of this thread has its owner there (O1).
            let owner = unsafe { ((frame + at.owner) as *const u8).read() };
            if owner < NATIVE_OWNER {
                // SAFETY: a frame has its code there (O1).
                let code = unsafe { word(frame, at.code) } & !7;
                // SAFETY: a frame has its instruction there (O1).
                let instruction = unsafe { word(frame, at.instruction) };
                let offset = instruction.wrapping_sub(code + self.0.code.instructions) as i64;
                // SAFETY: not null and alive (O1).
                let reference = unsafe { Object::from_nullable(code as *mut PyObject) };
                // The frame has the reference, and keeps it.
                let Some(code) = reference.map(ManuallyDrop::new) else { return };
                if visit(&code, offset.max(-1) as i32).is_break() {
                    return;
                }
                count += 1;
            }
            // SAFETY: a frame has the one before it there, or null (O1).
            frame = unsafe { word(frame, at.previous) };
        }
    }
}

/// # Safety
/// Eight bytes that may be read lie there.
#[inline]
unsafe fn word(address: u64, offset: u64) -> u64 {
    // SAFETY: as the caller promises.
    unsafe { ((address + offset) as *const u64).read_unaligned() }
}
