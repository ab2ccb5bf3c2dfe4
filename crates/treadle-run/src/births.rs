//! Tasks by where they were made.

use std::ops::Index;

use treadle_events::{Outcome, PlaceId};

use crate::by_place::ByPlace;
use crate::piles::Pile;

/// The tasks that one line has made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Birth {
    /// How many.
    pub born: u64,
    /// How many of them are alive.
    pub alive: u64,
    /// The most that were alive at once.
    pub most: u64,
    /// When the last one was made, in ticks.
    pub last: u64,
    /// How they have piled up.
    pub pile: Pile,
    /// How many have ended: with a result, with an exception, cancelled.
    pub ended: [u64; 3],
}

impl Birth {
    /// How many have ended so.
    pub fn ended_by(&self, outcome: Outcome) -> u64 {
        self.ended[usize::from(outcome.number())]
    }
}

/// What lines have made tasks, in the order in which they made their first ones.
#[derive(Clone, Debug, Default)]
pub struct Births {
    rows: Vec<(PlaceId, Birth)>,
    /// One more than the index of the row; 0 if there is none.
    indices: ByPlace<u32>,
}

impl Births {
    /// What a line has made.
    pub fn get(&self, place: &PlaceId) -> Option<&Birth> {
        let index = self.indices.get(*place).copied().unwrap_or(0) as usize;
        self.rows.get(index.checked_sub(1)?).map(|(_, birth)| birth)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&PlaceId, &Birth)> {
        self.rows.iter().map(|(place, birth)| (place, birth))
    }

    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut Birth> {
        self.rows.iter_mut().map(|(_, birth)| birth)
    }

    /// The row of a line, which may be new.
    #[inline]
    pub(crate) fn of(&mut self, place: PlaceId) -> &mut Birth {
        let index = self.indices.of(place);
        if *index == 0 {
            self.rows.push((place, Birth::default()));
            *index = self.rows.len() as u32;
        }
        &mut self.rows[*index as usize - 1].1
    }
}

impl<'a> IntoIterator for &'a Births {
    type Item = (&'a PlaceId, &'a Birth);
    type IntoIter = Box<dyn Iterator<Item = Self::Item> + 'a>;

    fn into_iter(self) -> Self::IntoIter {
        Box::new(self.iter())
    }
}

impl Index<&PlaceId> for Births {
    type Output = Birth;

    fn index(&self, place: &PlaceId) -> &Birth {
        #[expect(clippy::expect_used, reason = "as of a map")]
        self.get(place).expect("nothing was made there")
    }
}
