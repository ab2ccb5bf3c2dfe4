//! What an event loop needs of the operating system, and nothing of Python: poll, registrations, timers, clocks, buffers.
//!
//! `sys` is the only place with `unsafe`. Nothing here blocks but [`Poll::wait`].
