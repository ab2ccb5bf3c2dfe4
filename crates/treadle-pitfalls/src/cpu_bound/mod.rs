//! `cpu-bound`: expensive computation on the event loop's thread.

mod rule;

use treadle_finding::{About, FixKind, Severity, Tier};

use crate::{Pitfall, Rule};

/// The pitfall.
pub(crate) static CPU_BOUND: Pitfall = Pitfall {
    about: About {
        name: "cpu-bound",
        summary: "expensive computation on the event loop's thread",
        severity: Severity::Error,
        tier: Tier::Certain,
        fix: FixKind::Hint,
        since: "0.1.0",
        remedy: None,
        page: include_str!("page.md"),
    },
    rules: &[Rule::File(rule::check)],
    detector: None,
    kin: &[],
};
