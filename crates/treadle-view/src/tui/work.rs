//! The tab of the loop: how long things took, and which code takes the time.

use ratatui::style::Style;
use treadle_run::Distribution;
use treadle_run::inquiry::{HotRow, LongRow, Reply};

use super::data::Rates;
use super::header::LATE;
use super::ink::Ink;
use super::sheet::{Column, Sheet, plain, share};
use super::text::{count, percent, place};
use crate::duration;

/// Upper ends of what is counted together, in nanoseconds.
const ENDS: [u64; 9] =
    [10_000, 100_000, 1_000_000, 5_000_000, 20_000_000, 100_000_000, 500_000_000, 2_000_000_000, u64::MAX];

pub(super) fn sheet(reply: &Reply, rates: &Rates, width: usize, ink: Ink) -> Sheet {
    let mut sheet = Sheet::new();
    loops(&mut sheet, reply, rates, width, ink);
    sheet.section(if rates.is_whole {
        "how long it took, since the beginning"
    } else {
        "how long it took, in the last seconds"
    });
    histograms(&mut sheet, rates, width, ink);
    let blocked: Vec<String> = reply
        .pulse
        .vitals
        .blocked
        .iter()
        .filter(|(_, took)| *took > 0)
        .map(|(cause, took)| format!("{} {}", cause.word(), duration(*took)))
        .collect();
    if !blocked.is_empty() {
        sheet.push(format!("blocked altogether: {}", blocked.join(", ")));
    }
    if let Some(page) = &reply.work {
        hot(&mut sheet, &page.hot, width, ink);
        long(&mut sheet, &page.long, width, ink);
    }
    sheet
}

fn hot(sheet: &mut Sheet, rows: &[HotRow], width: usize, ink: Ink) {
    sheet.section("code that takes the time");
    let columns = share(
        [
            Column::number("share", 6),
            Column::number("time", 8),
            Column::number("callbacks", 12),
            Column::number("longest", 8),
            Column::place("code", 0),
        ],
        width,
    );
    let total: u64 = rows.iter().map(|row| row.total).sum();
    let cells = rows.iter().map(|hot| {
        vec![
            plain(percent(hot.total as f64 / total.max(1) as f64)),
            plain(duration(hot.total)),
            plain(count(hot.count)),
            plain(duration(hot.longest)),
            (place(&hot.code), ink.code()),
        ]
    });
    sheet.table(&columns, cells);
}

fn long(sheet: &mut Sheet, rows: &[LongRow], width: usize, ink: Ink) {
    if rows.is_empty() {
        return;
    }
    sheet.section("! callbacks that took too long, the last first");
    let columns = share(
        [
            Column::number("took", 8),
            Column::number("began", 12),
            Column::number("loop", 4),
            Column::text("", 8),
            Column::place("code", 0),
        ],
        width,
    );
    let cells = rows.iter().map(|long| {
        let state = if long.has_ended { plain("") } else { ("! still".to_owned(), ink.bad()) };
        vec![
            plain(duration(long.took)),
            plain(format!("{} ago", duration(long.ago))),
            plain(long.event_loop.to_string()),
            state,
            (place(&long.code), ink.code()),
        ]
    });
    sheet.table(&columns, cells);
}

fn loops(sheet: &mut Sheet, reply: &Reply, rates: &Rates, width: usize, ink: Ink) {
    let columns = share(
        [
            Column::number("loop", 4),
            Column::text("state", 8),
            Column::number("busy", 6),
            Column::number("callbacks/s", 12),
            Column::number("steps", 13),
            Column::number("ready", 7),
            Column::number("lag now", 8),
            Column::number("timers", 8),
            Column::text("", 0),
        ],
        width,
    );
    let cells = reply.pulse.vitals.loops.iter().zip(&rates.loops).map(|(row, (busy, callbacks))| {
        let is_late = row.lag >= LATE;
        let lag = if is_late { format!("! {}", duration(row.lag)) } else { duration(row.lag) };
        vec![
            plain(row.number.to_string()),
            plain(if row.is_running { "runs" } else { "stopped" }),
            plain(percent(*busy)),
            plain(count(callbacks.round() as u64)),
            plain(count(row.steps)),
            plain(count(row.ready)),
            (lag, if is_late { ink.bad() } else { Style::new() }),
            plain(count(row.surroundings.timers as u64)),
            plain(""),
        ]
    });
    sheet.table(&columns, cells);
}

fn histograms(sheet: &mut Sheet, rates: &Rates, width: usize, ink: Ink) {
    let columns = share(
        [
            Column::text("up to", 8),
            Column::number("callbacks", 11),
            Column::text("", 0),
            Column::number("turns", 11),
            Column::text("", 0),
        ],
        width,
    );
    let (callbacks, turns) = (buckets(&rates.durations), buckets(&rates.lags));
    let last = callbacks.iter().zip(&turns).rposition(|(one, other)| one + other > 0).unwrap_or(2);
    let most = |counts: &[u64]| counts.iter().copied().max().unwrap_or(0);
    let rows = (0..=last).map(|at| {
        let end = if ENDS[at] == u64::MAX { "more".to_owned() } else { duration(ENDS[at]) };
        let look = if ENDS[at] > LATE { ink.bad() } else { Style::new() };
        vec![
            plain(end),
            plain(count(callbacks[at])),
            (bar(callbacks[at], most(&callbacks), columns[2].width), look),
            plain(count(turns[at])),
            (bar(turns[at], most(&turns), columns[4].width), look),
        ]
    });
    let rows: Vec<_> = rows.collect();
    sheet.table(&columns, rows);
}

fn buckets(seen: &Distribution) -> [u64; ENDS.len()] {
    let mut counts = [0; ENDS.len()];
    for (value, count) in &seen.points {
        counts[ENDS.partition_point(|end| end < value).min(ENDS.len() - 1)] += count;
    }
    counts
}

/// As long as the part of the largest, and never nothing for something.
fn bar(number: u64, most: u64, width: usize) -> String {
    let full = (number as f64 / most.max(1) as f64 * width.saturating_sub(1) as f64).round() as usize;
    "█".repeat(full.max(usize::from(number > 0)))
}
