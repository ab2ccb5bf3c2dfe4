//! Asks for lines whose timers become more and more.

use treadle_finding::{Sighting, Sightings};
use treadle_run::Run;

use super::LEAKED_TIMER;

/// For so many windows on end there are more of them.
const WINDOWS: u32 = 8;

/// So many were set meanwhile.
const COUNT: u64 = 500;

pub(super) fn check(run: &Run, sightings: &mut Sightings) {
    let scale = run.scale();
    for (place, pile) in run.timers().piles() {
        let site = run.site(*place);
        if site.path.is_empty() || !pile.is_growing(WINDOWS, COUNT) {
            continue;
        }
        let message =
            format!("timers that `{}` sets pile up: they are far away and nobody cancels them", site.function);
        let sighting = Sighting::new(&LEAKED_TIMER.about, site, scale.time(pile.empty), message)
            .seen(pile.alive, scale.time(run.now()))
            .evidence(format!(
                "{} wait, {} were set in the last windows, {} have ended",
                pile.alive, pile.since.born, pile.since.ended
            ))
            .help("keep the handle and `handle.cancel()` it when what it was for is done")
            .suspected();
        sightings.push(sighting);
    }
}
