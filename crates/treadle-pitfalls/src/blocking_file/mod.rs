//! `blocking-file`: file-system access on the event loop's thread.

mod rule;

use treadle_finding::{About, FixKind, Severity, Tier};

use crate::{Pitfall, Rule};

/// The pitfall.
pub(crate) static BLOCKING_FILE: Pitfall = Pitfall {
    about: About {
        name: "blocking-file",
        summary: "file-system access on the event loop's thread",
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
