//! Asks for tasks that the program's end has ended.

use treadle_events::What;
use treadle_finding::{Sighting, Sightings};
use treadle_run::{Run, Told};

use super::PENDING_AT_EXIT;

pub(super) fn check(run: &Run, sightings: &mut Sightings) {
    for told in run.told(What::TaskNeverBegan) {
        let message = format!("task `{}` is started and never runs: the program ends first", told.note.subject);
        push(run, told, message, false, sightings);
    }
    for told in run.told(What::TaskCutOff) {
        let message = format!("the program ends in the middle of task `{}`, which nobody waits for", told.note.subject);
        push(run, told, message, true, sightings);
    }
}

fn push(run: &Run, told: &Told, message: String, is_suspected: bool, sightings: &mut Sightings) {
    let site = told.note.place.as_ref().map(treadle_run::site).unwrap_or_default();
    if site.package.is_some() {
        return;
    }
    let scale = run.scale();
    let sighting = Sighting::new(&PENDING_AT_EXIT.about, site, scale.time(told.note.stamp), message)
        .seen(told.count, scale.time(told.last))
        .help("keep it and wait for it: `await task`, or start it in `async with asyncio.TaskGroup() as group:`");
    sightings.push(if is_suspected { sighting.suspected() } else { sighting });
}
