//! Asks for exceptions that nobody has seen.

use treadle_events::What;
use treadle_finding::{Sighting, Sightings};
use treadle_run::{Run, Told};

use super::LOST_EXCEPTION;

pub(super) fn check(run: &Run, sightings: &mut Sightings) {
    // Who still holds the task may look at it yet; once it is thrown away, nobody can.
    for told in run.told(What::ExceptionUnseen) {
        sightings.push(sighting(run, told, "is seen by nobody", LOOK).suspected());
    }
    for told in run.told(What::ExceptionNeverRetrieved) {
        sightings.push(sighting(run, told, "is seen by nobody", LOOK));
    }
    for told in run.told(What::ExceptionInGather) {
        sightings.push(sighting(run, told, "is lost: `gather` has raised another one before", GROUP));
    }
    for told in run.told(What::ExceptionInResults) {
        sightings.push(sighting(
            run,
            told,
            "is lost: it is among the results of a `gather` that are thrown away",
            RESULTS,
        ));
    }
}

const LOOK: &str = "await the task, or start it in `async with asyncio.TaskGroup() as group:`";
const GROUP: &str = "raise them all: `async with asyncio.TaskGroup() as group:`";
const RESULTS: &str = "look at each: `if isinstance(result, BaseException): …`";

fn sighting(run: &Run, told: &Told, fate: &str, help: &str) -> Sighting {
    let site = told.note.place.as_ref().map(treadle_run::site).unwrap_or_default();
    let scale = run.scale();
    let exception = told.note.details.first().map_or("exception", String::as_str);
    let message = format!("`{exception}` of `{}` {fate}", told.note.subject);
    let seen = Sighting::new(&LOST_EXCEPTION.about, site, scale.time(told.note.stamp), message)
        .seen(told.count, scale.time(told.last))
        .help(help);
    match &told.birth {
        Some(birth) => seen.evidence(format!("the task was started at {}:{}", birth.file, birth.line)),
        None => seen,
    }
}
