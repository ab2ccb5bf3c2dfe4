//! The terminal: as it has to be for a frame, and as it was before, whatever happens.

use std::io::{self, Stdout, stdout};
use std::sync::Arc;
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};

use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::event::{
    DisableMouseCapture, EnableMouseCapture, Event, KeyCode, KeyEventKind, KeyModifiers, MouseButton, MouseEventKind,
};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use treadle_view::tui::Press;

/// A terminal that shows frames; it is put back when this goes.
pub(super) struct Screen {
    pub(super) terminal: Terminal<CrosstermBackend<Stdout>>,
    /// The signal that has told us to end.
    told: Arc<AtomicUsize>,
}

impl Screen {
    /// # Errors
    /// It is no terminal.
    pub(super) fn enter() -> io::Result<Self> {
        let told = Arc::new(AtomicUsize::new(0));
        for signal in [SIGTERM, SIGINT, SIGHUP] {
            signal_hook::flag::register_usize(signal, Arc::clone(&told), signal.cast_unsigned() as usize)?;
        }
        restore_on_panic();
        enable_raw_mode()?;
        let entered = execute!(stdout(), EnterAlternateScreen, EnableMouseCapture);
        let terminal = entered.and_then(|()| Terminal::new(CrosstermBackend::new(stdout())));
        let terminal = terminal.inspect_err(|_| restore())?;
        Ok(Self { terminal, told })
    }

    /// Ends as a signal would have ended us, if one has come, with the terminal as it was.
    pub(super) fn end_if_told(&self) {
        let signal = i32::try_from(self.told.load(Ordering::Relaxed)).unwrap_or(0);
        if signal > 0 {
            restore();
            let _ = signal_hook::low_level::emulate_default_handler(signal);
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
    }
}

/// Puts the terminal back. Nobody is left to be told if that fails.
fn restore() {
    let _ = execute!(stdout(), DisableMouseCapture, LeaveAlternateScreen, Show);
    let _ = disable_raw_mode();
}

fn restore_on_panic() {
    static DONE: Once = Once::new();
    DONE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |information| {
            restore();
            before(information);
        }));
    });
}

/// What an event is to a frame; nothing if it is nothing.
pub(super) fn press(event: &Event) -> Option<Press> {
    match event {
        Event::Key(key) if key.kind == KeyEventKind::Release => None,
        Event::Key(key) => Some(match key.code {
            KeyCode::Char('c' | 'd') if key.modifiers.contains(KeyModifiers::CONTROL) => Press::Quit,
            // What was pressed before the terminal was ours is a line's end by then.
            KeyCode::Char('j') if key.modifiers.contains(KeyModifiers::CONTROL) => Press::Enter,
            KeyCode::Char(letter) if !key.modifiers.contains(KeyModifiers::CONTROL) => Press::Letter(letter),
            KeyCode::Enter => Press::Enter,
            KeyCode::Esc => Press::Escape,
            KeyCode::Backspace => Press::Backspace,
            KeyCode::Tab | KeyCode::Right => Press::Next,
            KeyCode::BackTab | KeyCode::Left => Press::Previous,
            KeyCode::Up => Press::Up,
            KeyCode::Down => Press::Down,
            KeyCode::PageUp => Press::PageUp,
            KeyCode::PageDown => Press::PageDown,
            KeyCode::Home => Press::Home,
            KeyCode::End => Press::End,
            _ => return None,
        }),
        Event::Mouse(mouse) => match mouse.kind {
            MouseEventKind::Down(MouseButton::Left) => Some(Press::Click(mouse.column, mouse.row)),
            MouseEventKind::ScrollUp => Some(Press::WheelUp),
            MouseEventKind::ScrollDown => Some(Press::WheelDown),
            _ => None,
        },
        _ => None,
    }
}
