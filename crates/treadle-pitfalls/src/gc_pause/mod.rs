//! `gc-pause`: collections of garbage that are felt.

mod detector;

use treadle_finding::{About, FixKind, Severity, Tier};

use crate::Pitfall;

/// The pitfall.
pub(crate) static GC_PAUSE: Pitfall = Pitfall {
    about: About {
        name: "gc-pause",
        summary: "garbage collection that stops the event loop",
        severity: Severity::Warning,
        tier: Tier::Certain,
        fix: FixKind::Hint,
        since: "0.1.0",
        remedy: None,
        page: include_str!("page.md"),
    },
    rules: &[],
    detector: Some(detector::check),
    kin: &[],
};
