//! `leaked-task`: tasks that one line starts and that never end.

mod detector;

use treadle_finding::{About, FixKind, Severity, Tier};

use crate::Pitfall;

/// The pitfall.
pub(crate) static LEAKED_TASK: Pitfall = Pitfall {
    about: About {
        name: "leaked-task",
        summary: "tasks of one line that pile up and never end",
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
