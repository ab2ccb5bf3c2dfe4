//! `client-per-call`: client with a connection pool made for every operation.

mod rule;

use treadle_finding::{About, FixKind, Severity, Tier};

use crate::{Pitfall, Rule};

/// The pitfall.
pub(crate) static CLIENT_PER_CALL: Pitfall = Pitfall {
    about: About {
        name: "client-per-call",
        summary: "client with a connection pool made for every operation",
        severity: Severity::Warning,
        tier: Tier::Likely,
        fix: FixKind::Hint,
        since: "0.1.0",
        remedy: None,
        page: include_str!("page.md"),
    },
    rules: &[Rule::File(rule::check)],
    detector: None,
    kin: &[],
};
