//! What keys and the mouse do.

use ratatui::layout::Position;
use treadle_run::inquiry::{Arrangement, Sort};

use super::data::Data;
use super::frame::{self, areas};
use super::header;
use super::patterns::PatternSort;
use super::sheet::Target;
use super::state::{Over, Place, State, Tab};

/// A key, or what the mouse did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Press {
    /// A letter.
    Letter(char),
    /// Return.
    Enter,
    /// Escape.
    Escape,
    /// The key that takes a letter back.
    Backspace,
    /// To the next tab, or the one before it.
    Next,
    /// See `Next`.
    Previous,
    /// A line up or down.
    Up,
    /// See `Up`.
    Down,
    /// A screen up or down.
    PageUp,
    /// See `PageUp`.
    PageDown,
    /// To the first or last line.
    Home,
    /// See `Home`.
    End,
    /// A click at a column and row of the screen.
    Click(u16, u16),
    /// The wheel, away from the hand or towards it.
    WheelUp,
    /// See `WheelUp`.
    WheelDown,
    /// Away from here.
    Quit,
}

impl State {
    /// Does what a key does. The data are those that are seen.
    pub fn press(&mut self, press: Press, data: &Data) {
        match press {
            Press::Quit => self.is_over = true,
            _ if self.is_typing => self.type_filter(press),
            Press::Letter(letter) => self.letter(letter, data),
            Press::Enter => self.enter(data),
            Press::Escape => self.escape(),
            Press::Backspace => drop(self.over.pop()),
            Press::Next => self.turn(1),
            Press::Previous => self.turn(Tab::ALL.len() - 1),
            Press::Up => self.go(data, |at, _| at.saturating_sub(1)),
            Press::Down => self.go(data, |at, _| at + 1),
            Press::PageUp => self.go(data, usize::saturating_sub),
            Press::PageDown => self.go(data, |at, rows| at + rows),
            Press::Home => self.go(data, |_, _| 0),
            Press::End => self.go(data, |_, _| usize::MAX),
            Press::Click(column, row) => self.click(Position::new(column, row), data),
            Press::WheelUp => self.go(data, |at, _| at.saturating_sub(3)),
            Press::WheelDown => self.go(data, |at, _| at + 3),
        }
    }

    fn letter(&mut self, letter: char, data: &Data) {
        match letter {
            'q' => self.is_over = true,
            '?' if self.over.last().is_some_and(|(over, _)| *over == Over::Help) => drop(self.over.pop()),
            '?' => self.over.push((Over::Help, Place::default())),
            '1'..='7' => self.show(Tab::ALL[letter as usize - '1' as usize]),
            'j' => self.press(Press::Down, data),
            'k' => self.press(Press::Up, data),
            ' ' => self.pause(data),
            '[' => self.step(data, true),
            ']' => self.step(data, false),
            '/' => self.is_typing = true,
            's' | 'S' if self.tab == Tab::Tasks => self.sort_by_next(letter == 's'),
            's' | 'S' if self.tab == Tab::Patterns => {
                self.pattern_sort = next(&PatternSort::ALL, self.pattern_sort, letter == 's');
            }
            'r' if matches!(self.tab, Tab::Tasks | Tab::Patterns) => self.is_reversed = !self.is_reversed,
            'g' if self.tab == Tab::Tasks => self.arrange(Arrangement::Groups),
            't' if self.tab == Tab::Tasks => self.arrange(Arrangement::Tree),
            _ => {}
        }
    }

    fn type_filter(&mut self, press: Press) {
        match press {
            Press::Letter(letter) if self.filter().chars().count() < 60 => self.filter_mut().push(letter),
            Press::Backspace => drop(self.filter_mut().pop()),
            Press::Enter => self.is_typing = false,
            Press::Escape => {
                self.is_typing = false;
                self.filter_mut().clear();
            }
            _ => {}
        }
        self.places[self.tab as usize] = Place::default();
    }

    fn escape(&mut self) {
        if self.over.pop().is_some() {
            return;
        }
        self.filter_mut().clear();
        if self.birth.take().is_some() {
            self.arrangement = Arrangement::Groups;
        }
        self.places[self.tab as usize] = Place::default();
    }

    fn pause(&mut self, data: &Data) {
        self.is_paused = !self.is_paused;
        self.moment = if self.is_paused { data.history.last() } else { None };
    }

    fn step(&mut self, data: &Data, is_back: bool) {
        let Some(from) = self.moment.or(data.history.last()) else { return };
        let tab = self.tab;
        self.is_paused = true;
        self.moment = data.history.step(from, is_back, |reply| tab.is_in(reply)).or(Some(from));
    }

    fn sort_by_next(&mut self, is_forward: bool) {
        self.sort = next(&Sort::ALL, self.sort, is_forward);
        self.places[Tab::Tasks as usize] = Place::default();
    }

    fn arrange(&mut self, wanted: Arrangement) {
        self.arrangement = if self.arrangement == wanted { Arrangement::Flat } else { wanted };
        self.birth = None;
        self.places[Tab::Tasks as usize] = Place::default();
    }

    fn turn(&mut self, by: usize) {
        self.show(Tab::ALL[(self.tab as usize + by) % Tab::ALL.len()]);
    }

    fn show(&mut self, tab: Tab) {
        self.over.clear();
        self.tab = tab;
    }

    /// Chooses another line: `to` gets the number of the one that is chosen now, and how many are seen.
    fn go(&mut self, data: &Data, to: impl Fn(usize, usize) -> usize) {
        let rows = self.rows();
        let last = frame::sheet(self, data).total.saturating_sub(1);
        let is_text = !self.over.is_empty();
        let place = self.place_mut();
        if is_text {
            // Nothing is chosen in a text: it moves.
            place.top = to(place.top, rows).min((last + 1).saturating_sub(rows));
            place.chosen = place.top;
            return;
        }
        place.chosen = to(place.chosen.min(last), rows).min(last);
        place.show(rows);
    }

    fn click(&mut self, at: Position, data: &Data) {
        let areas = areas(self.area);
        if areas.tabs.contains(at) {
            if let Some(tab) = header::tab_at(self, data, areas.tabs, at.x) {
                self.show(tab);
            }
            return;
        }
        if !areas.body.contains(at) || !self.over.is_empty() {
            return;
        }
        let sheet = frame::sheet(self, data);
        let first = areas.body.y + u16::from(sheet.head.is_some());
        let Some(row) = at.y.checked_sub(first) else { return };
        let line = self.place().top + usize::from(row);
        if line >= sheet.total {
            return;
        }
        if self.place().chosen == line {
            self.enter(data);
        } else {
            self.place_mut().chosen = line;
        }
    }

    /// Goes where the chosen line leads.
    fn enter(&mut self, data: &Data) {
        let sheet = frame::sheet(self, data);
        let at = self.place().chosen.checked_sub(sheet.offset);
        let target = at.and_then(|at| sheet.entries.get(at)).and_then(|entry| entry.target.clone());
        match target {
            Some(Target::Task(task)) if self.over.is_empty() => self.over.push((Over::Task(task), Place::default())),
            Some(Target::Finding(at)) if self.over.is_empty() => {
                let rows = data.shown(self).and_then(|reply| reply.findings.as_ref());
                if let Some(row) = rows.and_then(|rows| rows.get(at)) {
                    let over = Over::Finding(row.name.clone(), row.site.line, row.message.clone());
                    self.over.push((over, Place::default()));
                }
            }
            Some(Target::Birth(place)) => {
                (self.birth, self.arrangement) = (Some(place), Arrangement::Flat);
                self.places[Tab::Tasks as usize] = Place::default();
            }
            _ => {}
        }
    }
}

/// What comes after something, or before it; the first after the last.
fn next<T: Copy + PartialEq>(all: &[T], now: T, is_forward: bool) -> T {
    let at = all.iter().position(|one| *one == now).unwrap_or(0);
    all[(at + if is_forward { 1 } else { all.len() - 1 }) % all.len()]
}
