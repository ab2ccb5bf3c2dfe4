//! Asks for tasks that were thrown away before they had ended.

use treadle_events::What;
use treadle_finding::{Sighting, Sightings};
use treadle_run::Run;

use super::LOST_TASK;

pub(super) fn check(run: &Run, sightings: &mut Sightings) {
    for told in run.told(What::TaskDestroyed) {
        let site = told.note.place.as_ref().map(treadle_run::site).unwrap_or_default();
        let scale = run.scale();
        let message = format!("task `{}` is collected before it is done: nothing keeps it", told.note.subject);
        let sighting = Sighting::new(&LOST_TASK.about, site, scale.time(told.note.stamp), message)
            .seen(told.count, scale.time(told.last))
            .help("keep it until it is done: `tasks.add(task); task.add_done_callback(tasks.discard)`");
        sightings.push(sighting);
    }
}
