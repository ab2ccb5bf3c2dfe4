//! Asks for calls of loops from other threads.

use treadle_finding::{Sighting, Sightings};
use treadle_run::Run;

use super::CROSS_THREAD_CALL;

pub(super) fn check(run: &Run, sightings: &mut Sightings) {
    let scale = run.scale();
    for (place, seen) in run.crossings() {
        let site = run.site(*place);
        let message = format!("`{}` uses the event loop from another thread", site.function);
        let sighting = Sighting::new(&CROSS_THREAD_CALL.about, site, scale.time(seen.first), message)
            .seen(seen.count, scale.time(seen.last))
            .help("hand the call over: `loop.call_soon_threadsafe(…)`, or `asyncio.run_coroutine_threadsafe(…, loop)`");
        sightings.push(sighting);
    }
}
