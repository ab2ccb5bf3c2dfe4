//! Findings as rows.

use serde::{Deserialize, Serialize};
use treadle_finding::{Sighting, Site};

/// A finding; see [`Sighting`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FindingRow {
    /// The pitfall's name.
    pub name: String,
    /// How loud it is, in a word.
    pub severity: String,
    /// Whether nothing proves it.
    pub is_suspected: bool,
    /// The line to be changed.
    pub site: Site,
    /// One line.
    pub message: String,
    /// How often it was seen.
    pub count: u64,
    /// When for the first and the last time, in nanoseconds since 1970.
    pub first: u64,
    /// See `first`.
    pub last: u64,
    /// The longest time it took, in nanoseconds.
    pub worst: Option<u64>,
    /// Why it is so.
    pub cause: Option<String>,
    /// What was seen, a line each.
    pub evidence: Vec<String>,
    /// The code to write instead.
    pub help: Option<String>,
}

impl FindingRow {
    pub(crate) fn of(seen: &Sighting) -> Self {
        Self {
            name: seen.about.name.to_owned(),
            severity: seen.severity.as_str().to_owned(),
            is_suspected: seen.is_suspected,
            site: seen.site.clone(),
            message: seen.message.clone(),
            count: seen.count,
            first: seen.first,
            last: seen.last,
            worst: seen.worst,
            cause: seen.cause.clone(),
            evidence: seen.evidence.clone(),
            help: seen.help.clone(),
        }
    }
}
