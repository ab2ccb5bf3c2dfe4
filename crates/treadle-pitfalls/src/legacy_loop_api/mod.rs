//! `legacy-loop-api`: removed or deprecated loop call.

mod rule;

use treadle_finding::{About, FixKind, Severity, Tier};

use crate::{Pitfall, Rule};

/// The pitfall.
pub(crate) static LEGACY_LOOP_API: Pitfall = Pitfall {
    about: About {
        name: "legacy-loop-api",
        summary: "removed or deprecated loop call",
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
