//! `unclosed-generator`: an asynchronous generator left with something to do.

mod detector;

use treadle_finding::{About, FixKind, Severity, Tier};

use crate::Pitfall;

/// The pitfall.
pub(crate) static UNCLOSED_GENERATOR: Pitfall = Pitfall {
    about: About {
        name: "unclosed-generator",
        summary: "asynchronous generator left before its `finally` has run",
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
