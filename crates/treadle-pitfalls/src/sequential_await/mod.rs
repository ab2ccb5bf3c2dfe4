//! `sequential-await`: independent awaits one after the other in a loop.

mod rule;

use treadle_finding::{About, FixKind, Severity, Tier};

use crate::{Pitfall, Rule};

/// The pitfall.
pub(crate) static SEQUENTIAL_AWAIT: Pitfall = Pitfall {
    about: About {
        name: "sequential-await",
        summary: "independent awaits one after the other in a loop",
        severity: Severity::Warning,
        tier: Tier::Likely,
        fix: FixKind::Unsafe,
        since: "0.1.0",
        remedy: None,
        page: include_str!("page.md"),
    },
    rules: &[Rule::File(rule::check)],
    detector: None,
    kin: &[],
};
