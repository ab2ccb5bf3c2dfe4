//! Socket addresses, as the kernel has them and as Python tells them apart.

use std::io;
use std::net::{SocketAddrV4, SocketAddrV6};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrAny, SocketAddrUnix};

use crate::sys;

/// A socket's address.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Address {
    /// IPv4.
    Inet(SocketAddrV4),
    /// IPv6, with flow label and scope.
    Inet6(SocketAddrV6),
    /// A path in the file system, or, beginning with a NUL and kept whole, a Linux abstract name.
    Unix(Vec<u8>),
    /// The address of a Unix socket that was not bound, or of a connected stream, which tells none.
    Unnamed,
    /// A family that is not handled here.
    Other,
}

/// Where a Unix address's path begins: on Linux after a family of two bytes, on macOS after a length and a family of one each.
const PATH_OFFSET: usize = 2;

impl Address {
    pub(crate) fn from_kernel(address: Option<&SocketAddrAny>) -> Self {
        let Some(address) = address else { return Self::Unnamed };
        match address.address_family() {
            AddressFamily::INET => SocketAddrV4::try_from(address.clone()).map_or(Self::Other, Self::Inet),
            AddressFamily::INET6 => SocketAddrV6::try_from(address.clone()).map_or(Self::Other, Self::Inet6),
            // `rustix` expects every path to end with a NUL, and panics where the kernel has left it out.
            AddressFamily::UNIX => Self::from_path(sys::address_bytes(address).get(PATH_OFFSET..).unwrap_or_default()),
            AddressFamily::UNSPEC => Self::Unnamed,
            _ => Self::Other,
        }
    }

    fn from_path(path: &[u8]) -> Self {
        match path.iter().position(|byte| *byte == 0) {
            _ if path.is_empty() => Self::Unnamed,
            Some(0) if cfg!(target_os = "linux") => Self::Unix(path.to_vec()),
            Some(0) => Self::Unnamed,
            Some(end) => Self::Unix(path[..end].to_vec()),
            None => Self::Unix(path.to_vec()),
        }
    }

    pub(crate) fn to_kernel(&self) -> io::Result<SocketAddrAny> {
        Ok(match self {
            Self::Inet(address) => (*address).into(),
            Self::Inet6(address) => (*address).into(),
            Self::Unix(path) => unix(path)?.into(),
            Self::Unnamed | Self::Other => return Err(Errno::AFNOSUPPORT.into()),
        })
    }
}

fn unix(path: &[u8]) -> rustix::io::Result<SocketAddrUnix> {
    match path {
        #[cfg(target_os = "linux")]
        [0, name @ ..] => SocketAddrUnix::new_abstract_name(name),
        path => SocketAddrUnix::new(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(address: &Address) {
        assert_eq!(&Address::from_kernel(Some(&address.to_kernel().unwrap())), address);
    }

    #[test]
    fn addresses_survive_the_way_into_the_kernels_form_and_back() {
        check(&Address::Inet("127.0.0.1:80".parse().unwrap()));
        check(&Address::Inet6(SocketAddrV6::new("fe80::1".parse().unwrap(), 80, 7, 3)));
        check(&Address::Unix(b"/run/socket".to_vec()));
        // The longest path fills the field, and has no NUL at its end.
        check(&Address::Unix(vec![b'x'; if cfg!(target_os = "linux") { 108 } else { 104 }]));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn abstract_names_keep_their_nul_and_all_that_follows() {
        check(&Address::Unix(b"\0name\0more\0".to_vec()));
        check(&Address::Unix(b"\0".to_vec()));
    }

    #[test]
    fn what_cannot_be_an_address_is_an_error() {
        for path in [vec![b'x'; 109], b"nul\0inside".to_vec()] {
            assert!(Address::Unix(path).to_kernel().is_err());
        }
        assert!(Address::Unnamed.to_kernel().is_err());
    }
}
