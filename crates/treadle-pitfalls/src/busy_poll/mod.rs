//! `busy-poll`: a task that waits by asking again and again.

mod detector;

use treadle_finding::{About, FixKind, Severity, Tier};

use crate::Pitfall;

/// The pitfall.
pub(crate) static BUSY_POLL: Pitfall = Pitfall {
    about: About {
        name: "busy-poll",
        summary: "task that asks again and again instead of waiting",
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
