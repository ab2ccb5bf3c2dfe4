//! `stuck-wait`: a task that waits for what nobody can bring about any more.

mod detector;

use treadle_finding::{About, FixKind, Severity, Tier};

use crate::Pitfall;

/// The pitfall.
pub(crate) static STUCK_WAIT: Pitfall = Pitfall {
    about: About {
        name: "stuck-wait",
        summary: "wait for what nobody can bring about any more",
        severity: Severity::Error,
        tier: Tier::Certain,
        fix: FixKind::Hint,
        since: "0.1.0",
        remedy: None,
        page: include_str!("page.md"),
    },
    rules: &[],
    detector: Some(detector::check),
    kin: &["stalled-wait"],
};
