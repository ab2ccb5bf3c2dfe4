//! `permit-leak`: a lock or a permit that was taken and never given back.

mod detector;

use treadle_finding::{About, FixKind, Severity, Tier};

use crate::Pitfall;

/// The pitfall.
pub(crate) static PERMIT_LEAK: Pitfall = Pitfall {
    about: About {
        name: "permit-leak",
        summary: "lock or permit that was taken and never given back",
        severity: Severity::Error,
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
