//! Asks for loops that had more to do than they could, for seconds.

use treadle_finding::{Sighting, Sightings};
use treadle_run::Run;

use super::SATURATED_LOOP;

/// A piece of code that takes so many hundredths of the time is where to begin.
const SHARE: u64 = 40;

pub(super) fn check(run: &Run, sightings: &mut Sightings) {
    let scale = run.scale();
    for saturation in run.saturations().values() {
        let site = run.site(saturation.place);
        if saturation.share < SHARE || site.line == 0 {
            continue;
        }
        let message = format!("the event loop has more to do than it can, most of it in `{}`", site.function);
        let sighting = Sighting::new(&SATURATED_LOOP.about, site, scale.time(saturation.first), message)
            .seen(saturation.count, scale.time(saturation.last))
            .worst(scale.duration(saturation.lag))
            .cause("what is ready waits longer and longer")
            .evidence(format!("it takes {} % of the loop's time", saturation.share))
            .help(
                "take no more than can be done: `async with asyncio.Semaphore(…)` around the work, or more processes",
            );
        sightings.push(sighting);
    }
}
