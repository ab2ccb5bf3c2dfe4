//! The frame: header, tabs, what the tab shows, and a line of keys.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Line;
use ratatui::widgets::Widget;

use super::data::Data;
use super::ink::Ink;
use super::sheet::Sheet;
use super::state::{Over, State, Tab};
use super::text::{clock, fit};
use super::{details, findings, header, help, patterns, tasks, threads, traffic, waits, work};

/// The smallest screen.
pub const WIDTH: u16 = 80;
/// See [`WIDTH`].
pub const HEIGHT: u16 = 24;

/// Where things are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Areas {
    pub(super) header: Rect,
    pub(super) tabs: Rect,
    pub(super) body: Rect,
    pub(super) keys: Rect,
}

/// Where things are on a screen.
pub(super) fn areas(area: Rect) -> Areas {
    let line = |y: u16, height: u16| Rect { x: area.x, y: area.y + y, width: area.width, height };
    let body = area.height.saturating_sub(header::LINES + 2);
    Areas {
        header: line(0, header::LINES),
        tabs: line(header::LINES, 1),
        body: line(header::LINES + 1, body),
        keys: line(header::LINES + 1 + body, 1),
    }
}

/// Draws all of it.
pub fn draw(state: &State, data: &Data, buffer: &mut Buffer) {
    let area = state.area.intersection(buffer.area);
    if area.width < WIDTH || area.height < HEIGHT {
        return too_small(area, buffer);
    }
    let areas = areas(area);
    header::draw(state, data, areas.header, buffer);
    header::draw_tabs(state, data, areas.tabs, buffer);
    draw_sheet(state, &sheet(state, data), areas.body, buffer);
    draw_keys(state, data, areas.keys, buffer);
}

/// A frame as text.
pub fn frame_text(state: &State, data: &Data) -> String {
    let mut buffer = Buffer::empty(state.area);
    draw(state, data, &mut buffer);
    let mut text = String::new();
    for y in state.area.rows() {
        let line: String = y.columns().map(|cell| buffer[(cell.x, cell.y)].symbol()).collect();
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// What the tab, or what lies over it, shows.
pub(super) fn sheet(state: &State, data: &Data) -> Sheet {
    let width = usize::from(state.area.width);
    let ink = Ink::new(state.is_coloured);
    if let Some((Over::Help, _)) = state.over.last() {
        return help::sheet();
    }
    let Some(reply) = data.shown(state) else {
        return note(if data.gone.is_some() { "nothing was answered" } else { "asking…" });
    };
    match state.over.last() {
        Some((Over::Task(task), _)) => return details::task(*task, reply, data, width, ink),
        Some((Over::Finding(name, line, message), _)) => {
            return details::finding((name, *line, message), reply, data, width, ink);
        }
        _ => {}
    }
    if !state.tab.is_in(reply) {
        let is_old = state.moment.is_some_and(|moment| data.history.last() != Some(moment)) || state.is_paused;
        return note(if is_old || data.gone.is_some() {
            "this was not asked at that moment; space goes on"
        } else {
            "asking…"
        });
    }
    let mut sheet = match state.tab {
        Tab::Findings => findings::sheet(reply, width, ink),
        Tab::Tasks => return tasks::sheet(state, reply, width, ink),
        Tab::Waits => waits::sheet(reply, width, ink),
        Tab::Loop => work::sheet(reply, &data.rates(state), width, ink),
        Tab::Io => traffic::sheet(reply, width),
        Tab::Threads => threads::sheet(reply, width, ink),
        Tab::Patterns => patterns::sheet(state, reply, &data.rates(state), width, ink),
    };
    sheet.keep(state.filter());
    if sheet.entries.is_empty() && !state.filter().is_empty() {
        sheet.push(format!("no line has `{}` in it; Esc shows all", state.filter()));
    }
    sheet
}

fn note(words: &str) -> Sheet {
    let mut sheet = Sheet::new();
    sheet.push(words.to_owned());
    sheet
}

fn draw_sheet(state: &State, sheet: &Sheet, area: Rect, buffer: &mut Buffer) {
    let mut rows = area.rows();
    if let Some(head) = &sheet.head
        && let Some(row) = rows.next()
    {
        head.render(row, buffer);
    }
    let place = state.place();
    let last = sheet.total.saturating_sub(1);
    // What was chosen may be gone.
    let top = place.top.min(last);
    for (line, row) in (top..).zip(rows) {
        let Some(entry) = line.checked_sub(sheet.offset).and_then(|at| sheet.entries.get(at)) else {
            if line < sheet.total {
                Line::styled("…", Ink::faint()).render(row, buffer);
            }
            continue;
        };
        (&entry.line).render(row, buffer);
        if line == place.chosen.min(last) && state.over.is_empty() {
            buffer.set_style(row, Ink::chosen());
        }
    }
}

fn draw_keys(state: &State, data: &Data, area: Rect, buffer: &mut Buffer) {
    let ink = Ink::new(state.is_coloured);
    let (text, style) = keys(state, data, ink);
    buffer.set_string(area.x, area.y, fit(&text, usize::from(area.width)), style);
}

fn keys(state: &State, data: &Data, ink: Ink) -> (String, Style) {
    if state.is_typing {
        return (format!("/{}▏  Enter: keep, Esc: show all", state.filter()), Ink::heading());
    }
    if let Some(moment) = state.moment.filter(|_| state.is_paused) {
        let time = data.history.at(moment).map_or(0, |reply| reply.pulse.vitals.time);
        let back = data.history.last().unwrap_or(moment).saturating_sub(moment);
        let words =
            format!("‖ paused at {}, {back} back of {} · [ ] step · space goes on", clock(time), data.history.count());
        return (words, ink.doubtful());
    }
    if let Some(gone) = &data.gone {
        return (format!("! {gone}; this is the last that was seen · [ ] step · q quits"), ink.bad());
    }
    if !state.over.is_empty() {
        return ("Esc: back · ↑ ↓: move · ?: keys · q: quit".to_owned(), Ink::faint());
    }
    let filter = if state.filter().is_empty() { String::new() } else { format!(" [{}]", state.filter()) };
    let mut text = format!("?: keys · q: quit · space: pause · [ ]: step · /: filter{filter}");
    if state.tab == Tab::Tasks {
        let sign = if state.is_reversed { "↑" } else { "↓" };
        text += &format!(" · s: {} {sign} · g: group · t: tree", state.sort.word());
    } else if state.tab == Tab::Patterns {
        let sign = if state.is_reversed { "↑" } else { "↓" };
        text += &format!(" · s: {} {sign}", state.pattern_sort.word());
    } else if matches!(state.tab, Tab::Findings | Tab::Waits) {
        text += " · Enter: details";
    }
    (text, Ink::faint())
}

fn too_small(area: Rect, buffer: &mut Buffer) {
    let words = [
        format!("The terminal has {} × {} characters.", area.width, area.height),
        format!("{WIDTH} × {HEIGHT} are needed."),
    ];
    for (row, words) in area.rows().zip(words) {
        Line::raw(words).render(row, buffer);
    }
}
