//! Asks for locks and semaphores that nobody is left to release.

use treadle_events::{Manner, Wait};
use treadle_finding::{Sighting, Sightings};
use treadle_run::Run;

use super::PERMIT_LEAK;
use crate::told_waits::site;

pub(super) fn check(run: &Run, sightings: &mut Sightings) {
    let mut found: Vec<Sighting> = Vec::new();
    for seized in run.seized().iter().filter(|seized| !seized.is_ring) {
        let [member] = seized.members.as_slice() else { continue };
        let what = match member.waiting.wait {
            Wait::Thing(Manner::Lock, _) => "a lock",
            Wait::Thing(Manner::Permit, _) => "a semaphore's permit",
            _ => continue,
        };
        let (site, scale) = (site(run, member), run.scale());
        let message = format!("`{}` waits for {what} that nobody is left to release", site.function);
        let same = |known: &&mut Sighting| (&known.site, &known.message) == (&site, &message);
        if let Some(known) = found.iter_mut().find(same) {
            known.count += 1;
            known.last = known.last.max(scale.time(seized.last));
            continue;
        }
        let sighting = Sighting::new(&PERMIT_LEAK.about, site, scale.time(seized.since), message)
            .seen(1, scale.time(seized.last))
            .evidence("nobody is inside an `async with` of it, and only tasks that wait refer to it".to_owned())
            .help("enter it with `async with`, which releases it however the block ends");
        found.push(sighting);
    }
    for sighting in found {
        sightings.push(sighting);
    }
}
