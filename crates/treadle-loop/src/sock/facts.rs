//! What is known of Python's sockets: their methods, by which a subclass that overrides one is told apart, and their families.

use treadle_reactor::{Address, RawFd};

use crate::address::{self, Family};
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
    unix: i64,
    pub(super) stream: i64,
    setblocking: Object,
    pub(super) memoryview: Object,
    audit: Object,
    connecting: Object,
}

impl Facts {
    pub(crate) fn new() -> Result<Self> {
        let module = Object::import(c"socket")?;
        let class = module.member(c"socket")?;
        // The methods in C, also where somebody has wrapped the class's.
        let native = Object::import(c"_socket")?.member(c"socket")?;
        let number = |name| module.member(name)?.to_integer();
        Ok(Self {
            recv: native.member(c"recv")?,
            recv_into: native.member(c"recv_into")?,
            recvfrom: native.member(c"recvfrom")?,
            recvfrom_into: native.member(c"recvfrom_into")?,
            send: native.member(c"send")?,
            sendto: native.member(c"sendto")?,
            accept: class.member(c"accept")?,
            connect: native.member(c"connect")?,
            fileno: native.member(c"fileno")?,
            family: native.member(c"family")?,
            kind: native.member(c"type")?,
            protocol: native.member(c"proto")?,
            nonblocking: number(c"SOCK_NONBLOCK").unwrap_or_else(|raised| {
                raised.forget();
                0
            }),
            inet: number(c"AF_INET")?,
            inet6: number(c"AF_INET6")?,
            unix: number(c"AF_UNIX")?,
            stream: number(c"SOCK_STREAM")?,
            setblocking: native.member(c"setblocking")?,
            memoryview: Object::import(c"builtins")?.member(c"memoryview")?,
            audit: Object::import(c"sys")?.member(c"audit")?,
            connecting: Object::interned(c"socket.connect")?,
            shown: Object::import(c"asyncio.trsock")?.member(c"TransportSocket")?,
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
        Ok(self.family(socket)? != Family::Other)
    }

    pub(super) fn is_unix(&self, socket: &Object) -> Result<bool> {
        Ok(self.family(socket)? == Family::Unix)
    }

    /// Family, kind and protocol of a socket.
    pub(super) fn numbers_of(&self, socket: &Object) -> Result<[i64; 3]> {
        let number = |attribute: &Object| attribute.method(&names().__get__, [socket])?.to_integer();
        Ok([number(&self.family)?, number(&self.kind)?, number(&self.protocol)?])
    }

    fn family(&self, socket: &Object) -> Result<Family> {
        Ok(self.family_of(self.family.method(&names().__get__, [socket])?.to_integer()?))
    }

    pub(super) fn family_of(&self, number: i64) -> Family {
        let families = [(self.inet, Family::Inet), (self.inet6, Family::Inet6), (self.unix, Family::Unix)];
        families.into_iter().find(|(known, _)| *known == number).map_or(Family::Other, |(_, family)| family)
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

    /// A host and port in numbers, of the socket's family.
    pub(super) fn numbers(&self, socket: &Object, address: &Object) -> Result<Option<Address>> {
        let family = self.family(socket)?;
        Ok(if family == Family::Unix { None } else { address::parse(family, address) })
    }
}

/// Whether an address goes to `connect` as it is: it is in numbers, or its family has no names.
pub(super) fn is_resolved(socket: &Object, address: &Object) -> Result<bool> {
    let facts = &known().sock;
    if !socket.is_of(&facts.class) {
        return Ok(false);
    }
    Ok(facts.is_unix(socket)? || facts.numbers(socket, address)?.is_some())
}
