//! Which descriptors are registered, for what, and who gets their events.
//!
//! One registration for each number. The table is indexed by the number, so a look-up is one bounds check. A slot
//! counts its registrations, and a token carries that count: tokens of registrations that have ended are recognised. Programs close
//! descriptors behind our back; the kernel then forgets them silently, and the next call on the number puts that right.

use std::io;

use crate::{Interest, Poll, RawFd, Token, io_calls};

/// Which descriptors are registered, for what, and who gets their events.
#[derive(Debug)]
pub struct Registry<T> {
    slots: Vec<Slot<T>>,
    len: usize,
}

#[derive(Debug)]
struct Slot<T> {
    /// Of the registration that lives here, or of the next one.
    generation: u32,
    interest: Interest,
    owner: Option<T>,
}

impl<T> Registry<T> {
    /// An empty one.
    pub const fn new() -> Self {
        Self { slots: Vec::new(), len: 0 }
    }

    /// Registers `fd` with the kernel, except for [`Interest::NONE`].
    ///
    /// Fails with `AlreadyExists` if the number is registered, or as the kernel does: `PermissionDenied` for what cannot be
    /// polled, such as regular files. The owner is dropped then.
    pub fn register(&mut self, poll: &Poll, fd: RawFd, interest: Interest, owner: T) -> io::Result<Token> {
        let index = usize::try_from(fd).map_err(|_| io::Error::from(rustix::io::Errno::BADF))?;
        let (generation, is_taken) =
            self.slots.get(index).map_or((0, false), |slot| (slot.generation, slot.owner.is_some()));
        if is_taken {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let token = Token::new(index, generation);
        if !interest.is_empty() {
            poll.add(token, interest)?;
        } else if index >= self.slots.len() {
            // The table grows for descriptors that exist, and not for any number somebody comes up with.
            io_calls::check_open(fd)?;
        }
        if index >= self.slots.len() {
            let vacant = || Slot { generation: 0, interest: Interest::NONE, owner: None };
            self.slots.resize_with((index + 1).next_power_of_two().max(64), vacant);
        }
        self.slots[index] = Slot { generation, interest, owner: Some(owner) };
        self.len += 1;
        Ok(token)
    }

    /// Changes what the kernel watches for; no call is made if that is so already. `NotFound` if the token is stale.
    pub fn set_interest(&mut self, poll: &Poll, token: Token, interest: Interest) -> io::Result<()> {
        let slot = self.slot_mut(token).ok_or(io::ErrorKind::NotFound)?;
        if slot.interest == interest { Ok(()) } else { slot.change(poll, token, interest) }
    }

    /// Tells the kernel what to watch for, also if nothing changes: for a number that may have been closed and used again since.
    pub fn renew(&mut self, poll: &Poll, token: Token, interest: Interest) -> io::Result<()> {
        self.slot_mut(token).ok_or(io::ErrorKind::NotFound)?.change(poll, token, interest)
    }

    /// What is watched for; `None` if the token is stale.
    pub fn interest(&self, token: Token) -> Option<Interest> {
        self.slot(token).map(|slot| slot.interest)
    }

    /// Ends the registration, also of a descriptor that is closed already, and gives its owner back; `None` if the token is stale.
    pub fn deregister(&mut self, poll: &Poll, token: Token) -> Option<T> {
        let slot = self.slot_mut(token)?;
        if !slot.interest.is_empty() {
            poll.remove(token);
        }
        let owner = slot.vacate();
        self.len -= 1;
        owner
    }

    /// Who gets the events; `None` if the token is stale.
    pub fn owner(&self, token: Token) -> Option<&T> {
        self.slot(token)?.owner.as_ref()
    }

    /// Who gets the events; `None` if the token is stale.
    pub fn owner_mut(&mut self, token: Token) -> Option<&mut T> {
        self.slot_mut(token)?.owner.as_mut()
    }

    /// The registration of a number.
    pub fn token_of(&self, fd: RawFd) -> Option<Token> {
        let index = usize::try_from(fd).ok()?;
        let slot = self.slots.get(index)?;
        slot.owner.as_ref().map(|_| Token::new(index, slot.generation))
    }

    /// How many registrations there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing is registered.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All registrations, in the order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (Token, &T)> + '_ {
        self.slots
            .iter()
            .enumerate()
            .filter_map(|(index, slot)| Some((Token::new(index, slot.generation), slot.owner.as_ref()?)))
    }

    /// Ends all registrations and gives their owners back.
    pub fn clear(&mut self, poll: &Poll) -> Vec<T> {
        let mut owners = Vec::with_capacity(self.len);
        for (index, slot) in self.slots.iter_mut().enumerate() {
            if slot.owner.is_some() && !slot.interest.is_empty() {
                poll.remove(Token::new(index, slot.generation));
            }
            owners.extend(slot.vacate());
        }
        self.len = 0;
        owners
    }

    fn slot(&self, token: Token) -> Option<&Slot<T>> {
        let slot = self.slots.get(token.index())?;
        (slot.generation == token.generation() && slot.owner.is_some()).then_some(slot)
    }

    fn slot_mut(&mut self, token: Token) -> Option<&mut Slot<T>> {
        let slot = self.slots.get_mut(token.index())?;
        (slot.generation == token.generation() && slot.owner.is_some()).then_some(slot)
    }
}

impl<T> Default for Registry<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Slot<T> {
    fn change(&mut self, poll: &Poll, token: Token, interest: Interest) -> io::Result<()> {
        let is_watched = !self.interest.is_empty();
        let turns = self.interest.contains(Interest::EDGE) != interest.contains(Interest::EDGE);
        if interest.is_empty() {
            poll.remove(token);
        } else if is_watched && !turns {
            poll.modify(token, interest)?;
        } else {
            // A filter of macOS keeps the mode it was added with.
            if is_watched {
                poll.remove(token);
                self.interest = Interest::NONE;
            }
            poll.add(token, interest)?;
        }
        self.interest = interest;
        Ok(())
    }

    fn vacate(&mut self) -> Option<T> {
        let owner = self.owner.take()?;
        self.generation = self.generation.wrapping_add(1);
        self.interest = Interest::NONE;
        Some(owner)
    }
}
