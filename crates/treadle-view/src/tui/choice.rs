//! Several programs, one of which is meant.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Line;
use ratatui::widgets::Widget;

use super::data::Process;
use super::ink::Ink;
use super::text::fit;

/// Draws a list of programs.
pub fn choices(processes: &[Process], chosen: usize, area: Rect, buffer: &mut Buffer) {
    let width = usize::from(area.width);
    let mut lines = vec![
        Line::styled(fit("treadle top · which program? ↑ ↓ and Enter; q quits", width), Ink::heading()),
        Line::raw(""),
    ];
    if processes.is_empty() {
        lines.push(Line::raw("no program is watched any more"));
    }
    // The one that is chosen is seen.
    let room = usize::from(area.height).saturating_sub(lines.len()).max(1);
    let first = (chosen + 1).saturating_sub(room);
    for (at, process) in processes.iter().enumerate().skip(first) {
        let sign = if at == chosen { "▶" } else { " " };
        let look = if at == chosen { Ink::chosen() } else { Style::new() };
        lines.push(Line::styled(fit(&format!("{sign} {:>8}  {}", process.number, process.command), width), look));
    }
    for (row, line) in area.rows().zip(lines) {
        line.render(row, buffer);
    }
}
