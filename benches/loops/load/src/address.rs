//! Where a server listens, as the benchmarks write it, and non-blocking sockets to and from there.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Context, bail};
use rustix::net::sockopt;

/// `tcp:127.0.0.1:8000`, `udp:127.0.0.1:8000` or `unix:/tmp/socket`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    Tcp(SocketAddr),
    Udp(SocketAddr),
    Unix(PathBuf),
}

impl Address {
    /// A connected socket.
    pub(crate) fn connect(&self) -> io::Result<OwnedFd> {
        let socket: OwnedFd = match self {
            Self::Tcp(address) => {
                let stream = TcpStream::connect(address)?;
                stream.set_nodelay(true)?;
                stream.into()
            }
            Self::Udp(address) => {
                let socket = UdpSocket::bind((address.ip(), 0))?;
                socket.connect(address)?;
                socket.into()
            }
            Self::Unix(path) => UnixStream::connect(path)?.into(),
        };
        rustix::io::ioctl_fionbio(&socket, true)?;
        Ok(socket)
    }

    /// A listening or, for datagrams, a bound socket, and where it really is.
    pub(crate) fn listen(&self) -> io::Result<(OwnedFd, Self)> {
        let (socket, actual): (OwnedFd, Self) = match self {
            Self::Tcp(address) => {
                let listener = TcpListener::bind(address)?;
                let actual = Self::Tcp(listener.local_addr()?);
                (listener.into(), actual)
            }
            Self::Udp(address) => {
                let socket = UdpSocket::bind(address)?;
                let actual = Self::Udp(socket.local_addr()?);
                (socket.into(), actual)
            }
            Self::Unix(path) => (UnixListener::bind(path)?.into(), self.clone()),
        };
        if !matches!(self, Self::Udp(_)) {
            // The standard library asks for a queue of 128; hundreds dial at once here.
            rustix::net::listen(&socket, 4096)?;
        }
        rustix::io::ioctl_fionbio(&socket, true)?;
        Ok((socket, actual))
    }

    /// Prepares an accepted socket.
    pub(crate) fn accepted(&self, socket: &OwnedFd) -> io::Result<()> {
        if matches!(self, Self::Tcp(_)) {
            sockopt::set_tcp_nodelay(socket, true)?;
        }
        Ok(())
    }
}

impl FromStr for Address {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let (kind, rest) = text.split_once(':').context("an address begins with `tcp:`, `udp:` or `unix:`")?;
        Ok(match kind {
            "tcp" => Self::Tcp(rest.parse()?),
            "udp" => Self::Udp(rest.parse()?),
            "unix" => Self::Unix(rest.into()),
            other => bail!("`{other}` is not `tcp`, `udp` or `unix`"),
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(formatter, "tcp:{address}"),
            Self::Udp(address) => write!(formatter, "udp:{address}"),
            Self::Unix(path) => write!(formatter, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_written_as_it_is_read() {
        for text in ["tcp:127.0.0.1:80", "udp:[::1]:53", "unix:/tmp/a:b"] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        assert!("sctp:127.0.0.1:80".parse::<Address>().is_err());
    }
}
