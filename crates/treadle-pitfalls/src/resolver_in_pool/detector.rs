//! Asks for lookups of names that waited long for a thread.

use treadle_finding::{Sighting, Sightings};
use treadle_run::Run;

use super::RESOLVER_IN_POOL;
use crate::executor_starved::is_resolver;

pub(super) fn check(run: &Run, sightings: &mut Sightings) {
    let scale = run.scale();
    for ((holder, waits), starved) in run.jobs().starved() {
        if !run.place(waits.function).is_some_and(is_resolver) {
            continue;
        }
        let is_own = run.place(holder.function).is_some_and(is_resolver);
        let site = run.site(waits.place);
        let who = if is_own { "other lookups".to_owned() } else { format!("`{}`", run.site(holder.function).function) };
        let message = "looking up a name waits for a thread of the default executor";
        let sighting = Sighting::new(&RESOLVER_IN_POOL.about, site, scale.time(starved.first), message)
            .seen(starved.count, scale.time(starved.last))
            .worst(scale.duration(starved.worst))
            .cause(format!("all {} threads are taken by {who}", starved.workers));
        let help = if is_own {
            "look a name up once and keep its addresses, or take a resolver without threads, such as `aiodns`"
        } else {
            "give long jobs an executor of their own: `loop.run_in_executor(ThreadPoolExecutor(…), f, …)`"
        };
        sightings.push(sighting.help(help));
    }
}
