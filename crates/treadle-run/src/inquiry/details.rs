//! All there is to know of one task.

use serde::{Deserialize, Serialize};
use treadle_finding::{Sighting, Site};

use super::{FindingRow, Holder, Row, Woken};
use crate::{Run, Stuck};

/// Children and findings that are named.
const NAMED: usize = 20;

/// A task.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Details {
    /// As in the table.
    pub row: Row,
    /// Its loop, by its number.
    pub event_loop: u8,
    /// Who made it, if that is alive.
    pub parent: Option<Row>,
    /// The tasks that it has made and that are alive: some, and how many.
    pub children: Vec<Row>,
    /// See `children`.
    pub child_count: usize,
    /// Where its coroutines stand, the outermost first.
    pub chain: Vec<Site>,
    /// The tasks that have what it waits for, or that it awaits.
    pub waits_on: Vec<Holder>,
    /// What it has entered and not left: the class, and the line of the `async with`.
    pub holds: Vec<(String, Site)>,
    /// Why nothing wakes it, if that is so.
    pub stuck: Option<Reason>,
    /// Who has woken it last; see [`Run::add_waker`].
    pub woken: Option<Woken>,
    /// How often tasks that wait where it does were seen waking themselves, about, and the line.
    pub self_wakes: Option<(u64, Site)>,
    /// What was found at its lines.
    pub findings: Vec<FindingRow>,
}

/// Why a task is stuck.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Reason {
    /// Whether it is in a ring of tasks that wait for each other.
    pub is_in_ring: bool,
    /// Whether nobody but stuck tasks has a reference to what it waits for.
    pub is_forgotten: bool,
    /// Whether something that was not seen might wake it.
    pub is_doubtful: bool,
}

impl Run {
    pub(super) fn details(&self, task: u64, found: &[Sighting]) -> Option<Details> {
        let known = self.row(task)?;
        let row = self.table_row(task, 0)?;
        let children: Vec<u64> = self
            .tasks()
            .iter()
            .filter(|(_, other)| {
                other.parent == Some(task) && other.born > self.tasks().get(&task).map_or(0, |row| row.born)
            })
            .map(|(address, _)| *address)
            .collect();
        let lines: Vec<&Site> = [&known.birth, &known.code]
            .into_iter()
            .chain(&known.chain)
            .chain(known.holds.iter().map(|(_, site)| site))
            .collect();
        let is_of_it = |seen: &&Sighting| {
            seen.site.line > 0 && lines.iter().any(|site| (site.line, &site.path) == (seen.site.line, &seen.site.path))
        };
        Some(Details {
            event_loop: known.event_loop,
            parent: known.parent.and_then(|parent| self.table_row(parent, 0)).filter(|parent| parent.age > row.age),
            child_count: children.len(),
            children: children.into_iter().take(NAMED).filter_map(|child| self.table_row(child, 1)).collect(),
            waits_on: self.holders_for(task),
            woken: None,
            stuck: self.waits().knots().stuck(task).map(|stuck| self.reason(stuck)),
            self_wakes: self.polls().of_task(task).map(|(place, poll)| (poll.wakes, self.site(place))),
            findings: found.iter().filter(is_of_it).take(NAMED).map(FindingRow::of).collect(),
            chain: known.chain,
            holds: known.holds,
            row,
        })
    }

    fn reason(&self, stuck: &Stuck) -> Reason {
        let is_in_ring = self.waits().knots().rings().iter().any(|ring| ring.binary_search(&stuck.task).is_ok());
        Reason { is_in_ring, is_forgotten: stuck.is_forgotten, is_doubtful: stuck.is_doubtful }
    }
}
