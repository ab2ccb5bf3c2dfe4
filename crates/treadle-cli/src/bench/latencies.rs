//! Latencies, counted by size: as many as one likes in the memory of a few thousand numbers.
//!
//! Linux counts what a parent has when it starts a program as memory of that program, so the generator must not grow with
//! what it has measured: it would be read off again as memory of the next program.

/// Each power of two has `1 << PARTS` buckets, whose middles are off by less than 0.4 %.
const PARTS: u32 = 7;
const BUCKETS: usize = bucket(u64::MAX) + 1;

/// How many took how long.
pub(crate) struct Latencies {
    counts: Vec<u64>,
    total: u64,
}

impl Default for Latencies {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS], total: 0 }
    }
}

impl Latencies {
    pub(crate) fn push(&mut self, nanoseconds: u64) {
        self.counts[bucket(nanoseconds)] += 1;
        self.total += 1;
    }

    pub(crate) fn extend(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.total += other.total;
    }

    pub(crate) fn len(&self) -> u64 {
        self.total
    }

    /// The seconds that so many in a hundred do not exceed; nothing if there are none.
    pub(crate) fn quantile(&self, percent: u64) -> Option<f64> {
        let rank = (self.total * percent).div_ceil(100).max(1);
        let mut seen = 0;
        let at = self.counts.iter().position(|count| {
            seen += count;
            seen >= rank
        })?;
        Some(middle(at) / 1e9)
    }
}

/// Small numbers have a bucket each; of larger ones the first bits count.
const fn bucket(nanoseconds: u64) -> usize {
    let dropped = (u64::BITS - nanoseconds.leading_zeros()).saturating_sub(PARTS + 1);
    ((dropped as usize) << PARTS) + (nanoseconds >> dropped) as usize
}

fn middle(bucket: usize) -> f64 {
    let dropped = (bucket >> PARTS).saturating_sub(1);
    let width = (1_u64 << dropped) as f64;
    (bucket - (dropped << PARTS)) as f64 * width + (width - 1.0) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_near_the_middle_of_its_bucket() {
        let mut last = 0;
        for number in (0..2000).chain((11..63).flat_map(|power| [(1_u64 << power) - 1, 1 << power, 7 << (power - 2)])) {
            let off = (middle(bucket(number)) - number as f64).abs();
            assert!(off <= number as f64 * 0.004, "{number}: off by {off}");
        }
        for number in 0..100_000 {
            assert!([last, last + 1].contains(&bucket(number)), "{number}");
            last = bucket(number);
        }
    }

    #[test]
    fn quantiles_are_ranks_among_all() {
        let (mut some, mut others) = (Latencies::default(), Latencies::default());
        assert_eq!(some.quantile(50), None);
        (1..=60).for_each(|number| some.push(number));
        (61..=100).for_each(|number| others.push(number));
        some.extend(&others);
        assert_eq!(some.len(), 100);
        for (percent, wanted) in [(0, 1e-9), (50, 50e-9), (99, 99e-9), (100, 100e-9)] {
            assert_eq!(some.quantile(percent), Some(wanted));
        }
    }

    #[test]
    fn a_few_slow_ones_are_in_the_last_percent() {
        let mut latencies = Latencies::default();
        (0..980).for_each(|_| latencies.push(1000));
        (0..20).for_each(|_| latencies.push(1 << 30));
        assert!((latencies.quantile(50).unwrap() - 1e-6).abs() < 1e-8);
        assert!(latencies.quantile(99).unwrap() > 1.0);
    }
}
