//! Asks for lines whose tasks become more and more and do nothing.

use treadle_events::Wait;
use treadle_finding::{Sighting, Sightings};
use treadle_run::{Birth, Run};

use super::LEAKED_TASK;

/// For so many windows on end there are more of them.
const WINDOWS: u32 = 10;

/// So many were started meanwhile.
const COUNT: u64 = 50;

pub(super) fn check(run: &Run, sightings: &mut Sightings) {
    for (place, birth) in run.births() {
        let site = run.site(*place);
        // A connection may have a task as long as it lasts.
        let is_served = run.transports().count() * 2 >= birth.alive;
        if site.path.is_empty() || site.package.is_some() || is_served || !birth.pile.is_growing(WINDOWS, COUNT) {
            continue;
        }
        let Some(function) = idle(run, *place) else { continue };
        let message = format!("tasks of `{function}` pile up: they are started and do not end");
        let scale = run.scale();
        let sighting = Sighting::new(&LEAKED_TASK.about, site, scale.time(birth.pile.empty), message)
            .seen(birth.alive, scale.time(birth.last))
            .evidence(shown(birth))
            .help("find out what they wait for, and give that a limit: `async with asyncio.timeout(…)`");
        sightings.push(sighting);
    }
}

fn shown(birth: &Birth) -> String {
    format!("{} were started and {} have ended; in the last windows {}", birth.born, birth.born - birth.alive, {
        let since = birth.pile.since;
        format!("{} and {}", since.born, since.ended)
    })
}

/// What the tasks of a line run, if nearly all that are older than a few windows have done nothing in these.
fn idle(run: &Run, place: treadle_events::PlaceId) -> Option<String> {
    let long_ago = run.now().saturating_sub(3 * run.scale().ticks(run.thresholds.window));
    let mut old = 0_u64;
    let mut idle = 0_u64;
    let mut code = None;
    for (address, task) in run.tasks().iter().filter(|(_, task)| task.birth == place && task.born < long_ago) {
        old += 1;
        // Whoever sleeps goes on by itself.
        let sleeps = run.parked(*address).is_some_and(|parked| parked.waiting.wait == Wait::Sleep);
        idle += u64::from(task.last_step < long_ago && !sleeps);
        code = Some(task.code);
    }
    code.filter(|_| idle * 10 >= old * 9).map(|code| run.site(code).function)
}
