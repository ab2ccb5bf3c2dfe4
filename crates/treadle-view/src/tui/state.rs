//! What the person in front has chosen.

use ratatui::layout::Rect;
use treadle_run::inquiry::{Arrangement, Inquiry, Reply, Sort, TasksWanted};

use super::data::Data;
use super::patterns::PatternSort;

/// Tasks that are asked for before and after those that are seen, so that scrolling need not wait.
const MARGIN: usize = 50;

/// The parts of the screen that take turns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tab {
    /// What was found.
    #[default]
    Findings,
    /// The tasks.
    Tasks,
    /// Who waits for what.
    Waits,
    /// What loops spend their time on.
    Loop,
    /// Transports, timers, jobs.
    Io,
    /// Threads.
    Threads,
    /// Objects of the patterns.
    Patterns,
}

impl Tab {
    /// All of them, from the left.
    pub const ALL: [Self; 7] =
        [Self::Findings, Self::Tasks, Self::Waits, Self::Loop, Self::Io, Self::Threads, Self::Patterns];

    /// Its title.
    pub fn title(self) -> &'static str {
        match self {
            Self::Findings => "Findings",
            Self::Tasks => "Tasks",
            Self::Waits => "Waits",
            Self::Loop => "Loop",
            Self::Io => "I/O",
            Self::Threads => "Threads",
            Self::Patterns => "Patterns",
        }
    }

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Findings => "findings",
            Self::Tasks => "tasks",
            Self::Waits => "waits",
            Self::Loop => "loop",
            Self::Io => "io",
            Self::Threads => "threads",
            Self::Patterns => "patterns",
        }
    }

    /// Whether an answer has what it shows.
    pub(super) fn is_in(self, reply: &Reply) -> bool {
        match self {
            Self::Findings => reply.findings.is_some(),
            Self::Tasks => reply.tasks.is_some(),
            Self::Waits => reply.waits.is_some(),
            Self::Loop => reply.work.is_some(),
            Self::Io => reply.traffic.is_some(),
            Self::Threads => reply.threads.is_some(),
            Self::Patterns => reply.patterns.is_some(),
        }
    }
}

/// What lies over the tab.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Over {
    /// The keys.
    Help,
    /// A task, by its address.
    Task(u64),
    /// A finding, by its name, line and message.
    Finding(String, u32, String),
}

/// Where somebody looks in something that is longer than the screen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// The line that is chosen.
    pub(super) chosen: usize,
    /// The first line that is seen.
    pub(super) top: usize,
}

/// What the person in front has chosen.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// The tab.
    pub tab: Tab,
    /// Whether colours are used.
    pub is_coloured: bool,
    /// Whether nothing more is asked.
    pub is_paused: bool,
    /// Whether the person has had enough.
    pub is_over: bool,
    /// The answer that is shown, by its number, if it is not the last one.
    pub moment: Option<usize>,
    /// What must stand in a row, for each tab.
    pub(super) filters: [String; 7],
    /// Whether that is being typed.
    pub is_typing: bool,
    /// By what tasks are sorted, and how they are arranged.
    pub sort: Sort,
    /// By what patterns are sorted.
    pub pattern_sort: PatternSort,
    /// Whether what is sorted comes the other way round.
    pub is_reversed: bool,
    /// See `sort`.
    pub arrangement: Arrangement,
    /// The place whose tasks alone are shown, by its number.
    pub(super) birth: Option<u32>,
    /// What lies over the tab, from the bottom: details may lead to further ones.
    pub(super) over: Vec<(Over, Place)>,
    pub(super) places: [Place; 7],
    /// The screen.
    pub(super) area: Rect,
}

impl State {
    /// Of a screen of a size, with a tab that is seen first.
    pub fn new(tab: Tab, is_coloured: bool, width: u16, height: u16) -> Self {
        Self { tab, is_coloured, area: Rect::new(0, 0, width, height), ..Self::default() }
    }

    /// The screen has another size now.
    pub fn resize(&mut self, width: u16, height: u16) {
        self.area = Rect::new(0, 0, width, height);
        let rows = self.rows();
        let places = self.places.iter_mut().chain(self.over.iter_mut().map(|(_, place)| place));
        places.for_each(|place| place.show(rows));
    }

    /// What is to be asked for what is seen.
    pub fn inquiry(&self) -> Inquiry {
        let task = self.over.iter().rev().find_map(|(over, _)| match over {
            Over::Task(task) => Some(*task),
            _ => None,
        });
        Inquiry {
            // Its details may be seen.
            findings: self.tab == Tab::Findings,
            tasks: (self.tab == Tab::Tasks).then(|| self.tasks_wanted()),
            task,
            waits: self.tab == Tab::Waits,
            work: self.tab == Tab::Loop,
            traffic: self.tab == Tab::Io,
            threads: self.tab == Tab::Threads,
            patterns: self.tab == Tab::Patterns,
        }
    }

    /// Whether a task is looked at of which what is shown says nothing.
    pub fn misses_task(&self, data: &Data) -> bool {
        let wanted = self.inquiry().task;
        let known = data.shown(self).and_then(|reply| reply.task.as_ref()).map(|details| details.row.task);
        wanted.is_some() && wanted != known
    }

    fn tasks_wanted(&self) -> TasksWanted {
        let offset = self.places[Tab::Tasks as usize].top.saturating_sub(MARGIN);
        TasksWanted {
            sort: self.sort,
            is_reversed: self.is_reversed,
            filter: self.filters[Tab::Tasks as usize].clone(),
            arrangement: self.arrangement,
            birth: self.birth.filter(|_| self.arrangement != Arrangement::Groups),
            offset,
            count: self.rows() + 2 * MARGIN,
        }
    }

    /// What must stand in a row of this tab.
    pub(super) fn filter(&self) -> &str {
        &self.filters[self.tab as usize]
    }

    pub(super) fn filter_mut(&mut self) -> &mut String {
        &mut self.filters[self.tab as usize]
    }

    /// Where somebody looks now.
    pub(super) fn place(&self) -> Place {
        self.over.last().map_or(self.places[self.tab as usize], |(_, place)| *place)
    }

    pub(super) fn place_mut(&mut self) -> &mut Place {
        match self.over.last_mut() {
            Some((_, place)) => place,
            None => &mut self.places[self.tab as usize],
        }
    }

    /// How many lines of a tab there is room for.
    pub(super) fn rows(&self) -> usize {
        usize::from(super::frame::areas(self.area).body.height.saturating_sub(1))
    }
}

impl Place {
    /// Sees to it that the chosen line is one of so many that are seen.
    pub(super) fn show(&mut self, rows: usize) {
        self.top = self.top.min(self.chosen).max((self.chosen + 1).saturating_sub(rows.max(1)));
    }
}
