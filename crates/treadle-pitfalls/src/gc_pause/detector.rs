//! Asks for collections that took longer than the threshold in the thread of a loop.

use treadle_finding::{Sighting, Sightings, Site};
use treadle_run::{LongCollections, Run};

use super::GC_PAUSE;

pub(super) fn check(run: &Run, sightings: &mut Sightings) {
    let scale = run.scale();
    for (event_loop, collections) in run.collector().done() {
        if *event_loop == 0 {
            continue;
        }
        let mut long = collections.long.iter().filter(|line| !is_asked(run, &run.site(line.place)));
        let Some(first) = long.next() else { continue };
        let all = long.fold(first.clone(), |sum, line| LongCollections {
            count: sum.count + line.count,
            last: sum.last.max(line.last),
            generation: if line.longest > sum.longest { line.generation } else { sum.generation },
            longest: sum.longest.max(line.longest),
            ..sum
        });
        let message = "garbage collection stops the event loop";
        let sighting = Sighting::new(&GC_PAUSE.about, run.site(all.place), scale.time(all.first), message)
            .seen(all.count, scale.time(all.last))
            .worst(scale.duration(all.longest))
            .cause(format!("generation {} has many objects to look at", all.generation))
            .evidence("the line is the one that happened to set a collection off")
            .help("once the program has started, leave what stays alive out of it: `gc.freeze()`");
        sightings.push(sighting);
    }
}

/// Whether a line asks for a collection: it blocks the loop, which is said there.
fn is_asked(run: &Run, site: &Site) -> bool {
    run.blocked().iter().any(|blocked| {
        let place = &blocked.blame.place;
        let is_call = blocked.blame.called.as_ref().is_some_and(|called| called.ends_with("collect"));
        is_call && (place.line, &place.file) == (site.line, &site.path)
    })
}
