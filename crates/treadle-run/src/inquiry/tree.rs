//! Tasks below those that made them.

use rustc_hash::FxHashSet;

use super::TaskPage;
use super::tasks::{Filter, TasksWanted};
use crate::Run;

impl Run {
    /// A page of the tree. Who is wanted has those above it with it; the oldest comes first, or the youngest.
    pub(super) fn tree_page(&self, wanted: &TasksWanted) -> TaskPage {
        let shown = self.with_those_above(wanted);
        // By parent and age; 0 is the parent of those that have none any more.
        let mut children: Vec<(u64, u64, u64)> = self
            .tasks()
            .iter()
            .filter(|(address, _)| shown.as_ref().is_none_or(|shown| shown.contains(*address)))
            .map(|(address, task)| (self.living_parent(*address).unwrap_or(0), task.born, *address))
            .collect();
        children.sort_unstable();
        let of = |parent: u64| {
            let from = children.partition_point(|row| row.0 < parent);
            let to = children.partition_point(|row| row.0 <= parent);
            from..to
        };
        let mut rows = Vec::new();
        let mut met = 0;
        let mut open = vec![of(0)];
        while let Some(rest) = open.last_mut() {
            let next = if wanted.is_reversed { rest.next_back() } else { rest.next() };
            let Some(at) = next else {
                open.pop();
                continue;
            };
            let task = children[at].2;
            if met >= wanted.offset && rows.len() < wanted.count {
                rows.extend(self.table_row(task, open.len() - 1));
            }
            met += 1;
            if rows.len() >= wanted.count {
                break;
            }
            open.push(of(task));
        }
        let total = children.len();
        TaskPage { total, offset: wanted.offset.min(total), rows, groups: Vec::new() }
    }

    /// Who has made a task, if that is alive; another one may have its address now, and that is younger.
    fn living_parent(&self, task: u64) -> Option<u64> {
        let row = self.tasks().get(&task)?;
        row.parent.filter(|parent| self.tasks().get(parent).is_some_and(|parent| parent.born < row.born))
    }

    /// The tasks that a filter lets through and those above them; nothing if that is all.
    fn with_those_above(&self, wanted: &TasksWanted) -> Option<FxHashSet<u64>> {
        let mut filter = Filter::new(self, wanted);
        if filter.is_all() {
            return None;
        }
        let mut shown = FxHashSet::default();
        for (&address, task) in self.tasks() {
            let mut next = filter.lets_through(address, task).then_some(address);
            while let Some(task) = next.filter(|task| shown.insert(*task)) {
                next = self.living_parent(task);
            }
        }
        Some(shown)
    }
}
