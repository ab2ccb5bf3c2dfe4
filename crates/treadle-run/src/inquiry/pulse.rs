//! The process in numbers, with what the system says of it.

use serde::{Deserialize, Serialize};
use treadle_finding::{Severity, Sighting};

use crate::Vitals;

/// A process in numbers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Pulse {
    /// The numbers.
    pub vitals: Vitals,
    /// How many errors and other findings there are.
    pub errors: u64,
    /// See `errors`.
    pub warnings: u64,
    /// Descriptors that the process has open, if that is known.
    pub descriptors: Option<u64>,
    /// Processor time of watching and time that loops stood still for it, in nanoseconds.
    pub cost: u64,
    /// How long the process has been watched, in nanoseconds.
    pub watched: u64,
    /// How long it took to make this answer, in nanoseconds.
    pub took: u64,
}

impl Pulse {
    pub(crate) fn new(vitals: Vitals, found: &[Sighting]) -> Self {
        let errors = found.iter().filter(|seen| seen.severity == Severity::Error).count() as u64;
        Self { vitals, errors, warnings: found.len() as u64 - errors, ..Self::default() }
    }

    /// Timers that wait, as far as loops were asked.
    pub fn timers(&self) -> u64 {
        self.vitals.loops.iter().map(|row| row.surroundings.timers as u64).sum()
    }

    /// Callbacks that have run.
    pub fn callbacks(&self) -> u64 {
        self.vitals.loops.iter().map(|row| row.callbacks).sum()
    }

    /// Tasks that have not ended.
    pub fn alive(&self) -> u64 {
        self.vitals.running + self.vitals.stuck + self.vitals.waiting
    }
}
