//! Which of several programs is meant.

use std::time::Duration;

use ratatui::crossterm::event;
use treadle_view::tui::{Press, Process, choices};

use super::screen::{self, Screen};

/// How often it is looked which programs there are.
const PAUSE: Duration = Duration::from_millis(500);

/// Has one chosen; nothing if somebody wants none.
pub(super) fn choose() -> anyhow::Result<Option<u32>> {
    let mut screen = Screen::enter()?;
    let mut chosen = 0_usize;
    loop {
        let watched = treadle_doctor::watched();
        let processes: Vec<Process> =
            watched.into_iter().map(|number| Process { number, command: super::command(number) }).collect();
        chosen = chosen.min(processes.len().saturating_sub(1));
        screen.terminal.draw(|frame| choices(&processes, chosen, frame.area(), frame.buffer_mut()))?;
        screen.end_if_told();
        if !event::poll(PAUSE)? {
            continue;
        }
        match screen::press(&event::read()?) {
            Some(Press::Up | Press::WheelUp | Press::Letter('k')) => chosen = chosen.saturating_sub(1),
            Some(Press::Down | Press::WheelDown | Press::Letter('j')) => chosen += 1,
            Some(Press::Enter) => {
                if let Some(process) = processes.get(chosen) {
                    return Ok(Some(process.number));
                }
            }
            Some(Press::Quit | Press::Escape | Press::Letter('q')) => return Ok(None),
            _ => {}
        }
    }
}
