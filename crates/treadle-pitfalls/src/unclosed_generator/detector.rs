//! Asks for generators that were left with something to do.

use treadle_events::What;
use treadle_finding::{Sighting, Sightings};
use treadle_run::Run;

use super::UNCLOSED_GENERATOR;

pub(super) fn check(run: &Run, sightings: &mut Sightings) {
    for told in run.told(What::GeneratorLeft) {
        let site = told.note.place.as_ref().map(treadle_run::site).unwrap_or_default();
        let name = &told.note.subject;
        let scale = run.scale();
        let message = format!("generator `{name}` is left before its cleanup has run");
        let sighting = Sighting::new(&UNCLOSED_GENERATOR.about, site, scale.time(told.note.stamp), message)
            .seen(told.count, scale.time(told.last))
            .help(format!("close it where it is used: `async with contextlib.aclosing({name}(…)) as items:`"));
        sightings.push(sighting);
    }
}
