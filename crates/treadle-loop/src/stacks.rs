//! What the threads of loops are executing, for whoever watches from a thread that has nothing to do with Python.

use treadle_events::{Frame, Place, Stack};

use crate::ffi::{DEPTH, OwnCalls, RawCall, Window, is_of_interpreter};
use crate::libraries::Libraries;

/// Looks at the stacks of threads in which loops run, without the interpreter's knowledge.
#[derive(Debug)]
pub struct Stacks {
    window: Window,
    libraries: Libraries,
}

impl Stacks {
    /// Nothing if this Python, or the system, does not let anybody look.
    pub(crate) fn open(libraries: Libraries) -> Option<Self> {
        Window::open().map(|window| Self { window, libraries })
    }

    /// What reads the calls of the thread that asks.
    pub(crate) fn own_calls(&self) -> OwnCalls {
        self.window.own_calls()
    }

    /// What the thread of a loop is executing. `thread` is the system's number of it.
    pub fn of_loop(&mut self, number: u8, thread: u64) -> Option<Stack> {
        for attempt in 0..8 {
            let (calls, is_moving) = self.window.calls(number, thread).ok()?;
            let frames = self.frames(&calls);
            // A generator that is left while it is looked at leads nowhere.
            if calls.len() >= DEPTH || frames.iter().any(is_loop) {
                return Some(Stack { frames, is_moving: is_moving || attempt > 0 });
            }
        }
        None
    }

    /// What the thread is executing that has the GIL, if it is not the loop's, and its number.
    pub fn of_holder(&mut self, number: u8) -> Option<(Stack, u64)> {
        let (calls, thread) = self.window.calls_of_holder(number).ok()?;
        Some((Stack { frames: self.frames(&calls), is_moving: false }, thread))
    }

    /// Whether an address is one of the interpreter's own, such as that of the GIL.
    pub fn is_of_interpreter(address: u64) -> bool {
        is_of_interpreter(address)
    }

    fn frames(&mut self, calls: &[RawCall]) -> Vec<Frame> {
        calls.iter().filter_map(|call| self.frame(call)).collect()
    }

    fn frame(&mut self, call: &RawCall) -> Option<Frame> {
        let text = self.window.describe(call.code).ok()?;
        let span = text.position(call.offset);
        let line = span.map_or(text.first_line(), |span| span.line);
        let (owner, is_inner) = self.libraries.owner(&text.file);
        let place = Place { file: text.file.clone(), line, function: text.name.clone(), owner };
        Some(Frame { place, span, is_inner, code: call.code, offset: call.offset })
    }
}

/// The function that every callback of a loop is called from.
fn is_loop(frame: &Frame) -> bool {
    frame.is_inner && frame.place.function == "Base.run_forever"
}
