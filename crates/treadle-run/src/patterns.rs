//! The patterns' objects, as their statistics were read last, and what those that are gone have counted.
//!
//! Names become labels of metrics, so there are few of them: the first that were met of each kind, and one word for all others.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use treadle_events::{Figure, Figures, Pattern, Picture};

use crate::Run;

/// Kinds that are told apart, and names of each.
const KINDS: usize = 40;
const NAMES: usize = 20;

/// How many of those that are gone may come back.
const LATELY: usize = 2_000;

/// What all others are called.
const OTHER: &str = "other";

/// A kind and a name.
type Label = (String, String);

/// All of them.
#[derive(Clone, Debug, Default)]
pub struct Patterns {
    /// By their numbers, which are never given again.
    rows: BTreeMap<u64, Pattern>,
    /// What is being read.
    coming: BTreeMap<u64, Pattern>,
    left_out: u64,
    /// The names of each kind.
    names: BTreeMap<String, Vec<String>>,
    /// What was counted by those that are gone.
    gone: BTreeMap<Label, Figures>,
    /// The last of those: one that was not read for a while is back then.
    lately: BTreeMap<u64, Figures>,
}

/// All objects of a kind with one name, in numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PatternVitals {
    /// What they are.
    pub kind: String,
    /// What the program calls them; empty for those without a name.
    pub name: String,
    /// How many there are.
    pub objects: u64,
    /// Their numbers together, by [`Figure`].
    pub figures: Figures,
    /// How many there are in each state.
    pub states: BTreeMap<String, u64>,
}

impl Patterns {
    /// Those that there were when somebody read last, the oldest first.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &Pattern> {
        self.rows.values()
    }

    /// How many more there were.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Takes in what a picture shows of them.
    pub(crate) fn see(&mut self, picture: &Picture) {
        self.coming.extend(picture.patterns.iter().map(|pattern| (pattern.number, pattern.clone())));
        let Some(left_out) = picture.patterns_left_out else { return };
        let before = std::mem::replace(&mut self.rows, std::mem::take(&mut self.coming));
        self.left_out = left_out;
        for old in before.into_values() {
            match self.rows.get_mut(&old.number) {
                // Who gives back what it was let through for is counted all the same.
                Some(new) => each(&mut new.figures, &old.figures, u64::max),
                None => self.bury(&old),
            }
        }
        for row in self.rows.values_mut() {
            let label = label(&mut self.names, row);
            if let Some(old) = self.lately.remove(&row.number) {
                each(self.gone.entry(label).or_default(), &old, u64::saturating_sub);
                each(&mut row.figures, &old, u64::max);
            }
        }
    }

    /// Keeps what was counted by an object that is gone.
    fn bury(&mut self, old: &Pattern) {
        if !Figure::ALL.into_iter().any(|figure| figure.grows() && old.figures[figure as usize].is_some()) {
            return;
        }
        let label = label(&mut self.names, old);
        each(self.gone.entry(label).or_default(), &old.figures, |sum, old| sum + old);
        self.lately.insert(old.number, old.figures);
        if self.lately.len() > LATELY {
            self.lately.pop_first();
        }
    }

    /// In numbers, by kind and name.
    fn vitals(&self) -> Vec<PatternVitals> {
        let mut sums: BTreeMap<Label, PatternVitals> = BTreeMap::new();
        for (label, counted) in &self.gone {
            sums.insert(label.clone(), PatternVitals { figures: *counted, ..PatternVitals::default() });
        }
        for row in self.rows.values() {
            let sum = sums.entry(known(&self.names, row)).or_default();
            sum.objects += 1;
            for (sum, more) in sum.figures.iter_mut().zip(row.figures) {
                *sum = more.map(|more| sum.unwrap_or(0) + more).or(*sum);
            }
            if !row.state.is_empty() {
                *sum.states.entry(row.state.clone()).or_default() += 1;
            }
        }
        sums.into_iter().map(|((kind, name), sum)| PatternVitals { kind, name, ..sum }).collect()
    }
}

/// Does something with each number that only grows, where there was one.
fn each(figures: &mut Figures, others: &Figures, with: impl Fn(u64, u64) -> u64) {
    for figure in Figure::ALL.into_iter().filter(|figure| figure.grows()) {
        let (one, other) = (&mut figures[figure as usize], others[figure as usize]);
        if let Some(other) = other {
            *one = Some(with(one.unwrap_or(0), other));
        }
    }
}

/// What an object is counted under, which is remembered.
fn label(names: &mut BTreeMap<String, Vec<String>>, pattern: &Pattern) -> Label {
    if names.len() < KINDS || names.contains_key(&pattern.kind) {
        let names = names.entry(pattern.kind.clone()).or_default();
        if let Some(name) = &pattern.name
            && names.len() < NAMES
            && !names.contains(name)
        {
            names.push(name.clone());
        }
    }
    known(names, pattern)
}

fn known(names: &BTreeMap<String, Vec<String>>, pattern: &Pattern) -> Label {
    let other = || OTHER.to_owned();
    let Some(names) = names.get(&pattern.kind) else { return (other(), other()) };
    let name = match &pattern.name {
        None => String::new(),
        Some(name) if names.contains(name) => name.clone(),
        Some(_) => other(),
    };
    (pattern.kind.clone(), name)
}

impl Run {
    /// The patterns' objects.
    pub fn patterns(&self) -> &Patterns {
        &self.patterns
    }

    /// They in numbers, by kind and name.
    pub fn pattern_vitals(&self) -> Vec<PatternVitals> {
        self.patterns.vitals()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(number: u64, name: Option<&str>, calls: u64) -> Pattern {
        let mut figures = Figures::default();
        (figures[Figure::InUse as usize], figures[Figure::Calls as usize]) = (Some(1), Some(calls));
        Pattern { number, kind: "Pool".to_owned(), name: name.map(str::to_owned), state: "open".to_owned(), figures }
    }

    fn see(patterns: &mut Patterns, rows: Vec<Pattern>) {
        patterns.see(&Picture { patterns: rows, patterns_left_out: Some(0), ..Picture::default() });
    }

    fn shown(patterns: &Patterns) -> Vec<(String, u64, Option<u64>, Option<u64>)> {
        let figure = |row: &PatternVitals, figure: Figure| row.figures[figure as usize];
        let rows = patterns.vitals();
        rows.iter()
            .map(|row| (row.name.clone(), row.objects, figure(row, Figure::InUse), figure(row, Figure::Calls)))
            .collect()
    }

    #[test]
    fn objects_without_a_name_are_counted_together() {
        let mut patterns = Patterns::default();
        see(&mut patterns, vec![pattern(1, None, 5), pattern(2, None, 7), pattern(3, Some("db"), 1)]);
        assert_eq!(shown(&patterns), [(String::new(), 2, Some(2), Some(12)), ("db".to_owned(), 1, Some(1), Some(1))]);
        assert_eq!(patterns.vitals()[0].states, [("open".to_owned(), 2)].into());
        assert_eq!(patterns.vitals()[0].figures[Figure::Limit as usize], None);
    }

    #[test]
    fn what_was_counted_stays_when_an_object_is_gone() {
        let mut patterns = Patterns::default();
        see(&mut patterns, vec![pattern(1, Some("db"), 5)]);
        see(&mut patterns, vec![pattern(2, Some("db"), 2)]);
        assert_eq!(shown(&patterns), [("db".to_owned(), 1, Some(1), Some(7))]);
        see(&mut patterns, vec![]);
        assert_eq!(shown(&patterns), [("db".to_owned(), 0, None, Some(7))]);
    }

    #[test]
    fn an_object_that_was_not_read_for_a_while_counts_once() {
        let mut patterns = Patterns::default();
        see(&mut patterns, vec![pattern(1, None, 5)]);
        see(&mut patterns, vec![]);
        see(&mut patterns, vec![pattern(1, None, 7)]);
        assert_eq!(shown(&patterns), [(String::new(), 1, Some(1), Some(7))]);
    }

    #[test]
    fn a_count_never_falls() {
        let mut patterns = Patterns::default();
        see(&mut patterns, vec![pattern(1, None, 5)]);
        see(&mut patterns, vec![pattern(1, None, 4)]);
        assert_eq!(shown(&patterns), [(String::new(), 1, Some(1), Some(5))]);
    }

    #[test]
    fn names_that_come_late_are_others() {
        let mut patterns = Patterns::default();
        let rows = (0..30).map(|number| pattern(number, Some(&format!("customer-{number}")), 1)).collect();
        see(&mut patterns, rows);
        let rows = shown(&patterns);
        assert_eq!(rows.len(), NAMES + 1);
        assert!(rows.contains(&(OTHER.to_owned(), 10, Some(10), Some(10))), "{rows:?}");
    }

    #[test]
    fn parts_count_when_all_have_come() {
        let mut patterns = Patterns::default();
        patterns.see(&Picture { patterns: vec![pattern(1, None, 5)], ..Picture::default() });
        assert_eq!(patterns.rows().len(), 0);
        see(&mut patterns, vec![pattern(2, None, 5)]);
        assert_eq!(patterns.rows().len(), 2);
    }
}
