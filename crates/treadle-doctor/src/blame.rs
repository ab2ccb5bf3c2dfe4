//! To which line a blockage is laid, given what was seen of the stack while it lasted.
//!
//! Each look lays the time since the one before to the innermost line of the program's own code. A call that took long is laid to its line; what a
//! function computes itself, to that function at its hottest line; what many functions did together, to the nearest one on all their ways. What an
//! `import` runs is laid to the `import`.

use std::collections::HashMap;
use std::hash::Hash;

use treadle_events::{Frame, Owner, Stack};
use treadle_run::{Blame, Cause};

use crate::source::Sources;

/// One look.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    /// What the thread executed.
    pub(crate) stack: Stack,
    /// What it did or waited for.
    pub(crate) doing: Cause,
    /// How long before it the one before was, in nanoseconds.
    pub(crate) took: u64,
}

/// Lines of a way that are told.
const WAY: usize = 12;

/// A look, cut to what the callback did.
struct Look<'a> {
    /// The innermost first.
    frames: &'a [Frame],
    is_moving: bool,
    is_import: bool,
    doing: Cause,
    took: u64,
    /// The innermost frame that can be blamed.
    site: usize,
}

/// What some looks are laid to, and how much of the time, in nanoseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Share {
    pub(crate) blame: Blame,
    pub(crate) cause: Cause,
    pub(crate) took: u64,
}

/// To what some looks are to be laid: every call and every function that took at least `threshold`. If none did, and `is_sure` that no more looks
/// will come, what they have in common.
pub(crate) fn blame(samples: &[Sample], threshold: u64, is_sure: bool, sources: &mut Sources) -> Vec<Share> {
    let looks: Vec<Look<'_>> = samples.iter().filter_map(|sample| cut(sample, sources)).collect();
    let mut shares = Vec::new();
    let mut rest: Vec<&Look<'_>> = Vec::new();
    for group in groups(looks.iter(), |look| (look.way(), look.line())) {
        let called = called(&group, sources).filter(|_| took(&group) >= threshold);
        match called {
            Some(called) => shares.extend(share(&group, group[0].frames.len() - group[0].site, Some(called))),
            None => rest.extend(group),
        }
    }
    let mut scattered: Vec<&Look<'_>> = Vec::new();
    for group in groups(rest.into_iter(), Look::way) {
        if took(&group) >= threshold {
            let called = most_called(&group, sources);
            shares.extend(share(&group, group[0].frames.len() - group[0].site, called));
        } else {
            scattered.extend(group);
        }
    }
    let is_left = shares.is_empty() && is_sure || took(&scattered) >= 2 * threshold;
    if is_left
        && took(&scattered) >= threshold
        && let Some(depth) = common(&scattered)
    {
        shares.extend(share(&scattered, depth, None));
    }
    shares
}

/// Looks that agree in something, in the order in which they first came.
fn groups<'a, 'b: 'a, K: PartialEq>(
    looks: impl Iterator<Item = &'a Look<'b>>,
    key: impl Fn(&Look<'b>) -> K,
) -> Vec<Vec<&'a Look<'b>>> {
    let mut groups: Vec<(K, Vec<&Look<'_>>)> = Vec::new();
    for look in looks {
        let key = key(look);
        match groups.iter_mut().find(|(known, _)| *known == key) {
            Some((_, group)) => group.push(look),
            None => groups.push((key, vec![look])),
        }
    }
    groups.into_iter().map(|(_, group)| group).collect()
}

fn took(looks: &[&Look<'_>]) -> u64 {
    looks.iter().map(|look| look.took).sum()
}

/// Lays looks to the call that is so many calls from the outermost.
fn share(looks: &[&Look<'_>], depth: usize, called: Option<String>) -> Option<Share> {
    let have: Vec<&&Look<'_>> = looks.iter().filter(|look| look.frames.len() >= depth).collect();
    let at = |look: &Look<'_>| look.frames.len() - depth;
    let line = most(have.iter().map(|look| look.frames[at(look)].place.line))?.0;
    let first = have.iter().find(|look| look.frames[at(look)].place.line == line)?;
    let cause = if first.is_import { Cause::Import } else { most(looks.iter().map(|look| look.doing))?.0 };
    let way = first.frames.iter().filter(|frame| !frame.is_inner).map(|frame| frame.place.clone());
    let mut way: Vec<_> = way.collect();
    way.reverse();
    way.truncate(WAY);
    let place = first.frames[at(first)].place.clone();
    Some(Share { blame: Blame { place, called, way }, cause, took: took(looks) })
}

/// The function whose call took all the time, if it was one call.
fn called(looks: &[&Look<'_>], sources: &mut Sources) -> Option<String> {
    let (offset, count) = most(looks.iter().map(|look| look.frames[look.site].offset))?;
    // A native function keeps the line's own frame where it is; another one has a frame of its own, which a generator leaves now and then.
    let calls = looks.iter().any(|look| look.site > 0 || look.is_import);
    let still = looks.iter().filter(|look| look.frames[look.site].offset == offset && (calls || !look.is_moving));
    let still: Vec<_> = still.collect();
    let look = still.first().filter(|_| is_nearly(count, looks.len()) && is_nearly(still.len(), count))?;
    let frame = &look.frames[look.site];
    if look.is_import {
        return sources.import(&frame.place.file, frame.place.line);
    }
    sources.called(frame, look.site.checked_sub(1).map(|inner| &look.frames[inner]))
}

/// The function whose call took nearly all the time of what one function did.
fn most_called(looks: &[&Look<'_>], sources: &mut Sources) -> Option<String> {
    let lines = groups(looks.iter().copied(), Look::line);
    let line = lines.iter().find(|line| took(line) * 5 >= took(looks) * 4)?;
    called(line, sources)
}

/// How many calls from the outermost the nearest function to the program's own code is that is on most of the ways.
fn common(looks: &[&Look<'_>]) -> Option<usize> {
    let ways: Vec<Vec<u64>> = looks.iter().map(|look| look.way()).collect();
    let mut shared = Vec::new();
    loop {
        let further = ways.iter().filter(|way| way.starts_with(&shared)).filter_map(|way| way.get(shared.len()));
        let Some((code, count)) = most(further.copied()) else { break };
        if count * 5 < looks.len() * 3 {
            break;
        }
        shared.push(code);
    }
    let look = looks.iter().find(|look| look.way().starts_with(&shared))?;
    // What is on the way but not the program's is not to blame.
    (1..=shared.len()).rev().find(|depth| look.can_be_blamed(look.frames.len() - depth))
}

impl Look<'_> {
    /// From the outermost call to the one that can be blamed.
    fn way(&self) -> Vec<u64> {
        self.frames[self.site..].iter().rev().map(|frame| frame.code).collect()
    }

    fn line(&self) -> u32 {
        self.frames[self.site].place.line
    }

    fn can_be_blamed(&self, at: usize) -> bool {
        self.frames[at].place.owner == self.frames[self.site].place.owner
    }
}

/// Leaves out what is outside of the callback, and what an `import` does. Waits for the interpreter, and collections that nobody asked for, are
/// no fault of a line.
fn cut<'a>(sample: &'a Sample, sources: &mut Sources) -> Option<Look<'a>> {
    let Sample { stack, doing, took } = sample;
    let runs = |frame: &Frame| frame.is_inner && frame.place.function == "Base.run_forever";
    let end = stack.frames.iter().position(runs).unwrap_or(stack.frames.len());
    let frames = &stack.frames[..end];
    let imports =
        |frame: &Frame| frame.place.function == "_find_and_load" && frame.place.file == "<frozen importlib._bootstrap>";
    let import = frames.iter().rposition(imports);
    let frames = &frames[import.map_or(0, |at| at + 1)..];
    // What stands in brackets is a part of the function around it.
    let is_part = |frame: &Frame| {
        [".<genexpr>", ".<listcomp>", ".<setcomp>", ".<dictcomp>"]
            .iter()
            .any(|name| frame.place.function.ends_with(name))
    };
    let outside = |at: usize| {
        let around =
            frames[at..].iter().position(|frame| frame.place.owner == frames[at].place.owner && !is_part(frame));
        around.map_or(at, |further| at + further)
    };
    let owner = |wanted: fn(&Frame) -> bool| frames.iter().position(wanted).map(outside);
    let site = owner(|frame| frame.place.is_program())
        .or_else(|| owner(|frame| matches!(frame.place.owner, Owner::Package(_))))
        .or_else(|| owner(|frame| !frame.is_inner))?;
    let mut is_asked = || sources.called(&frames[site], None).is_some_and(|called| called.ends_with("collect"));
    let is_nobodys = *doing == Cause::Interpreter || *doing == Cause::Collector && !is_asked();
    let (is_moving, is_import) = (stack.is_moving, import.is_some());
    (!is_nobodys).then_some(Look { frames, is_moving, is_import, doing: *doing, took: *took, site })
}

/// What comes most often, and how often; of those that come equally often the smallest.
fn most<T: Hash + Ord + Clone>(items: impl Iterator<Item = T>) -> Option<(T, usize)> {
    let mut counts: HashMap<T, usize> = HashMap::new();
    items.for_each(|item| *counts.entry(item).or_default() += 1);
    counts.into_iter().max_by(|one, other| one.1.cmp(&other.1).then_with(|| other.0.cmp(&one.0)))
}

fn is_nearly(count: usize, all: usize) -> bool {
    count * 5 >= all * 4
}

#[cfg(test)]
mod tests {
    use super::*;
    use treadle_events::Place;

    fn frame(function: &str, line: u32, owner: Owner) -> Frame {
        let file = if owner == Owner::Python { "/usr/lib/python3.13/json/__init__.py" } else { "app.py" };
        let code = function.bytes().fold(0_u64, |code, byte| code.wrapping_mul(31) + u64::from(byte));
        let place = Place { file: file.to_owned(), line, function: function.to_owned(), owner };
        Frame { place, span: None, is_inner: false, code, offset: line.cast_signed() }
    }

    fn program(function: &str, line: u32) -> Frame {
        frame(function, line, Owner::Program)
    }

    fn verdicts(stacks: Vec<Vec<Frame>>) -> Vec<(String, u32, Option<String>)> {
        let look = |frames| Sample { stack: Stack { frames, is_moving: true }, doing: Cause::Processor, took: 50 };
        let samples: Vec<Sample> = stacks.into_iter().map(look).collect();
        let shares = blame(&samples, 100, true, &mut Sources::default()).into_iter();
        shares.map(|share| (share.blame.place.function, share.blame.place.line, share.blame.called)).collect()
    }

    fn verdict(stacks: Vec<Vec<Frame>>) -> Option<(String, u32, Option<String>)> {
        let mut all = verdicts(stacks);
        assert!(all.len() <= 1, "{all:?}");
        all.pop()
    }

    #[test]
    fn each_call_that_takes_long_is_blamed() {
        let stack = |line| vec![frame("loads", 9, Owner::Python), program("render", line), program("main", 20)];
        let found = verdicts([4, 4, 4, 5, 6, 6, 4].map(stack).to_vec());
        let loads = Some("json.loads".to_owned());
        assert_eq!(found, [("render".to_owned(), 4, loads.clone()), ("render".to_owned(), 6, loads)]);
    }

    #[test]
    fn one_line_is_blamed_with_what_it_calls() {
        let stack = vec![frame("loads", 9, Owner::Python), program("render", 4), program("main", 20)];
        let expected = Some(("render".to_owned(), 4, Some("json.loads".to_owned())));
        assert_eq!(verdict(vec![stack; 5]), expected);
    }

    #[test]
    fn call_that_takes_nearly_all_the_time_is_named() {
        let loads = || vec![frame("loads", 9, Owner::Python), program("render", 4), program("main", 20)];
        let look = |frames, took| Sample { stack: Stack { frames, is_moving: true }, doing: Cause::Processor, took };
        let looks = [look(vec![program("render", 3), program("main", 20)], 15), look(loads(), 50), look(loads(), 45)];
        let shares = blame(&looks, 100, true, &mut Sources::default());
        let named: Vec<_> =
            shares.iter().map(|share| (share.blame.place.line, share.blame.called.as_deref())).collect();
        assert_eq!(named, [(4, Some("json.loads"))]);
    }

    #[test]
    fn function_that_computes_is_blamed_at_its_hottest_line() {
        let lines = [3, 4, 4, 5, 4, 3, 5];
        let stacks = lines.map(|line| vec![program("crunch", line), program("main", 20)]);
        assert_eq!(verdict(stacks.to_vec()), Some(("crunch".to_owned(), 4, None)));
    }

    #[test]
    fn function_that_calls_many_is_blamed_where_it_calls_most() {
        let calls = [("a", 1), ("b", 2), ("c", 3), ("d", 1), ("e", 2), ("f", 1)];
        let stacks = calls.map(|(name, line)| vec![program(name, 90), program("main", 20 + line)]);
        assert_eq!(verdict(stacks.to_vec()), Some(("main".to_owned(), 21, None)));
    }

    #[test]
    fn import_is_blamed_for_all_that_it_runs() {
        let mut load = frame("_find_and_load", 1, Owner::Python);
        "<frozen importlib._bootstrap>".clone_into(&mut load.place.file);
        let stack = vec![program("<module>", 7), load, program("main", 20)];
        assert_eq!(verdict(vec![stack; 3]), Some(("main".to_owned(), 20, None)));
    }

    #[test]
    fn nothing_is_blamed_where_nothing_was_seen() {
        assert_eq!(verdict(vec![]), None);
        assert_eq!(verdict(vec![vec![]]), None);
    }
}
