//! `unbounded-queue`: a queue without a bound that is filled faster than it is emptied.

mod detector;

use treadle_finding::{About, FixKind, Severity, Tier};

use crate::Pitfall;

/// The pitfall.
pub(crate) static UNBOUNDED_QUEUE: Pitfall = Pitfall {
    about: About {
        name: "unbounded-queue",
        summary: "queue without a bound that grows and grows",
        severity: Severity::Warning,
        tier: Tier::Certain,
        fix: FixKind::Hint,
        since: "0.1.0",
        remedy: None,
        page: include_str!("page.md"),
    },
    rules: &[],
    detector: Some(detector::check),
    kin: &[],
};
