//! A pitfall that a running program has met.

use serde::{Deserialize, Serialize};

use crate::{About, Severity};

/// Where in the program.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Site {
    /// The file, as Python names it; empty where no line is known.
    pub path: String,
    /// The line, from 1; 0 where none is known.
    pub line: u32,
    /// The function, qualified.
    pub function: String,
    /// The installed package that the line belongs to, where it is not the program's own.
    pub package: Option<String>,
}

/// A pitfall at one place, with all that was seen of it there.
#[derive(Clone, Debug, PartialEq)]
pub struct Sighting {
    /// The pitfall.
    pub about: &'static About,
    /// The line to be changed.
    pub site: Site,
    /// How loud it is.
    pub severity: Severity,
    /// Whether all that is known speaks for it and nothing proves it.
    pub is_suspected: bool,
    /// One line, present tense, code in backticks, no full stop, understandable alone. The same for all times it was seen.
    pub message: String,
    /// How often it was seen.
    pub count: u64,
    /// When for the first and the last time, in nanoseconds since 1970.
    pub first: u64,
    /// See `first`.
    pub last: u64,
    /// The longest time it took, in nanoseconds, where it took time.
    pub worst: Option<u64>,
    /// Why it is so, in a few words: `waiting for the network`.
    pub cause: Option<String>,
    /// What was seen, a line each.
    pub evidence: Vec<String>,
    /// The code to write instead, in one line.
    pub help: Option<String>,
}

/// Sightings while they are collected.
#[derive(Debug, Default)]
pub struct Sightings(Vec<Sighting>);

impl Sighting {
    /// A pitfall that was seen once, at a time in nanoseconds since 1970.
    pub fn new(about: &'static About, site: Site, at: u64, message: impl Into<String>) -> Self {
        Self {
            about,
            site,
            severity: about.severity,
            is_suspected: false,
            message: message.into(),
            count: 1,
            first: at,
            last: at,
            worst: None,
            cause: None,
            evidence: Vec::new(),
            help: None,
        }
    }

    /// The same, seen so often, at last at a time.
    pub fn seen(mut self, count: u64, last: u64) -> Self {
        (self.count, self.last) = (count, last);
        self
    }

    /// The same, without proof.
    pub fn suspected(mut self) -> Self {
        self.is_suspected = true;
        self
    }

    /// The same with the longest time it took, in nanoseconds.
    pub fn worst(mut self, nanoseconds: u64) -> Self {
        self.worst = Some(nanoseconds);
        self
    }

    /// The same with its cause.
    pub fn cause(mut self, cause: impl Into<String>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// The same with one more line of what was seen.
    pub fn evidence(mut self, line: impl Into<String>) -> Self {
        self.evidence.push(line.into());
        self
    }

    /// The same with the code to write instead.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl Sightings {
    /// One more.
    pub fn push(&mut self, sighting: Sighting) {
        self.0.push(sighting);
    }

    /// All of them, in the order they came.
    pub fn into_vec(self) -> Vec<Sighting> {
        self.0
    }
}
