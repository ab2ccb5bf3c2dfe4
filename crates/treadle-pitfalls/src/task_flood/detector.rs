//! Asks for lines that have started too many tasks within a short time.

use treadle_finding::{Sighting, Sightings};
use treadle_run::Run;

use super::TASK_FLOOD;

/// Within so many nanoseconds.
const SHORT: u64 = 10_000_000_000;

pub(super) fn check(run: &Run, sightings: &mut Sightings) {
    let scale = run.scale();
    for (place, birth) in run.births() {
        let Some(flooded) = birth.pile.flooded else { continue };
        let site = run.site(*place);
        let took = scale.duration(flooded.saturating_sub(birth.pile.empty));
        let is_served = run.transports().most() * 2 >= run.thresholds.flood;
        if site.path.is_empty() || site.package.is_some() || took > SHORT || is_served {
            continue;
        }
        let message = format!("`{}` starts thousands of tasks at once, without a limit", site.function);
        let sighting = Sighting::new(&TASK_FLOOD.about, site, scale.time(flooded), message)
            .evidence(format!("{} at once", birth.most))
            .help("let a few workers take them from a queue, or limit them: `async with asyncio.Semaphore(100):` around the start, or \
                 `await treadle.amap(…, limit=100)`");
        sightings.push(sighting);
    }
}
