//! `coroutine-misuse`: un-awaited coroutine used as its result.

mod rule;

use treadle_finding::{About, FixKind, Severity, Tier};

use crate::{Pitfall, Rule};

/// The pitfall.
pub(crate) static COROUTINE_MISUSE: Pitfall = Pitfall {
    about: About {
        name: "coroutine-misuse",
        summary: "un-awaited coroutine used as its result",
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
