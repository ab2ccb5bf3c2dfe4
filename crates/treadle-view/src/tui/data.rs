//! What there is to show, and rates: what one answer has more than an older one.

use std::collections::BTreeMap;

use treadle_run::inquiry::{PatternRow, Pulse, Reply};
use treadle_run::{Distribution, Figure};

use super::history::History;
use super::state::State;

/// The program that is looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub number: u32,
    /// Its command line, as far as it is known.
    pub command: String,
}

/// What there is to show.
#[derive(Clone, Debug)]
pub struct Data {
    /// Of whom.
    pub process: Process,
    /// What was answered.
    pub history: History,
    /// Why nothing more comes, if that is so.
    pub gone: Option<String>,
    /// The page of a pitfall, by its name.
    pub page: fn(&str) -> Option<&'static str>,
    /// How often it is asked, in words.
    pub refresh: String,
}

/// What happened in the last seconds, or since the program began if nothing older is known.
#[derive(Clone, Debug, Default)]
pub(super) struct Rates {
    /// The part of the time that the busiest loop was busy.
    pub(super) busy: f64,
    /// The same for each loop, with its callbacks a second.
    pub(super) loops: Vec<(f64, f64)>,
    /// Callbacks a second.
    pub(super) callbacks: f64,
    /// How long turns and callbacks took.
    pub(super) lags: Distribution,
    pub(super) durations: Distribution,
    /// Calls a second of patterns that count them, by their numbers.
    pub(super) patterns: BTreeMap<u64, f64>,
    /// The doctor's own cost, as a part of the time.
    pub(super) cost: f64,
    /// Whether it is of all the time.
    pub(super) is_whole: bool,
}

impl Data {
    /// The answer that is shown.
    pub(super) fn shown(&self, state: &State) -> Option<&Reply> {
        self.history.at(state.moment.or(self.history.last())?)
    }

    /// Calls a second since an answer before that has patterns too.
    fn pattern_rates(&self, number: usize, reply: &Reply) -> BTreeMap<u64, f64> {
        let calls = |row: &PatternRow| row.figures[Figure::Calls as usize];
        let Some(page) = &reply.patterns else { return BTreeMap::new() };
        let Some((time, old)) = self.history.before_with(number, |reply| {
            let page = reply.patterns.as_ref().filter(|page| !page.rows.is_empty())?;
            Some((reply.pulse.vitals.time, page))
        }) else {
            return BTreeMap::new();
        };
        let seconds = reply.pulse.vitals.time.saturating_sub(time).max(1) as f64 / 1e9;
        let old: BTreeMap<u64, u64> = old.rows.iter().filter_map(|row| Some((row.number, calls(row)?))).collect();
        let rate = |row: &PatternRow| {
            let more = calls(row)?.saturating_sub(*old.get(&row.number)?);
            Some((row.number, more as f64 / seconds))
        };
        page.rows.iter().filter_map(rate).collect()
    }

    pub(super) fn rates(&self, state: &State) -> Rates {
        let Some(number) = state.moment.or(self.history.last()) else { return Rates::default() };
        let Some(reply) = self.history.at(number) else { return Rates::default() };
        let mut rates = Rates::between(self.history.before(number).map(|reply| &reply.pulse), &reply.pulse);
        rates.patterns = self.pattern_rates(number, reply);
        rates
    }
}

impl Rates {
    fn between(before: Option<&Pulse>, now: &Pulse) -> Self {
        let none = Pulse::default();
        let (old, is_whole) = (before.unwrap_or(&none), before.is_none());
        let span = if is_whole { now.watched } else { now.vitals.time.saturating_sub(old.vitals.time) }.max(1) as f64;
        let seconds = span / 1e9;
        let mut rates = Self { is_whole, ..Self::default() };
        for row in &now.vitals.loops {
            let known = old.vitals.loops.iter().find(|known| known.number == row.number);
            let known = known.cloned().unwrap_or_default();
            let busy = (row.busy.saturating_sub(known.busy) as f64 / span).min(1.0);
            let callbacks = row.callbacks.saturating_sub(known.callbacks) as f64 / seconds;
            rates.busy = rates.busy.max(busy);
            rates.callbacks += callbacks;
            rates.loops.push((busy, callbacks));
            add(&mut rates.lags, &row.lags.since(&known.lags));
            add(&mut rates.durations, &row.callback.since(&known.callback));
        }
        rates.cost = now.cost.saturating_sub(old.cost) as f64 / span;
        rates
    }
}

/// Adds one distribution to another; both have rising values.
fn add(all: &mut Distribution, more: &Distribution) {
    all.points.extend(&more.points);
    all.points.sort_unstable();
    all.sum += more.sum;
}
