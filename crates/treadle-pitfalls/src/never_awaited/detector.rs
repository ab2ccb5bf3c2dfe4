//! Asks for coroutines that Python saw thrown away.

use treadle_events::What;
use treadle_finding::{Sighting, Sightings};
use treadle_run::Run;

use super::NEVER_AWAITED;

pub(super) fn check(run: &Run, sightings: &mut Sightings) {
    for told in run.told(What::NeverAwaited) {
        let site = told.note.place.as_ref().map(treadle_run::site).unwrap_or_default();
        let name = &told.note.subject;
        let scale = run.scale();
        let message = format!("coroutine `{name}` is never awaited");
        let sighting = Sighting::new(&NEVER_AWAITED.about, site, scale.time(told.note.stamp), message)
            .seen(told.count, scale.time(told.last))
            .help(format!("await it: `await {name}(…)`, or start it: `asyncio.create_task({name}(…))`"));
        sightings.push(sighting);
    }
}
