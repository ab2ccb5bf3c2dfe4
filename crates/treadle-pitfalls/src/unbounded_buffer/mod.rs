//! `unbounded-buffer`: a transport to which more is written than it can send, and nobody waits.

mod detector;

use treadle_finding::{About, FixKind, Severity, Tier};

use crate::Pitfall;

/// The pitfall.
pub(crate) static UNBOUNDED_BUFFER: Pitfall = Pitfall {
    about: About {
        name: "unbounded-buffer",
        summary: "transport to which more is written than it can send",
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
