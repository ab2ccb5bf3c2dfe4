//! Asks for loops that were ready to go on and had to wait for the interpreter.

use treadle_finding::{Sighting, Sightings};
use treadle_run::Run;

use super::GIL_CONVOY;

pub(super) fn check(run: &Run, sightings: &mut Sightings) {
    let scale = run.scale();
    for convoy in run.convoys().values() {
        // Without the thread that had it there is nothing to change.
        let Some(holder) = convoy.holder().filter(|_| convoy.count > 0) else { continue };
        let site = treadle_run::site(holder);
        let package = site.package.as_deref().map_or_else(String::new, |package| format!(" of package `{package}`"));
        let name = site.function.rsplit_once("<locals>.").map_or(site.function.as_str(), |(_, last)| last);
        let message = format!("`{}`{package} keeps the interpreter from the event loop", site.function);
        let sighting = Sighting::new(&GIL_CONVOY.about, site.clone(), scale.time(convoy.first), message)
            .seen(convoy.count, scale.time(convoy.last))
            .worst(convoy.longest)
            .cause("the loop is ready to go on and waits for the interpreter")
            .help(format!(
                "run it in another process: `await loop.run_in_executor(ProcessPoolExecutor(), {name}, …)`, or \
                 `await treadle.to_process({name}, …)`"
            ));
        sightings.push(sighting);
    }
}
