//! `resolver-in-pool`: names that are looked up in an executor that has no thread left.

mod detector;

use treadle_finding::{About, FixKind, Severity, Tier};

use crate::Pitfall;

/// The pitfall.
pub(crate) static RESOLVER_IN_POOL: Pitfall = Pitfall {
    about: About {
        name: "resolver-in-pool",
        summary: "name lookups that wait for a thread",
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
