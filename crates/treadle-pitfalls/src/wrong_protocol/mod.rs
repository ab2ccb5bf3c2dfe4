//! `wrong-protocol`: `with` or `for` where the asynchronous one is needed, or the reverse.

mod rule;

use treadle_finding::{About, FixKind, Severity, Tier};

use crate::{Pitfall, Rule};

/// The pitfall.
pub(crate) static WRONG_PROTOCOL: Pitfall = Pitfall {
    about: About {
        name: "wrong-protocol",
        summary: "`with` or `for` where the asynchronous one is needed, or the reverse",
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
