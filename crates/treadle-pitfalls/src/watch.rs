//! Asking a running program.

use treadle_finding::{Sighting, Sightings};
use treadle_run::Run;

use crate::CATALOGUE;

/// Asks every pitfall that can be seen in a running program, in the order of the catalogue.
pub fn watch(run: &Run) -> Vec<Sighting> {
    let mut sightings = Sightings::default();
    CATALOGUE.iter().filter_map(|pitfall| pitfall.detector).for_each(|detect| detect(run, &mut sightings));
    sightings.into_vec()
}
