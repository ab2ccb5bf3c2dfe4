//! `lock-order`: locks taken in two orders by code that can overlap.

mod rule;

use treadle_finding::{About, FixKind, Severity, Tier};

use crate::{Pitfall, Rule};

/// The pitfall.
pub(crate) static LOCK_ORDER: Pitfall = Pitfall {
    about: About {
        name: "lock-order",
        summary: "locks taken in two orders by code that can overlap",
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
