//! What is due and when: a heap by deadline, and among equal deadlines by the order of scheduling.
//!
//! Nothing is looked for in the middle of it. A cancelled timer stays until it comes to the top, where the caller sees that it is
//! cancelled, or until so many are that sweeping them all out is cheaper than they are.

use crate::heap::{Heap, Ranked};

/// As many cancelled timers as this are never swept out.
const FEW: usize = 100;

/// Items and when they are due, in nanoseconds of [`now`](crate::now).
#[derive(Debug)]
pub struct Timers<T> {
    heap: Heap<Entry<T>>,
    /// How many were ever pushed, which is the next one's place among equal deadlines.
    sequence: u64,
    /// Cancelled ones that are in the heap, as far as we were told.
    cancelled: usize,
}

#[derive(Debug)]
struct Entry<T> {
    deadline: u64,
    sequence: u64,
    item: T,
}

impl<T> Ranked for Entry<T> {
    fn rank(&self) -> u128 {
        u128::from(self.deadline) << 64 | u128::from(self.sequence)
    }
}

impl<T> Timers<T> {
    /// Nothing is due, ever.
    pub const fn new() -> Self {
        Self { heap: Heap::new(), sequence: 0, cancelled: 0 }
    }

    /// Schedules an item. Inlined for the reason that the heap's `push` is.
    #[inline]
    pub fn push(&mut self, deadline: u64, item: T) {
        let sequence = self.sequence;
        self.sequence += 1;
        self.heap.push(Entry { deadline, sequence, item });
    }

    /// When the first is due.
    pub fn next_deadline(&self) -> Option<u64> {
        self.heap.peek().map(|entry| entry.deadline)
    }

    /// Takes the first if it is due at `now`.
    pub fn pop_due(&mut self, now: u64) -> Option<T> {
        if self.next_deadline()? > now {
            return None;
        }
        self.heap.pop().map(|entry| entry.item)
    }

    /// How many there are, cancelled ones included.
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
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
    /// They are returned so that the caller drops them outside of any borrow. Each sweep is paid for by the cancellations
    /// since the last one, so this may be called after each.
    pub fn compact(&mut self, is_cancelled: impl Fn(&T) -> bool) -> Vec<T> {
        if self.cancelled <= FEW || self.cancelled <= self.len() / 2 {
            return Vec::new();
        }
        self.cancelled = 0;
        self.heap.remove_where(|entry| is_cancelled(&entry.item), |entry| entry.item)
    }

    /// Takes out everything, in no order.
    pub fn drain(&mut self) -> Vec<T> {
        self.cancelled = 0;
        self.heap.take().into_iter().map(|entry| entry.item).collect()
    }

    /// All items and when they are due, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &T)> {
        self.heap.iter().map(|entry| (entry.deadline, &entry.item))
    }
}

impl<T> Default for Timers<T> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, HashSet};

    use super::*;
    use crate::testing::Random;

    #[test]
    fn equal_deadlines_fire_in_the_order_of_scheduling() {
        let mut timers = Timers::new();
        (0..1000).for_each(|item| timers.push(item % 3, item));
        let fired: Vec<u64> = std::iter::from_fn(|| timers.pop_due(2)).collect();
        let mut expected: Vec<u64> = (0..1000).collect();
        expected.sort_by_key(|item| item % 3);
        assert_eq!(fired, expected);
    }

    #[test]
    fn nothing_fires_before_its_time() {
        let mut timers = Timers::new();
        timers.push(10, "late");
        timers.push(5, "early");
        assert_eq!(timers.next_deadline(), Some(5));
        assert_eq!(timers.pop_due(4), None);
        assert_eq!(timers.pop_due(5), Some("early"));
        assert_eq!(timers.pop_due(9), None);
        assert_eq!(timers.pop_due(u64::MAX), Some("late"));
        assert_eq!((timers.pop_due(u64::MAX), timers.len(), timers.next_deadline()), (None, 0, None));
    }

    #[test]
    fn a_few_cancelled_ones_are_left_alone() {
        let mut timers = Timers::new();
        for item in 0..100 {
            timers.push(0, item);
            timers.note_cancelled();
        }
        assert!(timers.compact(|_| true).is_empty());
        timers.push(0, 100);
        timers.note_cancelled();
        assert_eq!(timers.compact(|_| true).len(), 101);
        assert!(timers.is_empty());
    }

    #[test]
    fn many_cancelled_ones_are_left_alone_if_most_are_not() {
        let mut timers = Timers::new();
        (0..1000).for_each(|item| timers.push(0, item));
        (0..500).for_each(|_| timers.note_cancelled());
        assert!(timers.compact(|item| *item < 501).is_empty());
        timers.note_cancelled();
        timers.note_cancelled_popped();
        assert!(timers.compact(|item| *item < 501).is_empty());
        timers.note_cancelled();
        assert_eq!(timers.compact(|item| *item < 501).len(), 501);
        assert_eq!(timers.len(), 499);
    }

    /// Each as (deadline, number), the numbers in the order of scheduling.
    #[test]
    fn timers_behave_like_a_sorted_set() {
        let mut random = Random::new(3);
        let (mut timers, mut model) = (Timers::new(), BTreeSet::new());
        let (mut cancelled, mut swept) = (HashSet::new(), 0);
        let mut clock = 0;
        for id in 0..5_000_u64 {
            let deadline = clock + random.below(1_000);
            timers.push(deadline, (deadline, id));
            model.insert((deadline, id));
            // Most are cancelled before they fire, as timeouts are.
            let start = (clock + random.below(1_000), 0);
            if let Some(chosen) = model.range(start..).find(|timer| !cancelled.contains(*timer)) {
                cancelled.insert(*chosen);
                timers.note_cancelled();
            }
            for timer in timers.compact(|timer| cancelled.contains(timer)) {
                assert!(cancelled.contains(&timer) && model.remove(&timer));
                swept += 1;
            }
            clock += random.below(3);
            while let Some(timer) = timers.pop_due(clock) {
                assert_eq!(Some(timer), model.pop_first());
                assert!(timer.0 <= clock);
                if cancelled.contains(&timer) {
                    timers.note_cancelled_popped();
                }
            }
            assert_eq!(timers.next_deadline(), model.first().map(|(deadline, _)| *deadline));
            assert_eq!(timers.len(), model.len());
        }
        assert!(swept > 100);
        assert_eq!(timers.iter().map(|(_, timer)| *timer).collect::<BTreeSet<_>>(), model);
        assert_eq!(timers.drain().len(), model.len());
        assert!(timers.is_empty());
    }
}
