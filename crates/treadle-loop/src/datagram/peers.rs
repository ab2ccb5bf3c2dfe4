//! Addresses of peers in both forms, the kernel's and Python's, remembered because the next datagram is often from or for the same one.

use std::cell::{Cell, RefCell};

use treadle_reactor::Address;

use crate::address;
use crate::ffi::{Object, Result, Visit};

/// The address that was sent to last.
#[derive(Default)]
pub(super) struct Recent(Cell<Option<(Address, Object)>>);

impl Recent {
    /// Looks at it; nothing of Python's runs in `look`.
    fn with<T>(&self, look: impl FnOnce(&Address, &Object) -> Option<T>) -> Option<T> {
        let recent = self.0.take()?;
        let found = look(&recent.0, &recent.1);
        self.0.set(Some(recent));
        found
    }

    pub(super) fn traverse(&self, visit: &Visit<'_>) {
        self.with(|_, object| {
            visit.object(object);
            None::<()>
        });
    }

    pub(super) fn clear(&self) {
        drop(self.0.take());
    }

    pub(super) fn address_of(&self, object: &Object) -> Option<Address> {
        self.with(|address, known| known.is(object).then(|| address.clone()))
    }

    pub(super) fn remember(&self, address: Address, object: Object) {
        let old = self.0.replace(Some((address, object)));
        drop(old);
    }
}

/// The addresses of those who have sent something lately, whose objects are used again: making one is 11 % of an echo
/// with fifty peers, see benches/loops.
#[derive(Default)]
pub(super) struct Senders {
    /// One place for the only sender there was, or [`Self::PLACES`].
    known: RefCell<Vec<Option<(Address, Object)>>>,
    /// The place of the last one.
    last: Cell<usize>,
}

impl Senders {
    /// How many are remembered.
    const PLACES: usize = 256;

    pub(super) fn object_of(&self, address: Address) -> Result<Object> {
        if let Some(object) = self.find(&address) {
            return Ok(object);
        }
        let object = address::to_object(&address)?;
        let mut known = self.known.borrow_mut();
        let places = if known.is_empty() { 1 } else { Self::PLACES };
        known.resize_with(places, || None);
        let place = Self::place(&address, places);
        let old = known[place].replace((address, object.clone()));
        drop(known);
        drop(old);
        self.last.set(place);
        Ok(object)
    }

    fn find(&self, address: &Address) -> Option<Object> {
        let known = self.known.borrow();
        let place = Self::place(address, known.len());
        let (_, object) = known.get(place)?.as_ref().filter(|(sender, _)| sender == address)?;
        self.last.set(place);
        Some(object.clone())
    }

    /// The address of the last one, if the object is that one's.
    pub(super) fn address_of(&self, object: &Object) -> Option<Address> {
        let known = self.known.borrow();
        let (address, _) = known.get(self.last.get())?.as_ref().filter(|(_, sender)| sender.is(object))?;
        Some(address.clone())
    }

    /// The place of an address among so many, a power of two.
    fn place(address: &Address, places: usize) -> usize {
        let port = match address {
            Address::Inet(address) => address.port() ^ (u32::from(*address.ip()) as u16),
            Address::Inet6(address) => address.port() ^ address.ip().segments()[7],
            Address::Unix(path) => {
                path.iter().rev().take(8).fold(0_u16, |sum, byte| sum.wrapping_mul(31) ^ u16::from(*byte))
            }
            Address::Unnamed | Address::Other => 0,
        };
        usize::from(port.wrapping_mul(0x9e37) >> 8) & places.saturating_sub(1)
    }
}
