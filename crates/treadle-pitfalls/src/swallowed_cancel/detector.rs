//! Asks for tasks that were told to end and went on.

use treadle_events::What;
use treadle_finding::{Sighting, Sightings};
use treadle_run::{Run, Told};

use super::SWALLOWED_CANCEL;

pub(super) fn check(run: &Run, sightings: &mut Sightings) {
    for told in run.told(What::CancelSwallowed) {
        let message = format!("task `{}` goes on after it was cancelled", told.note.subject);
        let mut seen = sighting(run, told, message);
        if let Some(parked) = told.note.details.first() {
            seen = seen.evidence(format!("a second later it waits at {parked}"));
        }
        sightings.push(seen);
    }
    for told in run.told(What::CancelAnswered) {
        let message = format!("task `{}` returns a value after it was cancelled", told.note.subject);
        sightings.push(sighting(run, told, message).suspected());
    }
}

fn sighting(run: &Run, told: &Told, message: String) -> Sighting {
    let site = told.note.place.as_ref().map(treadle_run::site).unwrap_or_default();
    let scale = run.scale();
    Sighting::new(&SWALLOWED_CANCEL.about, site, scale.time(told.note.stamp), message)
        .seen(told.count, scale.time(told.last))
        .help("end the handler with `raise`")
}
