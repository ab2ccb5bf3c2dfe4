//! Which parts of a program an answer was made from.
//!
//! Every table of [`super::Program`] belongs to a file, and who looks into one leaves a note here. What a job noted says
//! later which changes it has to be asked about again: everything else it would see as it saw it before.

use std::cell::{Cell, RefCell};

use bitcode::{Decode, Encode};

use crate::ids::FileId;

/// Parts of what is known about one file, as a set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Parts(u16);

impl Parts {
    /// What others see of what the file itself says: module and class variables, headers of functions and classes.
    pub const SURFACE: Self = Self(1);
    /// Bases and order of its classes.
    pub const CLASSES: Self = Self(1 << 1);
    /// Who inherits from its classes.
    pub const SUBCLASSES: Self = Self(1 << 2);
    /// Decorations, results, attributes and what others store in its variables.
    pub const TYPES: Self = Self(1 << 3);
    /// What its functions are called with.
    pub const PARAMS: Self = Self(1 << 4);
    /// What its calls call.
    pub const CALLEES: Self = Self(1 << 5);
    /// What its functions do with what they are given.
    pub const EFFECTS: Self = Self(1 << 6);
    /// Where its functions lead.
    pub const EDGES: Self = Self(1 << 7);
    /// What leads to its functions.
    pub const INCOMING: Self = Self(1 << 8);
    /// Where its functions run.
    pub const CONTEXTS: Self = Self(1 << 9);
    /// Its locks, events, queues, and what is done with them.
    pub const PRIMITIVES: Self = Self(1 << 10);
    /// The locks its functions hold.
    pub const LOCKS: Self = Self(1 << 11);
    /// All that the file itself says, bodies of functions and positions included.
    pub const BODY: Self = Self(1 << 12);
    /// Everything.
    pub const ALL: Self = Self(u16::MAX);

    /// Whether the sets have a part in common.
    pub fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Adds parts.
    pub fn add(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

/// The parts of files that a job read, by file.
pub type Reads = Vec<(FileId, Parts)>;

#[derive(Default)]
struct Notes {
    by_file: Vec<Parts>,
    files: Vec<FileId>,
}

thread_local! {
    static IS_ON: Cell<bool> = const { Cell::new(false) };
    static NOTES: RefCell<Notes> = RefCell::default();
}

/// Notes that this thread's job reads a part of a file.
pub(super) fn note(file: FileId, parts: Parts) {
    if IS_ON.get() {
        NOTES.with_borrow_mut(|notes| notes.add(file, parts));
    }
}

/// Runs a job and says what it read. The job must stay on its thread.
pub(super) fn noted<T>(job: impl FnOnce() -> T) -> (T, Reads) {
    IS_ON.set(true);
    let value = job();
    IS_ON.set(false);
    (value, NOTES.with_borrow_mut(Notes::take))
}

impl Notes {
    fn add(&mut self, file: FileId, parts: Parts) {
        if self.by_file.len() <= file.index() {
            self.by_file.resize(file.index() + 1, Parts::default());
        }
        let known = &mut self.by_file[file.index()];
        if *known == Parts::default() {
            self.files.push(file);
        }
        known.add(parts);
    }

    fn take(&mut self) -> Reads {
        let by_file = &mut self.by_file;
        self.files.drain(..).map(|file| (file, std::mem::take(&mut by_file[file.index()]))).collect()
    }
}
