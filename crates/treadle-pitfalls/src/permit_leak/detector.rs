//! Asks for locks and semaphores that nobody is left to release.

use treadle_events::{Manner, Wait, What};
use treadle_finding::{Sighting, Sightings};
use treadle_run::{Parked, Run};

use super::PERMIT_LEAK;
use crate::told_waits::site;

/// How long one must have waited where only the code says that nobody will release, in nanoseconds.
const PATIENCE: u64 = 2_000_000_000;

const HELP: &str = "enter it with `async with`, which releases it however the block ends";

pub(super) fn check(run: &Run, sightings: &mut Sightings) {
    let mut found: Vec<Sighting> = Vec::new();
    check_forgotten(run, &mut found);
    check_kept(run, &mut found);
    for sighting in found {
        sightings.push(sighting);
    }
    check_failed(run, sightings);
}

/// Those that only waiting tasks refer to.
fn check_forgotten(run: &Run, found: &mut Vec<Sighting>) {
    for seized in run.seized().iter().filter(|seized| !seized.is_ring) {
        let [member] = seized.members.as_slice() else { continue };
        let Some(what) = what(&member.waiting.wait) else { continue };
        let (site, scale) = (site(run, member), run.scale());
        let message = format!("`{}` waits for {what} that nobody is left to release", site.function);
        let sighting = Sighting::new(&PERMIT_LEAK.about, site, scale.time(seized.since), message)
            .seen(1, scale.time(seized.last))
            .evidence("nobody is inside an `async with` of it, and only tasks that wait refer to it".to_owned())
            .help(HELP);
        add(found, sighting);
    }
}

/// Those that no task has, though all are seen, and that are waited for in code that does not always release them.
fn check_kept(run: &Run, found: &mut Vec<Sighting>) {
    let scale = run.scale();
    let is_old = |parked: &&Parked| scale.duration(run.now().saturating_sub(parked.since)) >= PATIENCE;
    for parked in run.all_parked().filter(|parked| parked.waiting.leaks).filter(is_old) {
        let Wait::Thing(_, thing) = parked.waiting.wait else { continue };
        let Some(what) = what(&parked.waiting.wait) else { continue };
        let is_taken = run.waits().thing(thing).is_some_and(|thing| thing.is_taken);
        if !is_taken || run.waits().is_stuck(parked.waiting.task) || !nobody_has(run, parked.waiting.task, thing) {
            continue;
        }
        let site = run.site(run.standing(&parked.waiting));
        let message = format!("`{}` waits for {what} that it does not always release", site.function);
        let sighting = Sighting::new(&PERMIT_LEAK.about, site, scale.time(parked.since), message)
            .seen(1, scale.time(run.now()))
            .evidence("no task has it; one way out of the function keeps it, another one releases it".to_owned())
            .help(HELP)
            .suspected();
        add(found, sighting);
    }
}

/// Whether all tasks of a task's loop wait and were seen, and none of them has a thing.
fn nobody_has(run: &Run, task: u64, thing: u64) -> bool {
    let Some(event_loop) = run.tasks().get(&task).map(|task| task.event_loop) else { return false };
    let mut tasks = run.tasks().iter().filter(|(_, task)| task.event_loop == event_loop);
    tasks.all(|(address, _)| {
        let parked = run.parked(*address);
        parked.is_some_and(|parked| parked.waiting.holds.iter().all(|hold| hold.thing != thing))
    })
}

/// Those that an exception has left behind.
fn check_failed(run: &Run, sightings: &mut Sightings) {
    let scale = run.scale();
    for told in run.told(What::PermitLost) {
        let site = told.note.place.as_ref().map(treadle_run::site).unwrap_or_default();
        let exception = told.note.details.first().map_or("exception", String::as_str);
        let message = format!("`{}` does not release what it has acquired when it raises", site.function);
        let sighting = Sighting::new(&PERMIT_LEAK.about, site, scale.time(told.note.stamp), message)
            .seen(told.count, scale.time(told.last))
            .evidence(format!("`{exception}` has ended the task `{}` in between", told.note.subject))
            .help(HELP)
            .suspected();
        sightings.push(sighting);
    }
}

fn what(wait: &Wait) -> Option<&'static str> {
    match wait {
        Wait::Thing(Manner::Lock, _) => Some("a lock"),
        Wait::Thing(Manner::Permit, _) => Some("a semaphore's permit"),
        _ => None,
    }
}

fn add(found: &mut Vec<Sighting>, new: Sighting) {
    let same = |known: &&mut Sighting| (&known.site, &known.message) == (&new.site, &new.message);
    match found.iter_mut().find(same) {
        Some(known) => {
            known.count += 1;
            known.last = known.last.max(new.last);
        }
        None => found.push(new),
    }
}
