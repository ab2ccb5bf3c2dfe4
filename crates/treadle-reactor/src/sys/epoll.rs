//! Linux: epoll, level-triggered unless an edge is asked for, with the token as the kernel's datum.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::event::{Timespec, epoll};
use rustix::io::Errno;

use super::{Descriptor, EventBuffer};
use crate::{Event, Interest, Token};

/// Set by the first `epoll_pwait2` (Linux 5.11) that is refused, for the whole process.
static LACKS_NANOSECONDS: AtomicBool = AtomicBool::new(false);

// R4: `epoll_pwait2` is told to fill a buffer of these.
const _: () = assert!(size_of::<epoll::Event>() == size_of::<libc::epoll_event>());

/// What the kernel tells of one event.
pub(super) type Entry = epoll::Event;

/// An epoll instance.
#[derive(Debug)]
pub(crate) struct Selector {
    epoll: OwnedFd,
}

impl Selector {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { epoll: epoll::create(epoll::CreateFlags::CLOEXEC)? })
    }

    /// A number that is known already belongs to a registration that was lost track of; the new one takes its place.
    pub(crate) fn add(&self, token: Token, interest: Interest) -> io::Result<()> {
        let (descriptor, data, flags) = arguments(token, interest)?;
        match epoll::add(&self.epoll, descriptor, data, flags) {
            Err(Errno::EXIST) => Ok(epoll::modify(&self.epoll, descriptor, data, flags)?),
            answer => Ok(answer?),
        }
    }

    /// A number that is not known any more was closed and used again; what it is now is watched instead.
    pub(crate) fn modify(&self, token: Token, interest: Interest) -> io::Result<()> {
        let (descriptor, data, flags) = arguments(token, interest)?;
        match epoll::modify(&self.epoll, descriptor, data, flags) {
            Err(Errno::NOENT) => Ok(epoll::add(&self.epoll, descriptor, data, flags)?),
            answer => Ok(answer?),
        }
    }

    pub(crate) fn remove(&self, token: Token) -> io::Result<()> {
        Ok(epoll::delete(&self.epoll, Descriptor::new(token.fd())?)?)
    }

    pub(crate) fn wait(&self, events: &mut EventBuffer, timeout: Option<Duration>) -> io::Result<()> {
        events.clear();
        let Some(timeout) = timeout.filter(|timeout| !timeout.is_zero()) else {
            return self.wait_milliseconds(events, timeout.map(|_| 0));
        };
        if !LACKS_NANOSECONDS.load(Ordering::Relaxed) {
            match self.wait_nanoseconds(events, timeout) {
                // Sandboxes that do not know a call answer EPERM instead of ENOSYS.
                Err(Errno::NOSYS | Errno::PERM) => LACKS_NANOSECONDS.store(true, Ordering::Relaxed),
                answer => return Ok(answer?),
            }
        }
        self.wait_milliseconds(events, Some(round_up(timeout)))
    }

    /// Whole milliseconds, up to what the old call takes.
    fn wait_milliseconds(&self, events: &mut EventBuffer, timeout: Option<i32>) -> io::Result<()> {
        let timeout = timeout
            .map(|timeout| Timespec { tv_sec: (timeout / 1000).into(), tv_nsec: (timeout % 1000 * 1_000_000).into() });
        epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events.entries), timeout.as_ref())?;
        Ok(())
    }

    /// `rustix` asks for nanoseconds only where no older kernel needs to be thought of.
    fn wait_nanoseconds(&self, events: &mut EventBuffer, timeout: Duration) -> rustix::io::Result<()> {
        let timeout = Timespec {
            tv_sec: timeout.as_secs().try_into().unwrap_or(i64::MAX),
            tv_nsec: timeout.subsec_nanos().into(),
        };
        let capacity = i32::try_from(events.entries.capacity()).unwrap_or(i32::MAX);
        // SAFETY: the buffer is empty and has room for `capacity` entries of the kernel's form, `timeout` outlives the call and is
        // what 64-bit calls take, and a null mask changes no signals (R2, R4).
        let count = unsafe {
            libc::syscall(
                libc::SYS_epoll_pwait2,
                self.epoll.as_raw_fd(),
                events.entries.as_mut_ptr(),
                capacity,
                &raw const timeout,
                ptr::null::<libc::sigset_t>(),
                0_usize,
            )
        };
        let Ok(count) = usize::try_from(count) else {
            return Err(Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::INVAL));
        };
        // SAFETY: the kernel has written this many entries, at most `capacity` (R3).
        unsafe { events.entries.set_len(count) };
        Ok(())
    }
}

fn arguments(token: Token, interest: Interest) -> io::Result<(Descriptor, epoll::EventData, epoll::EventFlags)> {
    let mut flags = epoll::EventFlags::empty();
    flags.set(epoll::EventFlags::IN, interest.contains(Interest::READ));
    flags.set(epoll::EventFlags::OUT, interest.contains(Interest::WRITE));
    flags.set(epoll::EventFlags::ET, interest.contains(Interest::EDGE));
    Ok((Descriptor::new(token.fd())?, epoll::EventData::new_u64(token.bits()), flags))
}

/// Milliseconds that are no shorter than `timeout`, or the most that the old call takes.
fn round_up(timeout: Duration) -> i32 {
    timeout.as_nanos().div_ceil(1_000_000).try_into().unwrap_or(i32::MAX)
}

/// Errors and hang-ups come unasked, and count as both directions.
pub(super) fn event(entry: &Entry) -> Event {
    let epoll::Event { flags, data, .. } = *entry;
    Event {
        token: Token::from_bits(data.u64()),
        readable: flags.intersects(epoll::EventFlags::OUT.complement()),
        writable: flags.intersects(epoll::EventFlags::IN.complement()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::now;

    #[test]
    fn milliseconds_are_rounded_up() {
        let cases = [(1, 1), (1_000_000, 1), (1_000_001, 2), (u64::MAX, i32::MAX)];
        for (nanoseconds, milliseconds) in cases {
            assert_eq!(round_up(Duration::from_nanos(nanoseconds)), milliseconds);
        }
    }

    #[test]
    fn both_ways_to_wait_take_at_least_their_time() {
        let selector = Selector::new().unwrap();
        let mut events = EventBuffer::with_capacity(1);
        let timeout = Duration::from_micros(1_500);
        let start = now();
        selector.wait_milliseconds(&mut events, Some(round_up(timeout))).unwrap();
        let middle = now();
        assert!(middle - start >= 1_500_000);
        // Kernels before 5.11 have one way only.
        if selector.wait_nanoseconds(&mut events, timeout).is_ok() {
            assert!(now() - middle >= 1_500_000);
        }
    }
}
