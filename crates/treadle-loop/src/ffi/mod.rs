//! The border to CPython: all `unsafe` of this crate, behind types that cannot be misused.
//!
//! Invariants, which the comments at the blocks refer to:
//!
//! - **L1** The pointer in an [`Object`] or [`Instance`] is not null and its object lives as long as the wrapper: an owned one holds one
//!   reference, a `&Object` stands for a reference that somebody else holds for at least that lifetime.
//! - **L2** This crate's code runs on threads that are attached to the interpreter. The wrappers are neither `Send` nor `Sync`; the only code
//!   that runs detached is the closure of [`detached`], which can hold none of them.
//! - **L3** An [`Instance<T>`] points to an object whose type, or a base of it, was made by [`Spec::create`] for `T`, and whose value was
//!   written before anybody else saw the object. So a `T` lies behind the head, from creation until deallocation.
//! - **L4** A call of the C API that fails returns null or -1 with an exception set, which becomes [`Raised`] on the spot.
//! - **L5** There is one interpreter in the process (the module refuses to be imported by a second one) and it has a GIL.
//! - **L6** `ob_refcnt` is the first word of an object, and reaching zero is answered by `_Py_Dealloc`: the stable ABI has frozen both for
//!   builds with a GIL. An object whose lower half of that word is negative is immortal and keeps its count (3.12 and later).
//! - **L7** What a [`FreeList`] holds is the memory of dead, untracked instances of one layout, each at most once.
//!
//! The functions of the C API used here belong to the stable ABI of 3.11, or have been exported with the same signature by each version
//! since 3.9 (see `raw`).

mod addition;
mod buffer;
mod bytearray;
mod call;
mod class;
mod code;
mod context;
mod coroutine;
mod error;
mod free_list;
mod layout;
mod memory;
mod number;
mod object;
mod offsets;
mod own;
mod pending;
mod raw;
mod set;
mod shared;
mod spec;
mod stack;
mod suspended;
mod task;
mod text;
mod thread;
mod trampolines;

pub(crate) use addition::Addition;
pub(crate) use buffer::{Readable, Writable};
pub(crate) use call::Args;
pub(crate) use class::{Class, Instance, Type};
pub(crate) use code::{Frame, code_of, is_builtin, line, method};
pub(crate) use context::{Context, ContextVariable};
pub(crate) use error::{Kind, Raised, Result, finally};
pub(crate) use free_list::FreeList;
pub(crate) use layout::{Nothing, Plain, TransportHead, Weak, WeakAndDict};
pub(crate) use object::{Object, Slot, Visit};
pub(crate) use offsets::is_of_interpreter;
pub(crate) use own::OwnCalls;
pub(crate) use pending::{Call, CallSlot};
pub(crate) use set::SetCursor;
pub(crate) use shared::Shared;
pub(crate) use spec::{Comparison, Spec, Step};
pub(crate) use stack::{DEPTH, RawCall, Window, loop_of_this_thread, publish, unpublish, unpublish_all};
pub(crate) use suspended::{Example, FrameLayout, cell_content};
pub(crate) use task::{CancelCount, NativeTask, State, TaskLayout, builtin_receiver};
pub(crate) use thread::{check_signals, detached, is_this_thread, system_thread, thread_identifier};
