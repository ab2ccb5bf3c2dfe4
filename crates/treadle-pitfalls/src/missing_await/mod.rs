//! `missing-await`: coroutine made and never awaited or scheduled.

mod rule;

use treadle_finding::{About, FixKind, Severity, Tier};

use crate::{Pitfall, Rule};

/// The pitfall.
pub(crate) static MISSING_AWAIT: Pitfall = Pitfall {
    about: About {
        name: "missing-await",
        summary: "coroutine made and never awaited or scheduled",
        severity: Severity::Error,
        tier: Tier::Certain,
        fix: FixKind::Safe,
        since: "0.1.0",
        remedy: None,
        page: include_str!("page.md"),
    },
    rules: &[Rule::File(rule::check)],
    detector: None,
    kin: &[],
};
