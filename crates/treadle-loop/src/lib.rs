//! The asyncio event loop. Read `turn.rs` first.
//!
//! Native is what runs for each callback and for each packet; what runs for each connection and for each loop is Python, in
//! `python/treadle/loop`. `unsafe` stands in `ffi` alone. Transports hold `Core`, never the loop's object.
