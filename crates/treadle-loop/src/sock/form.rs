//! What a socket object is made of, in numbers.

use treadle_reactor::RawFd;

use super::What;
use super::attempt::is_plain;
use crate::address::Family;
use crate::ffi::{Object, Result};
use crate::known::known;

/// Family, kind and protocol of a socket.
#[derive(Clone, Copy)]
pub(crate) struct Form {
    numbers: [i32; 3],
    pub(super) family: Family,
}

impl Form {
    /// That of a socket, which is one of Python's.
    pub(super) fn of(socket: &Object) -> Result<Self> {
        let numbers = known().sock.numbers_of(socket)?;
        Ok(Self { numbers: numbers.map(|number| number as i32), family: known().sock.family_of(numbers[0]) })
    }

    /// That of the connections that a socket accepts, if it is one of Python's own and addresses of its family are known here.
    pub(crate) fn of_listener(listener: &Object) -> Result<Option<Self>> {
        if !is_plain(What::Accept, listener)? {
            return Ok(None);
        }
        Ok(Some(Self::of(listener)?).filter(|form| form.family != Family::Other))
    }

    /// Whether small segments may be held back.
    pub(crate) fn has_nagle(self) -> bool {
        self.family != Family::Unix && i64::from(self.numbers[1]) == known().sock.stream
    }

    /// How an address that is none is shown.
    pub(crate) fn unnamed(self) -> Result<Object> {
        if self.family == Family::Unix { Object::text("") } else { Ok(Object::none()) }
    }

    /// A socket object: a new one, or the owner of a descriptor that does not block, which is still the caller's if that fails.
    pub(crate) fn socket(self, fd: Option<RawFd>) -> Result<Object> {
        let facts = &known().sock;
        let [family, kind, protocol] = self.numbers.map(i64::from);
        let kind = Object::integer(kind | facts.nonblocking)?;
        let (family, protocol) = (Object::integer(family)?, Object::integer(protocol)?);
        match fd {
            Some(fd) => facts.class().call([&family, &kind, &protocol, &Object::integer(fd.into())?]),
            None => facts.class().call([&family, &kind, &protocol]),
        }
    }
}
