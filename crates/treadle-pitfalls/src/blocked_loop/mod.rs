//! `blocked-loop`: a callback that takes too long. What the checker finds in the source is `blocking-call` and its kin.

mod detector;

use treadle_finding::{About, FixKind, Severity, Tier};

use crate::Pitfall;

/// The pitfall.
pub(crate) static BLOCKED_LOOP: Pitfall = Pitfall {
    about: About {
        name: "blocked-loop",
        summary: "callback that keeps the event loop from everything else",
        severity: Severity::Error,
        tier: Tier::Certain,
        fix: FixKind::Hint,
        since: "0.1.0",
        remedy: None,
        page: include_str!("page.md"),
    },
    rules: &[],
    detector: Some(detector::check),
    kin: &["blocking-call", "blocking-call-indirect", "blocking-file", "cpu-bound"],
};
