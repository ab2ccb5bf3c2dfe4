//! `task-flood`: more tasks at once than anybody can serve.

mod detector;

use treadle_finding::{About, FixKind, Severity, Tier};

use crate::Pitfall;

/// The pitfall.
pub(crate) static TASK_FLOOD: Pitfall = Pitfall {
    about: About {
        name: "task-flood",
        summary: "thousands of tasks started at once by one line",
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
