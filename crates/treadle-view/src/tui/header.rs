//! The process in a few numbers, and the titles of the tabs.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::Widget;
use treadle_run::inquiry::Reply;

use super::data::{Data, Rates};
use super::ink::Ink;
use super::state::{State, Tab};
use super::text::{clean, clock, count, fit, percent, width_of};
use crate::duration;

/// Its height.
pub(super) const LINES: u16 = 4;

/// From when on a loop that has not looked at the system is said to be blocked, in nanoseconds.
pub(super) const LATE: u64 = 100_000_000;

/// How wide the bar is that says how busy the loop is.
const BAR: usize = 10;

pub(super) fn draw(state: &State, data: &Data, area: Rect, buffer: &mut Buffer) {
    let ink = Ink::new(state.is_coloured);
    let reply = data.shown(state);
    let time = reply.map_or_else(String::new, |reply| format!("{} UTC", clock(reply.pulse.vitals.time)));
    let right = format!("{time} · every {}", data.refresh);
    let title = format!("treadle top · {} {}", data.process.number, clean(&data.process.command));
    let width = usize::from(area.width);
    let left = fit(&title, width.saturating_sub(width_of(&right) + 1));
    let mut lines = vec![Line::from(vec![Span::styled(left, Ink::heading()), Span::raw(" "), Span::raw(right)])];
    if let Some(reply) = reply {
        lines.extend(numbers(reply, &data.rates(state), ink));
    }
    for (row, line) in area.rows().zip(lines) {
        line.render(row, buffer);
    }
}

fn numbers(reply: &Reply, rates: &Rates, ink: Ink) -> [Line<'static>; 3] {
    let (pulse, vitals) = (&reply.pulse, &reply.pulse.vitals);
    let full = ((rates.busy * BAR as f64).round() as usize).min(BAR);
    let bar = format!("[{}{}]", "#".repeat(full), "·".repeat(BAR - full));
    let busy = match rates.busy {
        part if part >= 0.95 => ink.bad(),
        part if part >= 0.7 => ink.doubtful(),
        _ => ink.good(),
    };
    let several = if vitals.loops.len() > 1 { format!(" of {} loops", vitals.loops.len()) } else { String::new() };
    let callbacks = count(rates.callbacks.round() as u64);
    let watching = percent(rates.cost);
    let mut first = vec![
        Span::raw("busy "),
        Span::styled(bar, busy),
        Span::raw(format!(" {}{several}  {callbacks} callbacks/s  watching {watching}", percent(rates.busy))),
    ];
    let now = vitals.loops.iter().map(|row| row.lag).max().unwrap_or(0);
    if now >= LATE {
        first.push(Span::styled(format!("  ! blocked for {}", duration(now)), ink.bad()));
    }
    let lag = |part| if rates.lags.points.is_empty() { "–".to_owned() } else { duration(rates.lags.quantile(part)) };
    let second = format!(
        "lag p50 {} p99 {} max {}  fds {}  timers {}",
        lag(500),
        lag(990),
        lag(1_000),
        pulse.descriptors.map_or("–".to_owned(), count),
        count(pulse.timers()),
    );
    let stuck = if vitals.stuck > 0 { (ink.bad(), "! ") } else { (Style::new(), "") };
    let third = vec![
        Span::raw(format!("tasks {} alive, {} running, ", count(pulse.alive()), vitals.running)),
        Span::styled(format!("{}{} stuck", stuck.1, count(vitals.stuck)), stuck.0),
        Span::raw(format!("  executor {} running, {} queued", vitals.running_jobs, vitals.queued_jobs)),
        Span::raw(if vitals.lost > 0 { format!("  {} events lost", count(vitals.lost)) } else { String::new() }),
    ];
    [Line::from(first), Line::from(second), Line::from(third)]
}

/// The titles with what stands in them, each with its first column.
fn titles(state: &State, data: &Data) -> Vec<(u16, Tab, String)> {
    let pulse = data.shown(state).map(|reply| &reply.pulse);
    let mut column = 0;
    let title = |tab: Tab| {
        let number = pulse.map_or(0, |pulse| match tab {
            Tab::Findings => pulse.errors + pulse.warnings,
            Tab::Tasks => pulse.alive(),
            Tab::Waits => pulse.vitals.stuck,
            _ => 0,
        });
        let number = if number == 0 { String::new() } else { format!(" {number}") };
        let sign = if tab == Tab::Waits && !number.is_empty() { "!" } else { "" };
        let name = format!("{} {}{number}{sign}", tab as usize + 1, tab.title());
        let text = if tab == state.tab { format!("[{name}]") } else { format!(" {name} ") };
        let at = column;
        column += width_of(&text) as u16;
        (at, tab, text)
    };
    Tab::ALL.into_iter().map(title).collect()
}

pub(super) fn draw_tabs(state: &State, data: &Data, area: Rect, buffer: &mut Buffer) {
    for (at, tab, text) in titles(state, data) {
        let style = if tab == state.tab { Ink::chosen() } else { Style::new() };
        let left = usize::from(area.width.saturating_sub(at));
        buffer.set_stringn(area.x + at.min(area.width), area.y, text, left, style);
    }
}

/// The tab whose title is at a column.
pub(super) fn tab_at(state: &State, data: &Data, area: Rect, column: u16) -> Option<Tab> {
    let column = column.checked_sub(area.x)?;
    let is_there = |(at, _, text): &(u16, Tab, String)| (*at..at + width_of(text) as u16).contains(&column);
    titles(state, data).into_iter().find(is_there).map(|(_, tab, _)| tab)
}
