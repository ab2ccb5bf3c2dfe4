//! Bytes waiting to be written, as chunks that someone owns. Nothing is copied.
//!
//! Chunks that are written stay at the front until the caller takes them: dropping one may run arbitrary code, which may come
//! back here, so it must not happen while the queue is borrowed. That costs no second container and no allocation.

use std::collections::VecDeque;
use std::io::{self, IoSlice};

use crate::{RawFd, io_calls};

/// How a descriptor is written to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// With the calls for sockets, which can be told not to raise SIGPIPE.
    Socket,
    /// With the calls for everything else.
    Pipe,
}

/// Slices offered in one call.
const MOST_SLICES: usize = 64;

/// Bytes offered in one call; macOS refuses 2³¹ and more.
const MOST_BYTES: usize = 1 << 30;

/// Bytes waiting to be written. A chunk gives the same bytes each time it is asked.
#[derive(Debug)]
pub struct Outgoing<C> {
    /// First the written ones that nobody has taken yet, then those to be written.
    chunks: VecDeque<C>,
    spent: usize,
    /// How much of the first chunk to be written is written already.
    offset: usize,
    /// Bytes to be written.
    len: usize,
}

impl<C: AsRef<[u8]>> Outgoing<C> {
    /// Nothing to be written.
    pub const fn new() -> Self {
        Self { chunks: VecDeque::new(), spent: 0, offset: 0, len: 0 }
    }

    /// Puts a chunk behind the others.
    pub fn push(&mut self, chunk: C) {
        self.len += chunk.as_ref().len();
        self.chunks.push_back(chunk);
        self.advance(0);
    }

    /// How many bytes are to be written.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no bytes to be written. There may be chunks to be taken with [`pop_spent`](Outgoing::pop_spent).
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Writes until nothing is left or the kernel takes no more, and returns how many bytes it took, which may be none.
    ///
    /// So `WouldBlock` is never an error here: what is left says it. An error after some bytes is reported by the next call.
    pub fn write_to(&mut self, fd: RawFd, kind: Kind) -> io::Result<usize> {
        let mut total = 0;
        while !self.is_empty() {
            let (offered, answer) = self.write_once(fd, kind);
            let taken = match answer {
                Ok(taken) => taken,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock || total > 0 => break,
                Err(error) => return Err(error),
            };
            self.advance(taken);
            total += taken;
            if taken < offered {
                break;
            }
        }
        Ok(total)
    }

    /// A chunk that is written. Take them all after [`write_to`](Outgoing::write_to) and [`push`](Outgoing::push), and drop each
    /// while nothing is borrowed.
    pub fn pop_spent(&mut self) -> Option<C> {
        self.spent = self.spent.checked_sub(1)?;
        self.chunks.pop_front()
    }

    /// Forgets everything, and gives the chunks back for the caller to drop.
    pub fn clear(&mut self) -> VecDeque<C> {
        (self.spent, self.offset, self.len) = (0, 0, 0);
        std::mem::take(&mut self.chunks)
    }

    /// One call: how many bytes were offered, and how many the kernel took.
    fn write_once(&self, fd: RawFd, kind: Kind) -> (usize, io::Result<usize>) {
        let mut waiting = self.waiting();
        let first = waiting.next().unwrap_or_default();
        let Some(second) = waiting.next().filter(|_| first.len() < MOST_BYTES) else {
            let first = &first[..first.len().min(MOST_BYTES)];
            return match kind {
                Kind::Socket => (first.len(), io_calls::send(fd, first)),
                Kind::Pipe => (first.len(), io_calls::write(fd, first)),
            };
        };
        let mut slices = [IoSlice::new(&[]); MOST_SLICES];
        let (mut count, mut offered) = (0, 0);
        for (slot, bytes) in slices.iter_mut().zip([first, second].into_iter().chain(waiting)) {
            let bytes = &bytes[..bytes.len().min(MOST_BYTES - offered)];
            *slot = IoSlice::new(bytes);
            offered += bytes.len();
            count += 1;
        }
        match kind {
            Kind::Socket => (offered, io_calls::send_vectored(fd, &slices[..count])),
            Kind::Pipe => (offered, io_calls::write_vectored(fd, &slices[..count])),
        }
    }

    /// What is to be written, in order.
    fn waiting(&self) -> impl Iterator<Item = &[u8]> {
        let mut offset = self.offset;
        self.chunks.range(self.spent..).map(move |chunk| &chunk.as_ref()[std::mem::take(&mut offset)..])
    }

    /// Counts bytes as written, and the chunks that they and nothing else complete as spent.
    fn advance(&mut self, mut taken: usize) {
        self.len -= taken;
        while let Some(chunk) = self.chunks.get(self.spent) {
            let left = chunk.as_ref().len() - self.offset;
            if taken < left {
                self.offset += taken;
                return;
            }
            taken -= left;
            self.offset = 0;
            self.spent += 1;
        }
    }
}

impl<C: AsRef<[u8]>> Default for Outgoing<C> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;
    use std::rc::Rc;

    use super::*;
    use crate::testing::Random;

    /// Both ends do not block, and the kernel holds little.
    fn narrow_pair() -> (UnixStream, UnixStream) {
        let (near, far) = UnixStream::pair().unwrap();
        rustix::net::sockopt::set_socket_send_buffer_size(&near, 1).unwrap();
        near.set_nonblocking(true).unwrap();
        far.set_nonblocking(true).unwrap();
        (near, far)
    }

    fn read_some(far: &mut UnixStream, len: usize, received: &mut Vec<u8>) {
        let mut buffer = vec![0; len];
        match far.read(&mut buffer) {
            Ok(count) => received.extend(&buffer[..count]),
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
        }
    }

    /// Chunks of all sizes are pushed, written and read in turns, and arrive as they were pushed.
    fn check_against_the_whole(kind: Kind, seed: u64) {
        let mut random = Random::new(seed);
        let (near, mut far) = narrow_pair();
        let mut outgoing = Outgoing::new();
        let (mut pushed, mut received, mut written) = (Vec::new(), Vec::new(), 0);
        let mut chunks = std::collections::VecDeque::new();
        for turn in 0..300_u32 {
            for _ in 0..random.below(if turn % 50 == 0 { 200 } else { 4 }) {
                let limit = [1, 10, 1_000, 20_000][random.index(4)];
                let len = random.index(limit);
                let chunk: Rc<[u8]> = (0..len).map(|index| (index as u32 ^ turn) as u8).collect();
                pushed.extend(&*chunk);
                chunks.push_back(Rc::clone(&chunk));
                outgoing.push(chunk);
            }
            written += outgoing.write_to(near.as_raw_fd(), kind).unwrap();
            while let Some(chunk) = outgoing.pop_spent() {
                assert!(Rc::ptr_eq(&chunk, &chunks.pop_front().expect("whatever is spent was pushed")));
            }
            assert_eq!(outgoing.len(), pushed.len() - written);
            assert_eq!(outgoing.is_empty(), chunks.is_empty());
            let len = random.index(100_000) + 1;
            read_some(&mut far, len, &mut received);
        }
        while received.len() < pushed.len() {
            outgoing.write_to(near.as_raw_fd(), kind).unwrap();
            read_some(&mut far, 1 << 20, &mut received);
        }
        assert!(received == pushed && outgoing.is_empty());
    }

    #[test]
    fn bytes_arrive_in_order_however_little_a_socket_takes() {
        check_against_the_whole(Kind::Socket, 5);
    }

    #[test]
    fn bytes_arrive_in_order_however_little_a_pipe_takes() {
        check_against_the_whole(Kind::Pipe, 6);
    }

    #[test]
    fn more_chunks_than_one_call_takes_are_written_by_several() {
        let (near, mut far) = UnixStream::pair().unwrap();
        let mut outgoing = Outgoing::new();
        (0..=255_u8).for_each(|byte| outgoing.push([byte]));
        assert_eq!(outgoing.write_to(near.as_raw_fd(), Kind::Socket).unwrap(), 256);
        let mut received = [0; 256];
        far.read_exact(&mut received).unwrap();
        assert!(received.into_iter().eq(0..=255));
    }

    #[test]
    fn a_full_socket_is_no_error() {
        let (near, _far) = narrow_pair();
        let mut outgoing = Outgoing::new();
        outgoing.push(vec![0; 1 << 20]);
        let written = outgoing.write_to(near.as_raw_fd(), Kind::Socket).unwrap();
        assert_eq!(outgoing.len(), (1 << 20) - written);
        assert_eq!(outgoing.write_to(near.as_raw_fd(), Kind::Socket).unwrap(), 0);
        assert!(outgoing.pop_spent().is_none());
    }

    #[test]
    fn a_peer_that_is_gone_is_an_error_and_no_signal() {
        let (near, far) = narrow_pair();
        drop(far);
        for chunks in 1..3 {
            let mut outgoing = Outgoing::new();
            (0..chunks).for_each(|_| outgoing.push("x"));
            let error = outgoing.write_to(near.as_raw_fd(), Kind::Socket).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
            assert_eq!(outgoing.len(), chunks);
        }
    }

    #[test]
    fn empty_chunks_are_spent_as_soon_as_all_before_them_are() {
        let (near, _far) = narrow_pair();
        let mut outgoing = Outgoing::new();
        outgoing.push("");
        assert_eq!((outgoing.pop_spent(), outgoing.is_empty()), (Some(""), true));
        for chunk in ["a", "", "b", ""] {
            outgoing.push(chunk);
        }
        assert_eq!(outgoing.pop_spent(), None);
        assert_eq!(outgoing.write_to(near.as_raw_fd(), Kind::Socket).unwrap(), 2);
        assert_eq!(std::iter::from_fn(|| outgoing.pop_spent()).collect::<Vec<_>>(), ["a", "", "b", ""]);
    }

    #[test]
    fn clearing_gives_everything_back_and_begins_anew() {
        let (near, _far) = narrow_pair();
        let mut outgoing = Outgoing::new();
        outgoing.push(vec![1]);
        outgoing.write_to(near.as_raw_fd(), Kind::Socket).unwrap();
        outgoing.push(vec![2; 1 << 20]);
        outgoing.write_to(near.as_raw_fd(), Kind::Socket).unwrap();
        assert_eq!(outgoing.clear(), [vec![1], vec![2; 1 << 20]]);
        assert_eq!((outgoing.len(), outgoing.pop_spent()), (0, None));
        outgoing.push(vec![3]);
        assert_eq!(outgoing.len(), 1);
    }
}
