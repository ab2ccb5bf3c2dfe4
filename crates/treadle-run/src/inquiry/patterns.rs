//! The patterns' objects, those first that somebody waits for.

use std::cmp::Reverse;

use serde::{Deserialize, Serialize};
use treadle_events::{Figure, Figures, Pattern};

use super::{ROWS, clip, first_by};
use crate::Run;

/// The objects, as they were read last.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PatternPage {
    /// Some of them.
    pub rows: Vec<PatternRow>,
    /// How many there are, also of those that are not read.
    pub total: u64,
}

/// An object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PatternRow {
    /// A number that is its own for ever.
    pub number: u64,
    /// What it is.
    pub kind: String,
    /// What the program calls it.
    pub name: Option<String>,
    /// A word for its state, where it has one.
    pub state: String,
    /// Its numbers, by [`Figure`].
    pub figures: Figures,
}

impl Run {
    pub(super) fn pattern_page(&self) -> PatternPage {
        let patterns = self.patterns();
        let figure = |pattern: &Pattern, figure: Figure| pattern.figures[figure as usize].unwrap_or(0);
        let shown = first_by(patterns.rows().collect(), ROWS, |pattern| {
            let of = |one| Reverse(figure(pattern, one));
            (of(Figure::Waiting), of(Figure::InUse), of(Figure::Calls), pattern.number)
        });
        let row = |pattern: &Pattern| PatternRow {
            number: pattern.number,
            kind: clip(&pattern.kind),
            name: pattern.name.as_deref().map(clip),
            state: clip(&pattern.state),
            figures: pattern.figures,
        };
        PatternPage {
            rows: shown.into_iter().map(row).collect(),
            total: patterns.rows().len() as u64 + patterns.left_out(),
        }
    }
}
