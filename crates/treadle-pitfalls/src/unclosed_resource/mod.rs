//! `unclosed-resource`: resource not closed on every path.

mod detector;
mod rule;

use treadle_finding::{About, FixKind, Severity, Tier};

use crate::{Pitfall, Rule};

/// The pitfall.
pub(crate) static UNCLOSED_RESOURCE: Pitfall = Pitfall {
    about: About {
        name: "unclosed-resource",
        summary: "resource not closed on every path",
        severity: Severity::Warning,
        tier: Tier::Likely,
        fix: FixKind::Unsafe,
        since: "0.1.0",
        remedy: None,
        page: include_str!("page.md"),
    },
    rules: &[Rule::File(rule::check)],
    detector: Some(detector::check),
    kin: &[],
};
