//! Asks for lines at which tasks go on at once, again and again, and for callbacks of descriptors that are called like that.

use treadle_finding::{Sighting, Sightings};
use treadle_run::{Around, Run};

use super::BUSY_POLL;

/// For how long at least, in nanoseconds, and how many steps a second.
const LONG: u64 = 1_000_000_000;
const OFTEN: u64 = 1_000;

/// Callbacks that move nothing need not be called so often, and so many calls must have been looked at.
const CALLS: u64 = 300;
const LOOKS: u64 = 12;

pub(super) fn check(run: &Run, sightings: &mut Sightings) {
    check_tasks(run, sightings);
    check_callbacks(run, sightings);
}

fn check_tasks(run: &Run, sightings: &mut Sightings) {
    let scale = run.scale();
    for (place, poll) in run.polls().places() {
        let is_while = matches!(poll.around, Some(Around::OnlyWait | Around::While));
        let seconds = scale.duration(poll.longest) / LONG;
        if !is_while || seconds == 0 || poll.most < OFTEN * seconds {
            continue;
        }
        let site = run.site(*place);
        let message = format!("`{}` asks again and again instead of waiting", site.function);
        let sighting = Sighting::new(&BUSY_POLL.about, site, scale.time(poll.since), message)
            .seen(1, scale.time(poll.last))
            .cause("a task that is ready at once never lets the loop sleep")
            .help("wait until somebody says so: `await event.wait()`, and `event.set()` where it becomes true");
        // A loop that also does something may do something useful each time.
        sightings.push(if poll.around == Some(Around::OnlyWait) { sighting } else { sighting.suspected() });
    }
}

fn check_callbacks(run: &Run, sightings: &mut Sightings) {
    let scale = run.scale();
    for (place, writes, spin) in run.spins().rows() {
        let (site, seconds) = (run.site(place), scale.duration(spin.longest) / LONG);
        if site.line == 0 || seconds == 0 || spin.calls < CALLS * seconds || spin.looks < LOOKS {
            continue;
        }
        let (does, help) = if writes {
            ("writes nothing", "when all is written, `loop.remove_writer(…)`; `add_writer` again when there is more")
        } else {
            (
                "reads nothing",
                "read what is there: `sock.recv(…)`; or, also once it is at its end, `loop.remove_reader(…)`",
            )
        };
        let message = format!("`{}` is called again and again and {does}", site.function);
        let sighting = Sighting::new(&BUSY_POLL.about, site, scale.time(spin.since), message)
            .seen(1, scale.time(spin.last))
            .cause("a descriptor that is ready all the time never lets the loop sleep")
            .help(help);
        sightings.push(sighting);
    }
}
