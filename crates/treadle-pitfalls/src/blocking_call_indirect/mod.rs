//! `blocking-call-indirect`: plain function that blocks below, called on the event loop's thread.

mod rule;

use treadle_finding::{About, FixKind, Severity, Tier};

use crate::{Pitfall, Rule};

/// The pitfall.
pub(crate) static BLOCKING_CALL_INDIRECT: Pitfall = Pitfall {
    about: About {
        name: "blocking-call-indirect",
        summary: "plain function that blocks below, called on the event loop's thread",
        severity: Severity::Error,
        tier: Tier::Certain,
        fix: FixKind::Unsafe,
        since: "0.1.0",
        remedy: None,
        page: include_str!("page.md"),
    },
    rules: &[Rule::Chains { leaves: rule::leaves, report: rule::report }],
    detector: None,
    kin: &[],
};
