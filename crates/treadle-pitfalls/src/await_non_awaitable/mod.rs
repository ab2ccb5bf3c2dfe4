//! `await-non-awaitable`: `await` on what cannot be awaited, or on one coroutine twice.

mod rule;

use treadle_finding::{About, FixKind, Severity, Tier};

use crate::{Pitfall, Rule};

/// The pitfall.
pub(crate) static AWAIT_NON_AWAITABLE: Pitfall = Pitfall {
    about: About {
        name: "await-non-awaitable",
        summary: "`await` on what cannot be awaited, or on one coroutine twice",
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
