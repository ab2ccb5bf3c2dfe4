//! `lock-reentry`: lock taken again by the task that holds it.

mod rule;

use treadle_finding::{About, FixKind, Severity, Tier};

use crate::{Pitfall, Rule};

/// The pitfall.
pub(crate) static LOCK_REENTRY: Pitfall = Pitfall {
    about: About {
        name: "lock-reentry",
        summary: "lock taken again by the task that holds it",
        severity: Severity::Error,
        tier: Tier::Certain,
        fix: FixKind::Hint,
        since: "0.1.0",
        remedy: None,
        page: include_str!("page.md"),
    },
    rules: &[Rule::Nestings(rule::check)],
    detector: None,
    kin: &[],
};
