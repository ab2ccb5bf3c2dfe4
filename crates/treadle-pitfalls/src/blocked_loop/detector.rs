//! Asks for callbacks that took longer than the threshold.

use treadle_finding::{Sighting, Sightings};
use treadle_run::Run;

use super::BLOCKED_LOOP;

pub(super) fn check(run: &Run, sightings: &mut Sightings) {
    for long in run.long() {
        let site = run.site(long.place);
        let message = format!("`{}` blocks the event loop", site.function);
        let at = run.scale().time(long.since);
        let sighting = Sighting::new(&BLOCKED_LOOP.about, site, at, message).worst(run.scale().duration(long.took));
        sightings.push(sighting);
    }
}
