//! `blocking-call`: blocking call on the event loop's thread.

mod rule;

use treadle_finding::{About, FixKind, Severity, Tier};

use crate::{Pitfall, Rule};

/// The pitfall.
pub(crate) static BLOCKING_CALL: Pitfall = Pitfall {
    about: About {
        name: "blocking-call",
        summary: "blocking call on the event loop's thread",
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
