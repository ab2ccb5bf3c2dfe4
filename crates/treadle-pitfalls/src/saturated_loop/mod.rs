//! `saturated-loop`: a loop that has more to do than it can.

mod detector;

use treadle_finding::{About, FixKind, Severity, Tier};

use crate::Pitfall;

/// The pitfall.
pub(crate) static SATURATED_LOOP: Pitfall = Pitfall {
    about: About {
        name: "saturated-loop",
        summary: "event loop with more to do than it can",
        severity: Severity::Warning,
        tier: Tier::Certain,
        fix: FixKind::Hint,
        since: "0.1.0",
        remedy: None,
        page: include_str!("page.md"),
    },
    rules: &[],
    detector: Some(detector::check),
    kin: &["cpu-bound"],
};
