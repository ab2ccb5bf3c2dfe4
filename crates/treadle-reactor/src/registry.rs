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

#[cfg(test)]
mod tests {
    use std::io::{Write, pipe};
    use std::os::fd::{AsRawFd, OwnedFd};
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    use super::*;
    use crate::testing::Random;
    use crate::{Event, Events};

    const BOTH: Interest = Interest::READ.union(Interest::WRITE);

    fn heard(poll: &Poll) -> Vec<Event> {
        let mut events = Events::with_capacity(64);
        poll.wait(&mut events, Some(Duration::ZERO)).unwrap();
        events.iter().collect()
    }

    #[test]
    fn a_number_is_registered_once() {
        let (poll, mut registry) = (Poll::new().unwrap(), Registry::new());
        let (stream, _peer) = UnixStream::pair().unwrap();
        let token = registry.register(&poll, stream.as_raw_fd(), Interest::READ, "first").unwrap();
        let error = registry.register(&poll, stream.as_raw_fd(), Interest::WRITE, "second").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(registry.owner(token), Some(&"first"));
        assert_eq!(registry.interest(token), Some(Interest::READ));
        assert_eq!((registry.token_of(stream.as_raw_fd()), registry.len()), (Some(token), 1));
    }

    #[test]
    fn only_what_is_asked_for_is_heard() {
        let (poll, mut registry) = (Poll::new().unwrap(), Registry::new());
        let (stream, mut peer) = UnixStream::pair().unwrap();
        peer.write_all(b"x").unwrap();
        let token = registry.register(&poll, stream.as_raw_fd(), Interest::NONE, ()).unwrap();
        for interest in [Interest::NONE, Interest::READ, BOTH, Interest::WRITE, Interest::NONE, BOTH, Interest::READ] {
            registry.set_interest(&poll, token, interest).unwrap();
            let events = heard(&poll);
            assert_eq!(events.iter().any(|event| event.readable), interest.contains(Interest::READ), "{interest:?}");
            assert_eq!(events.iter().any(|event| event.writable), interest.contains(Interest::WRITE), "{interest:?}");
        }
    }

    #[test]
    fn a_stale_token_names_nothing() {
        let (poll, mut registry) = (Poll::new().unwrap(), Registry::new());
        let (stream, _peer) = UnixStream::pair().unwrap();
        let stale = registry.register(&poll, stream.as_raw_fd(), Interest::READ, 1).unwrap();
        assert_eq!(registry.deregister(&poll, stale), Some(1));
        let token = registry.register(&poll, stream.as_raw_fd(), Interest::READ, 2).unwrap();
        assert_ne!(stale, token);
        assert_eq!((registry.owner(stale), registry.interest(stale)), (None, None));
        assert_eq!(registry.owner_mut(stale), None);
        let error = registry.set_interest(&poll, stale, Interest::WRITE).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert_eq!(registry.deregister(&poll, stale), None);
        assert_eq!(registry.iter().collect::<Vec<_>>(), [(token, &2)]);
    }

    #[test]
    fn an_event_heard_before_the_number_was_used_again_is_recognised() {
        let (poll, mut registry) = (Poll::new().unwrap(), Registry::new());
        let (stream, _peer) = UnixStream::pair().unwrap();
        let first = registry.register(&poll, stream.as_raw_fd(), Interest::WRITE, 1).unwrap();
        let [event] = heard(&poll)[..] else { panic!("one event") };
        registry.deregister(&poll, first);
        registry.register(&poll, stream.as_raw_fd(), Interest::WRITE, 2).unwrap();
        assert_eq!(registry.owner(event.token), None);
    }

    #[test]
    fn what_was_closed_behind_our_back_can_be_deregistered() {
        let (poll, mut registry) = (Poll::new().unwrap(), Registry::new());
        let (stream, _peer) = UnixStream::pair().unwrap();
        let token = registry.register(&poll, stream.as_raw_fd(), BOTH, 1).unwrap();
        drop(stream);
        assert_eq!(registry.deregister(&poll, token), Some(1));
        assert!(registry.is_empty());
    }

    #[test]
    fn a_number_used_again_behind_our_back_is_watched_from_the_next_change() {
        let (poll, mut registry) = (Poll::new().unwrap(), Registry::new());
        // A number that no other test can be given in between, which `dup2` keeps open all the time.
        let (first, _first_peer) = UnixStream::pair().unwrap();
        let (second, _second_peer) = UnixStream::pair().unwrap();
        let token = registry.register(&poll, first.as_raw_fd(), Interest::READ, 1).unwrap();
        let mut first = OwnedFd::from(first);
        rustix::io::dup2(&second, &mut first).unwrap();
        assert!(heard(&poll).is_empty());
        registry.set_interest(&poll, token, BOTH).unwrap();
        assert_eq!(heard(&poll), [Event { token, readable: false, writable: true }]);
    }

    #[test]
    fn a_registration_the_kernel_still_has_is_replaced() {
        let poll = Poll::new().unwrap();
        let (stream, _peer) = UnixStream::pair().unwrap();
        let mut lost = Registry::new();
        lost.register(&poll, stream.as_raw_fd(), Interest::READ, ()).unwrap();
        let mut registry = Registry::new();
        let token = registry.register(&poll, stream.as_raw_fd(), Interest::WRITE, ()).unwrap();
        assert_eq!(heard(&poll), [Event { token, readable: false, writable: true }]);
    }

    #[test]
    fn the_reader_hears_of_the_writers_end_and_the_writer_of_the_readers() {
        let (poll, mut registry) = (Poll::new().unwrap(), Registry::new());
        let (reader, writer) = pipe().unwrap();
        let token = registry.register(&poll, reader.as_raw_fd(), Interest::READ, ()).unwrap();
        assert!(heard(&poll).is_empty());
        drop(writer);
        assert!(heard(&poll).iter().any(|event| event.token == token && event.readable));

        let (reader, writer) = pipe().unwrap();
        let token = registry.register(&poll, writer.as_raw_fd(), Interest::READ, ()).unwrap();
        drop(reader);
        assert!(heard(&poll).iter().any(|event| event.token == token && event.readable));
    }

    #[test]
    fn what_cannot_be_registered_leaves_no_trace() {
        let (poll, mut registry) = (Poll::new().unwrap(), Registry::new());
        for fd in [-1, RawFd::MAX, 0x00ff_ffff] {
            for interest in [Interest::NONE, Interest::READ] {
                let error = registry.register(&poll, fd, interest, ()).unwrap_err();
                assert_eq!(error.raw_os_error(), Some(rustix::io::Errno::BADF.raw_os_error()));
            }
        }
        assert!(registry.is_empty() && registry.slots.is_empty());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_regular_file_cannot_be_polled() {
        let (poll, mut registry) = (Poll::new().unwrap(), Registry::new());
        let file = std::fs::File::open("/proc/self/exe").unwrap();
        let error = registry.register(&poll, file.as_raw_fd(), Interest::READ, ()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
    }

    /// Sockets are opened, registered, changed, closed before or after they are deregistered, or left to be cleared.
    #[test]
    fn whatever_is_done_the_kernel_and_the_table_agree() {
        let mut random = Random::new(4);
        let (poll, mut registry) = (Poll::new().unwrap(), Registry::new());
        let mut live: Vec<(Token, u64, Interest, UnixStream, UnixStream)> = Vec::new();
        let mut stale = Vec::new();
        for id in 0..2_000 {
            let interest = [Interest::NONE, Interest::READ, Interest::WRITE, BOTH][random.index(4)];
            if live.is_empty() || live.len() < 40 && random.below(2) == 0 {
                let (stream, mut peer) = UnixStream::pair().unwrap();
                peer.write_all(b"x").unwrap();
                let token = registry.register(&poll, stream.as_raw_fd(), interest, id).unwrap();
                live.push((token, id, interest, stream, peer));
            } else if random.below(2) == 0 {
                let index = random.index(live.len());
                registry.set_interest(&poll, live[index].0, interest).unwrap();
                live[index].2 = interest;
            } else {
                let (token, id, _, stream, _peer) = live.swap_remove(random.index(live.len()));
                // Closed first or last.
                let stream = (random.below(2) == 0).then_some(stream);
                assert_eq!(registry.deregister(&poll, token), Some(id));
                drop(stream);
                stale.push(token);
            }
            assert_eq!(registry.len(), live.len());
            assert!(stale.iter().rev().take(20).all(|token| registry.owner(*token).is_none()));
            let mut expected: Vec<(u64, Interest)> =
                live.iter().filter(|entry| !entry.2.is_empty()).map(|entry| (entry.1, entry.2)).collect();
            expected.sort_unstable_by_key(|entry| entry.0);
            assert_eq!(summed(&registry, &heard(&poll)), expected);
        }
        let count = live.len();
        assert_eq!(registry.clear(&poll).len(), count);
        assert!(registry.is_empty() && heard(&poll).is_empty());
        assert!(live.iter().all(|entry| registry.owner(entry.0).is_none()));
    }

    /// The directions each owner was told of.
    fn summed(registry: &Registry<u64>, events: &[Event]) -> Vec<(u64, Interest)> {
        let mut sums = std::collections::BTreeMap::new();
        for event in events {
            let id = *registry.owner(event.token).expect("nothing stale is watched");
            let sum = sums.entry(id).or_insert(Interest::NONE);
            for (is_ready, direction) in [(event.readable, Interest::READ), (event.writable, Interest::WRITE)] {
                if is_ready {
                    *sum = *sum | direction;
                }
            }
        }
        sums.into_iter().collect()
    }
}
