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
