//! The asyncio event loop. Read `turn.rs` first.
//!
//! Native is what runs for each callback and for each packet; what runs for each connection and for each loop is Python, in
//! `python/treadle/loop`. `unsafe` stands in `ffi` alone. Transports hold `Core`, never the loop's object.
#![deny(unsafe_code)]

mod core;
mod coroutine;
mod event_loop;
#[expect(unsafe_code, reason = "the border to CPython")]
mod ffi;
mod handle;
mod known;
mod readiness;
mod signals;
mod source;
mod stream;
mod streams;
mod turn;

pub use module::add_to;
mod module;
