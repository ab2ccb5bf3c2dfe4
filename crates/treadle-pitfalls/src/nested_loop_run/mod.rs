//! `nested-loop-run`: event loop run inside a running one.

mod rule;

use treadle_finding::{About, FixKind, Severity, Tier};

use crate::{Pitfall, Rule};

/// The pitfall.
pub(crate) static NESTED_LOOP_RUN: Pitfall = Pitfall {
    about: About {
        name: "nested-loop-run",
        summary: "event loop run inside a running one",
        severity: Severity::Error,
        tier: Tier::Certain,
        fix: FixKind::Safe,
        since: "0.1.0",
        remedy: None,
        page: include_str!("page.md"),
    },
    rules: &[Rule::File(rule::check), Rule::Chains { leaves: rule::leaves, report: rule::report }],
    detector: None,
    kin: &[],
};
