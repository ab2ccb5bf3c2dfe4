//! Whether somebody has read from a descriptor, or written to it, since a moment ago: by how much is there to be read, or is not sent yet.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{SocketType, sockopt};

use crate::sys::{Descriptor, unsent};
use crate::{Interest, RawFd};

/// How a descriptor that is ready stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mark {
    fd: RawFd,
    is_reader: bool,
    /// How many bytes are there, or are not sent; nothing where the kernel does not say, as of an event counter.
    level: Option<u64>,
}

impl Mark {
    /// How a descriptor stands now. Nothing is said of datagrams, of which the kernel tells the length of the first one, and of sockets
    /// that listen.
    pub fn of(fd: RawFd, interest: Interest) -> Option<Self> {
        let descriptor = Descriptor::new(fd).ok()?;
        let is_reader = interest.contains(Interest::READ);
        let kind = sockopt::socket_type(descriptor).ok();
        if kind.is_some_and(|kind| kind != SocketType::STREAM)
            || kind.is_some() && sockopt::socket_acceptconn(descriptor).unwrap_or(true)
        {
            return None;
        }
        let there = || rustix::io::ioctl_fionread(descriptor).ok();
        let level = if is_reader { there() } else { unsent(descriptor).or_else(there) };
        // What can always be written to would never be seen to have been written to.
        (is_reader || level.is_some()).then_some(Self { fd, is_reader, level })
    }

    /// Whether nothing was read, or written, since then, and it is ready still.
    pub fn stands(self) -> bool {
        let (interest, flag) =
            if self.is_reader { (Interest::READ, PollFlags::IN) } else { (Interest::WRITE, PollFlags::OUT) };
        let Ok(descriptor) = Descriptor::new(self.fd) else { return false };
        let mut polled = [PollFd::new(&descriptor, flag)];
        let is_ready = poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok_and(|count| count > 0)
            && !polled[0].revents().contains(PollFlags::NVAL);
        is_ready && Self::of(self.fd, interest) == Some(self)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn reading_moves_a_mark_and_looking_does_not() {
        let (mut here, mut there) = UnixStream::pair().unwrap();
        there.write_all(b"ab").unwrap();
        let mark = Mark::of(here.as_raw_fd(), Interest::READ).unwrap();
        assert!(mark.stands());
        here.read_exact(&mut [0]).unwrap();
        assert!(!mark.stands());
        let mark = Mark::of(here.as_raw_fd(), Interest::READ).unwrap();
        here.read_exact(&mut [0]).unwrap();
        assert!(!mark.stands());
    }

    #[test]
    fn the_end_of_a_stream_is_there_for_ever() {
        let (mut here, there) = UnixStream::pair().unwrap();
        drop(there);
        let mark = Mark::of(here.as_raw_fd(), Interest::READ).unwrap();
        assert_eq!(here.read(&mut [0]).unwrap(), 0);
        assert!(mark.stands());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn writing_moves_a_mark() {
        let (mut here, _there) = UnixStream::pair().unwrap();
        let mark = Mark::of(here.as_raw_fd(), Interest::WRITE).unwrap();
        assert!(mark.stands());
        here.write_all(b"a").unwrap();
        assert!(!mark.stands());
    }

    #[test]
    fn datagrams_and_sockets_that_listen_are_left_alone() {
        let datagrams = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        assert_eq!(Mark::of(datagrams.as_raw_fd(), Interest::READ), None);
        assert_eq!(Mark::of(listener.as_raw_fd(), Interest::READ), None);
        assert_eq!(Mark::of(-1, Interest::READ), None);
    }
}
