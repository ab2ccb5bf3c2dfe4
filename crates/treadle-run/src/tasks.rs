//! The tasks that are alive.
//!
//! Each event of a task looks for it here, so this is no map of the library's: a row stays where it is as long as its task lives, and is found by
//! the first words of a table that is half empty at least. Whoever knows the row need not look again.

use std::ops::Index;

use treadle_events::PlaceId;

/// A task that has not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// Its loop, by its number.
    pub event_loop: u8,
    /// When it was made, in ticks.
    pub born: u64,
    /// Where it was made.
    pub birth: PlaceId,
    /// Its coroutine's code.
    pub code: PlaceId,
    /// The task that made it, by its address.
    pub parent: Option<u64>,
    /// How many steps it has made.
    pub steps: u64,
    /// How long they took together, in ticks.
    pub run: u64,
    /// The longest, in ticks.
    pub longest: u64,
    /// When the last one began.
    pub last_step: u64,
}

/// Tasks by their addresses.
#[derive(Clone, Debug)]
pub struct Tasks {
    /// A power of two of them. Who is not at its place is at one of the next, with no gap in between.
    slots: Vec<Slot>,
    rows: Vec<(u64, Task)>,
    /// Rows that are free.
    free: Vec<Row>,
}

/// Where the row of a task is, and what each of its steps asks for.
#[derive(Clone, Copy, Debug)]
struct Slot {
    address: u64,
    row: Row,
    code: PlaceId,
}

/// The number of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Row(u32);

impl Row {
    /// No row.
    pub(crate) const NONE: Self = Self(u32::MAX);
}

const EMPTY: Slot = Slot { address: 0, row: Row::NONE, code: PlaceId::UNKNOWN };

/// As many slots as there are at least.
const FEW: usize = 64;

/// The address of a row that is free: no object has an odd one.
const NOBODY: u64 = u64::MAX;

impl Default for Tasks {
    fn default() -> Self {
        Self { slots: vec![EMPTY; FEW], rows: Vec::new(), free: Vec::new() }
    }
}

impl Tasks {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.rows.len() - self.free.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The task at an address.
    pub fn get(&self, address: &u64) -> Option<&Task> {
        let (row, _) = self.find(*address);
        self.rows.get(row.0 as usize).map(|(_, task)| task)
    }

    /// All of them with their addresses, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&u64, &Task)> {
        self.rows.iter().filter(|(address, _)| *address != NOBODY).map(|(address, task)| (address, task))
    }

    /// The addresses, in no order.
    pub fn keys(&self) -> impl Iterator<Item = &u64> {
        self.iter().map(|(address, _)| address)
    }

    /// The row of the task at an address, if there is one, and its code.
    #[inline]
    pub(crate) fn find(&self, address: u64) -> (Row, PlaceId) {
        let slot = self.slots[self.look_for(address)];
        (slot.row, slot.code)
    }

    /// The task of a row, if it is still the one at that address.
    #[inline]
    pub(crate) fn row(&mut self, row: Row, address: u64) -> Option<&mut Task> {
        let (there, task) = self.rows.get_mut(row.0 as usize)?;
        (*there == address).then_some(task)
    }

    /// Enters a task where there is none.
    #[inline]
    pub(crate) fn insert(&mut self, address: u64, task: Task) {
        if self.len() * 2 >= self.slots.len() {
            self.grow();
        }
        let at = self.look_for(address);
        // A damaged tape may say what it likes.
        if self.slots[at].row != Row::NONE || address == NOBODY {
            return;
        }
        let code = task.code;
        let row = if let Some(row) = self.free.pop() {
            self.rows[row.0 as usize] = (address, task);
            row
        } else {
            self.rows.push((address, task));
            Row((self.rows.len() - 1) as u32)
        };
        self.slots[at] = Slot { address, row, code };
    }

    /// Takes a task out; it lies there until the next one comes.
    #[inline]
    pub(crate) fn remove(&mut self, address: u64) -> Option<&Task> {
        let mut gap = self.look_for(address);
        let Slot { row, .. } = self.slots[gap];
        if row == Row::NONE {
            return None;
        }
        // Whoever came after it and would not be found any more moves up.
        let mask = self.slots.len() - 1;
        let mut at = gap;
        loop {
            at = (at + 1) & mask;
            let slot = self.slots[at];
            if slot.row == Row::NONE {
                break;
            }
            let way = at.wrapping_sub(self.home(slot.address)) & mask;
            if way >= (at.wrapping_sub(gap) & mask) {
                self.slots[gap] = slot;
                gap = at;
            }
        }
        self.slots[gap] = EMPTY;
        self.free.push(row);
        let (there, task) = &mut self.rows[row.0 as usize];
        *there = NOBODY;
        Some(task)
    }

    /// Where an address is, or would be.
    #[inline]
    fn look_for(&self, address: u64) -> usize {
        let mask = self.slots.len() - 1;
        let mut at = self.home(address);
        loop {
            let slot = &self.slots[at & mask];
            if slot.row == Row::NONE || slot.address == address {
                return at & mask;
            }
            at += 1;
        }
    }

    #[cold]
    fn grow(&mut self) {
        let slots = vec![EMPTY; self.slots.len() * 2];
        let before = std::mem::replace(&mut self.slots, slots);
        for slot in before.into_iter().filter(|slot| slot.row != Row::NONE) {
            let at = self.look_for(slot.address);
            self.slots[at] = slot;
        }
    }

    /// Where an address is looked for first: its product with the golden ratio spreads addresses, which are all multiples of sixteen.
    #[inline]
    fn home(&self, address: u64) -> usize {
        let spread = address.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (spread >> 32) as usize & (self.slots.len() - 1)
    }
}

impl<'a> IntoIterator for &'a Tasks {
    type Item = (&'a u64, &'a Task);
    type IntoIter = Box<dyn Iterator<Item = Self::Item> + 'a>;

    fn into_iter(self) -> Self::IntoIter {
        Box::new(self.iter())
    }
}

impl Index<&u64> for Tasks {
    type Output = Task;

    fn index(&self, address: &u64) -> &Task {
        #[expect(clippy::expect_used, reason = "as of a map")]
        self.get(address).expect("there is no such task")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn task(born: u64) -> Task {
        let (birth, code) = (PlaceId(born as u32), PlaceId(born as u32 + 1));
        Task { event_loop: 1, born, birth, code, parent: None, steps: 0, run: 0, longest: 0, last_step: 0 }
    }

    #[test]
    fn tasks_come_and_go_as_in_a_map() {
        let (mut tasks, mut model) = (Tasks::default(), HashMap::new());
        let mut random = 1_u64;
        for number in 0..20_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            // More and more of them, then fewer; zero is an address like others.
            let address = (random >> 33) % 700 * 16;
            if (random >> 20) % 20_000 < if number < 10_000 { 15_000 } else { 5_000 } {
                tasks.insert(address, task(number));
                model.entry(address).or_insert(task(number));
            } else {
                assert_eq!(tasks.remove(address), model.remove(&address).as_ref());
            }
            assert_eq!((tasks.len(), tasks.get(&address)), (model.len(), model.get(&address)));
        }
        let found: HashMap<u64, Task> = tasks.iter().map(|(address, task)| (*address, task.clone())).collect();
        assert_eq!(found, model);
        for (address, task) in &model {
            let (row, code) = tasks.find(*address);
            assert_eq!((tasks.row(row, *address).cloned(), code), (Some(task.clone()), task.code));
        }
    }

    #[test]
    fn a_row_is_of_its_task_only() {
        let mut tasks = Tasks::default();
        assert_eq!((tasks.find(16).0, tasks.is_empty()), (Row::NONE, true));
        tasks.insert(16, task(1));
        let (row, _) = tasks.find(16);
        tasks.remove(16);
        tasks.insert(32, task(2));
        assert_eq!(tasks.row(row, 16), None);
        assert_eq!(tasks.row(Row::NONE, 16), None);
        assert_eq!(tasks.find(32).0, row);
        assert_eq!(tasks.row(row, 32), Some(&mut task(2)));
    }
}
