//! Whether what one line makes piles up: more and more of it, window after window.

/// How many there are of what one line makes, and how that has grown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pile {
    /// How many were made.
    pub born: u64,
    /// How many there are.
    pub alive: u64,
    /// The most there were at once.
    pub most: u64,
    /// When there were none for the last time, in ticks.
    pub empty: u64,
    /// When there were too many at once for the first time, in ticks.
    pub flooded: Option<u64>,
    /// For how many windows on end there have been more in each than in the one before, at their lowest.
    pub rising: u32,
    /// How many were made and how many have ended in these windows.
    pub since: Flow,
    /// How many were made and how many have ended in this window.
    now: Flow,
    /// The fewest there were in this window and in the one before.
    least: [u64; 2],
}

/// What came and went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// How many were made.
    pub born: u64,
    /// How many have ended.
    pub ended: u64,
}

impl Pile {
    /// One more, at a time in ticks; `flood` would be too many at once.
    pub(crate) fn bear(&mut self, at: u64, flood: u64) {
        if self.alive == 0 {
            self.empty = at;
        }
        self.born += 1;
        self.now.born += 1;
        self.alive += 1;
        self.most = self.most.max(self.alive);
        if self.alive >= flood && self.flooded.is_none() {
            self.flooded = Some(at);
        }
    }

    /// One has ended.
    pub(crate) fn end(&mut self) {
        self.alive = self.alive.saturating_sub(1);
        self.now.ended += 1;
        self.least[0] = self.least[0].min(self.alive);
    }

    /// A window is over.
    pub(crate) fn turn(&mut self) {
        let [now, before] = self.least;
        if self.now.born > 0 && now > before {
            self.rising += 1;
            self.since = Flow { born: self.since.born + self.now.born, ended: self.since.ended + self.now.ended };
        } else {
            (self.rising, self.since) = (0, Flow::default());
        }
        self.now = Flow::default();
        self.least = [self.alive, now];
    }

    /// Whether it has grown for so many windows, by so many, and hardly any have ended.
    pub fn is_growing(&self, windows: u32, count: u64) -> bool {
        self.rising >= windows && self.since.born >= count && self.since.ended * 10 <= self.since.born
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn windows(pile: &mut Pile, each: &[(u64, u64)]) {
        for (born, ended) in each {
            (0..*born).for_each(|_| pile.bear(1, 1_000));
            (0..*ended).for_each(|_| pile.end());
            pile.turn();
        }
    }

    #[test]
    fn pile_grows_if_each_window_leaves_more_behind() {
        let mut pile = Pile::default();
        windows(&mut pile, &[(10, 0); 12]);
        assert!(pile.is_growing(10, 100));
        windows(&mut pile, &[(0, 0)]);
        assert!(!pile.is_growing(10, 100), "nothing was made");
    }

    #[test]
    fn what_comes_and_goes_does_not_pile_up() {
        let mut pile = Pile::default();
        windows(&mut pile, &[(10, 10); 12]);
        assert_eq!((pile.rising, pile.alive), (0, 0));
        // A load that rises: many have ended meanwhile.
        windows(&mut pile, &[(10, 5); 12]);
        assert!(!pile.is_growing(10, 50));
    }

    #[test]
    fn many_at_once_are_noted_when_they_are_too_many() {
        let mut pile = Pile::default();
        (0..1_200).for_each(|at| pile.bear(at, 1_000));
        assert_eq!((pile.empty, pile.flooded, pile.most), (0, Some(999), 1_200));
    }
}
