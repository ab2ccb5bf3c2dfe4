//! Asks for what was opened and thrown away open.

use treadle_events::What;
use treadle_finding::{Sighting, Sightings};
use treadle_run::Run;

use super::UNCLOSED_RESOURCE;

pub(super) fn check(run: &Run, sightings: &mut Sightings) {
    let scale = run.scale();
    for (place, seen) in run.transports().left() {
        let site = run.site(*place);
        // Of what a server has accepted, or a package has opened, nobody can say who was to close it.
        if site.path.is_empty() || site.package.is_some() {
            continue;
        }
        let message = "a connection or pipe that is opened here is never closed";
        let sighting = Sighting::new(&UNCLOSED_RESOURCE.about, site, scale.time(seen.first), message)
            .seen(seen.count, scale.time(seen.last))
            .help("close it: `writer.close(); await writer.wait_closed()`");
        sightings.push(sighting);
    }
    for told in run.told(What::ResourceUnclosed) {
        let Some(place) = told.note.place.as_ref() else { continue };
        let is_birth = told.birth.as_ref() == Some(place);
        let name = &told.note.subject;
        let message = if is_birth {
            format!("the `{name}` that is opened here is never closed")
        } else {
            format!("a `{name}` is thrown away here and was not closed")
        };
        let sighting =
            Sighting::new(&UNCLOSED_RESOURCE.about, treadle_run::site(place), scale.time(told.note.stamp), message)
                .seen(told.count, scale.time(told.last))
                .help("open it in a `with`, or `close()` it in a `finally`");
        sightings.push(sighting);
    }
}
