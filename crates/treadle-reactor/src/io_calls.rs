//! Plain calls on descriptors that do not block, each once: `Interrupted` is retried, `WouldBlock` is an `io::Error` like any other.
//!
//! Whether a descriptor blocks is its owner's matter; on one that does, so do these. None of them raises SIGPIPE on a socket.

use std::io;
use std::os::fd::OwnedFd;

use rustix::io::{Errno, IoSlice, retry_on_intr};
use rustix::net::{RecvFlags, SendFlags};

use crate::sys::Descriptor;
use crate::{Address, RawFd};

/// What a [`connect`] has come to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Connecting {
    /// The socket is connected.
    Done,
    /// It will become writable; [`take_error`] then tells whether it is connected.
    InProgress,
}

#[cfg(target_os = "linux")]
const SEND: SendFlags = SendFlags::NOSIGNAL;
/// Sockets are told not to signal when they are accepted or connected, because a call cannot be.
#[cfg(target_vendor = "apple")]
const SEND: SendFlags = SendFlags::empty();

/// Reads into `buffer`; zero bytes are the end.
pub fn read(fd: RawFd, buffer: &mut [u8]) -> io::Result<usize> {
    let descriptor = Descriptor::new(fd)?;
    Ok(retry_on_intr(|| rustix::io::read(descriptor, &mut *buffer))?)
}

/// Writes what the kernel takes.
pub fn write(fd: RawFd, bytes: &[u8]) -> io::Result<usize> {
    let descriptor = Descriptor::new(fd)?;
    Ok(retry_on_intr(|| rustix::io::write(descriptor, bytes))?)
}

/// Writes what the kernel takes of several slices, in order.
pub fn write_vectored(fd: RawFd, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    let descriptor = Descriptor::new(fd)?;
    Ok(retry_on_intr(|| rustix::io::writev(descriptor, slices))?)
}

/// Receives into `buffer`; on a stream, zero bytes are the end.
pub fn recv(fd: RawFd, buffer: &mut [u8]) -> io::Result<usize> {
    let descriptor = Descriptor::new(fd)?;
    Ok(retry_on_intr(|| rustix::net::recv(descriptor, &mut *buffer, RecvFlags::empty()))?.0)
}

/// Receives a datagram and where it is from.
pub fn recvfrom(fd: RawFd, buffer: &mut [u8]) -> io::Result<(usize, Address)> {
    let descriptor = Descriptor::new(fd)?;
    let (count, _, address) = retry_on_intr(|| rustix::net::recvfrom(descriptor, &mut *buffer, RecvFlags::empty()))?;
    Ok((count, Address::from_kernel(address.as_ref())))
}

/// Sends what the kernel takes.
pub fn send(fd: RawFd, bytes: &[u8]) -> io::Result<usize> {
    let descriptor = Descriptor::new(fd)?;
    Ok(retry_on_intr(|| rustix::net::send(descriptor, bytes, SEND))?)
}

/// Sends what the kernel takes of several slices, in order; on a datagram socket they are one datagram.
pub fn send_vectored(fd: RawFd, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    let descriptor = Descriptor::new(fd)?;
    Ok(retry_on_intr(|| {
        rustix::net::sendmsg(descriptor, slices, &mut rustix::net::SendAncillaryBuffer::default(), SEND)
    })?)
}

/// Sends a datagram.
pub fn sendto(fd: RawFd, bytes: &[u8], address: &Address) -> io::Result<usize> {
    let (descriptor, address) = (Descriptor::new(fd)?, address.to_kernel()?);
    Ok(retry_on_intr(|| rustix::net::sendto(descriptor, bytes, SEND, &address))?)
}

/// Accepts a connection, as a descriptor that does not block and is closed on `exec`, and tells where it is from.
#[cfg(target_os = "linux")]
pub fn accept(fd: RawFd) -> io::Result<(OwnedFd, Address)> {
    use rustix::net::SocketFlags;

    let descriptor = Descriptor::new(fd)?;
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let (accepted, address) = retry_on_intr(|| rustix::net::acceptfrom_with(descriptor, flags))?;
    Ok((accepted, Address::from_kernel(address.as_ref())))
}

/// Accepts a connection, as a descriptor that does not block and is closed on `exec`, and tells where it is from.
///
/// No call does all of that here, so a process that forks in between inherits the descriptor. A connection that was reset
/// already takes no options, and is accepted all the same: its first read tells.
#[cfg(target_vendor = "apple")]
pub fn accept(fd: RawFd) -> io::Result<(OwnedFd, Address)> {
    let descriptor = Descriptor::new(fd)?;
    let accepted = retry_on_intr(|| rustix::net::accept(descriptor))?;
    rustix::io::fcntl_setfd(&accepted, rustix::io::FdFlags::CLOEXEC)?;
    rustix::io::ioctl_fionbio(&accepted, true)?;
    let _ = rustix::net::sockopt::set_socket_nosigpipe(&accepted, true);
    // The peer may be gone again.
    let address = peer_name(std::os::fd::AsRawFd::as_raw_fd(&accepted)).unwrap_or(Address::Unnamed);
    Ok((accepted, address))
}

/// Connects, or begins to.
///
/// `WouldBlock` is an error here: it says that a Unix server's queue is full, and that nothing was begun.
pub fn connect(fd: RawFd, address: &Address) -> io::Result<Connecting> {
    let (descriptor, address) = (Descriptor::new(fd)?, address.to_kernel()?);
    #[cfg(target_vendor = "apple")]
    let _ = rustix::net::sockopt::set_socket_nosigpipe(descriptor, true);
    match rustix::net::connect(descriptor, &address) {
        Ok(()) => Ok(Connecting::Done),
        // An interrupted connect goes on by itself, and must not be called again.
        Err(Errno::INPROGRESS | Errno::INTR) => Ok(Connecting::InProgress),
        Err(error) => Err(error.into()),
    }
}

/// What a [`connect`] to this address that was in progress has come to by now. Its error, if it has failed, is cleared.
pub fn connect_again(fd: RawFd, address: &Address) -> io::Result<Connecting> {
    match rustix::net::connect(Descriptor::new(fd)?, &address.to_kernel()?) {
        Ok(()) | Err(Errno::ISCONN) => Ok(Connecting::Done),
        Err(Errno::INPROGRESS | Errno::ALREADY | Errno::INTR) => Ok(Connecting::InProgress),
        Err(error) => Err(error.into()),
    }
}

/// The socket's pending error, which is cleared; `Ok(None)` if there is none.
pub fn take_error(fd: RawFd) -> io::Result<Option<io::Error>> {
    Ok(rustix::net::sockopt::socket_error(Descriptor::new(fd)?)?.err().map(io::Error::from))
}

/// Sends nothing more, and tells the peer.
pub fn shutdown_write(fd: RawFd) -> io::Result<()> {
    Ok(rustix::net::shutdown(Descriptor::new(fd)?, rustix::net::Shutdown::Write)?)
}

/// The address of the other end.
pub fn peer_name(fd: RawFd) -> io::Result<Address> {
    Ok(Address::from_kernel(rustix::net::getpeername(Descriptor::new(fd)?)?.as_ref()))
}

/// The address of this end.
pub fn sock_name(fd: RawFd) -> io::Result<Address> {
    Ok(Address::from_kernel(Some(&rustix::net::getsockname(Descriptor::new(fd)?)?)))
}

/// Sends small segments at once. Fails on what is not TCP.
pub fn set_nodelay(fd: RawFd) -> io::Result<()> {
    Ok(rustix::net::sockopt::set_tcp_nodelay(Descriptor::new(fd)?, true)?)
}

/// Another descriptor of the same file, closed on `exec`.
pub fn duplicate(fd: RawFd) -> io::Result<OwnedFd> {
    Ok(rustix::io::fcntl_dupfd_cloexec(Descriptor::new(fd)?, 0)?)
}

/// Fails if no descriptor has this number.
pub(crate) fn check_open(fd: RawFd) -> io::Result<()> {
    rustix::io::fcntl_getfd(Descriptor::new(fd)?)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, UdpSocket};
    use std::os::fd::AsRawFd;
    use std::os::unix::net::{UnixDatagram, UnixStream};

    use super::*;
    use crate::{Events, Interest, Poll, Registry};

    fn inet(address: std::net::SocketAddr) -> Address {
        match address {
            std::net::SocketAddr::V4(address) => Address::Inet(address),
            std::net::SocketAddr::V6(address) => Address::Inet6(address),
        }
    }

    /// Waits until the descriptor is ready, so that what follows does not depend on how fast the kernel is.
    fn wait_for(fd: RawFd, interest: Interest) {
        let poll = Poll::new().unwrap();
        Registry::new().register(&poll, fd, interest, ()).unwrap();
        poll.wait(&mut Events::with_capacity(1), None).unwrap();
    }

    fn connecting_socket() -> OwnedFd {
        let socket =
            rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::STREAM, None).unwrap();
        rustix::io::ioctl_fionbio(&socket, true).unwrap();
        socket
    }

    #[test]
    fn what_is_not_there_yet_would_block() {
        let (near, far) = UnixStream::pair().unwrap();
        near.set_nonblocking(true).unwrap();
        let mut buffer = [0; 8];
        for answer in [recv(near.as_raw_fd(), &mut buffer), read(near.as_raw_fd(), &mut [0; 8])] {
            assert_eq!(answer.unwrap_err().kind(), io::ErrorKind::WouldBlock);
        }
        send(far.as_raw_fd(), b"hello").unwrap();
        assert_eq!(recv(near.as_raw_fd(), &mut buffer).unwrap(), 5);
        assert_eq!(&buffer[..5], b"hello");
        shutdown_write(far.as_raw_fd()).unwrap();
        assert_eq!(recv(near.as_raw_fd(), &mut buffer).unwrap(), 0);
    }

    #[test]
    fn a_connection_is_accepted_and_both_ends_have_names() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = inet(listener.local_addr().unwrap());
        let client = connecting_socket();
        if connect(client.as_raw_fd(), &address).unwrap() == Connecting::InProgress {
            wait_for(client.as_raw_fd(), Interest::WRITE);
        }
        assert!(take_error(client.as_raw_fd()).unwrap().is_none());
        let (server, client_name) = accept(listener.as_raw_fd()).unwrap();
        assert!(rustix::io::fcntl_getfd(&server).unwrap().contains(rustix::io::FdFlags::CLOEXEC));
        assert_eq!(recv(server.as_raw_fd(), &mut [0]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        set_nodelay(server.as_raw_fd()).unwrap();
        assert!(rustix::net::sockopt::tcp_nodelay(&server).unwrap());
        assert_eq!(peer_name(client.as_raw_fd()).unwrap(), address);
        assert_eq!(sock_name(server.as_raw_fd()).unwrap(), address);
        assert_eq!(peer_name(server.as_raw_fd()).unwrap(), client_name);
        assert_eq!(sock_name(client.as_raw_fd()).unwrap(), client_name);
    }

    #[test]
    fn nobody_to_accept_would_block() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        assert_eq!(accept(listener.as_raw_fd()).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn a_connection_that_is_refused_says_so() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = inet(listener.local_addr().unwrap());
        drop(listener);
        let client = connecting_socket();
        let error = match connect(client.as_raw_fd(), &address) {
            Ok(_) => {
                wait_for(client.as_raw_fd(), Interest::WRITE);
                take_error(client.as_raw_fd()).unwrap().expect("nobody listens there")
            }
            Err(error) => error,
        };
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }

    #[test]
    fn datagrams_tell_where_they_are_from() {
        let (near, far) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        let (near_name, far_name) = (inet(near.local_addr().unwrap()), inet(far.local_addr().unwrap()));
        assert_eq!(sendto(near.as_raw_fd(), b"datagram", &far_name).unwrap(), 8);
        let mut buffer = [0; 4];
        assert_eq!(recvfrom(far.as_raw_fd(), &mut buffer).unwrap(), (4, near_name));
        assert_eq!(&buffer, b"data");
    }

    #[test]
    fn datagrams_of_an_unbound_socket_are_from_nobody() {
        let (near, far) = UnixDatagram::pair().unwrap();
        near.send(b"x").unwrap();
        assert_eq!(recvfrom(far.as_raw_fd(), &mut [0; 4]).unwrap(), (1, Address::Unnamed));
        assert_eq!(sock_name(near.as_raw_fd()).unwrap(), Address::Unnamed);
        assert_eq!(peer_name(near.as_raw_fd()).unwrap(), Address::Unnamed);
    }

    #[test]
    fn slices_of_one_call_are_one_datagram() {
        let (near, far) = UnixDatagram::pair().unwrap();
        send_vectored(near.as_raw_fd(), &[IoSlice::new(b"one "), IoSlice::new(b"datagram")]).unwrap();
        assert_eq!(recv(far.as_raw_fd(), &mut [0; 64]).unwrap(), 12);
    }

    #[test]
    fn a_number_that_names_nothing_is_an_error_of_every_call() {
        for fd in [-1, RawFd::MAX] {
            assert!(read(fd, &mut [0]).is_err() && send(fd, b"x").is_err() && accept(fd).is_err());
            assert!(sock_name(fd).is_err() && take_error(fd).is_err() && duplicate(fd).is_err());
        }
    }
}
