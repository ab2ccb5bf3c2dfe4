//! Asks for tasks that wait for what everybody else has forgotten.

use treadle_events::{Manner, Wait};
use treadle_finding::{Sighting, Sightings};
use treadle_run::{Member, Run};

use super::STUCK_WAIT;
use crate::told_waits::{site, wanted};

/// How long it must have been so, in nanoseconds.
const PATIENCE: u64 = 1_000_000_000;

pub(super) fn check(run: &Run, sightings: &mut Sightings) {
    let mut found: Vec<Sighting> = Vec::new();
    for seized in run.seized().iter().filter(|seized| !seized.is_ring) {
        let [member] = seized.members.as_slice() else { continue };
        let Wait::Thing(manner, thing) = member.waiting.wait else { continue };
        let scale = run.scale();
        let lasted = scale.duration(seized.last.saturating_sub(seized.since));
        // A program's main task may wait for an event for ever on purpose, while others do the work, hardly for a queue; locks are told of elsewhere.
        let is_queue = matches!(manner, Manner::Item | Manner::Room | Manner::Done);
        let is_kept_open = !(member.is_child || is_queue);
        let is_other = matches!(manner, Manner::Lock | Manner::Permit) || is_kept_open && !seized.is_end;
        let site = site(run, member);
        // Workers at a queue have nothing to do while somebody waits for their last work to be done.
        let is_worker = matches!(manner, Manner::Item)
            && run
                .seized()
                .iter()
                .any(|other| other.members.iter().any(|one| one.waiting.wait == Wait::Thing(Manner::Done, thing)));
        if is_worker || is_other || lasted < PATIENCE || site.line == 0 || site.package.is_some() {
            continue;
        }
        let message = format!("`{}` waits for {} for ever", site.function, wanted(member));
        let same = |known: &&mut Sighting| (&known.site, &known.message) == (&site, &message);
        if let Some(known) = found.iter_mut().find(same) {
            known.count += 1;
            known.last = known.last.max(scale.time(seized.last));
            continue;
        }
        let sighting = Sighting::new(&STUCK_WAIT.about, site, scale.time(seized.since), message)
            .seen(1, scale.time(seized.last))
            .evidence(who_is_left(member))
            .help(help(manner));
        // Threads may have the work.
        found.push(if is_kept_open { sighting.suspected() } else { sighting });
    }
    for sighting in found {
        sightings.push(sighting);
    }
}

fn who_is_left(member: &Member) -> String {
    let name = &member.waiting.name;
    match member.stuck.waits_for.len() {
        0 => format!("nothing but `{name}` itself refers to it"),
        1 => format!("nothing but `{name}` and one task that is stuck too refers to it"),
        count => format!("nothing but `{name}` and {count} tasks that are stuck too refers to it"),
    }
}

fn help(manner: Manner) -> &'static str {
    match manner {
        Manner::Item => "have the producer say that it has ended: `queue.shutdown()`, or an item that means the end",
        Manner::Done => "call `queue.task_done()` for each item, also when its work fails",
        Manner::Room => "have somebody take items for as long as somebody puts them",
        Manner::Event => "keep the event where somebody calls `set()`, also when their work fails",
        Manner::Notice => "keep the condition where somebody calls `notify()`",
        _ => "keep the future where somebody calls `set_result()`, also when their work fails",
    }
}
