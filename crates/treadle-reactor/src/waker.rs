//! Waking a [`Poll`](crate::Poll) from another thread, or from a signal handler.
//!
//! An eventfd on Linux, a pipe elsewhere. The waking end never blocks: if it is full, the poll is being woken already.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use crate::RawFd;

/// Makes its descriptor readable when told to. Register [`Waker::fd`] for reading, and [`drain`](Waker::drain) it when it is ready.
#[derive(Debug)]
pub struct Waker {
    reader: OwnedFd,
    /// An eventfd is its own other end.
    #[cfg(not(target_os = "linux"))]
    writer: OwnedFd,
}

#[cfg(target_os = "linux")]
impl Waker {
    /// A waker that nobody has woken.
    pub fn new() -> io::Result<Self> {
        use rustix::event::{EventfdFlags, eventfd};

        Ok(Self { reader: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)? })
    }

    fn writer(&self) -> &OwnedFd {
        &self.reader
    }
}

#[cfg(not(target_os = "linux"))]
impl Waker {
    /// A waker that nobody has woken.
    pub fn new() -> io::Result<Self> {
        let (reader, writer) = rustix::pipe::pipe()?;
        for end in [&reader, &writer] {
            rustix::io::fcntl_setfd(end, rustix::io::FdFlags::CLOEXEC)?;
            rustix::io::ioctl_fionbio(end, true)?;
        }
        Ok(Self { reader, writer })
    }

    fn writer(&self) -> &OwnedFd {
        &self.writer
    }
}

impl Waker {
    /// What becomes readable.
    pub fn fd(&self) -> RawFd {
        self.reader.as_raw_fd()
    }

    /// Another descriptor that makes it readable when eight bytes are written to it, for who may live longer than this.
    pub fn duplicate(&self) -> io::Result<OwnedFd> {
        self.writer().try_clone()
    }

    /// Makes it readable. Any thread may call this, and it never blocks.
    pub fn wake(&self) {
        // An eventfd takes eight bytes and adds them; a pipe takes any. The only failure is that it is full, and then it is readable.
        let _ = rustix::io::retry_on_intr(|| rustix::io::write(self.writer(), &1_u64.to_ne_bytes()));
    }

    /// Makes it unreadable until the next [`wake`](Waker::wake).
    pub fn drain(&self) {
        let mut bytes = [0; 1024];
        // A short read has emptied it, and an eventfd gives eight bytes at most.
        while rustix::io::retry_on_intr(|| rustix::io::read(&self.reader, &mut bytes)) == Ok(bytes.len()) {}
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{Events, Interest, Poll, Registry};

    #[test]
    fn another_thread_wakes_a_poll_that_would_wait_for_ever() {
        let (poll, waker) = (Poll::new().unwrap(), Waker::new().unwrap());
        let token = Registry::new().register(&poll, waker.fd(), Interest::READ, ()).unwrap();
        let mut events = Events::with_capacity(8);
        std::thread::scope(|scope| {
            scope.spawn(|| waker.wake());
            poll.wait(&mut events, None).unwrap();
        });
        assert_eq!(events.iter().map(|event| event.token).collect::<Vec<_>>(), [token]);
    }

    #[test]
    fn however_often_it_is_woken_one_drain_is_enough() {
        let (poll, waker) = (Poll::new().unwrap(), Waker::new().unwrap());
        Registry::new().register(&poll, waker.fd(), Interest::READ, ()).unwrap();
        let mut events = Events::with_capacity(8);
        for times in [1, 3, 1000] {
            (0..times).for_each(|_| waker.wake());
            waker.drain();
            poll.wait(&mut events, Some(Duration::ZERO)).unwrap();
            assert!(events.is_empty(), "{times}");
        }
    }
}
