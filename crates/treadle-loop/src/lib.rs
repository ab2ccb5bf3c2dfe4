//! The asyncio event loop. Read `turn.rs` first.
//!
//! Native is what runs for each callback and for each packet; what runs for each connection and for each loop is Python, in
//! `python/treadle/loop`. What is native of the patterns is in `patterns`, and needs no loop of this crate. `unsafe` stands in `ffi` alone.
//! Transports hold `Core`, never the loop's object.
#![deny(unsafe_code)]
#![expect(
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "sizes of things in memory fit in `isize`, and seconds are the float that Python's clock gives"
)]

mod address;
mod again;
mod core;
mod coroutine;
mod datagram;
mod event_loop;
#[expect(unsafe_code, reason = "the border to CPython")]
mod ffi;
mod files;
mod flow;
mod guard;
mod handle;
mod inspection;
mod jobs;
mod known;
mod libraries;
mod line_table;
mod outbox;
mod patterns;
mod pipe;
mod read_buffer;
mod readiness;
mod recorder;
mod signals;
mod sock;
mod source;
mod stacks;
mod stream;
mod streams;
mod teller;
mod tls;
mod transport;
mod turn;
mod watch;

pub use files::{learn_file_system, lines_class, read_cached};
pub use module::{add_patterns_to, add_to, listen, open_stacks, record, stop_recording};
pub use stacks::Stacks;
mod module;
