//! A heap whose last place can be taken back: most deadlines end before any other is added.

/// What has a time, and a number that says in which order things of one time came.
pub(super) struct Entry<T> {
    pub(super) when: f64,
    pub(super) number: u64,
    pub(super) value: T,
}

impl<T> Entry<T> {
    fn is_before(&self, other: &Self) -> bool {
        (self.when, self.number) < (other.when, other.number)
    }
}

/// Entries of which the earliest is first.
pub(super) struct Heap<T>(Vec<Entry<T>>);

impl<T> Default for Heap<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Heap<T> {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn first(&self) -> Option<&Entry<T>> {
        self.0.first()
    }

    pub(super) fn entries(&self) -> &[Entry<T>] {
        &self.0
    }

    #[inline]
    pub(super) fn push(&mut self, entry: Entry<T>) {
        self.0.push(entry);
        let mut place = self.0.len() - 1;
        while place > 0 && self.0[place].is_before(&self.0[(place - 1) / 2]) {
            self.0.swap(place, (place - 1) / 2);
            place = (place - 1) / 2;
        }
    }

    pub(super) fn pop(&mut self) -> Option<Entry<T>> {
        if self.0.is_empty() {
            return None;
        }
        let first = self.0.swap_remove(0);
        self.sink(0);
        Some(first)
    }

    /// Takes an entry out if it lies at the end, where nothing lies below it.
    #[inline]
    pub(super) fn take_back(&mut self, number: u64) -> Option<Entry<T>> {
        self.0.pop_if(|last| last.number == number)
    }

    /// Parts with the entries that are not to be kept, and returns them.
    pub(super) fn sift(&mut self, is_kept: impl Fn(&Entry<T>) -> bool) -> Vec<Entry<T>> {
        let (kept, gone) = std::mem::take(&mut self.0).into_iter().partition(is_kept);
        self.0 = kept;
        for place in (0..self.0.len() / 2).rev() {
            self.sink(place);
        }
        gone
    }

    fn sink(&mut self, mut place: usize) {
        loop {
            let children = (2 * place + 1..2 * place + 3).filter(|child| *child < self.0.len());
            let Some(child) =
                children.reduce(|left, right| if self.0[right].is_before(&self.0[left]) { right } else { left })
            else {
                return;
            };
            if !self.0[child].is_before(&self.0[place]) {
                return;
            }
            self.0.swap(place, child);
            place = child;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers that look random and are the same each time.
    fn numbers() -> impl Iterator<Item = u64> {
        std::iter::successors(Some(7_u64), |last| Some(last.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1)))
            .map(|number| number >> 33)
    }

    #[test]
    fn entries_come_out_by_time_and_then_in_the_order_of_coming() {
        let mut heap = Heap::default();
        let mut model = Vec::new();
        for (number, chance) in (1..).zip(numbers().take(3000)) {
            if chance % 5 == 0 {
                let popped = heap.pop().map(|entry: Entry<()>| (entry.when, entry.number));
                model.sort_by(|left: &(f64, u64), right| left.partial_cmp(right).expect("no time is no number"));
                let expected = if model.is_empty() { None } else { Some(model.remove(0)) };
                assert_eq!(popped, expected);
            } else if chance % 5 == 1 {
                if let Some(entry) = heap.take_back(number - 1) {
                    model.retain(|known| known.1 != entry.number);
                }
            } else {
                let when = (chance % 50) as f64;
                heap.push(Entry { when, number, value: () });
                model.push((when, number));
            }
            assert_eq!(heap.len(), model.len());
        }
        assert!(model.len() > 100, "there is something left to look at");
    }

    #[test]
    fn what_is_kept_stays_in_order() {
        let mut heap = Heap::default();
        for (number, chance) in (1..).zip(numbers().take(500)) {
            heap.push(Entry { when: (chance % 50) as f64, number, value: chance });
        }
        let gone = heap.sift(|entry| entry.value % 3 == 0);
        assert!(gone.iter().all(|entry| entry.value % 3 != 0));
        assert_eq!(gone.len() + heap.len(), 500);
        let left: Vec<(f64, u64)> = std::iter::from_fn(|| heap.pop().map(|entry| (entry.when, entry.number))).collect();
        assert!(left.is_sorted() && !left.is_empty());
    }
}
