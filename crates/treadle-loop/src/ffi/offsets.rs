//! Where things lie in the interpreter's structures, by its version.
//!
//! 3.13 and later publish most of it at the beginning of `_PyRuntime`, each in an order of its own; for 3.11 and 3.12 it stands in their headers.
//! None of it is believed before [`Window::open`](super::stack::Window::open) has compared what it reads with what the C API says.

use std::ops::Range;

use pyo3::ffi;

use super::memory::{Fault, Memory};

/// Where things are, in bytes from the beginning of each structure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Offsets {
    pub(super) thread: Thread,
    pub(super) frame: Frame,
    pub(super) code: Code,
    /// How long the head of a text in ASCII is; that of another is `wide` long.
    pub(super) ascii: u64,
    pub(super) wide: u64,
    pub(super) holder: Holder,
}

/// `PyThreadState`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Thread {
    pub(super) interpreter: u64,
    pub(super) next: u64,
    pub(super) native_id: u64,
    /// The current frame, or what leads to it.
    pub(super) frame: u64,
    /// Where the frame is in what leads to it.
    pub(super) in_between: Option<u64>,
}

/// `_PyInterpreterFrame`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) code: u64,
    pub(super) previous: u64,
    pub(super) instruction: u64,
    pub(super) owner: u64,
}

/// `PyCodeObject`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Code {
    pub(super) file: u64,
    pub(super) name: u64,
    pub(super) lines: u64,
    pub(super) first_line: u64,
    pub(super) instructions: u64,
}

/// How it is seen which thread has the GIL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Holder {
    /// It cannot be seen.
    #[default]
    Unknown,
    /// A word of `_PyRuntime` has the address of its state.
    Current(u64),
    /// A bit in the states of all threads, the first of which the interpreter has here.
    Active { first: u64, status: u64 },
}

/// `active` in the bits of a thread's status, from 3.12 on.
pub(super) const ACTIVE: u64 = 1 << 4;

/// The longest of the structures that are read as a whole: a frame up to its owner, a code object up to its instructions.
pub(super) const FRAME: usize = 80;
pub(super) const CODE: usize = 256;

/// Frames of this owner and those above stand for calls of native code.
pub(super) const NATIVE_OWNER: u8 = 3;

/// Words of what 3.13 and later publish.
const PUBLISHED: usize = 64;

/// What a table of positions in the published words says, from 3.13 on.
struct Positions {
    first_thread: usize,
    thread: usize,
    /// Of `native_thread_id` and `status`, from the structure of the thread on.
    native_id: usize,
    status: usize,
    frame: usize,
    code: usize,
    instructions: usize,
}

impl Offsets {
    /// Those of the version that runs, if it is known.
    pub(super) fn of_this_version(memory: &Memory) -> Option<Self> {
        // SAFETY: a constant that is set before anything else is.
        let version = unsafe { ffi::Py_Version };
        match version >> 16 {
            0x30b => Some(Self::of_3_11()),
            0x30c => Some(Self::of_3_12()),
            0x30d => Self::published(
                memory,
                &Positions {
                    first_thread: 7,
                    thread: 17,
                    native_id: 6,
                    status: 8,
                    frame: 26,
                    code: 32,
                    instructions: 41,
                },
            ),
            0x30e => Self::published(
                memory,
                &Positions {
                    first_thread: 7,
                    thread: 20,
                    native_id: 6,
                    status: 8,
                    frame: 29,
                    code: 37,
                    instructions: 46,
                },
            ),
            0x30f => Self::published(
                memory,
                &Positions {
                    first_thread: 7,
                    thread: 20,
                    native_id: 9,
                    status: 11,
                    frame: 37,
                    code: 45,
                    instructions: 54,
                },
            ),
            _ => None,
        }
    }

    fn of_3_11() -> Self {
        Self {
            thread: Thread { interpreter: 16, next: 8, native_id: 160, frame: 56, in_between: Some(8) },
            frame: Frame { code: 32, previous: 48, instruction: 56, owner: 69 },
            code: Code { file: 112, name: 128, lines: 136, first_line: 72, instructions: 184 },
            ascii: 48,
            wide: 72,
            holder: Holder::Current(576),
        }
    }

    fn of_3_12() -> Self {
        Self {
            thread: Thread { interpreter: 16, next: 8, native_id: 144, frame: 56, in_between: Some(0) },
            frame: Frame { code: 0, previous: 8, instruction: 56, owner: 70 },
            code: Code { file: 112, name: 128, lines: 136, first_line: 68, instructions: 192 },
            ascii: 40,
            wide: 56,
            holder: Holder::Active { first: 72, status: 24 },
        }
    }

    fn published(memory: &Memory, positions: &Positions) -> Option<Self> {
        let mut bytes = [0; (PUBLISHED + 2) * 8];
        memory.read(runtime()?.start, &mut bytes).ok()?;
        let (head, words) = bytes.split_at(16);
        let word = |at: usize| Some(u64::from_le_bytes(words.get(at * 8..at * 8 + 8)?.try_into().ok()?));
        // Without a GIL, code and texts are not what they are with one.
        if !head.starts_with(b"xdebugpy") || word(0)? != 0 {
            return None;
        }
        let (thread, frame, code) = (positions.thread, positions.frame, positions.code);
        Some(Self {
            thread: Thread {
                next: word(thread + 2)?,
                interpreter: word(thread + 3)?,
                native_id: word(thread + positions.native_id)?,
                frame: word(thread + 4)?,
                in_between: None,
            },
            frame: Frame {
                previous: word(frame + 1)?,
                code: word(frame + 2)?,
                instruction: word(frame + 3)?,
                owner: word(frame + 5)?,
            },
            code: Code {
                file: word(code + 1)?,
                name: word(code + 3)?,
                lines: word(code + 4)?,
                first_line: word(code + 5)?,
                instructions: word(positions.instructions)?,
            },
            ascii: 40,
            wide: 56,
            holder: Holder::Active { first: word(positions.first_thread)?, status: word(thread + positions.status)? },
        })
        .filter(Self::fits)
    }

    /// Whether all that is read lies in what is read as a whole.
    fn fits(&self) -> bool {
        let Self { frame, code, .. } = self;
        [frame.code, frame.previous, frame.instruction, frame.owner].iter().all(|at| at + 8 <= FRAME as u64 + 7)
            && frame.owner < FRAME as u64
            && [code.file, code.name, code.lines, code.first_line, code.instructions]
                .iter()
                .all(|at| at + 8 <= CODE as u64)
    }
}

/// Which thread has the GIL: the address of its state.
pub(super) fn holder(memory: &Memory, offsets: &Offsets, some_thread: u64) -> Result<u64, Fault> {
    match offsets.holder {
        Holder::Unknown => Err(Fault),
        Holder::Current(at) => memory.word(runtime().ok_or(Fault)?.start + at),
        Holder::Active { first, status } => {
            let interpreter = memory.word(some_thread + offsets.thread.interpreter)?;
            let mut thread = memory.word(interpreter + first)?;
            for _ in 0..10_000 {
                if thread == 0 || memory.word(thread + status)? & ACTIVE != 0 {
                    break;
                }
                thread = memory.word(thread + offsets.thread.next)?;
            }
            Ok(thread)
        }
    }
}

/// Where the interpreter has what is not of a thread, its lock among it.
pub(super) fn runtime() -> Option<Range<u64>> {
    // SAFETY: a name that ends with a zero; the answer is an address or null.
    let start = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"_PyRuntime".as_ptr()) } as u64;
    (start != 0).then(|| start..start + 512 * 1024)
}

/// Whether an address is one of the interpreter's own.
pub(crate) fn is_of_interpreter(address: u64) -> bool {
    runtime().is_some_and(|runtime| runtime.contains(&address))
}
