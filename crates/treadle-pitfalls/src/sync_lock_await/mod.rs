//! `sync-lock-await`: thread lock held across a suspension.

mod rule;

use treadle_finding::{About, FixKind, Severity, Tier};

use crate::{Pitfall, Rule};

/// The pitfall.
pub(crate) static SYNC_LOCK_AWAIT: Pitfall = Pitfall {
    about: About {
        name: "sync-lock-await",
        summary: "thread lock held across a suspension",
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
