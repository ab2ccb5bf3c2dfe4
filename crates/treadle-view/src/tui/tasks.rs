//! The tab of tasks: flat, as a tree, or by where they were made.

use ratatui::style::Style;
use treadle_run::State as Doing;
use treadle_run::inquiry::{Arrangement, GroupRow, Reply, Row};

use super::ink::Ink;
use super::sheet::{Column, Sheet, Target, plain, row, share, titles};
use super::state::State;
use super::text::{count, place, want};
use crate::duration;

/// How deep a tree is shown as one.
const DEEP: usize = 12;

pub(super) fn sheet(state: &State, reply: &Reply, width: usize, ink: Ink) -> Sheet {
    let Some(page) = &reply.tasks else { return Sheet::new() };
    let mut sheet = if state.arrangement == Arrangement::Groups || !page.groups.is_empty() {
        groups(&page.groups, width, ink)
    } else {
        rows(&page.rows, width, ink)
    };
    (sheet.offset, sheet.total) = (page.offset, page.total);
    if page.total == 0 {
        sheet.push(if state.filter().is_empty() && state.birth.is_none() {
            "no task is alive".to_owned()
        } else {
            "no task is like that; Esc shows all".to_owned()
        });
    }
    sheet
}

/// From which width on there is room for all columns, and for wide ones.
const WIDE: usize = 110;
const VAST: usize = 150;

fn columns(width: usize) -> Vec<Column> {
    let (name, wish) = match width {
        VAST.. => (24, 20),
        WIDE.. => (16, 12),
        _ => (12, 10),
    };
    let is_wide = width >= WIDE;
    let mut columns = vec![Column::text("state", 9), Column::text("name", name)];
    let open = [Column::place("made at", 0), Column::place("waits at", 0), Column::text("for", wish)];
    let numbers = [
        Column::number("age", 8),
        Column::number("run", 8),
        Column::number("steps", if is_wide { 9 } else { 7 }),
        Column::number("longest", 8),
    ];
    let numbers = if is_wide { &numbers[..] } else { &numbers[..3] };
    let used: usize = columns.iter().chain(numbers).map(|column| column.width + 1).sum();
    // On a narrow screen, where it waits says more than where it was made.
    if is_wide {
        columns.extend(share(open, width.saturating_sub(used)));
    } else {
        columns.extend(share([open[1], open[2]], width.saturating_sub(used)));
    }
    columns.extend(numbers);
    columns
}

fn rows(rows: &[Row], width: usize, ink: Ink) -> Sheet {
    let is_wide = width >= WIDE;
    let columns = columns(width);
    let mut sheet = Sheet { head: Some(titles(&columns)), ..Sheet::new() };
    for task in rows {
        let (word, look) = doing(task, ink);
        let indent = "  ".repeat(task.depth.min(DEEP));
        let mut cells = vec![(word, look), plain(format!("{indent}{}", name(task)))];
        if is_wide {
            cells.push((place(&task.birth), ink.code()));
        }
        cells.push((task.at.as_ref().map_or_else(|| place(&task.code), place), ink.code()));
        cells.push(plain(waits_for(task)));
        cells.push(plain(duration(task.age)));
        cells.push(plain(duration(task.run)));
        cells.push(plain(count(task.steps)));
        if is_wide {
            cells.push(plain(duration(task.longest)));
        }
        sheet.lead(row(&columns, cells), Target::Task(task.task));
    }
    sheet
}

fn groups(groups: &[GroupRow], width: usize, ink: Ink) -> Sheet {
    let columns = share(
        [
            Column::number("alive", 9),
            Column::number("stuck", 8),
            Column::number("made", 10),
            Column::number("steps", 10),
            Column::number("run", 8),
            Column::number("oldest", 8),
            Column::place("made at", 0),
        ],
        width,
    );
    let mut sheet = Sheet { head: Some(titles(&columns)), ..Sheet::new() };
    for group in groups {
        let stuck = if group.stuck > 0 { (format!("! {}", group.stuck), ink.bad()) } else { plain("0") };
        let cells = vec![
            (count(group.alive), Ink::heading()),
            stuck,
            plain(count(group.born)),
            plain(count(group.steps)),
            plain(duration(group.run)),
            plain(duration(group.oldest)),
            (place(&group.birth), ink.code()),
        ];
        sheet.lead(row(&columns, cells), Target::Birth(group.place));
    }
    sheet
}

/// What a task is doing, with a sign, and its look.
pub(super) fn doing(task: &Row, ink: Ink) -> (String, Style) {
    match task.state {
        _ if task.is_stuck => ("! stuck".to_owned(), ink.bad()),
        Doing::Running => ("▶ running".to_owned(), ink.good()),
        _ if task.wakes_itself => ("↻ polls".to_owned(), ink.doubtful()),
        Doing::Waiting => ("· waits".to_owned(), Style::new()),
        Doing::Unknown => ("· active".to_owned(), Style::new()),
    }
}

/// Its name, or that of its function.
pub(super) fn name(task: &Row) -> String {
    task.name.clone().unwrap_or_else(|| {
        let function = task.code.function.rsplit('.').next().unwrap_or_default();
        if function.is_empty() { format!("{:#x}", task.task) } else { format!("({function})") }
    })
}

pub(super) fn waits_for(task: &Row) -> String {
    let Some((what, class)) = &task.waits_for else { return String::new() };
    want(what, class)
}
