//! `stalled-wait`: wait that nothing in the program can end.

mod rule;

use treadle_finding::{About, FixKind, Severity, Tier};

use crate::{Pitfall, Rule};

/// The pitfall.
pub(crate) static STALLED_WAIT: Pitfall = Pitfall {
    about: About {
        name: "stalled-wait",
        summary: "wait that nothing in the program can end",
        severity: Severity::Error,
        tier: Tier::Certain,
        fix: FixKind::Hint,
        since: "0.1.0",
        remedy: None,
        page: include_str!("page.md"),
    },
    rules: &[Rule::File(rule::check)],
    detector: None,
    kin: &[],
};
