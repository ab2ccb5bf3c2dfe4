//! `gil-convoy`: threads that keep the interpreter from the loop.

mod detector;

use treadle_finding::{About, FixKind, Severity, Tier};

use crate::Pitfall;

/// The pitfall.
pub(crate) static GIL_CONVOY: Pitfall = Pitfall {
    about: About {
        name: "gil-convoy",
        summary: "thread that keeps the interpreter from the event loop",
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
