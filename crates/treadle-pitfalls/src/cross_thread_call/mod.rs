//! `cross-thread-call`: a loop used from another thread.

mod detector;

use treadle_finding::{About, FixKind, Severity, Tier};

use crate::Pitfall;

/// The pitfall.
pub(crate) static CROSS_THREAD_CALL: Pitfall = Pitfall {
    about: About {
        name: "cross-thread-call",
        summary: "event loop used from a thread that is not its own",
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
