//! `executor-per-call`: thread or process pool made for every call.

mod rule;

use treadle_finding::{About, FixKind, Severity, Tier};

use crate::{Pitfall, Rule};

/// The pitfall.
pub(crate) static EXECUTOR_PER_CALL: Pitfall = Pitfall {
    about: About {
        name: "executor-per-call",
        summary: "thread or process pool made for every call",
        severity: Severity::Error,
        tier: Tier::Certain,
        fix: FixKind::Unsafe,
        since: "0.1.0",
        remedy: None,
        page: include_str!("page.md"),
    },
    rules: &[Rule::File(rule::check)],
    detector: None,
    kin: &[],
};
