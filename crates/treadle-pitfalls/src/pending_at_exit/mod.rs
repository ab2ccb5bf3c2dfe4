//! `pending-at-exit`: a task that the program's end has ended. What the checker finds in the source is `lost-task`.

mod detector;

use treadle_finding::{About, FixKind, Severity, Tier};

use crate::Pitfall;

/// The pitfall.
pub(crate) static PENDING_AT_EXIT: Pitfall = Pitfall {
    about: About {
        name: "pending-at-exit",
        summary: "task ended by the program's end before its work was done",
        severity: Severity::Warning,
        tier: Tier::Likely,
        fix: FixKind::Hint,
        since: "0.1.0",
        remedy: None,
        page: include_str!("page.md"),
    },
    rules: &[],
    detector: Some(detector::check),
    kin: &["lost-task"],
};
