//! Asks for lines that write to transports whose buffers grow and grow.

use treadle_finding::{Sighting, Sightings};
use treadle_run::Run;

use super::UNBOUNDED_BUFFER;

pub(super) fn check(run: &Run, sightings: &mut Sightings) {
    for (place, overfull) in run.overfull() {
        let (site, scale) = (run.site(*place), run.scale());
        let message = format!("`{}` writes more than the peer takes, and does not wait", site.function);
        let sighting = Sighting::new(&UNBOUNDED_BUFFER.about, site, scale.time(overfull.since), message)
            .seen(overfull.count, scale.time(overfull.last))
            .evidence(format!("up to {} MiB in one buffer", overfull.largest >> 20))
            .help("wait until the buffer has room: `await writer.drain()` after `writer.write(…)`");
        sightings.push(sighting);
    }
}
