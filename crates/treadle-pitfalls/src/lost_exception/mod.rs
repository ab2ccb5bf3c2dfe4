//! `lost-exception`: results that may be exceptions dropped or filtered with the wrong type.

mod detector;
mod rule;

use treadle_finding::{About, FixKind, Severity, Tier};

use crate::{Pitfall, Rule};

/// The pitfall.
pub(crate) static LOST_EXCEPTION: Pitfall = Pitfall {
    about: About {
        name: "lost-exception",
        summary: "results that may be exceptions dropped or filtered with the wrong type",
        severity: Severity::Error,
        tier: Tier::Certain,
        fix: FixKind::Safe,
        since: "0.1.0",
        remedy: None,
        page: include_str!("page.md"),
    },
    rules: &[Rule::File(rule::check)],
    detector: Some(detector::check),
    kin: &[],
};
