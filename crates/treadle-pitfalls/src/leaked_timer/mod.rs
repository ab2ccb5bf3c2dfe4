//! `leaked-timer`: timers that one line sets and that are neither due nor cancelled.

mod detector;

use treadle_finding::{About, FixKind, Severity, Tier};

use crate::Pitfall;

/// The pitfall.
pub(crate) static LEAKED_TIMER: Pitfall = Pitfall {
    about: About {
        name: "leaked-timer",
        summary: "timers of one line that pile up",
        severity: Severity::Warning,
        tier: Tier::Likely,
        fix: FixKind::Hint,
        since: "0.1.0",
        remedy: None,
        page: include_str!("page.md"),
    },
    rules: &[],
    detector: Some(detector::check),
    kin: &[],
};
