//! `executor-starved`: jobs that wait because others have all threads of an executor.

pub(crate) use detector::is_resolver;

mod detector;

use treadle_finding::{About, FixKind, Severity, Tier};

use crate::Pitfall;

/// The pitfall.
pub(crate) static EXECUTOR_STARVED: Pitfall = Pitfall {
    about: About {
        name: "executor-starved",
        summary: "executor whose threads are all taken",
        severity: Severity::Warning,
        tier: Tier::Certain,
        fix: FixKind::Hint,
        since: "0.1.0",
        remedy: None,
        page: include_str!("page.md"),
    },
    rules: &[],
    detector: Some(detector::check),
    kin: &["executor-per-call"],
};
