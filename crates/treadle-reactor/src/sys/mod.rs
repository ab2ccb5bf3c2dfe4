//! The operating system: one wrapper for each call that the safe crates lack or that differs between systems.
//!
//! Invariants, which every `unsafe` block here is proved by:
//!
//! - **R1** A [`Descriptor`] holds a number that is not negative, and lives for one call. Nobody here keeps it or closes it. If its
//!   owner closes it in between, the kernel answers with an error or for another descriptor; no memory depends on it.
//! - **R2** Pointers given to a call are of values that outlive the call, with lengths that are theirs.
//! - **R3** An event buffer's first `len` entries were written by the kernel; `len` is set from the call's answer alone,
//!   which is at most the capacity it was told.
//! - **R4** A kernel's structure is declared as its headers have it, by `libc` or `rustix`; where one stands for the other, a constant compares
//!   their sizes.
#![expect(unsafe_code, reason = "calls to the operating system; see the invariants")]

#[cfg(target_os = "linux")]
mod epoll;
#[cfg(target_os = "linux")]
pub(crate) use epoll::{EventBuffer, Selector};

#[cfg(target_vendor = "apple")]
mod apple;
#[cfg(target_vendor = "apple")]
mod kqueue;
#[cfg(target_vendor = "apple")]
pub(crate) use apple::{sendfile, uptime};
#[cfg(target_vendor = "apple")]
pub(crate) use kqueue::{EventBuffer, Selector};

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::net::SocketAddrAny;

use crate::RawFd;

/// A descriptor's number on its way into one call.
#[derive(Clone, Copy)]
pub(crate) struct Descriptor(RawFd);

impl Descriptor {
    /// No descriptor has a negative number, so such a one is answered as the kernel would.
    pub(crate) fn new(fd: RawFd) -> io::Result<Self> {
        if fd < 0 { Err(rustix::io::Errno::BADF.into()) } else { Ok(Self(fd)) }
    }
}

impl AsFd for Descriptor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the number is not negative, and the borrow ends with the call it is made for (R1).
        unsafe { BorrowedFd::borrow_raw(self.0) }
    }
}

/// The bytes of a socket address as the kernel gave them, header included.
pub(crate) fn address_bytes(address: &SocketAddrAny) -> &[u8] {
    // SAFETY: `rustix` keeps the first `addr_len` bytes of its storage initialised, and the storage is in `address` (R2, R4).
    unsafe { std::slice::from_raw_parts(address.as_ptr().cast::<u8>(), address.addr_len() as usize) }
}
