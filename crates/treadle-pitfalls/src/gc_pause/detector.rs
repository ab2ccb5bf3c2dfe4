//! Asks for collections that took longer than the threshold in the thread of a loop.

use treadle_finding::{Sighting, Sightings};
use treadle_run::Run;

use super::GC_PAUSE;

pub(super) fn check(run: &Run, sightings: &mut Sightings) {
    let scale = run.scale();
    for (event_loop, collections) in run.collector().done() {
        if *event_loop == 0 || collections.long == 0 {
            continue;
        }
        let site = run.site(collections.place);
        // Whoever asks for a collection blocks the loop, which is said there.
        let is_asked = run.blocked().iter().any(|blocked| {
            let place = &blocked.blame.place;
            let is_call = blocked.blame.called.as_ref().is_some_and(|called| called.ends_with("collect"));
            is_call && (place.line, &place.file) == (site.line, &site.path)
        });
        if is_asked {
            continue;
        }
        let message = "garbage collection stops the event loop";
        let sighting = Sighting::new(&GC_PAUSE.about, site, scale.time(collections.first), message)
            .seen(collections.long, scale.time(collections.last))
            .worst(scale.duration(collections.longest))
            .cause(format!("generation {} has many objects to look at", collections.generation))
            .evidence("the line is the one that happened to set a collection off")
            .help("once the program has started, leave what stays alive out of it: `gc.freeze()`");
        sightings.push(sighting);
    }
}
