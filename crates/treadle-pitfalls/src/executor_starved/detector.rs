//! Asks for jobs that waited long because jobs of another line had all threads.

use treadle_events::Place;
use treadle_finding::{Sighting, Sightings};
use treadle_run::Run;

use super::EXECUTOR_STARVED;

/// The function of Python's that looks names up, which is `resolver-in-pool`'s.
pub(crate) fn is_resolver(place: &Place) -> bool {
    place.function == "getaddrinfo" && place.file.ends_with("socket.py")
}

pub(super) fn check(run: &Run, sightings: &mut Sightings) {
    let scale = run.scale();
    for ((holder, waits), starved) in run.jobs().starved() {
        // Whoever hands over many at once knows that some wait.
        let is_own = holder == waits || holder.place == waits.place;
        if is_own || run.place(waits.function).is_some_and(is_resolver) {
            continue;
        }
        // Where a task does nothing but `to_thread`, no line of the program's hands over.
        let handed = run.site(holder.place);
        let site = if handed.line > 0 { handed } else { run.site(holder.function) };
        let victim = run.site(waits.place);
        let function = name(&run.site(holder.function).function);
        let message = format!("`{function}` takes all threads of the executor, and other jobs wait");
        let sighting = Sighting::new(&EXECUTOR_STARVED.about, site, scale.time(starved.first), message)
            .seen(starved.count, scale.time(starved.last))
            .worst(scale.duration(starved.worst))
            .cause("waiting for a thread")
            .evidence(format!(
                "`{}` was handed over by `{}` and waited",
                name(&run.site(waits.function).function),
                victim.function
            ))
            .evidence(format!("the executor has {} threads", starved.workers))
            .help(format!(
                "give `{function}` an executor of its own: `loop.run_in_executor(ThreadPoolExecutor(…), {function}, …)`"
            ));
        sightings.push(sighting);
    }
}

/// The last part of a qualified name.
fn name(function: &str) -> String {
    function.rsplit_once("<locals>.").map_or(function, |(_, last)| last).to_owned()
}
