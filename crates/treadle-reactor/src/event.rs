//! The words of polling: what one wants to hear of a descriptor, whose it is, and what was heard.

use std::fmt;
use std::ops::BitOr;

use crate::RawFd;

/// What one wants to hear of a descriptor: a set of [`Interest::READ`] and [`Interest::WRITE`], and how often.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Interest(u8);

impl Interest {
    /// Nothing at all: the kernel does not watch the descriptor.
    pub const NONE: Self = Self(0);
    /// That a read would not block.
    pub const READ: Self = Self(1);
    /// That a write would not block.
    pub const WRITE: Self = Self(2);

    /// With the others: to hear of it once each time it comes true, instead of for as long as it is so. Only for those who try first, and wait
    /// when the call would block.
    pub const EDGE: Self = Self(4);

    /// What is in either.
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is in this one and not in `other`.
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether all of `other` is in this one.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether there is nothing to hear.
    pub const fn is_empty(self) -> bool {
        self.0 & (Self::READ.0 | Self::WRITE.0) == 0
    }
}

impl BitOr for Interest {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        self.union(other)
    }
}

impl fmt::Debug for Interest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self.without(Self::EDGE) {
            Self::NONE => "NONE",
            Self::READ => "READ",
            Self::WRITE => "WRITE",
            _ => "READ | WRITE",
        })?;
        formatter.write_str(if self.contains(Self::EDGE) { " | EDGE" } else { "" })
    }
}

/// Names a registration: the descriptor's number, and how often that number was registered before.
///
/// The kernel hands it back with each event, so an event of a registration that has ended is recognised by its token
/// even if the number is in use again.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Token(u64);

impl Token {
    /// The descriptor's number.
    pub const fn fd(self) -> RawFd {
        (self.0 as u32).cast_signed()
    }

    /// For the descriptor's number as an index, which fits in 31 bits.
    pub(crate) const fn new(index: usize, generation: u32) -> Self {
        Self((generation as u64) << 32 | index as u64)
    }

    pub(crate) const fn index(self) -> usize {
        (self.0 as u32) as usize
    }

    pub(crate) const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    pub(crate) const fn bits(self) -> u64 {
        self.0
    }

    pub(crate) const fn generation(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Token({}, generation {})", self.fd(), self.generation())
    }
}

/// That a descriptor is ready.
///
/// An error or a hang-up makes it both readable and writable, also where only one was asked for: whoever tries is told.
/// So the caller looks at what it asked for, as `asyncio` does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Event {
    /// The registration it belongs to, which may have ended since.
    pub token: Token,
    /// A read would not block.
    pub readable: bool,
    /// A write would not block.
    pub writable: bool,
}
