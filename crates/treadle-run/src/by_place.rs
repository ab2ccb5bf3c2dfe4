//! Something for each place. Their numbers are dense, so that no hash is needed where each event would need one.

use treadle_events::PlaceId;

/// A table of places holds fewer; further numbers come from a damaged tape.
const MOST: usize = 1 << 16;

/// As many as the highest place that was asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct ByPlace<T>(Vec<T>);

impl<T: Clone + Default> ByPlace<T> {
    /// What there is for a place.
    #[inline]
    pub(crate) fn of(&mut self, place: PlaceId) -> &mut T {
        let at = place.0 as usize;
        if at < self.0.len() { &mut self.0[at] } else { self.add(at) }
    }

    /// What there is for a place that was asked for before.
    pub(crate) fn get(&self, place: PlaceId) -> Option<&T> {
        self.0.get(place.0 as usize)
    }

    #[cold]
    fn add(&mut self, at: usize) -> &mut T {
        let at = if at < MOST { at } else { 0 };
        self.0.resize(self.0.len().max(at + 1), T::default());
        &mut self.0[at]
    }

    /// Forgets all, and keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// All up to the highest place.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (PlaceId, &T)> {
        self.0.iter().enumerate().map(|(at, row)| (PlaceId(at as u32), row))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_there_when_they_are_asked_for_and_no_number_costs_much() {
        let mut rows = ByPlace::default();
        *rows.of(PlaceId(3)) += 5;
        *rows.of(PlaceId(u32::MAX)) += 1;
        assert_eq!(rows.iter().map(|(_, row)| *row).collect::<Vec<i32>>(), [1, 0, 0, 5]);
        rows.clear();
        assert_eq!(*rows.of(PlaceId(3)), 0);
    }
}
