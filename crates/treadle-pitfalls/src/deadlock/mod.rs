//! `deadlock`: tasks that wait for each other. What the checker finds in the source is `lock-order` and `lock-reentry`.

mod detector;

use treadle_finding::{About, FixKind, Severity, Tier};

use crate::Pitfall;

/// The pitfall.
pub(crate) static DEADLOCK: Pitfall = Pitfall {
    about: About {
        name: "deadlock",
        summary: "tasks that wait for each other",
        severity: Severity::Error,
        tier: Tier::Certain,
        fix: FixKind::Hint,
        since: "0.1.0",
        remedy: None,
        page: include_str!("page.md"),
    },
    rules: &[],
    detector: Some(detector::check),
    kin: &["lock-order", "lock-reentry"],
};
