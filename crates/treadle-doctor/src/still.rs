//! Says again and again, but less and less often, that a loop is still blocked.

use std::collections::HashMap;

use treadle_run::Blockage;

/// How long a callback takes before it is said that it still does, in nanoseconds; then it is said when it has taken twice as long.
const FIRST: u64 = 1_000_000_000;

/// What was said of each loop.
#[derive(Default)]
pub(crate) struct Still(HashMap<u8, Told>);

#[derive(Default)]
struct Told {
    since: u64,
    /// How long it must have taken before more is said, in nanoseconds.
    next: u64,
    /// What it was laid to.
    parts: usize,
}

impl Still {
    /// Whether a blockage was not seen before, or not in so many parts.
    pub(crate) fn is_new(&mut self, blockage: &Blockage, parts: usize) -> bool {
        let told = self.0.entry(blockage.event_loop).or_default();
        if told.since != blockage.since {
            *told = Told { since: blockage.since, next: FIRST, parts: 0 };
        }
        told.parts != parts && {
            told.parts = parts;
            true
        }
    }

    /// What there is to say of it now.
    pub(crate) fn words(&mut self, blockage: &Blockage) -> Option<String> {
        let told = self.0.get_mut(&blockage.event_loop)?;
        if blockage.has_ended || blockage.took < told.next {
            return None;
        }
        told.next = blockage.took * 2;
        let place = treadle_run::site(&blockage.blame.place);
        let place = treadle_view::place(&place);
        let what = match &blockage.blame.called {
            Some(called) => format!("`{called}` called at {place}"),
            None => place,
        };
        Some(format!("treadle: still blocked for {}: {what}\n", treadle_view::duration(blockage.took)))
    }
}
