//! What a socket object is made of, in numbers.

use treadle_reactor::RawFd;

use super::What;
use super::attempt::is_plain;
use crate::ffi::{Object, Result};
use crate::known::known;

/// Family, kind and protocol of a socket.
#[derive(Clone, Copy)]
pub(crate) struct Form {
    family: i32,
    kind: i32,
    protocol: i32,
}

impl Form {
    /// That of the connections that a socket accepts, if it is one of Python's own and addresses of its family are known here.
    pub(crate) fn of_listener(listener: &Object) -> Result<Option<Self>> {
        let facts = &known().sock;
        if !is_plain(What::Accept, listener)? || !facts.is_known_family(listener)? {
            return Ok(None);
        }
        let [family, kind, protocol] = facts.form(listener)?;
        Ok(Some(Self { family, kind, protocol }))
    }

    pub(crate) fn is_unix(self) -> bool {
        i64::from(self.family) == known().sock.unix
    }

    /// Whether small segments may be held back.
    pub(crate) fn has_nagle(self) -> bool {
        !self.is_unix() && i64::from(self.kind) == known().sock.stream
    }

    /// How an address that is none is shown.
    pub(crate) fn unnamed(self) -> Result<Object> {
        if self.is_unix() { Object::text("") } else { Ok(Object::none()) }
    }

    /// A socket object: a new one, or the owner of a descriptor that does not block, which is still the caller's if that fails.
    pub(crate) fn socket(self, fd: Option<RawFd>) -> Result<Object> {
        let facts = &known().sock;
        let kind = i64::from(self.kind) | facts.nonblocking;
        let number = |number: i32| Object::integer(i64::from(number));
        let [family, kind, protocol] = [number(self.family)?, Object::integer(kind)?, number(self.protocol)?];
        match fd {
            Some(fd) => facts.class().call([&family, &kind, &protocol, &number(fd)?]),
            None => facts.class().call([&family, &kind, &protocol]),
        }
    }
}
