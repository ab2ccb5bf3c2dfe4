//! A recording as other programs and people read it: a page, traces, flame graphs, findings.
//!
//! Each is a function of a [`Report`](treadle_run::Report) and adds nothing to it.

mod collapsed;
mod findings;
mod html;
mod speedscope;
mod trace;

pub use collapsed::collapsed;
pub use findings::report_sarif;
pub use html::{LARGEST_PAGE, html};
pub use speedscope::speedscope;
pub use trace::trace;

use treadle_run::Report;

/// The whole report as JSON.
pub fn report_json(report: &Report) -> String {
    // Numbers, texts and lists can be written, and a string takes all of them.
    serde_json::to_string(report).unwrap_or_default()
}
