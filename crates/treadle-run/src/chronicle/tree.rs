//! Stacks, folded: a call under the call that made it, with the time that was spent in it and in nothing below it.

use bitcode::{Decode, Encode};
use rustc_hash::FxHashMap;

/// Calls that are told apart at most; below that, time is counted to who called.
const NODES: usize = 20_000;

/// A tree of calls. A call comes after the one that it is under.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    /// For each call: the position of its caller and one, or 0, and the number of its line.
    pub nodes: Vec<(u32, u32)>,
    /// How long was spent in a call itself, in nanoseconds, by position.
    pub times: Vec<u64>,
    /// The time of stacks that have no call.
    pub rest: u64,
}

/// What comes to a tree.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Branch {
    /// How many calls there were before.
    first: u32,
    /// Further calls.
    nodes: Vec<(u32, u32)>,
    /// Time, by the positions of calls.
    times: Vec<(u32, u64)>,
    rest: u64,
}

/// A tree that somebody makes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Growing {
    nodes: Vec<(u32, u32)>,
    known: FxHashMap<(u32, u32), u32>,
    changed: FxHashMap<u32, u64>,
    rest: u64,
    /// How many calls were handed out.
    told: usize,
}

impl Tree {
    /// Adds what has come. A branch of another tree is left out.
    pub fn grow(&mut self, branch: &Branch) {
        if branch.first as usize != self.nodes.len() || self.nodes.len() + branch.nodes.len() > NODES {
            return;
        }
        self.rest += branch.rest;
        self.nodes.extend(&branch.nodes);
        self.times.resize(self.nodes.len(), 0);
        for (at, time) in &branch.times {
            if let Some(known) = self.times.get_mut(*at as usize) {
                *known += time;
            }
        }
    }

    /// All of it as one branch.
    pub fn branch(&self) -> Branch {
        let times = self.times.iter().enumerate().map(|(at, time)| (at as u32, *time)).collect();
        Branch { first: 0, nodes: self.nodes.clone(), times, rest: self.rest }
    }

    /// All time, in nanoseconds.
    pub fn total(&self) -> u64 {
        self.rest + self.times.iter().sum::<u64>()
    }
}

impl Growing {
    /// Adds time to a stack of numbers of lines, the outermost first.
    pub(crate) fn count(&mut self, stack: &[u32], time: u64) {
        let mut above = 0;
        for line in stack {
            let known = self.known.get(&(above, *line)).copied();
            above = match known {
                Some(position) => position,
                None if self.nodes.len() < NODES => {
                    self.nodes.push((above, *line));
                    let position = self.nodes.len() as u32;
                    self.known.insert((above, *line), position);
                    position
                }
                None => break,
            };
        }
        match above.checked_sub(1) {
            Some(at) => *self.changed.entry(at).or_default() += time,
            None => self.rest += time,
        }
    }

    /// What has come since the last time.
    pub(crate) fn take(&mut self) -> Branch {
        let first = std::mem::replace(&mut self.told, self.nodes.len());
        let mut times: Vec<(u32, u64)> = self.changed.drain().collect();
        times.sort_unstable();
        Branch { first: first as u32, nodes: self.nodes[first..].to_vec(), times, rest: std::mem::take(&mut self.rest) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branches_add_up_to_the_tree() {
        let (mut growing, mut at_once, mut tree) = (Growing::default(), Growing::default(), Tree::default());
        for round in 1..20_u64 {
            for stack in [vec![1], vec![1, 2], vec![], vec![round as u32 % 5, 7, 7], vec![1, 2, round as u32]] {
                growing.count(&stack, round);
                at_once.count(&stack, round);
            }
            tree.grow(&growing.take());
        }
        let (mut whole, mut again) = (Tree::default(), Tree::default());
        whole.grow(&at_once.take());
        again.grow(&tree.branch());
        assert_eq!((&tree, &again), (&whole, &whole));
        assert_eq!(tree.total(), 5 * (1..20).sum::<u64>());
    }

    #[test]
    fn endless_stacks_are_counted_to_those_that_are_known() {
        let (mut growing, mut tree) = (Growing::default(), Tree::default());
        for line in 0..2 * NODES as u32 {
            growing.count(&[0, line], 1);
        }
        tree.grow(&growing.take());
        assert_eq!((tree.nodes.len(), tree.total()), (NODES, 2 * NODES as u64));
    }
}
