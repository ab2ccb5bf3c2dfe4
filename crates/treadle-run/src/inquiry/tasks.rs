//! A page of tasks: in some order, those that a filter lets through, flat, as a tree or by where they were made.

use std::cmp::Reverse;

use serde::{Deserialize, Serialize};
use treadle_events::{PlaceId, Wait};
use treadle_finding::Site;

use super::{clip, first_by};
use crate::tasks::Task;
use crate::{Activity, Run, State};

/// Rows that are given at once.
const MOST: usize = 500;

/// By what tasks are sorted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sort {
    /// How old it is.
    #[default]
    Age,
    /// How long it has made no step.
    Quiet,
    /// How long its steps took together.
    Run,
    /// How many steps it has made.
    Steps,
    /// Its longest step.
    Longest,
    /// Its name.
    Name,
    /// Where it was made.
    Birth,
    /// Whether it is stuck, runs or waits.
    State,
}

impl Sort {
    /// All of them.
    pub const ALL: [Self; 8] =
        [Self::Age, Self::Quiet, Self::Run, Self::Steps, Self::Longest, Self::Name, Self::Birth, Self::State];

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Age => "age",
            Self::Quiet => "quiet",
            Self::Run => "run time",
            Self::Steps => "steps",
            Self::Longest => "longest step",
            Self::Name => "name",
            Self::Birth => "birth place",
            Self::State => "state",
        }
    }
}

/// How tasks are arranged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Arrangement {
    /// One after the other.
    #[default]
    Flat,
    /// Each below the one that made it.
    Tree,
    /// Counted by where they were made.
    Groups,
}

/// Which tasks are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TasksWanted {
    /// In which order: the largest first, and names and places from the beginning of the alphabet.
    pub sort: Sort,
    /// The other way round.
    pub is_reversed: bool,
    /// What must stand in a name, a place or a state; nothing if it is empty.
    pub filter: String,
    /// How they are arranged.
    pub arrangement: Arrangement,
    /// Only those that were made at a place, by its number.
    pub birth: Option<u32>,
    /// How many rows are passed over.
    pub offset: usize,
    /// How many are wanted.
    pub count: usize,
}

/// The answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TaskPage {
    /// How many rows there are altogether.
    pub total: usize,
    /// How many were passed over.
    pub offset: usize,
    /// Tasks, if they are not in groups.
    pub rows: Vec<Row>,
    /// Groups.
    pub groups: Vec<GroupRow>,
}

/// A task in a table.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Row {
    /// Its address.
    pub task: u64,
    /// How deep it stands in the tree.
    pub depth: usize,
    /// Its name, once it was looked at.
    pub name: Option<String>,
    /// Where it was made.
    pub birth: Site,
    /// Its coroutine's function.
    pub code: Site,
    /// What it is doing.
    pub state: State,
    /// Whether nothing wakes it any more.
    pub is_stuck: bool,
    /// Whether it was seen waking itself, again and again.
    pub wakes_itself: bool,
    /// The line it waits at: the innermost one of the program's own.
    pub at: Option<Site>,
    /// What it waits for: a word, and the class of the object.
    pub waits_for: Option<(String, String)>,
    /// How old it is, in nanoseconds.
    pub age: u64,
    /// Since when it has made no step.
    pub quiet: u64,
    /// How long its steps took together.
    pub run: u64,
    /// How many there were.
    pub steps: u64,
    /// The longest.
    pub longest: u64,
}

/// The tasks that one line has made.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GroupRow {
    /// The number of the place.
    pub place: u32,
    /// The place.
    pub birth: Site,
    /// How many are alive.
    pub alive: u64,
    /// How many of them are stuck.
    pub stuck: u64,
    /// How many were made.
    pub born: u64,
    /// How many steps those that are alive have made.
    pub steps: u64,
    /// How long these took together, in nanoseconds.
    pub run: u64,
    /// The longest.
    pub longest: u64,
    /// How old the oldest is.
    pub oldest: u64,
}

/// Tells which tasks are wanted, without a text for each.
pub(super) struct Filter<'a> {
    run: &'a Run,
    words: String,
    birth: Option<PlaceId>,
    /// Whether the name of a place has the words in it, as far as somebody has asked.
    places: Vec<Option<bool>>,
    running: Vec<u64>,
}

impl<'a> Filter<'a> {
    pub(super) fn new(run: &'a Run, wanted: &TasksWanted) -> Self {
        let running = run.loops().iter().filter_map(|one| match one.activity {
            Activity::Running { task, .. } => task,
            _ => None,
        });
        let words = wanted.filter.to_lowercase();
        let birth = wanted.birth.map(PlaceId);
        Self { run, words, birth, places: Vec::new(), running: running.collect() }
    }

    pub(super) fn is_all(&self) -> bool {
        self.words.is_empty() && self.birth.is_none()
    }

    pub(super) fn lets_through(&mut self, address: u64, task: &Task) -> bool {
        if self.birth.is_some_and(|birth| birth != task.birth) {
            return false;
        }
        if self.words.is_empty() || self.has_place(task.birth) || self.has_place(task.code) {
            return true;
        }
        let is_stuck = self.run.waits().is_stuck(address);
        let is_running = self.running.contains(&address);
        let state = if is_stuck {
            "stuck"
        } else if is_running {
            "running"
        } else {
            "waiting"
        };
        if state == self.words {
            return true;
        }
        let Some(parked) = self.run.parked(address) else { return false };
        let (at, wait) = (self.run.standing(&parked.waiting), &parked.waiting.wait);
        let class = |thing| self.run.waits().thing(thing).map_or("", |thing| &thing.class);
        let has_class = matches!(wait, Wait::Thing(_, thing) if contains(class(*thing), &self.words));
        contains(&parked.waiting.name, &self.words) || has_class || self.has_place(at)
    }

    fn has_place(&mut self, place: PlaceId) -> bool {
        let at = place.0 as usize;
        if self.places.len() <= at {
            self.places.resize(at + 1, None);
        }
        let (run, words) = (self.run, &self.words);
        *self.places[at].get_or_insert_with(|| {
            run.place(place)
                .is_some_and(|place| contains(&format!("{}:{} {}", place.file, place.line, place.function), words))
        })
    }
}

/// Whether a text has words in it that are in lower case.
fn contains(text: &str, words: &str) -> bool {
    if text.is_ascii() {
        return text.as_bytes().windows(words.len()).any(|part| part.eq_ignore_ascii_case(words.as_bytes()));
    }
    text.to_lowercase().contains(words)
}

impl Run {
    pub(super) fn task_page(&self, wanted: &TasksWanted) -> TaskPage {
        let wanted = TasksWanted { count: wanted.count.min(MOST), ..wanted.clone() };
        match wanted.arrangement {
            Arrangement::Flat => self.flat_page(&wanted),
            Arrangement::Tree => self.tree_page(&wanted),
            Arrangement::Groups => self.group_page(&wanted),
        }
    }

    fn flat_page(&self, wanted: &TasksWanted) -> TaskPage {
        let mut filter = Filter::new(self, wanted);
        let is_all = filter.is_all();
        let tasks = self.tasks().iter().filter(|(address, task)| is_all || filter.lets_through(**address, task));
        let (total, page) = if wanted.sort == Sort::Name {
            let name = |address: u64| self.parked(address).map_or("", |parked| parked.waiting.name.as_str());
            cut(tasks.map(|(address, task)| (name(*address), task.born, *address)).collect(), wanted)
        } else {
            cut(
                tasks.map(|(address, task)| (self.rank(*address, task, wanted.sort), task.born, *address)).collect(),
                wanted,
            )
        };
        let offset = wanted.offset.min(total);
        TaskPage {
            total,
            offset,
            rows: page.into_iter().filter_map(|task| self.table_row(task, 0)).collect(),
            groups: Vec::new(),
        }
    }

    /// What comes first has the least.
    fn rank(&self, address: u64, task: &Task, sort: Sort) -> u64 {
        match sort {
            Sort::Age | Sort::Name => task.born,
            Sort::Quiet => task.last_step.max(task.born),
            Sort::Run => u64::MAX - task.run,
            Sort::Steps => u64::MAX - task.steps,
            Sort::Longest => u64::MAX - task.longest,
            Sort::Birth => u64::from(task.birth.0),
            Sort::State if self.waits().is_stuck(address) => 0,
            Sort::State => 1 + u64::from(!self.loops().iter().any(|one| one.activity.is_step_of(address))),
        }
    }

    fn group_page(&self, wanted: &TasksWanted) -> TaskPage {
        let scale = self.scale();
        let mut groups: Vec<GroupRow> = Vec::new();
        // Places are few and have small numbers.
        let mut rows: Vec<Option<usize>> = Vec::new();
        let mut filter = Filter::new(self, wanted);
        let is_all = filter.is_all();
        for (&address, task) in self.tasks() {
            if !is_all && !filter.lets_through(address, task) {
                continue;
            }
            let at = task.birth.0 as usize;
            if rows.len() <= at {
                rows.resize(at + 1, None);
            }
            let at = *rows[at].get_or_insert_with(|| {
                let born = self.births().get(&task.birth).map_or(0, |birth| birth.born);
                groups.push(GroupRow { place: task.birth.0, born, ..GroupRow::default() });
                groups.len() - 1
            });
            let row = &mut groups[at];
            row.alive += 1;
            row.steps += task.steps;
            row.run += task.run;
            row.longest = row.longest.max(task.longest);
            row.oldest = row.oldest.max(self.now().saturating_sub(task.born));
        }
        for task in self.waits().knots().tasks() {
            let row = self.tasks().get(&task).and_then(|task| rows.get(task.birth.0 as usize).copied().flatten());
            if let Some(at) = row {
                groups[at].stuck += 1;
            }
        }
        let total = groups.len();
        groups.sort_by_key(|row| {
            let size = match wanted.sort {
                Sort::Age | Sort::Quiet => row.oldest,
                Sort::Run => row.run,
                Sort::Steps => row.steps,
                Sort::Longest => row.longest,
                Sort::State => row.stuck,
                Sort::Birth | Sort::Name => row.alive,
            };
            (Reverse(size), row.place)
        });
        if wanted.is_reversed {
            groups.reverse();
        }
        let offset = wanted.offset.min(total);
        let mut groups: Vec<GroupRow> = groups.into_iter().skip(offset).take(wanted.count).collect();
        for row in &mut groups {
            row.birth = self.site(PlaceId(row.place));
            [row.run, row.longest, row.oldest] = [row.run, row.longest, row.oldest].map(|ticks| scale.duration(ticks));
        }
        TaskPage { total, offset, rows: Vec::new(), groups }
    }

    /// A task as it stands in a table.
    pub(super) fn table_row(&self, task: u64, depth: usize) -> Option<Row> {
        let row = self.row(task)?;
        let parked = self.parked(task).filter(|_| row.state == State::Waiting);
        Some(Row {
            task,
            depth,
            name: row.name.as_deref().map(clip),
            birth: row.birth,
            code: row.code,
            state: row.state,
            is_stuck: row.is_stuck,
            wakes_itself: self.polls().of_task(task).is_some(),
            at: parked.map(|parked| self.site(self.standing(&parked.waiting))),
            waits_for: row.waits_for.map(|(what, class)| (what.to_owned(), clip(&class))),
            age: row.age,
            quiet: row.quiet,
            run: row.run,
            steps: row.steps,
            longest: row.longest,
        })
    }
}

/// The page of a table whose rows end with addresses, and how many rows the table has.
fn cut<K: Ord + Copy>(rows: Vec<(K, u64, u64)>, wanted: &TasksWanted) -> (usize, Vec<u64>) {
    let total = rows.len();
    let end = (wanted.offset + wanted.count).min(total);
    let rows =
        if wanted.is_reversed { first_by(rows, end, |row| Reverse(*row)) } else { first_by(rows, end, |row| *row) };
    (total, rows.into_iter().skip(wanted.offset).map(|(.., address)| address).collect())
}
