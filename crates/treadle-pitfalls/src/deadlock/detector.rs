//! Asks for tasks that wait for each other.

use treadle_events::{Manner, Wait};
use treadle_finding::{Sighting, Sightings};
use treadle_run::{Run, Seized};

use super::DEADLOCK;
use crate::told_waits::{evidence, site};

pub(super) fn check(run: &Run, sightings: &mut Sightings) {
    let mut found: Vec<Sighting> = Vec::new();
    for seized in run.seized().iter().filter(|seized| seized.is_ring) {
        let new = sighting(run, seized);
        let same = |known: &&mut Sighting| (&known.site, &known.message) == (&new.site, &new.message);
        match found.iter_mut().find(same) {
            Some(known) => {
                known.count += 1;
                known.last = known.last.max(new.last);
                known.is_suspected &= new.is_suspected;
            }
            None => found.push(new),
        }
    }
    for sighting in found {
        sightings.push(sighting);
    }
}

fn sighting(run: &Run, seized: &Seized) -> Sighting {
    let mut sites: Vec<_> = seized.members.iter().map(|member| site(run, member)).collect();
    sites.sort();
    let mut functions: Vec<&str> = sites.iter().map(|site| site.function.as_str()).collect();
    functions.dedup();
    let message = match functions.as_slice() {
        [function] if sites.len() == 1 => format!("`{function}` waits for {} that it holds itself", own(seized)),
        [function] => format!("tasks in `{function}` wait for each other"),
        [one, other] => format!("`{one}` and `{other}` wait for each other"),
        [first, .., last] => format!("`{first}`, `{last}` and others wait for each other"),
        [] => "tasks wait for each other".to_owned(),
    };
    let scale = run.scale();
    let site = sites.first().cloned().unwrap_or_default();
    let mut sighting = Sighting::new(&DEADLOCK.about, site, scale.time(seized.since), message)
        .seen(1, scale.time(seized.last))
        .help(help(seized));
    sighting.evidence = evidence(run, seized);
    if seized.members.iter().any(|member| member.stuck.is_doubtful) { sighting.suspected() } else { sighting }
}

fn own(seized: &Seized) -> &'static str {
    match seized.members[0].waiting.wait {
        Wait::Thing(Manner::Permit, _) => "a permit",
        Wait::Thing(..) => "a lock",
        _ => "a task",
    }
}

fn help(seized: &Seized) -> &'static str {
    let wants = |wanted: Manner| {
        seized
            .members
            .iter()
            .filter(|member| matches!(member.waiting.wait, Wait::Thing(manner, _) if manner == wanted))
            .count()
    };
    if seized.members.len() == 1 && wants(Manner::Lock) == 1 {
        "a lock cannot be taken twice: have the inner function expect that it is held"
    } else if wants(Manner::Lock) == seized.members.len() {
        "take the locks in the same order everywhere: `async with first: async with second: …`, or \
         `async with treadle.lock_all(first, second): …`"
    } else if wants(Manner::Lock) + wants(Manner::Permit) > 0 {
        "leave the `async with` before waiting for what needs it too"
    } else {
        "have one of them go on without the others"
    }
}
