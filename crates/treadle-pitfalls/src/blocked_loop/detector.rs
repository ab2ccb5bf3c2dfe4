//! Asks for lines that kept a loop from everything else.

use treadle_events::Place;
use treadle_finding::{Sighting, Sightings};
use treadle_run::{Blocked, Cause, Run};

use super::BLOCKED_LOOP;

pub(super) fn check(run: &Run, sightings: &mut Sightings) {
    for blocked in run.blocked() {
        let (blame, scale) = (&blocked.blame, run.scale());
        let site = treadle_run::site(&blame.place);
        let what = blame.called.as_ref().unwrap_or(&site.function);
        let package = site.package.as_deref().filter(|package| *package != "python");
        let whose = package.map_or_else(String::new, |package| format!(" of package `{package}`"));
        let message = format!("`{what}`{whose} blocks the event loop");
        let mut sighting = Sighting::new(&BLOCKED_LOOP.about, site, scale.time(blocked.first), message)
            .seen(blocked.count, scale.time(blocked.last))
            .worst(blocked.worst)
            .help(help(blocked));
        sighting.cause = blocked.cause.words().map(str::to_owned);
        if let Some(way) = way(&blame.way) {
            sighting = sighting.evidence(way);
        }
        sightings.push(sighting);
    }
}

/// How the loop came there.
fn way(places: &[Place]) -> Option<String> {
    let steps: Vec<String> =
        places.iter().map(|place| format!("`{}` ({}:{})", place.function, short(&place.file), place.line)).collect();
    (steps.len() > 1).then(|| format!("through {}", steps.join(", ")))
}

/// The last part of a path, with the directory where it is a package's first file.
fn short(path: &str) -> &str {
    let parts = if path.ends_with("/__init__.py") { 2 } else { 1 };
    path.rmatch_indices('/').nth(parts - 1).map_or(path, |(at, _)| &path[at + 1..])
}

/// What to write instead.
fn help(blocked: &Blocked) -> String {
    let called = blocked.blame.called.as_deref();
    let name = called.unwrap_or(&blocked.blame.place.function);
    match (called, blocked.cause) {
        (Some("time.sleep"), _) => "wait without the loop: `await asyncio.sleep(…)`".to_owned(),
        (_, Cause::Import) => "import it at the top of the module, before the loop runs".to_owned(),
        (Some(called), Cause::Child) if called.starts_with("subprocess.") => {
            "let the loop wait for it: `await asyncio.create_subprocess_exec(…)`".to_owned()
        }
        (Some(called), Cause::Lock) if called.ends_with("acquire") => {
            format!("lock tasks out with `asyncio.Lock`, or wait in a thread: `await asyncio.to_thread({called})`")
        }
        (Some(called), Cause::Lock) if called.ends_with("Future.result") => {
            "let the loop wait for it: `await asyncio.wrap_future(future)`".to_owned()
        }
        (_, Cause::Collector) => {
            format!("call it when nobody waits, or in a thread: `await asyncio.to_thread({name})`")
        }
        // asyncio's own functions take long if they are called for many tasks, and not in threads.
        (Some(called), _) if called.starts_with("asyncio.") => {
            "have fewer tasks at once: a few workers that take from a queue, or `treadle.amap(…, limit=…)`".to_owned()
        }
        // Which function this line is of, and whether it is a coroutine's, only its author knows.
        (None, Cause::Processor) => "put the computation into a plain function, and run that in a process: \
             `await loop.run_in_executor(pool, compute, …)` with a `ProcessPoolExecutor`, or \
             `await treadle.to_process(compute, …)`"
            .to_owned(),
        (None, _) => {
            "put what takes long into a plain function, and run that in a thread: `await asyncio.to_thread(work, …)`"
                .to_owned()
        }
        _ => format!("run it in a thread: `await asyncio.to_thread({}, …)`", plain(name)),
    }
}

/// The last part of a qualified name.
fn plain(name: &str) -> &str {
    name.rsplit_once("<locals>.").map_or(name, |(_, last)| last)
}
