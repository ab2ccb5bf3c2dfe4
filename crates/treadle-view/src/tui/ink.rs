//! How things look: each look has a sign or a word beside it, so that colours only help.

use ratatui::style::{Color, Modifier, Style};

/// Looks, with colours or without.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ink {
    is_coloured: bool,
}

impl Ink {
    pub(super) fn new(is_coloured: bool) -> Self {
        Self { is_coloured }
    }

    /// What hurts.
    pub(super) fn bad(self) -> Style {
        self.colour(Color::Red).add_modifier(Modifier::BOLD)
    }

    /// What probably hurts.
    pub(super) fn doubtful(self) -> Style {
        self.colour(Color::Yellow)
    }

    /// What is well.
    pub(super) fn good(self) -> Style {
        self.colour(Color::Green)
    }

    /// Code and places.
    pub(super) fn code(self) -> Style {
        self.colour(Color::Cyan)
    }

    pub(super) fn heading() -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// What need not be read.
    pub(super) fn faint() -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    pub(super) fn chosen() -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    fn colour(self, colour: Color) -> Style {
        if self.is_coloured { Style::new().fg(colour) } else { Style::new() }
    }
}
