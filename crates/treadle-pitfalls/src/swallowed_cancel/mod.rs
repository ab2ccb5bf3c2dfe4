//! `swallowed-cancel`: cancellation ended by a handler or `finally` it does not belong to.

mod detector;
mod rule;

use treadle_finding::{About, FixKind, Severity, Tier};

use crate::{Pitfall, Rule};

/// The pitfall.
pub(crate) static SWALLOWED_CANCEL: Pitfall = Pitfall {
    about: About {
        name: "swallowed-cancel",
        summary: "cancellation ended by a handler or `finally` it does not belong to",
        severity: Severity::Error,
        tier: Tier::Certain,
        fix: FixKind::Safe,
        since: "0.1.0",
        remedy: None,
        page: include_str!("page.md"),
    },
    rules: &[Rule::File(rule::check)],
    detector: Some(detector::check),
    kin: &[],
};
