//! One answer about one place.

use std::path::Path;
use std::sync::Arc;

use bitcode::{Decode, Encode};

use crate::{About, Fix, Tier};

/// Bytes `start..end` of a file's text (after a byte-order mark is taken off and the encoding is decoded to UTF-8).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Location {
    /// The file, as the user would write it.
    pub path: Arc<Path>,
    /// The bytes within it.
    pub span: Span,
}

/// One step of the way from a finding's primary location to its cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Where the step is taken.
    pub location: Location,
    /// What happens there, in a few words: `load_user calls fetch_row`.
    pub text: String,
}

/// A pitfall, found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The pitfall.
    pub about: &'static About,
    /// How sure the rule is of this finding.
    pub tier: Tier,
    /// One line, present tense, code in backticks, no full stop, understandable alone.
    pub message: String,
    /// Where the caret goes, and where an ignore comment counts.
    pub primary: Location,
    /// A few words beside the caret.
    pub label: Option<String>,
    /// The way from the primary location to the cause, each step with a few words.
    pub path: Vec<Step>,
    /// Further places that reach the same cause; the primary location is not repeated.
    pub also: Vec<Location>,
    /// The code to write instead, in one line.
    pub help: Option<String>,
    /// Circumstances worth a line each.
    pub notes: Vec<String>,
    /// The cure as edits.
    pub fix: Option<Fix>,
}

/// Findings while they are collected.
#[derive(Debug, Default)]
pub struct Findings(Vec<Finding>);

/// A file, or something about the run, that could not be read or used.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The file or directory.
    pub path: Arc<Path>,
    /// One line that says why.
    pub message: String,
}

impl Findings {
    /// One more.
    pub fn push(&mut self, finding: Finding) {
        self.0.push(finding);
    }

    /// All of them, in the order they came.
    pub fn into_vec(self) -> Vec<Finding> {
        self.0
    }
}

impl Span {
    /// The bytes `start..end`.
    pub fn new(start: u32, end: u32) -> Self {
        Self { start, end }
    }

    /// How many bytes.
    pub fn len(self) -> u32 {
        self.end.saturating_sub(self.start)
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.end <= self.start
    }

    /// Whether `other` lies within.
    pub fn contains(self, other: Self) -> bool {
        self.start <= other.start && other.end <= self.end
    }

    /// The span as a range for slicing text.
    pub fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }
}

impl Finding {
    /// A finding with the pitfall's own tier and nothing but its message.
    pub fn new(about: &'static About, primary: Location, message: impl Into<String>) -> Self {
        Self {
            about,
            tier: about.tier,
            message: message.into(),
            primary,
            label: None,
            path: Vec::new(),
            also: Vec::new(),
            help: None,
            notes: Vec::new(),
            fix: None,
        }
    }

    /// The same finding at a less certain tier; a higher one is not taken.
    pub fn at_tier(mut self, tier: Tier) -> Self {
        self.tier = self.tier.max(tier);
        self
    }

    /// The same finding with words beside the caret.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// The same finding with the code to write instead.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The same finding with one more circumstance.
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// The same finding with one more step towards its cause.
    pub fn step(mut self, location: Location, text: impl Into<String>) -> Self {
        self.path.push(Step { location, text: text.into() });
        self
    }

    /// The same finding with a cure.
    pub fn fix(mut self, fix: Fix) -> Self {
        self.fix = Some(fix);
        self
    }

    /// The order of every output: path, place, pitfall, message.
    pub fn sort_key(&self) -> (&Location, &'static str, &str) {
        (&self.primary, self.about.name, &self.message)
    }
}
