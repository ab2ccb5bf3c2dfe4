//! Who can see what the program's threads are executing.

use treadle_events::Stack;

/// Looks at threads without the interpreter's knowledge. A look that fails is nothing.
pub trait Witness: Send {
    /// What the thread of a loop is executing. `thread` is the system's number of it.
    fn stack(&mut self, event_loop: u8, thread: u64) -> Option<Stack>;
    /// What the thread is executing that has the interpreter, if it is not the loop's, and the number of the thread.
    fn holder(&mut self, event_loop: u8) -> Option<(Stack, u64)>;
    /// Whether who waits at an address waits for the interpreter.
    fn is_interpreter(&self, address: u64) -> bool;
}
