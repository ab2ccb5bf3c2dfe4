//! What sockets are read into, at an address that processors like.
//!
//! A big block from glibc begins 16 bytes into a page. There the kernel's copy from its own pages is four to five times
//! slower on some processors (AMD's Zen 3 and 4: 45 µs for 100 KiB instead of 9); any cache line's beginning is fine.

const CACHE_LINE: usize = 64;

pub(crate) struct Buffer {
    bytes: Vec<u8>,
    start: usize,
}

impl Buffer {
    pub(crate) fn new(size: usize) -> Self {
        let bytes = vec![0; size + CACHE_LINE];
        // As documented, the offset may be `usize::MAX` where it cannot be known; then there is nothing to gain.
        let start = bytes.as_ptr().align_offset(CACHE_LINE).min(CACHE_LINE);
        Self { bytes, start }
    }

    pub(crate) fn as_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..]
    }

    pub(crate) fn first(&self, count: usize) -> &[u8] {
        &self.bytes[self.start..self.start + count]
    }
}
