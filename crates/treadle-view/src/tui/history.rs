//! The last answers, by the order in which they came.

use std::collections::VecDeque;

use treadle_run::inquiry::{Details, Reply};

/// How many answers are kept at most, and how many bytes of them as they were sent.
const KEPT: usize = 300;
const BYTES: usize = 32 << 20;

/// Over how long rates are taken, in nanoseconds.
const SPAN: u64 = 5_000_000_000;

/// The last answers.
#[derive(Clone, Debug, Default)]
pub struct History {
    replies: VecDeque<(usize, Reply)>,
    bytes: usize,
    /// How many were forgotten.
    gone: usize,
}

impl History {
    /// Keeps an answer, which was so many bytes long.
    pub fn push(&mut self, reply: Reply, length: usize) {
        self.replies.push_back((length, reply));
        self.bytes += length;
        while self.replies.len() > KEPT || self.bytes > BYTES && self.replies.len() > 2 {
            let Some((length, _)) = self.replies.pop_front() else { break };
            self.bytes -= length;
            self.gone += 1;
        }
    }

    /// The number of the last answer, if there is one.
    pub fn last(&self) -> Option<usize> {
        (self.gone + self.replies.len()).checked_sub(1).filter(|_| !self.replies.is_empty())
    }

    /// Adds what was asked of a task afterwards to an answer.
    pub fn add_task(&mut self, number: usize, task: Details) {
        if let Some((_, reply)) = self.replies.get_mut(number.saturating_sub(self.gone)) {
            reply.task = Some(task);
        }
    }

    /// An answer by its number, or the one after it that is still there.
    pub fn at(&self, number: usize) -> Option<&Reply> {
        self.replies.get(number.saturating_sub(self.gone)).map(|(_, reply)| reply)
    }

    /// The one that an answer is compared to for rates: a few seconds older, if there is such a one.
    pub fn before(&self, number: usize) -> Option<&Reply> {
        let at = number.saturating_sub(self.gone);
        let time = self.replies.get(at)?.1.pulse.vitals.time;
        let is_old = |(_, reply): &&(usize, Reply)| reply.pulse.vitals.time + SPAN <= time;
        let older = self.replies.range(..at);
        older.clone().rev().find(is_old).or_else(|| older.clone().next()).map(|(_, reply)| reply)
    }

    /// The same of those that have something, and that of it.
    pub(super) fn before_with<'a, T>(&'a self, number: usize, has: impl Fn(&'a Reply) -> Option<T>) -> Option<T> {
        let at = number.saturating_sub(self.gone);
        let time = self.replies.get(at)?.1.pulse.vitals.time;
        let mut found = None;
        for (_, reply) in self.replies.range(..at).rev() {
            found = has(reply).or(found);
            if found.is_some() && reply.pulse.vitals.time + SPAN <= time {
                break;
            }
        }
        found
    }

    /// The next one in a direction with what is looked for.
    pub(super) fn step(&self, from: usize, is_back: bool, has: impl Fn(&Reply) -> bool) -> Option<usize> {
        let at = from.saturating_sub(self.gone);
        let has = |at: &usize| self.replies.get(*at).is_some_and(|(_, reply)| has(reply));
        let found = if is_back {
            (0..at.min(self.replies.len())).rev().find(has)
        } else {
            (at + 1..self.replies.len()).find(has)
        };
        found.map(|at| at + self.gone)
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.replies.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(time: u64) -> Reply {
        let mut reply = Reply::default();
        reply.pulse.vitals.time = time * 1_000_000_000;
        reply
    }

    #[test]
    fn old_answers_go_by_number_and_by_size() {
        let mut history = History::default();
        (0..400).for_each(|time| history.push(reply(time), 10));
        assert_eq!((history.last(), history.count()), (Some(399), KEPT));
        assert_eq!(history.at(399), Some(&reply(399)));
        assert_eq!(history.at(0), Some(&reply(100)), "the oldest one that is there");
        (400..410).for_each(|time| history.push(reply(time), BYTES / 4));
        assert!(history.count() <= 4, "{}", history.count());
        assert_eq!(history.at(409), Some(&reply(409)));
    }

    #[test]
    fn rates_are_taken_over_some_seconds_or_over_all_there_is() {
        let mut history = History::default();
        history.push(reply(100), 1);
        assert_eq!(history.before(0), None);
        (101..110).for_each(|time| history.push(reply(time), 1));
        assert_eq!(history.before(3), Some(&reply(100)));
        assert_eq!(history.before(9), Some(&reply(104)));
    }

    #[test]
    fn one_steps_to_answers_that_have_what_is_looked_at() {
        let mut history = History::default();
        (0..6).for_each(|time| history.push(reply(time), 1));
        let is_even = |reply: &Reply| reply.pulse.vitals.time.is_multiple_of(2_000_000_000);
        assert_eq!(history.step(5, true, is_even), Some(4));
        assert_eq!(history.step(4, true, is_even), Some(2));
        assert_eq!(history.step(2, false, is_even), Some(4));
        assert_eq!((history.step(0, true, is_even), history.step(5, false, is_even)), (None, None));
    }
}
