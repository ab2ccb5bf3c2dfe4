//! `treadle top`: asks the doctor of a running program again and again, and shows the answers on a terminal.
//!
//! Only how often is asked is decided here: as often as is wanted, and seldom enough that answering takes no more than a small part of one
//! processor's time.

mod asker;
mod choice;
mod screen;

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use anyhow::bail;
use ratatui::crossterm::event::{self, Event};
use ratatui::layout::Rect;
use treadle_run::inquiry::Inquiry;
use treadle_view::tui::{Data, History, Process, State, Tab, draw, frame_text};

use crate::arguments::Top;
use crate::{output, snapshot};
use asker::{Asker, Unanswered, ask};
use screen::Screen;

/// What comes from the keyboard is looked for so often at least, and answers too.
const PATIENCE: Duration = Duration::from_millis(40);

/// The time between two questions is so many times as long as the last answer took at least: answering takes one part in so many.
const SHARE: u32 = 100;

/// How long a single frame waits between two questions, for rates.
const MOMENT: Duration = Duration::from_secs(1);

/// A single frame's size, if the environment says nothing.
const WIDTH: u16 = 120;
const HEIGHT: u16 = 40;

pub(crate) fn run(options: &Top) -> anyhow::Result<u8> {
    let tab = Tab::ALL.into_iter().find(|tab| tab.name() == options.tab).unwrap_or_default();
    if options.once {
        return once(options.process.map_or_else(snapshot::only, Ok)?, tab, options.refresh);
    }
    if !std::io::stdout().is_terminal() {
        bail!("standard output is no terminal. `treadle top --once` prints one frame as text");
    }
    let process = match (options.process, treadle_doctor::watched().as_slice()) {
        (Some(process), _) => process,
        (None, [_, _, ..]) => match choice::choose()? {
            Some(process) => process,
            None => return Ok(0),
        },
        (None, _) => snapshot::only()?,
    };
    watch(process, tab, options.refresh)
}

/// Prints a frame.
fn once(process: u32, tab: Tab, refresh: Duration) -> anyhow::Result<u8> {
    let size = |name: &str, usual: u16| {
        let said = std::env::var(name).ok().and_then(|value| value.parse().ok());
        said.filter(|size| *size > 0).unwrap_or(usual)
    };
    let (width, height) = (size("COLUMNS", WIDTH).clamp(80, 1_000), size("LINES", HEIGHT).clamp(24, 1_000));
    let mut state = State::new(tab, false, width, height);
    state.resize(width, height);
    let mut data = data(process, refresh);
    let mut questions = vec![(Inquiry::default(), MOMENT), (state.inquiry(), Duration::ZERO)];
    if tab == Tab::Patterns {
        // They are read once somebody has asked, and their rates are of two readings.
        questions.insert(1, (state.inquiry(), 2 * MOMENT));
    }
    for (inquiry, pause) in questions {
        let (reply, length) = ask(process, &inquiry).map_err(|error| error.explained(process))?;
        data.history.push(reply, length);
        std::thread::sleep(pause);
    }
    let text = frame_text(&state, &data);
    // The last line is of keys, which nobody can press.
    let lines: Vec<&str> = text.lines().collect();
    let text = lines[..lines.len().saturating_sub(1)].join("\n");
    output::print(&format!("{}\n", text.trim_end()))?;
    Ok(0)
}

fn data(process: u32, refresh: Duration) -> Data {
    Data {
        process: Process { number: process, command: command(process) },
        history: History::default(),
        gone: None,
        page: |name| treadle_pitfalls::find(name).map(|pitfall| pitfall.about.page),
        refresh: format!("{} s", refresh.as_secs_f64()),
    }
}

/// The command line of a process, where the system tells it.
pub(crate) fn command(process: u32) -> String {
    let bytes = std::fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
    let words: Vec<_> = bytes.split(|byte| *byte == 0).map(String::from_utf8_lossy).collect();
    words.join(" ").trim_end().to_owned()
}

/// Shows a process until somebody has seen enough.
fn watch(process: u32, tab: Tab, refresh: Duration) -> anyhow::Result<u8> {
    // Whoever cannot be asked at all is an error before the screen changes.
    let state = State::new(tab, output::has_colours(), 80, 24);
    let (reply, length) = ask(process, &state.inquiry()).map_err(|error| error.explained(process))?;
    let mut top = Session {
        data: data(process, refresh),
        state,
        asker: Asker::start(process)?,
        refresh,
        due: Instant::now(),
        asked: None,
    };
    top.data.history.push(reply, length);
    let mut screen = Screen::enter()?;
    top.show(&mut screen)?;
    drop(screen);
    Ok(0)
}

/// Somebody looks at a process.
struct Session {
    data: Data,
    state: State,
    asker: Asker,
    refresh: Duration,
    /// When something is asked again.
    due: Instant,
    /// What was asked last.
    asked: Option<Inquiry>,
}

impl Session {
    fn show(&mut self, screen: &mut Screen) -> anyhow::Result<()> {
        let mut is_changed = true;
        while !self.state.is_over {
            if is_changed {
                screen.terminal.draw(|frame| {
                    let Rect { width, height, .. } = frame.area();
                    self.state.resize(width, height);
                    draw(&self.state, &self.data, frame.buffer_mut());
                })?;
            }
            is_changed = self.hear();
            self.ask();
            let mut patience =
                PATIENCE.min(self.due.saturating_duration_since(Instant::now()).max(Duration::from_millis(5)));
            while event::poll(patience)? {
                is_changed |= self.take(&event::read()?);
                patience = Duration::ZERO;
            }
            screen.end_if_told();
        }
        Ok(())
    }

    /// Does what was pressed; says whether the screen changes.
    fn take(&mut self, event: &Event) -> bool {
        if let Event::Resize(width, height) = event {
            self.state.resize(*width, *height);
            return true;
        }
        let Some(press) = screen::press(event) else { return false };
        self.state.press(press, &self.data);
        true
    }

    /// Takes an answer, if one has come.
    fn hear(&mut self) -> bool {
        let Some(answer) = self.asker.answer() else { return false };
        match answer {
            Ok((reply, length)) => {
                let least = Duration::from_nanos(reply.pulse.took) * SHARE;
                self.due = Instant::now() + self.refresh.max(least);
                if !self.state.is_paused {
                    self.data.history.push(reply, length);
                } else if let (Some(moment), Some(task)) = (self.state.moment, reply.task) {
                    self.data.history.add_task(moment, task);
                }
                self.data.gone = None;
            }
            Err(Unanswered::Ended) => self.data.gone = Some("the program has ended".to_owned()),
            Err(Unanswered::Other(words)) => {
                self.due = Instant::now() + self.refresh;
                self.data.gone = Some(format!("no answer: {words}"));
            }
        }
        true
    }

    /// Asks for what is seen, if it is time or something else is seen now.
    fn ask(&mut self) {
        let has_ended = self.data.gone.as_deref() == Some("the program has ended");
        if self.asker.is_waiting() || has_ended {
            return;
        }
        let inquiry = self.state.inquiry();
        let is_other = self.asked.as_ref() != Some(&inquiry);
        let wanted = if self.state.is_paused {
            // Nothing moves, but who opens a task wants to see it.
            let is_missing = self.state.misses_task(&self.data);
            (is_other && is_missing).then(|| Inquiry { task: inquiry.task, ..Inquiry::default() })
        } else {
            (is_other || Instant::now() >= self.due).then(|| inquiry.clone())
        };
        if let Some(wanted) = wanted {
            self.asker.ask(wanted);
            self.asked = Some(inquiry);
        }
    }
}
