//! The calls that last in a thread, read from outside: no lock is taken, nothing is called, nothing is changed.
//!
//! - **S1** All reading goes through [`Memory`], where the kernel checks addresses. What comes is checked for its type before it is followed,
//!   and counts are bounded. So a thread that runs on, or has ended, makes a reading fail or, at worst, name a place where it was not.

use std::sync::atomic::{AtomicU64, Ordering};

use pyo3::ffi;
use rustc_hash::FxHashMap;
use treadle_events::Span;

use super::code::{Frame, PyCode_Type, line};
use super::error::{Raised, Result as Raising};
use super::memory::{Fault, Memory};
use super::object::Object;
use super::offsets::{self, CODE, FRAME, NATIVE_OWNER, Offsets};
use super::own::OwnCalls;
use crate::line_table;

/// Calls that are read at most, from the innermost on.
pub(crate) const DEPTH: usize = 256;

/// The longest text, and the longest table of lines.
const TEXT: u64 = 4 * 1024;
const TABLE: u64 = 1024 * 1024;

/// Code objects that are remembered.
const KNOWN: usize = 4 * 1024;

/// Where the states of the threads are in which loops run, by the numbers of the loops; 0 where none runs.
static THREADS: [AtomicU64; 256] = [const { AtomicU64::new(0) }; 256];

/// A call that lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RawCall {
    /// The address of its code.
    pub(crate) code: u64,
    /// How far it has come, in bytes of the code.
    pub(crate) offset: i32,
}

/// What is said of a piece of code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CodeText {
    pub(crate) file: String,
    pub(crate) name: String,
    lines: Vec<u8>,
    first_line: i32,
    /// What all of this was read from, to see whether another code object has taken the address.
    sources: [u64; 4],
}

/// Reads stacks.
#[derive(Debug)]
pub(crate) struct Window {
    memory: Memory,
    offsets: Offsets,
    code_class: u64,
    text_class: u64,
    known: FxHashMap<u64, CodeText>,
}

/// Notes in which thread a loop runs, this one, until [`unpublish`].
pub(crate) fn publish(number: u8) {
    // SAFETY: this thread is attached (L2), so it has a state.
    let state = unsafe { ffi::PyThreadState_Get() };
    THREADS[usize::from(number)].store(state as u64, Ordering::Release);
}

/// The number of the loop that runs in this thread, or 0.
pub(crate) fn loop_of_this_thread() -> u8 {
    // SAFETY: this thread is attached (L2), so it has a state.
    let state = unsafe { ffi::PyThreadState_Get() } as u64;
    // Of loops that run inside of each other the inner one was numbered later, as a rule.
    let number = THREADS.iter().rposition(|thread| thread.load(Ordering::Relaxed) == state);
    number.map_or(0, |number| number as u8)
}

/// Notes that a loop does not run.
pub(crate) fn unpublish(number: u8) {
    THREADS[usize::from(number)].store(0, Ordering::Release);
}

/// The same of all loops.
pub(crate) fn unpublish_all() {
    for thread in &THREADS {
        thread.store(0, Ordering::Release);
    }
}

impl Window {
    /// What stacks are read through, if what is read of this thread is what the C API says of it.
    pub(crate) fn open() -> Option<Self> {
        let memory = Memory::open()?;
        let offsets = Offsets::of_this_version(&memory)?;
        let mut window = Self {
            memory,
            offsets,
            code_class: &raw const PyCode_Type as u64,
            text_class: &raw const ffi::PyUnicode_Type as u64,
            known: FxHashMap::default(),
        };
        window.is_right().then_some(window)
    }

    /// What reads the calls of the thread that asks.
    pub(crate) fn own_calls(&self) -> OwnCalls {
        OwnCalls::new(self.offsets)
    }

    /// The calls in the thread of a loop, and whether the innermost went on meanwhile. `thread` is the system's number of it.
    pub(crate) fn calls(&self, number: u8, thread: u64) -> Result<(Vec<RawCall>, bool), Fault> {
        let published = &THREADS[usize::from(number)];
        let state = published.load(Ordering::Acquire);
        let calls = self.calls_of(state, thread)?;
        let mut is_moving = false;
        for _ in 0..4 {
            let innermost = self.innermost(state);
            is_moving |= innermost != Ok(calls.first().copied());
        }
        // What was read after the loop had stopped is of nobody.
        if published.load(Ordering::Acquire) == state { Ok((calls, is_moving)) } else { Err(Fault) }
    }

    /// The calls in the thread that has the GIL, and its number, if that is another one than a loop's.
    pub(crate) fn calls_of_holder(&self, number: u8) -> Result<(Vec<RawCall>, u64), Fault> {
        let state = THREADS[usize::from(number)].load(Ordering::Acquire);
        if state == 0 {
            return Err(Fault);
        }
        let holder = offsets::holder(&self.memory, &self.offsets, state)?;
        if holder == 0 || holder == state {
            return Err(Fault);
        }
        let thread = self.memory.word(holder + self.offsets.thread.native_id)?;
        Ok((self.calls_of(holder, thread)?, thread))
    }

    fn calls_of(&self, state: u64, thread: u64) -> Result<Vec<RawCall>, Fault> {
        for _ in 0..3 {
            if let Ok(calls) = self.try_calls_of(state, thread) {
                return Ok(calls);
            }
        }
        self.try_calls_of(state, thread)
    }

    fn try_calls_of(&self, state: u64, thread: u64) -> Result<Vec<RawCall>, Fault> {
        if state == 0 || self.memory.word(state + self.offsets.thread.native_id)? != thread {
            return Err(Fault);
        }
        let mut calls = Vec::with_capacity(16);
        let mut frame = self.current_frame(state)?;
        for _ in 0..4 * DEPTH {
            if frame == 0 || calls.len() == DEPTH {
                return Ok(calls);
            }
            let (call, previous) = self.call(frame)?;
            calls.extend(call);
            frame = previous;
        }
        Err(Fault)
    }

    fn innermost(&self, state: u64) -> Result<Option<RawCall>, Fault> {
        let mut frame = self.current_frame(state)?;
        for _ in 0..4 {
            if frame == 0 {
                break;
            }
            match self.call(frame)? {
                (Some(call), _) => return Ok(Some(call)),
                (None, previous) => frame = previous,
            }
        }
        Ok(None)
    }

    fn current_frame(&self, state: u64) -> Result<u64, Fault> {
        let frame = self.memory.word(state + self.offsets.thread.frame)?;
        self.offsets.thread.in_between.map_or(Ok(frame), |further| self.memory.word(frame + further))
    }

    /// What a frame runs, unless it is native, and the frame that it was called from.
    fn call(&self, frame: u64) -> Result<(Option<RawCall>, u64), Fault> {
        let at = self.offsets.frame;
        // Not a byte more than every frame has: what follows may not be there.
        let mut bytes = [0; FRAME];
        self.memory.read(frame, &mut bytes[..=at.owner as usize])?;
        let previous = word(&bytes, at.previous)?;
        if bytes[at.owner as usize] >= NATIVE_OWNER {
            return Ok((None, previous));
        }
        // The lowest bits say who owns the reference, from 3.14 on.
        let code = word(&bytes, at.code)? & !7;
        let head = self.code(code)?;
        let length = word(&head, 16)?;
        let offset = word(&bytes, at.instruction)?.wrapping_sub(code + self.offsets.code.instructions) as i64;
        // One before the first instruction is where a call begins.
        if offset < -16 || offset > (length as i64).saturating_mul(2) {
            return Err(Fault);
        }
        Ok((Some(RawCall { code, offset: offset.max(-1) as i32 }), previous))
    }

    /// The head of a code object.
    fn code(&self, code: u64) -> Result<[u8; CODE], Fault> {
        let mut head = [0; CODE];
        let length = self.offsets.code.instructions as usize;
        self.memory.read(code, &mut head[..length])?;
        if word(&head, 8)? != self.code_class {
            return Err(Fault);
        }
        Ok(head)
    }

    /// What is said of a code object.
    pub(crate) fn describe(&mut self, code: u64) -> Result<&CodeText, Fault> {
        let head = self.code(code)?;
        let at = self.offsets.code;
        let first_line = word(&head, at.first_line)? as u32;
        let sources = [word(&head, at.file)?, word(&head, at.name)?, word(&head, at.lines)?, u64::from(first_line)];
        if self.known.get(&code).is_none_or(|known| known.sources != sources) {
            let text = CodeText {
                file: self.text(sources[0])?,
                name: self.text(sources[1])?,
                lines: self.bytes(sources[2])?,
                first_line: first_line.cast_signed(),
                sources,
            };
            if self.known.len() >= KNOWN {
                self.known.clear();
            }
            self.known.insert(code, text);
        }
        self.known.get(&code).ok_or(Fault)
    }

    /// A `str`.
    fn text(&self, address: u64) -> Result<String, Fault> {
        let mut head = [0; 40];
        self.memory.read(address, &mut head)?;
        let (length, state) = (word(&head, 16)?, word(&head, 32)?);
        let (width, is_compact, is_ascii) = (state >> 2 & 7, state >> 5 & 1 == 1, state >> 6 & 1 == 1);
        if word(&head, 8)? != self.text_class || !is_compact || !matches!(width, 1 | 2 | 4) || length > TEXT {
            return Err(Fault);
        }
        let mut bytes = vec![0; (length * width) as usize];
        self.memory.read(address + if is_ascii { self.offsets.ascii } else { self.offsets.wide }, &mut bytes)?;
        let letters = bytes.chunks_exact(width as usize).map(|letter| {
            let number = letter.iter().rev().fold(0, |number, byte| number << 8 | u32::from(*byte));
            char::from_u32(number).unwrap_or(char::REPLACEMENT_CHARACTER)
        });
        Ok(letters.collect())
    }

    /// A `bytes`.
    fn bytes(&self, address: u64) -> Result<Vec<u8>, Fault> {
        let mut head = [0; 32];
        self.memory.read(address, &mut head)?;
        let length = word(&head, 16)?;
        if word(&head, 8)? != &raw const ffi::PyBytes_Type as u64 || length > TABLE {
            return Err(Fault);
        }
        let mut bytes = vec![0; length as usize];
        self.memory.read(address + 32, &mut bytes)?;
        Ok(bytes)
    }

    /// Whether what is read of this thread, and of texts, is what the C API says.
    fn is_right(&mut self) -> bool {
        self.is_right_of_texts().unwrap_or(false) && self.is_right_of_this_thread().unwrap_or(false)
    }

    fn is_right_of_texts(&self) -> Option<bool> {
        for text in ["", "treadle", "Träger", "日本語", "a😀b"] {
            let object = Object::text(text).map_err(Raised::forget).ok()?;
            if self.text(object.address() as u64) != Ok(text.to_owned()) {
                return Some(false);
            }
        }
        Some(true)
    }

    fn is_right_of_this_thread(&mut self) -> Option<bool> {
        // SAFETY: this thread is attached (L2), so it has a state.
        let state = unsafe { ffi::PyThreadState_Get() } as u64;
        let calls = self.calls_of(state, super::thread::system_thread()).ok()?;
        let mut frame = Frame::current();
        for call in &calls {
            let here = frame?;
            let code = here.code().map_err(Raised::forget).ok()?;
            if (code.address() as u64, here.offset()) != (call.code, call.offset) || !self.is_right_of_code(&code)? {
                return Some(false);
            }
            frame = here.caller();
        }
        let is_whole = frame.is_none() || calls.len() == DEPTH;
        Some(is_whole && calls.len() >= 2 && self.is_right_of_holder(state))
    }

    fn is_right_of_code(&mut self, code: &Object) -> Option<bool> {
        let text = |name| -> Raising<String> { code.member(name)?.to_text() };
        let file = text(c"co_filename").map_err(Raised::forget).ok()?;
        let name = text(c"co_qualname").map_err(Raised::forget).ok()?;
        let read = self.describe(code.address() as u64).ok()?;
        let lines_agree = (0..400).step_by(2).all(|offset| {
            // Beyond the end the C API has no answer, and a position of the last instruction is not asked for.
            let wanted = line(code, offset).filter(|line| *line > 0);
            wanted.is_none() || read.position(offset).is_none_or(|span| Some(span.line) == wanted)
        });
        // The first instructions of a closure have no line.
        let has_lines = (0..400).step_by(2).any(|offset| read.position(offset).is_some());
        Some(read.file == file && read.name == name && lines_agree && has_lines)
    }

    /// If it is not seen that this thread has the GIL, nobody is asked who has it.
    fn is_right_of_holder(&mut self, state: u64) -> bool {
        if offsets::holder(&self.memory, &self.offsets, state) != Ok(state) {
            self.offsets.holder = offsets::Holder::Unknown;
        }
        true
    }
}

impl CodeText {
    /// Where the instruction at an offset is.
    pub(crate) fn position(&self, offset: i32) -> Option<Span> {
        line_table::position(&self.lines, self.first_line, offset.max(0))
    }

    /// The line where it begins.
    pub(crate) fn first_line(&self) -> u32 {
        self.first_line.max(0).cast_unsigned()
    }
}

fn word(bytes: &[u8], at: u64) -> Result<u64, Fault> {
    let at = at as usize;
    let bytes = bytes.get(at..at + 8).ok_or(Fault)?;
    Ok(u64::from_le_bytes(bytes.try_into().map_err(|_| Fault)?))
}
