//! The identity card of a pitfall.

use std::fmt;

/// What everybody may ask a pitfall about itself: the catalogue, `explain`, the docs and every view read this.
#[derive(Debug, PartialEq, Eq)]
pub struct About {
    /// The bad pattern's name, in kebab case, so that "allow NAME" reads well. Folder, URL, JSON field and metric label.
    pub name: &'static str,
    /// One line without a full stop.
    pub summary: &'static str,
    /// How loud a finding is by default.
    pub severity: Severity,
    /// How sure the rule is. A finding may carry a lower tier than its pitfall, never a higher one.
    pub tier: Tier,
    /// The best fix the rule can offer.
    pub fix: FixKind,
    /// The first version that knew this pitfall.
    pub since: &'static str,
    /// The dotted name in `treadle` that does it right, if there is one.
    pub remedy: Option<&'static str>,
    /// The page: documentation, `explain` text and tests in one.
    pub page: &'static str,
}

/// How loud a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Probably hurts.
    Warning,
    /// Hurts.
    Error,
}

/// How sure a rule is that what it reports is a mistake. Ordered from the surest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// Wrong in every program; on by default.
    Certain,
    /// Wrong in most programs; on by default.
    Likely,
    /// A matter of taste or of circumstances treadle cannot see; off by default.
    Advisory,
}

/// The best fix a pitfall's rule can offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FixKind {
    /// `--fix` applies it: the program means the same, only right.
    Safe,
    /// `--unsafe-fixes` applies it: it may change what the program does, and a person should look.
    Unsafe,
    /// Words only.
    Hint,
}

impl Severity {
    /// The word used in messages, configuration and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

impl Tier {
    /// Every tier, the surest first.
    pub const ALL: [Self; 3] = [Self::Certain, Self::Likely, Self::Advisory];

    /// The word used on the command line, in configuration and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Certain => "certain",
            Self::Likely => "likely",
            Self::Advisory => "advisory",
        }
    }
}

impl FixKind {
    /// The word used in the catalogue's listing.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Safe => "safe",
            Self::Unsafe => "unsafe",
            Self::Hint => "hint",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Display for FixKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
