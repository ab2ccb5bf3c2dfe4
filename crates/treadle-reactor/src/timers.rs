//! What is due and when: a heap by deadline, and among equal deadlines by the order of scheduling.
//!
//! Nothing is looked for in the middle of it. A cancelled timer stays until it comes to the top, where the caller sees that it is
//! cancelled, or until so many are that sweeping them all out is cheaper than they are.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

/// Fewer cancelled timers than this are never swept out.
const FEW: usize = 100;

/// Items and when they are due, in nanoseconds of [`now`](crate::now).
#[derive(Debug)]
pub struct Timers<T> {
    heap: BinaryHeap<Reverse<Entry<T>>>,
    /// How many were ever pushed, which is the next one's place among equal deadlines.
    sequence: u64,
    /// Cancelled ones that are in the heap, as far as we were told.
    cancelled: usize,
}

impl<T> Timers<T> {
    /// Nothing is due, ever.
    pub const fn new() -> Self {
        Self { heap: BinaryHeap::new(), sequence: 0, cancelled: 0 }
    }

    /// Schedules an item.
    pub fn push(&mut self, deadline: u64, item: T) {
        let sequence = self.sequence;
        self.sequence += 1;
        self.heap.push(Reverse(Entry { deadline, sequence, item }));
    }

    /// When the first is due.
    pub fn next_deadline(&self) -> Option<u64> {
        self.peek().map(|(deadline, _)| deadline)
    }

    /// The first that will be due, and when.
    pub fn peek(&self) -> Option<(u64, &T)> {
        self.heap.peek().map(|Reverse(entry)| (entry.deadline, &entry.item))
    }

    /// Takes the first, due or not.
    pub fn pop(&mut self) -> Option<(u64, T)> {
        self.heap.pop().map(|Reverse(entry)| (entry.deadline, entry.item))
    }

    /// Takes the first if it is due at `now`.
    pub fn pop_due(&mut self, now: u64) -> Option<T> {
        if self.next_deadline()? > now {
            return None;
        }
        self.pop().map(|(_, item)| item)
    }

    /// How many there are, cancelled ones included.
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    /// Counts one that was cancelled and is still in here.
    pub fn note_cancelled(&mut self) {
        self.cancelled += 1;
    }

    /// Takes back one [`note_cancelled`](Timers::note_cancelled), for a cancelled one that was popped. Without this, sweeps come
    /// sooner than they need to, and nothing else.
    pub fn note_cancelled_popped(&mut self) {
        self.cancelled = self.cancelled.saturating_sub(1);
    }

    /// Takes out what `is_cancelled` says, if those we were told of are both more than a hundred and more than half.
    ///
    /// They are returned so that the caller drops them outside of any borrow.
    pub fn compact(&mut self, is_cancelled: impl Fn(&T) -> bool) -> Vec<T> {
        if self.cancelled <= FEW || self.cancelled <= self.heap.len() / 2 {
            return Vec::new();
        }
        self.cancelled = 0;
        let mut entries = std::mem::take(&mut self.heap).into_vec();
        let removed = entries.extract_if(.., |Reverse(entry)| is_cancelled(&entry.item));
        let removed = removed.map(|Reverse(entry)| entry.item).collect();
        self.heap = BinaryHeap::from(entries);
        removed
    }

    /// Takes out everything, in no order.
    pub fn drain(&mut self) -> Vec<T> {
        self.cancelled = 0;
        self.heap.drain().map(|Reverse(entry)| entry.item).collect()
    }

    /// All items and when they are due, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &T)> {
        self.heap.iter().map(|Reverse(entry)| (entry.deadline, &entry.item))
    }
}

impl<T> Default for Timers<T> {
    fn default() -> Self {
        Self::new()
    }
}

#[derive(Debug)]
struct Entry<T> {
    deadline: u64,
    sequence: u64,
    item: T,
}

impl<T> Entry<T> {
    fn key(&self) -> (u64, u64) {
        (self.deadline, self.sequence)
    }
}

impl<T> Ord for Entry<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

impl<T> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl<T> Eq for Entry<T> {}
