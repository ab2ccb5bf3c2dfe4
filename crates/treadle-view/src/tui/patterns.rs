//! The tab of patterns: semaphores, limiters, queues, pools, policies, with what is taken and who waits.

use std::cmp::Ordering;

use ratatui::style::Style;
use treadle_run::Figure;
use treadle_run::inquiry::{PatternRow, Reply};

use super::data::Rates;
use super::ink::Ink;
use super::sheet::{Column, Sheet, plain, row, share, titles};
use super::state::State;
use super::text::count;

/// By what they are sorted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PatternSort {
    /// Who waits for them, and then the part that is in use.
    #[default]
    Waiting,
    /// The part that is in use.
    Use,
    /// Calls a second.
    Calls,
    /// Calls that have failed.
    Failed,
    /// What they are, and their names.
    Kind,
}

impl PatternSort {
    /// All.
    pub const ALL: [Self; 5] = [Self::Waiting, Self::Use, Self::Calls, Self::Failed, Self::Kind];

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Use => "in use",
            Self::Calls => "calls",
            Self::Failed => "failed",
            Self::Kind => "kind",
        }
    }
}

pub(super) fn sheet(state: &State, reply: &Reply, rates: &Rates, width: usize, ink: Ink) -> Sheet {
    let Some(page) = &reply.patterns else { return Sheet::new() };
    let columns = share(
        [
            Column::text("kind", 13),
            Column::text("name", 0),
            Column::number("in use", 11),
            Column::number("waiting", 8),
            Column::number("calls/s", 8),
            Column::number("failed", 7),
            Column::number("retries", 7),
            Column::number("rejected", 8),
        ],
        width,
    );
    let mut rows: Vec<(&PatternRow, Option<f64>)> =
        page.rows.iter().map(|row| (row, rates.patterns.get(&row.number).copied())).collect();
    rows.sort_by(|one, other| compare(state.pattern_sort, *one, *other));
    if state.is_reversed {
        rows.reverse();
    }
    let mut sheet = Sheet { head: Some(titles(&columns)), ..Sheet::new() };
    for (pattern, calls) in rows {
        sheet.push(row(&columns, cells(pattern, calls, ink)));
    }
    if page.rows.is_empty() {
        sheet.push("no pattern of treadle's is in use here");
    }
    let missing = page.total.saturating_sub(page.rows.len() as u64);
    if missing > 0 {
        sheet.push(format!("{} more are not shown", count(missing)));
    }
    sheet
}

fn cells(pattern: &PatternRow, calls: Option<f64>, ink: Ink) -> Vec<(String, Style)> {
    let figure = |figure: Figure| pattern.figures[figure as usize];
    let number = |figure: Option<u64>| figure.map_or_else(String::new, count);
    let is_full = figure(Figure::InUse).zip(figure(Figure::Limit)).is_some_and(|(used, limit)| used >= limit);
    let waits = figure(Figure::Waiting).unwrap_or(0) > 0;
    // Only where all is taken: who waits for a rate waits as he should.
    let waiting = if waits && is_full {
        (format!("! {}", number(figure(Figure::Waiting))), ink.bad())
    } else {
        plain(number(figure(Figure::Waiting)))
    };
    let in_use = match (figure(Figure::InUse), figure(Figure::Limit)) {
        (Some(used), Some(limit)) => plain(format!("{}/{}", count(used), count(limit))),
        (Some(used), None) => plain(count(used)),
        _ if pattern.kind == "Breaker" && pattern.state != "closed" => (format!("! {}", pattern.state), ink.bad()),
        _ => plain(pattern.state.clone()),
    };
    vec![
        plain(pattern.kind.clone()),
        plain(pattern.name.clone().unwrap_or_else(|| "–".to_owned())),
        in_use,
        waiting,
        plain(calls.map_or_else(String::new, |calls| count(calls.round() as u64))),
        plain(number(figure(Figure::Failed))),
        plain(number(figure(Figure::Retries))),
        plain(number(figure(Figure::Rejected))),
    ]
}

/// What comes first is less.
fn compare(sort: PatternSort, one: (&PatternRow, Option<f64>), other: (&PatternRow, Option<f64>)) -> Ordering {
    let falling = |figure: Figure| other.0.figures[figure as usize].cmp(&one.0.figures[figure as usize]);
    let by_use = || part(other.0).total_cmp(&part(one.0));
    let by_name = || (&one.0.kind, &one.0.name, one.0.number).cmp(&(&other.0.kind, &other.0.name, other.0.number));
    let first = match sort {
        PatternSort::Waiting => falling(Figure::Waiting).then_with(by_use),
        PatternSort::Use => by_use(),
        PatternSort::Calls => other.1.unwrap_or(-1.0).total_cmp(&one.1.unwrap_or(-1.0)),
        PatternSort::Failed => falling(Figure::Failed),
        PatternSort::Kind => Ordering::Equal,
    };
    first.then_with(by_name)
}

/// The part that is in use; less than nothing where there is no such thing.
fn part(pattern: &PatternRow) -> f64 {
    let (used, limit) = (pattern.figures[Figure::InUse as usize], pattern.figures[Figure::Limit as usize]);
    used.zip(limit).map_or(-1.0, |(used, limit)| used as f64 / limit.max(1) as f64)
}
