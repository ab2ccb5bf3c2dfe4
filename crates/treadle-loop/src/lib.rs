//! The asyncio event loop. Read `turn.rs` first.
//!
//! Native is what runs for each callback and for each packet; what runs for each connection and for each loop is Python, in
//! `python/treadle/loop`. `unsafe` stands in `ffi` alone. Transports hold `Core`, never the loop's object.
#![deny(unsafe_code)]

mod turn;
mod core;
mod event_loop;
mod handle;
mod read_buffer;
mod readiness;
mod signals;
mod sock;
mod source;
mod transport;
mod flow;
mod outbox;
mod stream;
mod streams;
mod coroutine;
mod tls;
mod address;
mod datagram;
mod pipe;
mod known;
#[expect(unsafe_code, reason = "the border to CPython")]
mod ffi;

pub use module::add_to;
mod module;
