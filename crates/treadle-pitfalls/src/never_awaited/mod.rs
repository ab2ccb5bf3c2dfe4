//! `never-awaited`: a coroutine that is thrown away. What the checker finds in the source is `missing-await`.

mod detector;

use treadle_finding::{About, FixKind, Severity, Tier};

use crate::Pitfall;

/// The pitfall.
pub(crate) static NEVER_AWAITED: Pitfall = Pitfall {
    about: About {
        name: "never-awaited",
        summary: "coroutine thrown away before it ran",
        severity: Severity::Error,
        tier: Tier::Certain,
        fix: FixKind::Hint,
        since: "0.1.0",
        remedy: None,
        page: include_str!("page.md"),
    },
    rules: &[],
    detector: Some(detector::check),
    kin: &["missing-await", "coroutine-misuse"],
};
