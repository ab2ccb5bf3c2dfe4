//! What a thread was executing when somebody looked.

use crate::Place;

/// The call of a function that lasts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Where it is, and whose code that is.
    pub place: Place,
    /// Where exactly, if the code says so.
    pub span: Option<Span>,
    /// Whether its code only passes on what others ask for: asyncio's and ours.
    pub is_inner: bool,
    /// The address of its code.
    pub code: u64,
    /// How far it has come, in bytes of the code.
    pub offset: i32,
}

/// A piece of the source. Columns are bytes of the line in UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Span {
    /// The first line, from 1.
    pub line: u32,
    /// The last line.
    pub end_line: u32,
    /// Where it begins in the first line, from 0, and where it ends in the last.
    pub columns: Option<(u32, u32)>,
}

/// The calls that last in a thread, the innermost first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stack {
    /// The calls.
    pub frames: Vec<Frame>,
    /// The innermost one went on while it was looked at.
    pub is_moving: bool,
}
