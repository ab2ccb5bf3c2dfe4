//! Socket addresses between Python and the kernel, where nothing needs to be looked up. Everything else is left to Python's socket.

use std::net::{Ipv6Addr, SocketAddrV4, SocketAddrV6};

use treadle_reactor::{Address, RawFd, io_calls};

use crate::ffi::{Object, Raised, Result};

/// Flow labels have 20 bits.
const MOST_FLOWINFO: u32 = 0xf_ffff;

/// What addresses of a socket look like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Family {
    Inet,
    Inet6,
    Unix,
    /// One whose addresses are not converted here.
    Other,
}

impl Family {
    /// The family of a socket, bound or not.
    pub(crate) fn of(fd: RawFd) -> Self {
        match io_calls::sock_name(fd) {
            Ok(Address::Inet(_)) => Self::Inet,
            Ok(Address::Inet6(_)) => Self::Inet6,
            Ok(Address::Unix(_) | Address::Unnamed) => Self::Unix,
            Ok(Address::Other) | Err(_) => Self::Other,
        }
    }
}

/// The address that a Python object means; nothing if that takes more than a look at it, or if it means none.
pub(crate) fn parse(family: Family, object: &Object) -> Option<Address> {
    match family {
        Family::Inet if object.tuple_length() == Some(2) => {
            Some(Address::Inet(SocketAddrV4::new(host(object)?.parse().ok()?, port(object)?)))
        }
        Family::Inet6 if object.tuple_length().is_some_and(|length| (2..=4).contains(&length)) => {
            let flowinfo = u32::try_from(number(object, 2)?).ok().filter(|flowinfo| *flowinfo <= MOST_FLOWINFO)?;
            let scope = u32::try_from(number(object, 3)?).ok()?;
            let address = SocketAddrV6::new(host(object)?.parse().ok()?, port(object)?, flowinfo, scope);
            Some(Address::Inet6(address))
        }
        Family::Unix => path(object).filter(|path| !path.is_empty()).map(Address::Unix),
        _ => None,
    }
}

/// What Python's `recvfrom` would give for an address. Of another family there is nothing to be said.
pub(crate) fn to_object(address: &Address) -> Result<Object> {
    to_object_or(address, &Object::none())
}

/// The same with something else for the address of a socket that has none.
pub(crate) fn to_object_or(address: &Address, unnamed: &Object) -> Result<Object> {
    match address {
        Address::Inet(address) => {
            Object::tuple([Object::text(&address.ip().to_string())?, Object::integer(address.port().into())?])
        }
        Address::Inet6(address) => Object::tuple([
            Object::text(&show(address.ip()))?,
            Object::integer(address.port().into())?,
            Object::integer(address.flowinfo().into())?,
            Object::integer(address.scope_id().into())?,
        ]),
        Address::Unix(path) => from_path(path),
        Address::Unnamed | Address::Other => Ok(unnamed.clone()),
    }
}

fn host(address: &Object) -> Option<String> {
    text(&item(address, 0)?)
}

fn port(address: &Object) -> Option<u16> {
    number(address, 1)?.try_into().ok()
}

/// An integer in a tuple; those that are left out are 0.
fn number(address: &Object, index: usize) -> Option<i64> {
    if address.tuple_length()? <= index {
        return Some(0);
    }
    let number = item(address, index)?;
    if number.is_integer() { known(number.to_integer()) } else { None }
}

fn path(address: &Object) -> Option<Vec<u8>> {
    match address.as_bytes() {
        Some(bytes) => Some(bytes.to_vec()),
        // The encoding of other names is Python's matter.
        None => text(address).filter(|path| path.is_ascii()).map(String::into_bytes),
    }
}

fn from_path(path: &[u8]) -> Result<Object> {
    let bytes = Object::bytes(path)?;
    match std::str::from_utf8(path) {
        _ if path.starts_with(b"\0") => Ok(bytes),
        Ok(text) if text.is_ascii() => Object::text(text),
        _ => Object::import(c"os")?.member(c"fsdecode")?.call([&bytes]),
    }
}

/// As `inet_ntop` writes it, which shows the last two words of `::a.b.c.d` as IPv4 too.
fn show(address: &Ipv6Addr) -> String {
    match address.segments() {
        [0, 0, 0, 0, 0, 0, high, _] if high != 0 => {
            let [.., a, b, c, d] = address.octets();
            format!("::{a}.{b}.{c}.{d}")
        }
        _ => address.to_string(),
    }
}

fn item(tuple: &Object, index: usize) -> Option<Object> {
    known(tuple.item(index))
}

fn text(object: &Object) -> Option<String> {
    if object.is_text() { known(object.to_text()) } else { None }
}

/// What failed is left to Python's socket, which says why.
fn known<T>(result: Result<T>) -> Option<T> {
    result.map_err(Raised::forget).ok()
}

#[cfg(test)]
mod tests {
    use super::show;

    #[test]
    fn ipv6_is_shown_as_inet_ntop_shows_it() {
        let cases =
            ["::", "::1", "::1.2.3.4", "::ffff:1.2.3.4", "fe80::1", "1:0:2::3", "1:0:0:2::", "2001:db8:0:1:1:1:1:1"];
        for case in cases {
            assert_eq!(show(&case.parse().unwrap()), case);
        }
    }
}
