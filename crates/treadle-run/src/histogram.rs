//! How often something took how long, to two digits. A number is entered in ten instructions, which is a fifth of what a library takes that can more.

use crate::vitals::Distribution;

/// The bits of a number that are told apart below its highest one.
const BITS: u32 = 6;

/// Numbers that are told apart of each power of two.
const STEPS: usize = 1 << BITS;

/// Numbers of more bits count as the highest of so many: three days in nanoseconds.
const MOST: u32 = 48;

const PLACES: usize = (MOST - BITS + 1) as usize * STEPS;

/// Numbers, such as nanoseconds, and how often each was seen.
#[derive(Clone, Debug)]
pub(crate) struct Histogram {
    counts: Box<[u64]>,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; PLACES].into_boxed_slice() }
    }
}

impl Histogram {
    /// One more of a number.
    #[inline]
    pub(crate) fn record(&mut self, value: u64) {
        let value = value.min((1 << MOST) - 1);
        // Up to twice the steps each number has its own place.
        let shift = u64::BITS - (value | STEPS as u64).leading_zeros() - 1 - BITS;
        self.counts[shift as usize * STEPS + (value >> shift) as usize] += 1;
    }

    /// What was seen, as highest numbers that are not told apart with how often, rising, and the sum of all.
    pub(crate) fn distribution(&self) -> Distribution {
        let seen = self.counts.iter().enumerate().filter(|(_, count)| **count > 0);
        let mut distribution = Distribution::default();
        for (at, count) in seen {
            let (top, bottom) = (highest(at), if at == 0 { 0 } else { highest(at - 1) + 1 });
            distribution.points.push((top, *count));
            // The middle, or sums would be too high by half a hundredth.
            distribution.sum = distribution.sum.saturating_add((bottom + (top - bottom) / 2).saturating_mul(*count));
        }
        distribution
    }
}

/// The highest number that is counted at a place.
fn highest(at: usize) -> u64 {
    let shift = (at / STEPS).saturating_sub(1);
    (((at - shift * STEPS + 1) as u64) << shift) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_again_to_two_digits() {
        for value in (0..200).chain([1_000, 123_456, 7_654_321_000, (1 << MOST) - 1]) {
            let mut histogram = Histogram::default();
            histogram.record(value);
            histogram.record(u64::MAX);
            let found = histogram.distribution().quantile(500);
            assert!(found >= value && found - value <= value / STEPS as u64, "{found} for {value}");
        }
    }

    #[test]
    fn numbers_are_in_order_and_sums_are_of_all() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.distribution(), Distribution::default());
        (1..=100).for_each(|value| histogram.record(value));
        let seen = histogram.distribution();
        let found = [0, 10, 500, 990, 1_000].map(|per_mille| seen.quantile(per_mille));
        assert_eq!((found, seen.count(), seen.most(), seen.sum), ([1, 1, 50, 99, 100], 100, 100, 5_050));
    }
}
