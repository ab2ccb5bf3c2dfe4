//! What an event loop needs of the operating system, and nothing of Python: poll, registrations, timers, clocks, buffers.
//!
//! [`Poll`] says which descriptors are ready, [`Registry`] says whose they are, [`Timers`] what is due and when, [`Outgoing`] holds
//! what is still to be written, and [`io_calls`] are the calls on descriptors. None of them runs anything of the
//! caller: whatever is taken out is handed back, so that dropping it, which may run arbitrary code, happens outside of every borrow.
//!
//! Descriptors are plain numbers, because in an event loop others own them and may close them at any time. A stale number
//! gives an error or meets another descriptor; it never touches memory. `sys` is the only place with `unsafe`, and
//! nothing here blocks but [`Poll::wait`].

#![deny(unsafe_code)]

mod event;
mod heap;
mod poll;
mod registry;
mod timers;
mod waker;

mod address;
pub mod cached_files;
pub mod io_calls;
mod mark;
mod outgoing;

mod clock;
mod sys;

#[cfg(test)]
mod testing;

pub use address::Address;
pub use clock::{now, processor_time};
pub use event::{Event, Interest, Token};
pub use mark::Mark;
pub use outgoing::{Kind, Outgoing};
pub use poll::{Events, Poll};
pub use registry::Registry;
pub use timers::Timers;
pub use waker::Waker;

/// A descriptor's number, owned by somebody else.
pub type RawFd = std::os::fd::RawFd;
