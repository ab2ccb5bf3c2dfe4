//! Findings as people and programs read them.
//!
//! Every view is a function of a [`Report`]; none of them decides anything. Lines and columns are counted here, from the
//! text of the files: both start at 1, columns count characters.
#![forbid(unsafe_code)]
#![expect(
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "nanoseconds of a process's life fit into the 53 bits of a float"
)]

mod full;
mod json;
mod page;
mod place;
mod plain;
mod prometheus;
mod report;
mod sarif;
mod sighting;
mod snapshot;
pub mod tui;

use std::path::Path;
use std::sync::Arc;

use treadle_finding::{Finding, Problem};

pub use full::full;
pub use json::{json, json_lines};
pub use page::page;
pub use plain::{concise, github, statistics};
pub use prometheus::{Exposition, Metrics};
pub use report::{LARGEST_PAGE, collapsed, html, report_json, report_sarif, speedscope, trace};
pub use sarif::sarif;
pub use sighting::{Closing, closing_json, closing_text, duration, place, sighting, sighting_json};
pub use snapshot::{last_moments, snapshot_json, snapshot_text};

/// The decoded text of files that have findings.
pub trait Sources {
    /// The text of a file; `None` if it cannot be had any more.
    fn text(&self, path: &Path) -> Option<Arc<str>>;
}

/// What a run has to say.
pub struct Report<'a> {
    /// In the order they are shown.
    pub findings: &'a [Finding],
    /// The finding to fix first, where there is more than one.
    pub first: Option<&'a Finding>,
    /// Files that could not be read.
    pub problems: &'a [Problem],
    /// How many files were checked.
    pub files: usize,
    /// How many findings comments silenced.
    pub ignored: usize,
    /// The files' texts.
    pub sources: &'a dyn Sources,
}

/// How text is shown.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// With ANSI colours.
    pub colour: bool,
    /// Columns of the terminal.
    pub width: usize,
}
