//! Asks for jobs that waited long because others had all threads, or wait for each other.

use treadle_events::{Place, What};
use treadle_finding::{Sighting, Sightings};
use treadle_run::{JobKind, Run, Starved};

use super::EXECUTOR_STARVED;

/// The function of Python's that looks names up, which is `resolver-in-pool`'s.
pub(crate) fn is_resolver(place: &Place) -> bool {
    place.function == "getaddrinfo" && place.file.ends_with("socket.py")
}

/// Whoever hands over many at once knows that some wait, but hardly so many for each thread, and so long, in nanoseconds.
const MANY: usize = 4;
const LONG: u64 = 2_000_000_000;

pub(super) fn check(run: &Run, sightings: &mut Sightings) {
    let scale = run.scale();
    check_entangled(run, sightings);
    for ((holder, waits), starved) in run.jobs().starved() {
        if run.place(waits.function).is_some_and(is_resolver) {
            continue;
        }
        let handed = run.site(holder.place);
        if holder == waits || holder.place == waits.place {
            let is_many = starved.queue >= MANY * usize::from(starved.workers.max(1));
            if is_many && scale.duration(starved.worst) >= LONG && handed.line > 0 {
                sightings.push(piled_up(run, *holder, starved));
            }
            continue;
        }
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

/// More is handed over than can be done.
fn piled_up(run: &Run, kind: JobKind, starved: &Starved) -> Sighting {
    let (scale, function) = (run.scale(), name(&run.site(kind.function).function));
    let message = format!("calls of `{function}` wait long for a thread of their executor");
    Sighting::new(&EXECUTOR_STARVED.about, run.site(kind.place), scale.time(starved.first), message)
        .seen(starved.count, scale.time(starved.last))
        .worst(scale.duration(starved.worst))
        .cause("more is handed over at once than the threads can do")
        .evidence(format!("the executor has {} threads, and {} calls waited at once", starved.workers, starved.queue))
        .help("hand over what can be done: `async with asyncio.Semaphore(…)` around it, or take more threads")
        .suspected()
}

/// Jobs that wait for jobs which wait for their threads.
fn check_entangled(run: &Run, sightings: &mut Sightings) {
    let scale = run.scale();
    for told in run.told(What::JobsEntangled) {
        let site = told.note.place.as_ref().map(treadle_run::site).unwrap_or_default();
        let message = format!("`{}` waits for a job that its own threads would have to do", site.function);
        let sighting = Sighting::new(&EXECUTOR_STARVED.about, site, scale.time(told.note.stamp), message)
            .seen(told.count, scale.time(told.last))
            .cause("all threads of the executor wait like this, so none is left for what they wait for")
            .help("await what is needed in the event loop and hand it over, or give it an executor of its own");
        sightings.push(sighting);
    }
}

/// The last part of a qualified name.
fn name(function: &str) -> String {
    function.rsplit_once("<locals>.").map_or(function, |(_, last)| last).to_owned()
}
