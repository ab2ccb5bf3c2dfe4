//! Asks for queues that have grown each time they were looked at.

use treadle_finding::{Sighting, Sightings, Site};
use treadle_run::{Growth, Run};

use super::UNBOUNDED_QUEUE;

pub(super) fn check(run: &Run, sightings: &mut Sightings) {
    let mut growing: Vec<(u64, &Growth, Site)> = run
        .growing_queues()
        .filter_map(|(address, growth, put)| Some((address, growth, put?.note.place.as_ref().map(treadle_run::site)?)))
        .collect();
    growing.sort_by(|one, other| (&one.2, one.0).cmp(&(&other.2, other.0)));
    for same in growing.chunk_by(|one, other| one.2 == other.2) {
        let (_, growth, site) = &same[0];
        let largest = same.iter().map(|(_, growth, _)| growth.size).max().unwrap_or(0);
        let scale = run.scale();
        let message =
            format!("`{}` fills a `{}` without a bound faster than it is emptied", site.function, growth.class);
        let sighting = Sighting::new(&UNBOUNDED_QUEUE.about, site.clone(), scale.time(growth.since), message)
            .seen(same.len() as u64, scale.time(growth.last))
            .evidence(format!("{largest} items, more each time it was looked at"))
            .help("give it a bound, so that producers wait: `asyncio.Queue(maxsize=100)`, and `await queue.put(item)`");
        sightings.push(sighting);
    }
}
