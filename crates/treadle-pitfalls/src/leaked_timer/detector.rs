//! Asks for lines whose timers become more and more.

use treadle_finding::{Sighting, Sightings};
use treadle_run::{Run, Spread};

use super::LEAKED_TIMER;

/// For so many windows on end there are more of them.
const WINDOWS: u32 = 8;

/// So many were set meanwhile.
const COUNT: u64 = 500;

/// Of timers that wait for a minute at least it shows earlier: so many were set, in so many quarters of a second.
const MANY: u64 = 1_000;
const SLOTS: u64 = 12;
const FAR: u64 = 60_000_000_000;

pub(super) fn check(run: &Run, sightings: &mut Sightings) {
    let scale = run.scale();
    for (place, pile) in run.timers().piles() {
        let site = run.site(*place);
        let is_growing = pile.is_growing(WINDOWS, COUNT) || is_steady(&run.timers().spread(*place));
        if site.path.is_empty() || !is_growing {
            continue;
        }
        let message =
            format!("timers that `{}` sets pile up: they are far away and nobody cancels them", site.function);
        let sighting = Sighting::new(&LEAKED_TIMER.about, site, scale.time(pile.empty), message)
            .seen(pile.alive, scale.time(run.now()))
            .evidence(format!("{} wait, of {} that were set", pile.alive, pile.born))
            .help("keep the handle and `handle.cancel()` it when what it was for is done")
            .suspected();
        sightings.push(sighting);
    }
}

/// Whether one after another was set, of which hardly any has ended, and none was due soon.
fn is_steady(spread: &Spread) -> bool {
    let is_even = spread.slots >= SLOTS && spread.most * SLOTS <= spread.born * 3;
    is_even && spread.born >= MANY && spread.ended * 10 <= spread.born && spread.soonest >= FAR
}
