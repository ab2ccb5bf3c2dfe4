//! Where the records of a TLS connection end, so that nobody asks OpenSSL for data that is not there: its answer would be an exception.
//!
//! Only the five bytes before each record are looked at. What they say may be wrong by records without data, as session tickets are: then one
//! answer is an exception after all, and [`Records::exhausted`] brings both together again.

use std::collections::VecDeque;

/// Type, version, version, length, length.
const HEADER: usize = 5;

/// The longest record there is, in bytes behind its header.
const LONGEST: usize = 16 * 1024 + 2048;

/// What was fed to OpenSSL and not read yet.
#[derive(Default)]
pub(super) struct Records {
    header: [u8; HEADER],
    /// Bytes of the header that are here.
    seen: usize,
    /// Bytes of the record that are still to come.
    missing: usize,
    /// The sizes of records that are here as a whole.
    complete: VecDeque<usize>,
    /// Only OpenSSL knows what is there.
    is_uncertain: bool,
    /// What came is not TLS; only OpenSSL can say what is wrong with it.
    is_garbled: bool,
}

impl Records {
    /// A record of which a byte is missing is shorter than this.
    pub(super) const PARTIAL: i64 = (HEADER + LONGEST).cast_signed() as i64;

    /// Takes notice of bytes in the order in which OpenSSL gets them.
    pub(super) fn note(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && !self.is_garbled {
            if self.seen < HEADER {
                let count = bytes.len().min(HEADER - self.seen);
                self.header[self.seen..self.seen + count].copy_from_slice(&bytes[..count]);
                self.seen += count;
                bytes = &bytes[count..];
                self.check_header();
            }
            let count = bytes.len().min(self.missing);
            self.missing -= count;
            bytes = &bytes[count..];
            if self.seen == HEADER && self.missing == 0 && !self.is_garbled {
                self.complete.push_back(self.length());
                self.seen = 0;
            }
        }
        self.is_uncertain |= self.is_garbled;
    }

    /// How much the next read may bring, if it may bring something.
    pub(super) fn next(&mut self) -> Option<usize> {
        if self.is_uncertain {
            return Some(LONGEST);
        }
        // Data is always shorter than its record, but OpenSSL refuses to read nothing.
        self.complete.pop_front().map(|size| size.max(1))
    }

    /// Whether a read may bring something.
    pub(super) fn has_more(&self) -> bool {
        self.is_uncertain || !self.complete.is_empty()
    }

    /// A read wanted more bytes.
    pub(super) fn exhausted(&mut self) {
        self.complete.clear();
        self.is_uncertain = false;
    }

    /// Somebody else may have read, or something is left of a record.
    pub(super) fn doubt(&mut self) {
        self.is_uncertain = true;
    }

    fn length(&self) -> usize {
        usize::from(u16::from_be_bytes([self.header[3], self.header[4]]))
    }

    fn check_header(&mut self) {
        if self.seen < HEADER {
            return;
        }
        self.missing = self.length();
        self.is_garbled = !(20..=24).contains(&self.header[0]) || self.header[1] != 3 || self.missing > LONGEST;
    }
}

#[cfg(test)]
mod tests {
    use super::{LONGEST, Records};

    fn record(size: u16) -> Vec<u8> {
        let mut bytes = vec![23, 3, 3];
        bytes.extend(size.to_be_bytes());
        bytes.extend(vec![0; usize::from(size)]);
        bytes
    }

    fn drain(records: &mut Records) -> Vec<usize> {
        std::iter::from_fn(|| records.next()).collect()
    }

    #[test]
    fn record_is_read_once_its_last_byte_is_here() {
        for size in [0, 1, 30, 16_000] {
            let bytes = record(size);
            let mut records = Records::default();
            records.note(&bytes[..bytes.len() - 1]);
            assert_eq!(records.next(), None);
            records.note(&bytes[bytes.len() - 1..]);
            assert_eq!(drain(&mut records), [usize::from(size).max(1)]);
        }
    }

    #[test]
    fn pieces_of_any_size_give_the_same_records() {
        let sizes = [3, 0, 700, 1, 20];
        let bytes: Vec<u8> = sizes.iter().flat_map(|&size| record(size)).collect();
        for piece in 1..bytes.len() {
            let mut records = Records::default();
            bytes.chunks(piece).for_each(|bytes| records.note(bytes));
            assert_eq!(drain(&mut records), [3, 1, 700, 1, 20], "in pieces of {piece}");
        }
    }

    #[test]
    fn what_is_no_record_is_left_to_openssl() {
        for bytes in [&b"GET / HTTP/1.1\r\n"[..], &[23, 3, 3, 255, 255], &[80; 5]] {
            let mut records = Records::default();
            records.note(bytes);
            assert_eq!(records.next(), Some(LONGEST));
            records.exhausted();
            assert_eq!(records.next(), None);
            records.note(b"more");
            assert_eq!(records.next(), Some(LONGEST));
        }
    }

    #[test]
    fn doubt_lasts_until_openssl_wants_more() {
        let mut records = Records::default();
        records.note(&record(4));
        records.doubt();
        assert_eq!([records.next(), records.next()], [Some(LONGEST); 2]);
        records.exhausted();
        assert_eq!(records.next(), None);
        records.note(&record(4));
        assert_eq!(drain(&mut records), [4]);
    }
}
