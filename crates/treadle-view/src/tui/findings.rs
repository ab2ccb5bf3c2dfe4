//! The tab of what was found: what hurts most comes first.

use std::cmp::Reverse;

use ratatui::style::Style;
use treadle_run::inquiry::{FindingRow, Reply};

use super::ink::Ink;
use super::sheet::{Column, Sheet, Target, plain, row, share, titles};
use super::text::place;
use crate::duration;

pub(super) fn sheet(reply: &Reply, width: usize, ink: Ink) -> Sheet {
    let columns = share(
        [
            Column::text("severity", 11),
            Column::text("pitfall", 17),
            Column::number("times", 6),
            Column::number("worst", 8),
            Column::place("where", 0),
            Column::text("what", 0),
        ],
        width,
    );
    let mut sheet = Sheet { head: Some(titles(&columns)), ..Sheet::new() };
    let found = reply.findings.as_deref().unwrap_or_default();
    if found.is_empty() {
        sheet.push("nothing found");
    }
    for at in order(found) {
        let seen = &found[at];
        let (sign, look) = severity(seen, ink);
        let cells = vec![
            (format!("{sign} {}", seen.severity), look),
            (seen.name.clone(), Ink::heading()),
            plain(seen.count.to_string()),
            plain(seen.worst.map_or_else(String::new, duration)),
            (place(&seen.site), ink.code()),
            plain(format!("{}{}", if seen.is_suspected { "suspected: " } else { "" }, seen.message)),
        ];
        sheet.lead(row(&columns, cells), Target::Finding(at));
    }
    sheet
}

/// Where findings are in the list, what is sure and hurts first, and what was seen last.
fn order(found: &[FindingRow]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..found.len()).collect();
    let weight = |seen: &FindingRow| (seen.severity == "error", !seen.is_suspected, seen.worst, seen.last);
    order.sort_by_key(|at| Reverse(weight(&found[*at])));
    order
}

/// The sign and the look of a severity.
pub(super) fn severity(seen: &FindingRow, ink: Ink) -> (&'static str, Style) {
    match seen.severity.as_str() {
        _ if seen.is_suspected => ("?", ink.doubtful()),
        "error" => ("✗", ink.bad()),
        "warning" => ("!", ink.doubtful()),
        _ => ("·", Style::new()),
    }
}
