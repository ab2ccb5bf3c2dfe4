//! Plain calls on descriptors that do not block, each once: `Interrupted` is retried, `WouldBlock` is an `io::Error` like any other.
//!
//! Whether a descriptor blocks is its owner's matter; on one that does, so do these. None of them raises SIGPIPE on a socket.

use std::io;
use std::mem::MaybeUninit;
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

/// Which direction a [`shutdown`] ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shutdown {
    /// Nothing more is received.
    Read,
    /// Nothing more is sent, and the peer is told.
    Write,
    /// Both.
    Both,
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

/// Receives into memory that nobody has written yet, and initialises as many bytes as it returns.
pub fn recv_uninit(fd: RawFd, buffer: &mut [MaybeUninit<u8>]) -> io::Result<usize> {
    let descriptor = Descriptor::new(fd)?;
    Ok(retry_on_intr(|| Ok(rustix::net::recv(descriptor, &mut *buffer, RecvFlags::empty())?.0.0.len()))?)
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

/// Accepts a connection, as a descriptor that does not block and is closed on `exec`.
#[cfg(target_os = "linux")]
pub fn accept(fd: RawFd) -> io::Result<OwnedFd> {
    use rustix::net::SocketFlags;

    let descriptor = Descriptor::new(fd)?;
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    Ok(retry_on_intr(|| rustix::net::accept_with(descriptor, flags))?)
}

/// Accepts a connection, as a descriptor that does not block and is closed on `exec`.
///
/// No call does all of that here, so a process that forks in between inherits the descriptor. A connection that was reset
/// already takes no options, and is accepted all the same: its first read tells.
#[cfg(target_vendor = "apple")]
pub fn accept(fd: RawFd) -> io::Result<OwnedFd> {
    let descriptor = Descriptor::new(fd)?;
    let accepted = retry_on_intr(|| rustix::net::accept(descriptor))?;
    rustix::io::fcntl_setfd(&accepted, rustix::io::FdFlags::CLOEXEC)?;
    rustix::io::ioctl_fionbio(&accepted, true)?;
    let _ = rustix::net::sockopt::set_socket_nosigpipe(&accepted, true);
    Ok(accepted)
}

/// Accepts a connection as [`accept`] does, and tells where it is from.
#[cfg(target_os = "linux")]
pub fn accept_from(fd: RawFd) -> io::Result<(OwnedFd, Address)> {
    use rustix::net::SocketFlags;

    let descriptor = Descriptor::new(fd)?;
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let (accepted, address) = retry_on_intr(|| rustix::net::acceptfrom_with(descriptor, flags))?;
    Ok((accepted, Address::from_kernel(address.as_ref())))
}

/// Accepts a connection as [`accept`] does, and tells where it is from.
#[cfg(target_vendor = "apple")]
pub fn accept_from(fd: RawFd) -> io::Result<(OwnedFd, Address)> {
    let accepted = accept(fd)?;
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

/// Ends one direction of a connection, or both.
pub fn shutdown(fd: RawFd, how: Shutdown) -> io::Result<()> {
    let how = match how {
        Shutdown::Read => rustix::net::Shutdown::Read,
        Shutdown::Write => rustix::net::Shutdown::Write,
        Shutdown::Both => rustix::net::Shutdown::Both,
    };
    Ok(rustix::net::shutdown(Descriptor::new(fd)?, how)?)
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

/// Whether calls on the descriptor fail with `WouldBlock` instead of blocking.
pub fn set_nonblocking(fd: RawFd, is_nonblocking: bool) -> io::Result<()> {
    Ok(rustix::io::ioctl_fionbio(Descriptor::new(fd)?, is_nonblocking)?)
}

/// Sends up to `count` bytes of a file, from `offset`, to a socket; zero bytes are the file's end.
#[cfg(target_os = "linux")]
pub fn sendfile(output: RawFd, input: RawFd, offset: u64, count: usize) -> io::Result<usize> {
    let (output, input) = (Descriptor::new(output)?, Descriptor::new(input)?);
    Ok(retry_on_intr(|| rustix::fs::sendfile(output, input, Some(&mut { offset }), count))?)
}

/// Sends up to `count` bytes of a file, from `offset`, to a socket; zero bytes are the file's end.
#[cfg(target_vendor = "apple")]
pub fn sendfile(output: RawFd, input: RawFd, offset: u64, count: usize) -> io::Result<usize> {
    let (output, input) = (Descriptor::new(output)?, Descriptor::new(input)?);
    Ok(retry_on_intr(|| crate::sys::sendfile(output, input, offset, count))?)
}

/// A descriptor that becomes readable when the process ends. The error is the kernel's `ESRCH` if there is no such process.
#[cfg(target_os = "linux")]
pub fn pidfd_open(pid: i32) -> io::Result<OwnedFd> {
    use rustix::process::{Pid, PidfdFlags};

    let pid = (pid > 0).then(|| Pid::from_raw(pid)).flatten().ok_or(Errno::INVAL)?;
    Ok(rustix::process::pidfd_open(pid, PidfdFlags::empty())?)
}

/// Fails if no descriptor has this number.
pub(crate) fn check_open(fd: RawFd) -> io::Result<()> {
    rustix::io::fcntl_getfd(Descriptor::new(fd)?)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{TcpListener, TcpStream, UdpSocket};
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
        set_nonblocking(socket.as_raw_fd(), true).unwrap();
        socket
    }

    #[test]
    fn what_is_not_there_yet_would_block() {
        let (near, far) = UnixStream::pair().unwrap();
        set_nonblocking(near.as_raw_fd(), true).unwrap();
        let mut buffer = [0; 8];
        for answer in [recv(near.as_raw_fd(), &mut buffer), read(near.as_raw_fd(), &mut [0; 8])] {
            assert_eq!(answer.unwrap_err().kind(), io::ErrorKind::WouldBlock);
        }
        send(far.as_raw_fd(), b"hello").unwrap();
        assert_eq!(recv(near.as_raw_fd(), &mut buffer).unwrap(), 5);
        assert_eq!(&buffer[..5], b"hello");
        shutdown(far.as_raw_fd(), Shutdown::Write).unwrap();
        assert_eq!(recv(near.as_raw_fd(), &mut buffer).unwrap(), 0);
    }

    #[test]
    fn memory_that_nobody_has_written_can_be_received_into() {
        let (near, mut far) = UnixStream::pair().unwrap();
        far.write_all(b"hello").unwrap();
        let mut buffer = [MaybeUninit::uninit(); 8];
        assert_eq!(recv_uninit(near.as_raw_fd(), &mut buffer).unwrap(), 5);
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
        let server = accept(listener.as_raw_fd()).unwrap();
        assert!(rustix::io::fcntl_getfd(&server).unwrap().contains(rustix::io::FdFlags::CLOEXEC));
        assert_eq!(recv(server.as_raw_fd(), &mut [0]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        set_nodelay(server.as_raw_fd()).unwrap();
        assert!(rustix::net::sockopt::tcp_nodelay(&server).unwrap());
        assert_eq!(peer_name(client.as_raw_fd()).unwrap(), address);
        assert_eq!(sock_name(server.as_raw_fd()).unwrap(), address);
        assert_eq!(peer_name(server.as_raw_fd()).unwrap(), sock_name(client.as_raw_fd()).unwrap());
    }

    #[test]
    fn nobody_to_accept_would_block() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        set_nonblocking(listener.as_raw_fd(), true).unwrap();
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
    fn a_file_is_sent_from_where_it_is_asked_to() {
        let path = std::env::temp_dir().join(format!("treadle-sendfile-{}", std::process::id()));
        std::fs::write(&path, b"0123456789").unwrap();
        let file = std::fs::File::open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        assert_eq!(sendfile(client.as_raw_fd(), file.as_raw_fd(), 4, 3).unwrap(), 3);
        assert_eq!(sendfile(client.as_raw_fd(), file.as_raw_fd(), 10, 3).unwrap(), 0);
        let mut buffer = [0; 8];
        assert_eq!(recv(server.as_raw_fd(), &mut buffer).unwrap(), 3);
        assert_eq!(&buffer[..3], b"456");
    }

    #[test]
    fn a_number_that_names_nothing_is_an_error_of_every_call() {
        for fd in [-1, RawFd::MAX] {
            assert!(read(fd, &mut [0]).is_err() && send(fd, b"x").is_err() && accept(fd).is_err());
            assert!(sock_name(fd).is_err() && take_error(fd).is_err() && set_nonblocking(fd, true).is_err());
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_process_that_ends_makes_its_descriptor_readable() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let process = pidfd_open(child.id().cast_signed()).unwrap();
        wait_for(process.as_raw_fd(), Interest::READ);
        assert!(child.wait().unwrap().success());
        assert!(pidfd_open(0).is_err() && pidfd_open(-1).is_err());
    }
}
