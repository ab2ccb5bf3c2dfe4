//! The kernel's readiness queue, and the buffer it fills.
//!
//! What is registered in it is the [`Registry`](crate::Registry)'s matter. Everything takes `&self`: one thread waits while another changes
//! what is watched, and the kernel does the locking.

use std::io;
use std::time::Duration;

use crate::sys::{EventBuffer, Selector};
use crate::{Event, Interest, Token};

/// The kernel's readiness queue. Level-triggered: a descriptor is reported for as long as it is ready, unless [`Interest::EDGE`] is asked for.
#[derive(Debug)]
pub struct Poll {
    selector: Selector,
}

impl Poll {
    /// A new queue, closed on `exec`.
    pub fn new() -> io::Result<Self> {
        Ok(Self { selector: Selector::new()? })
    }

    /// Blocks until something is ready, or `timeout` has passed (`None`: for ever), and never returns empty before that.
    ///
    /// `events` holds what was heard, and is empty after an error. `Interrupted` is returned and not retried, because the
    /// signal that did it may be what the caller waits for. A timeout of more than 24 days may be cut to that.
    pub fn wait(&self, events: &mut Events, timeout: Option<Duration>) -> io::Result<()> {
        self.selector.wait(&mut events.buffer, timeout)
    }

    pub(crate) fn add(&self, token: Token, interest: Interest) -> io::Result<()> {
        self.selector.add(token, interest)
    }

    pub(crate) fn modify(&self, token: Token, interest: Interest) -> io::Result<()> {
        self.selector.modify(token, interest)
    }

    /// Errors are of no use here: a descriptor that cannot be removed has been closed, and with that it is gone.
    pub(crate) fn remove(&self, token: Token) {
        let _ = self.selector.remove(token);
    }
}

/// What a [`Poll::wait`] heard. The buffer is the caller's, and never grows: what does not fit is heard the next time.
pub struct Events {
    buffer: EventBuffer,
}

impl Events {
    /// Room for `capacity` events, and at least one.
    pub fn with_capacity(capacity: usize) -> Self {
        Self { buffer: EventBuffer::with_capacity(capacity.max(1)) }
    }

    /// How many events there are.
    pub fn len(&self) -> usize {
        self.buffer.len()
    }

    /// Whether nothing was heard.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets the events.
    pub fn clear(&mut self) {
        self.buffer.clear();
    }

    /// The event at `index`, for those who cannot hold a borrow while they handle it.
    pub fn get(&self, index: usize) -> Option<Event> {
        self.buffer.get(index)
    }

    /// All events, in the kernel's order. One descriptor may have two, one for each direction.
    pub fn iter(&self) -> impl Iterator<Item = Event> + '_ {
        (0..self.len()).filter_map(|index| self.get(index))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    use super::*;
    use crate::{Registry, now};

    #[test]
    fn a_wait_is_never_shorter_than_its_timeout() {
        let poll = Poll::new().unwrap();
        let mut events = Events::with_capacity(4);
        for nanoseconds in [1, 999, 1_001, 30_000, 999_999, 1_000_001, 2_300_000] {
            let start = now();
            poll.wait(&mut events, Some(Duration::from_nanos(nanoseconds))).unwrap();
            assert!(now() >= start + nanoseconds, "{nanoseconds}");
            assert!(events.is_empty());
        }
    }

    #[test]
    fn everything_can_be_shared_between_threads() {
        fn check<T: Send + Sync>() {}
        check::<Poll>();
        check::<Events>();
        check::<Registry<u64>>();
        check::<crate::Waker>();
    }

    #[test]
    fn interest_can_change_while_another_thread_waits() {
        let poll = Poll::new().unwrap();
        let mut registry = Registry::new();
        let (near, _far) = UnixStream::pair().unwrap();
        let token = registry.register(&poll, near.as_raw_fd(), Interest::READ, ()).unwrap();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                let mut events = Events::with_capacity(1);
                poll.wait(&mut events, None).unwrap();
                events.get(0)
            });
            registry.set_interest(&poll, token, Interest::WRITE).unwrap();
            assert_eq!(waiting.join().unwrap(), Some(Event { token, readable: false, writable: true }));
        });
    }

    #[test]
    fn an_event_is_told_for_as_long_as_it_lasts() {
        let poll = Poll::new().unwrap();
        let mut events = Events::with_capacity(4);
        let mut registry = Registry::new();
        let (mut near, far) = UnixStream::pair().unwrap();
        let token = registry.register(&poll, far.as_raw_fd(), Interest::READ, ()).unwrap();
        poll.wait(&mut events, Some(Duration::ZERO)).unwrap();
        assert!(events.is_empty());
        near.write_all(b"x").unwrap();
        for _ in 0..2 {
            poll.wait(&mut events, None).unwrap();
            assert_eq!(events.iter().collect::<Vec<_>>(), [Event { token, readable: true, writable: false }]);
        }
    }

    #[test]
    fn an_edge_is_told_once_and_again_when_more_comes() {
        let poll = Poll::new().unwrap();
        let mut events = Events::with_capacity(4);
        let mut registry = Registry::new();
        let (mut near, far) = UnixStream::pair().unwrap();
        let token = registry.register(&poll, far.as_raw_fd(), Interest::READ | Interest::EDGE, ()).unwrap();
        let mut told = || {
            poll.wait(&mut events, Some(Duration::ZERO)).unwrap();
            events.len()
        };
        near.write_all(b"x").unwrap();
        assert_eq!([told(), told()], [1, 0]);
        near.write_all(b"y").unwrap();
        assert_eq!([told(), told()], [1, 0]);
        // From then on for as long as it lasts, and again once.
        registry.set_interest(&poll, token, Interest::READ).unwrap();
        assert_eq!([told(), told()], [1, 1]);
        registry.set_interest(&poll, token, Interest::READ | Interest::EDGE).unwrap();
        assert_eq!([told(), told()], [1, 0]);
    }

    #[test]
    fn a_renewed_registration_watches_what_has_the_number_now() {
        let poll = Poll::new().unwrap();
        let mut events = Events::with_capacity(4);
        let mut registry = Registry::new();
        let (_near, far) = UnixStream::pair().unwrap();
        let (mut other, another) = UnixStream::pair().unwrap();
        let token = registry.register(&poll, far.as_raw_fd(), Interest::READ, ()).unwrap();
        let mut far = std::os::fd::OwnedFd::from(far);
        rustix::io::dup2(&another, &mut far).unwrap();
        other.write_all(b"x").unwrap();
        registry.renew(&poll, token, Interest::READ).unwrap();
        poll.wait(&mut events, Some(Duration::ZERO)).unwrap();
        assert_eq!(events.len(), 1);
    }

    #[test]
    fn what_does_not_fit_is_heard_the_next_time() {
        let poll = Poll::new().unwrap();
        let mut events = Events::with_capacity(2);
        let mut registry = Registry::new();
        let pairs: Vec<_> = (0..3).map(|_| UnixStream::pair().unwrap()).collect();
        for (near, _) in &pairs {
            registry.register(&poll, near.as_raw_fd(), Interest::WRITE, ()).unwrap();
        }
        let mut heard = Vec::new();
        for _ in 0..2 {
            poll.wait(&mut events, None).unwrap();
            for event in events.iter() {
                heard.push(event.token.fd());
                registry.deregister(&poll, event.token);
            }
        }
        heard.sort_unstable();
        let mut all: Vec<_> = pairs.iter().map(|(near, _)| near.as_raw_fd()).collect();
        all.sort_unstable();
        assert_eq!(heard, all);
    }
}
