//! What a tab shows: lines, some of which lead somewhere.

use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::ink::Ink;
use super::text::{fit, fit_place, fit_right};

/// Where a line leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// To a task, by its address.
    Task(u64),
    /// To a finding, by its place in the list.
    Finding(usize),
    /// To the tasks that were made at a place, by its number.
    Birth(u32),
}

/// A line.
#[derive(Clone, Debug, Default)]
pub(super) struct Entry {
    pub(super) line: Line<'static>,
    pub(super) target: Option<Target>,
}

/// What a tab shows.
#[derive(Clone, Debug, Default)]
pub(super) struct Sheet {
    /// Stays at the top.
    pub(super) head: Option<Line<'static>>,
    /// The lines, from `offset` on.
    pub(super) entries: Vec<Entry>,
    /// How many lines before them are not here.
    pub(super) offset: usize,
    /// How many lines there are altogether.
    pub(super) total: usize,
}

/// A column of a table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    pub(super) title: &'static str,
    pub(super) width: usize,
    pub(super) kind: Kind,
}

/// How a column is filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Number,
    Place,
}

impl Column {
    pub(super) const fn text(title: &'static str, width: usize) -> Self {
        Self { title, width, kind: Kind::Text }
    }

    pub(super) const fn number(title: &'static str, width: usize) -> Self {
        Self { title, width, kind: Kind::Number }
    }

    pub(super) const fn place(title: &'static str, width: usize) -> Self {
        Self { title, width, kind: Kind::Place }
    }
}

impl Sheet {
    /// One whose lines are all here.
    pub(super) fn new() -> Self {
        Self::default()
    }

    pub(super) fn push(&mut self, line: impl Into<Line<'static>>) {
        self.entries.push(Entry { line: line.into(), target: None });
        self.total = self.offset + self.entries.len();
    }

    pub(super) fn lead(&mut self, line: Line<'static>, target: Target) {
        self.entries.push(Entry { line, target: Some(target) });
        self.total = self.offset + self.entries.len();
    }

    /// A heading, after an empty line unless it is the first.
    pub(super) fn section(&mut self, title: impl Into<String>) {
        if !self.entries.is_empty() {
            self.push("");
        }
        self.push(Line::styled(title.into(), Ink::heading()));
    }

    /// A table that is a part of a sheet: its title, then its rows.
    pub(super) fn table(&mut self, columns: &[Column], rows: impl IntoIterator<Item = Vec<(String, Style)>>) {
        self.push(titles(columns));
        for cells in rows {
            self.push(row(columns, cells));
        }
    }

    /// Only the lines that have a text in them; those that are alone then are left.
    pub(super) fn keep(&mut self, words: &str) {
        if words.is_empty() {
            return;
        }
        let words = words.to_lowercase();
        self.entries.retain(|entry| entry.line.to_string().to_lowercase().contains(&words));
        self.total = self.entries.len();
    }
}

/// Gives what is left of a width to columns of width 0, each a part.
pub(super) fn share<const N: usize>(mut columns: [Column; N], width: usize) -> [Column; N] {
    let open = columns.iter().filter(|column| column.width == 0).count();
    let used: usize = columns.iter().map(|column| column.width + 1).sum();
    let left = width.saturating_sub(used.saturating_sub(1));
    let mut given = 0;
    for column in columns.iter_mut().filter(|column| column.width == 0) {
        given += 1;
        // The last one gets what division leaves.
        column.width = if given == open { left - left / open * (open - 1) } else { left / open };
    }
    columns
}

/// The line above a table.
pub(super) fn titles(columns: &[Column]) -> Line<'static> {
    let cells = columns.iter().map(|column| (column.title.to_owned(), Style::new())).collect();
    let plain: Vec<Column> = columns
        .iter()
        .map(|column| Column { kind: if column.kind == Kind::Place { Kind::Text } else { column.kind }, ..*column })
        .collect();
    row(&plain, cells).style(Ink::heading())
}

/// A line of a table.
pub(super) fn row(columns: &[Column], cells: Vec<(String, Style)>) -> Line<'static> {
    let mut spans = Vec::new();
    for (column, (text, style)) in columns.iter().zip(cells) {
        if !spans.is_empty() {
            spans.push(Span::raw(" "));
        }
        let text = match column.kind {
            Kind::Text => fit(&text, column.width),
            Kind::Number => fit_right(&text, column.width),
            Kind::Place => fit_place(&text, column.width),
        };
        spans.push(Span::styled(text, style));
    }
    Line::from(spans)
}

/// A cell without a look.
pub(super) fn plain(text: impl Into<String>) -> (String, Style) {
    (text.into(), Style::new())
}
