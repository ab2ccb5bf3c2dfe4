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
//! - **R5** The datum of an event is a token's bits. Where its type has a pointer in it, nobody follows that, so any thread may hold it.
#![expect(unsafe_code, reason = "calls to the operating system; see the invariants")]

#[cfg(target_os = "linux")]
mod epoll;
#[cfg(target_os = "linux")]
pub(crate) use epoll::Selector;
#[cfg(target_os = "linux")]
use epoll::{Entry, event};

#[cfg(target_vendor = "apple")]
mod apple;
#[cfg(target_vendor = "apple")]
mod kqueue;
#[cfg(target_vendor = "apple")]
pub(crate) use apple::uptime;
#[cfg(target_vendor = "apple")]
pub(crate) use kqueue::Selector;
#[cfg(target_vendor = "apple")]
use kqueue::{Entry, event};

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::net::SocketAddrAny;

use crate::{Event, RawFd};

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

/// How many bytes were written to a socket or a terminal and not sent or, on a Unix socket, not read yet.
#[cfg(target_os = "linux")]
pub(crate) fn unsent(descriptor: Descriptor) -> Option<u64> {
    let mut count: libc::c_int = 0;
    // SAFETY: the kernel writes one integer, which outlives the call (R2), and the number is not kept (R1).
    let answer = unsafe { libc::ioctl(descriptor.0, libc::TIOCOUTQ, &raw mut count) };
    (answer == 0).then(|| u64::try_from(count).ok()).flatten()
}

/// Nobody has asked this system.
#[cfg(not(target_os = "linux"))]
pub(crate) fn unsent(_descriptor: Descriptor) -> Option<u64> {
    None
}

/// What the kernel filled in.
pub(crate) struct EventBuffer {
    entries: Vec<Entry>,
}

// SAFETY: plain data but for the datum, which is no pointer (R5).
unsafe impl Send for EventBuffer {}

// SAFETY: as above, and shared buffers are only read (R5).
unsafe impl Sync for EventBuffer {}

impl EventBuffer {
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self { entries: Vec::with_capacity(capacity) }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn clear(&mut self) {
        self.entries.clear();
    }

    pub(crate) fn get(&self, index: usize) -> Option<Event> {
        self.entries.get(index).map(event)
    }
}

/// The bytes of a socket address as the kernel gave them, header included.
pub(crate) fn address_bytes(address: &SocketAddrAny) -> &[u8] {
    // SAFETY: `rustix` keeps the first `addr_len` bytes of its storage initialised, and the storage is in `address` (R2, R4).
    unsafe { std::slice::from_raw_parts(address.as_ptr().cast::<u8>(), address.addr_len() as usize) }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::{mem, ptr, thread};

    use crate::{Events, Poll, io_calls};

    static SIGNALS: AtomicUsize = AtomicUsize::new(0);

    extern "C" fn count(_signal: libc::c_int) {
        SIGNALS.fetch_add(1, Ordering::SeqCst);
    }

    /// Lets SIGUSR1 interrupt calls, instead of the kernel calling them again.
    fn count_signals() {
        // SAFETY: all zero is a valid `sigaction`: no flags, so no `SA_RESTART`, and an empty mask (R4).
        let mut action: libc::sigaction = unsafe { mem::zeroed() };
        action.sa_sigaction = count as *const () as usize;
        // SAFETY: `action` outlives the call, and its handler does nothing that a signal handler must not (R2).
        assert_eq!(unsafe { libc::sigaction(libc::SIGUSR1, &raw const action, ptr::null_mut()) }, 0);
    }

    /// Runs `call` while another thread sends this one signals, until `is_enough`; that thread then runs `finish`.
    fn under_signals<T>(
        call: impl FnOnce() -> T,
        is_enough: impl Fn() -> bool + Send,
        finish: impl FnOnce() + Send,
    ) -> T {
        // SAFETY: it takes nothing, and cannot fail.
        let this_thread = unsafe { libc::pthread_self() };
        thread::scope(|scope| {
            scope.spawn(move || {
                while !is_enough() {
                    // SAFETY: the scope waits for this thread, so the other one is still there.
                    assert_eq!(unsafe { libc::pthread_kill(this_thread, libc::SIGUSR1) }, 0);
                    thread::yield_now();
                }
                finish();
            });
            call()
        })
    }

    #[test]
    fn a_signal_ends_a_wait_and_no_other_call() {
        count_signals();

        let (poll, is_done) = (Poll::new().unwrap(), AtomicBool::new(false));
        let wait = || {
            let answer = poll.wait(&mut Events::with_capacity(1), None);
            is_done.store(true, Ordering::SeqCst);
            answer
        };
        let answer = under_signals(wait, || is_done.load(Ordering::SeqCst), || ());
        assert_eq!(answer.unwrap_err().kind(), ErrorKind::Interrupted);

        let (near, far) = UnixStream::pair().unwrap();
        let before = SIGNALS.load(Ordering::SeqCst);
        let answer = under_signals(
            || io_calls::recv(near.as_raw_fd(), &mut [0; 8]),
            || SIGNALS.load(Ordering::SeqCst) >= before + 20,
            || assert_eq!(io_calls::send(far.as_raw_fd(), b"x").unwrap(), 1),
        );
        assert_eq!(answer.unwrap(), 1);
    }

    #[test]
    fn negative_numbers_never_get_as_far_as_a_call() {
        assert!(super::Descriptor::new(-1).is_err());
    }
}
