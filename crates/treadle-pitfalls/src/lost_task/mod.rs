//! `lost-task`: handle of a started task kept by nothing.

mod detector;
mod rule;

use treadle_finding::{About, FixKind, Severity, Tier};

use crate::{Pitfall, Rule};

/// The pitfall.
pub(crate) static LOST_TASK: Pitfall = Pitfall {
    about: About {
        name: "lost-task",
        summary: "handle of a started task kept by nothing",
        severity: Severity::Error,
        tier: Tier::Certain,
        fix: FixKind::Unsafe,
        since: "0.1.0",
        remedy: None,
        page: include_str!("page.md"),
    },
    rules: &[Rule::File(rule::check)],
    detector: Some(detector::check),
    kin: &[],
};
