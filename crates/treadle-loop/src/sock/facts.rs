//! What is known of Python's sockets: their methods, by which a subclass that overrides one is told apart, and their addresses.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6};

use treadle_reactor::{Address, RawFd};

use crate::ffi::{Object, Result};
use crate::known::{known, names};

/// Objects of the modules `socket`, `_socket` and others.
pub(crate) struct Facts {
    class: Object,
    /// `asyncio.trsock.TransportSocket`, which shows a transport's socket.
    shown: Object,
    pub(super) recv: Object,
    pub(super) recv_into: Object,
    pub(super) recvfrom: Object,
    pub(super) recvfrom_into: Object,
    pub(super) send: Object,
    pub(super) sendto: Object,
    pub(super) accept: Object,
    pub(super) connect: Object,
    fileno: Object,
    family: Object,
    kind: Object,
    protocol: Object,
    /// Makes a new socket object one that does not block, without a call of the system; 0 where that is not possible.
    pub(super) nonblocking: i64,
    inet: i64,
    inet6: i64,
    pub(super) unix: i64,
    pub(super) stream: i64,
    setblocking: Object,
    pub(super) memoryview: Object,
    fsdecode: Object,
    audit: Object,
    connecting: Object,
}

impl Facts {
    pub(crate) fn new() -> Result<Self> {
        let text = |name| Object::interned(name);
        let module = Object::import(c"socket")?;
        let class = module.attribute(&text(c"socket")?)?;
        // The methods in C, also where somebody has wrapped the class's.
        let native = Object::import(c"_socket")?.attribute(&text(c"socket")?)?;
        let number = |name| module.attribute(&Object::interned(name)?)?.to_integer();
        Ok(Self {
            recv: native.attribute(&text(c"recv")?)?,
            recv_into: native.attribute(&text(c"recv_into")?)?,
            recvfrom: native.attribute(&text(c"recvfrom")?)?,
            recvfrom_into: native.attribute(&text(c"recvfrom_into")?)?,
            send: native.attribute(&text(c"send")?)?,
            sendto: native.attribute(&text(c"sendto")?)?,
            accept: class.attribute(&text(c"accept")?)?,
            connect: native.attribute(&text(c"connect")?)?,
            fileno: native.attribute(&text(c"fileno")?)?,
            family: native.attribute(&text(c"family")?)?,
            kind: native.attribute(&text(c"type")?)?,
            protocol: native.attribute(&text(c"proto")?)?,
            nonblocking: number(c"SOCK_NONBLOCK").unwrap_or_else(|raised| {
                raised.forget();
                0
            }),
            inet: number(c"AF_INET")?,
            inet6: number(c"AF_INET6")?,
            unix: number(c"AF_UNIX")?,
            stream: number(c"SOCK_STREAM")?,
            setblocking: native.attribute(&text(c"setblocking")?)?,
            memoryview: Object::import(c"builtins")?.attribute(&text(c"memoryview")?)?,
            fsdecode: Object::import(c"os")?.attribute(&text(c"fsdecode")?)?,
            audit: Object::import(c"sys")?.attribute(&text(c"audit")?)?,
            connecting: text(c"socket.connect")?,
            shown: Object::import(c"asyncio.trsock")?.attribute(&text(c"TransportSocket")?)?,
            class,
        })
    }

    /// The socket's number as the socket has it, -1 if it is closed. `socket` is one of Python's.
    #[inline]
    pub(crate) fn descriptor(&self, socket: &Object) -> Result<RawFd> {
        Ok(self.fileno.call([socket])?.to_integer()? as RawFd)
    }

    /// The class `socket.socket`.
    #[inline]
    pub(super) fn class(&self) -> &Object {
        &self.class
    }

    /// A socket as programs see it that a transport owns.
    pub(crate) fn shown(&self, socket: &Object) -> Result<Object> {
        self.shown.call([socket])
    }

    /// Whether addresses of the socket's family are known here.
    pub(super) fn is_known_family(&self, socket: &Object) -> Result<bool> {
        let family = self.family(socket)?.to_integer()?;
        Ok([self.inet, self.inet6, self.unix].contains(&family))
    }

    pub(super) fn is_unix(&self, socket: &Object) -> Result<bool> {
        Ok(self.family(socket)?.to_integer()? == self.unix)
    }

    pub(super) fn is_stream(&self, socket: &Object) -> Result<bool> {
        Ok(self.kind.method(&names().__get__, [socket])?.to_integer()? == self.stream)
    }

    /// Family, kind and protocol of a socket.
    pub(super) fn form(&self, socket: &Object) -> Result<[i32; 3]> {
        let number = |attribute: &Object| -> Result<i32> {
            Ok(attribute.method(&names().__get__, [socket])?.to_integer()? as i32)
        };
        Ok([number(&self.family)?, number(&self.kind)?, number(&self.protocol)?])
    }

    fn family(&self, socket: &Object) -> Result<Object> {
        self.family.method(&names().__get__, [socket])
    }

    /// A socket object for a connection that `listener` has accepted, which does not block. If that fails, the descriptor is still the caller's.
    pub(super) fn accepted(&self, listener: &Object, fd: RawFd) -> Result<Object> {
        let kind = self.kind.method(&names().__get__, [listener])?.to_integer()?;
        let protocol = self.protocol.method(&names().__get__, [listener])?;
        let (kind, fd) = (Object::integer(kind | self.nonblocking)?, Object::integer(i64::from(fd))?);
        self.class.call([&self.family(listener)?, &kind, &protocol, &fd])
    }

    /// Tells a new socket object that it does not block, where it could not be made so.
    pub(crate) fn unblock(&self, socket: &Object) -> Result<()> {
        if self.nonblocking == 0 {
            self.setblocking.call([socket, &Object::bool(false)])?;
        }
        Ok(())
    }

    /// Raises the audit event of a connection.
    pub(super) fn audit_connect(&self, socket: &Object, address: &Object) -> Result<()> {
        self.audit.call([&self.connecting, socket, address]).map(drop)
    }

    /// An address as Python has it; `unnamed` if there is none.
    pub(crate) fn to_python(&self, address: &Address, unnamed: &Object) -> Result<Object> {
        match address {
            Address::Inet(address) => {
                Object::tuple([Object::text(&address.ip().to_string())?, Object::integer(i64::from(address.port()))?])
            }
            Address::Inet6(address) => Object::tuple([
                Object::text(&ipv6_text(*address.ip()))?,
                Object::integer(i64::from(address.port()))?,
                Object::integer(i64::from(address.flowinfo()))?,
                Object::integer(i64::from(address.scope_id()))?,
            ]),
            Address::Unix(path) if path.first() == Some(&0) => Object::bytes(path),
            Address::Unix(path) => self.fsdecode.call([&Object::bytes(path)?]),
            Address::Unnamed | Address::Other => Ok(unnamed.clone()),
        }
    }

    /// A host and port in numbers, of the socket's family.
    pub(super) fn to_kernel(&self, socket: &Object, address: &Object) -> Result<Option<Address>> {
        let Some(length @ 2..=4) = address.tuple_length() else { return Ok(None) };
        let (host, port) = (address.item(0)?, address.item(1)?);
        if !host.is_text() || !port.is_integer() {
            return Ok(None);
        }
        let family = self.family(socket)?.to_integer()?;
        let Ok(port) = u16::try_from(port.to_integer()?) else { return Ok(None) };
        let host = host.to_text()?;
        if family == self.inet && length == 2 {
            return Ok(host.parse::<Ipv4Addr>().ok().map(|host| Address::Inet(SocketAddrV4::new(host, port))));
        }
        if family != self.inet6 {
            return Ok(None);
        }
        let rest = |index| if index < length { address.item(index)?.to_integer() } else { Ok(0) };
        let (Ok(flow), Ok(scope)) = (u32::try_from(rest(2)?), u32::try_from(rest(3)?)) else { return Ok(None) };
        // Python refuses flows of more than 20 bits.
        if flow >= 1 << 20 {
            return Ok(None);
        }
        let host = host.parse::<Ipv6Addr>().ok();
        Ok(host.map(|host| Address::Inet6(SocketAddrV6::new(host, port, flow, scope))))
    }
}

/// As C's `inet_ntop` writes it, which shows the long-forgotten IPv4-compatible addresses in dots.
fn ipv6_text(host: Ipv6Addr) -> String {
    match host.octets() {
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d] if (a, b) != (0, 0) => format!("::{a}.{b}.{c}.{d}"),
        _ => host.to_string(),
    }
}

/// Whether an address goes to `connect` as it is: it is in numbers, or its family has no names.
pub(super) fn is_resolved(socket: &Object, address: &Object) -> Result<bool> {
    let facts = &known().sock;
    if !socket.is_of(&facts.class) {
        return Ok(false);
    }
    Ok(facts.is_unix(socket)? || facts.to_kernel(socket, address)?.is_some())
}
