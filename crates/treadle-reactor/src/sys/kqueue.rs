//! macOS: kqueue, level-triggered unless an edge is asked for, with the token as the kernel's datum.
//!
//! The kernel keeps a filter for each direction, so a registration has up to two, and each has events of its own. It drops
//! both when the descriptor is closed. Adding a filter that is there replaces its token.

use std::io;
use std::os::fd::OwnedFd;
use std::ptr;
use std::time::Duration;

use rustix::event::Timespec;
use rustix::event::kqueue::{Event as Kevent, EventFilter, EventFlags, kevent_timespec, kqueue};
use rustix::io::Errno;

use super::EventBuffer;
use crate::{Event, Interest, Token};

// A token travels in what the kernel declares as a pointer.
const _: () = assert!(size_of::<usize>() == size_of::<u64>());

/// What the kernel tells of one event.
pub(super) type Entry = Kevent;

/// A kqueue.
#[derive(Debug)]
pub(crate) struct Selector {
    queue: OwnedFd,
}

impl Selector {
    pub(crate) fn new() -> io::Result<Self> {
        let queue = kqueue()?;
        rustix::io::fcntl_setfd(&queue, rustix::io::FdFlags::CLOEXEC)?;
        Ok(Self { queue })
    }

    pub(crate) fn add(&self, token: Token, interest: Interest) -> io::Result<()> {
        self.modify(token, interest)
    }

    /// Wanted filters are added again even if they should be there: the number may have been closed and used again.
    pub(crate) fn modify(&self, token: Token, interest: Interest) -> io::Result<()> {
        let clear = if interest.contains(Interest::EDGE) { EventFlags::CLEAR } else { EventFlags::empty() };
        for direction in [Interest::READ, Interest::WRITE] {
            if interest.contains(direction) {
                self.change(token, direction, EventFlags::ADD | clear)?;
            } else {
                self.forget(token, direction)?;
            }
        }
        Ok(())
    }

    pub(crate) fn remove(&self, token: Token) -> io::Result<()> {
        self.forget(token, Interest::READ)?;
        self.forget(token, Interest::WRITE)
    }

    pub(crate) fn wait(&self, events: &mut EventBuffer, timeout: Option<Duration>) -> io::Result<()> {
        events.clear();
        let timeout = timeout.map(|timeout| {
            // The kernel refuses timeouts of some years; this is the same cut as on Linux.
            let timeout = timeout.min(Duration::from_millis(i32::MAX as u64));
            Timespec { tv_sec: timeout.as_secs().cast_signed(), tv_nsec: timeout.subsec_nanos().into() }
        });
        let room = rustix::buffer::spare_capacity(&mut events.entries);
        // SAFETY: no change is made, and the kernel writes no more entries than there is room for (R3).
        unsafe { kevent_timespec(&self.queue, &[], room, timeout.as_ref()) }?;
        Ok(())
    }

    /// Deletes a filter that need not be there.
    fn forget(&self, token: Token, direction: Interest) -> io::Result<()> {
        match self.change(token, direction, EventFlags::DELETE) {
            Err(Errno::NOENT) => Ok(()),
            answer => Ok(answer?),
        }
    }

    /// One change for each call: with no room for events, its error is the call's.
    fn change(&self, token: Token, direction: Interest, flags: EventFlags) -> Result<(), Errno> {
        let filter =
            if direction == Interest::READ { EventFilter::Read(token.fd()) } else { EventFilter::Write(token.fd()) };
        let change = Kevent::new(filter, flags, ptr::without_provenance_mut(token.bits() as usize));
        let mut none: [Kevent; 0] = [];
        // SAFETY: the kernel drops the filters of a descriptor that is closed by itself, so the number need not stay valid; the
        // datum is never followed, and there is no room for events (R1, R2).
        match unsafe { kevent_timespec(&self.queue, &[change], &mut none, None) } {
            // A signal ends the wait for events, which is none here; the change was made before.
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Errors and the peer's end come as events of each filter that was asked for, so whoever waits for a direction is told by its
/// own. An event that reports an error instead of a filter counts as both.
pub(super) fn event(entry: &Entry) -> Event {
    let is_error = entry.flags().contains(EventFlags::ERROR);
    Event {
        token: Token::from_bits(entry.udata().addr() as u64),
        readable: is_error || matches!(entry.filter(), EventFilter::Read(_)),
        writable: is_error || matches!(entry.filter(), EventFilter::Write(_)),
    }
}
