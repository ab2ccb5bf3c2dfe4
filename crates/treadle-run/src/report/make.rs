//! Makes a report of what a recording has.

use std::cmp::Reverse;

use rustc_hash::{FxHashMap, FxHashSet};
use treadle_events::{Event, Kind, PlaceId, Record, Scale};

use super::replay::{NONE, Replay, Step};
use super::thin::thinned;
use super::{Flame, Flames, Histogram, Histograms, Index, Limits, Recorded, Report, ReportedFinding, ReportedLoop};
use crate::histogram::Histogram as Times;
use crate::{Bars, Chronicle, Found, Line, Living, PauseKind, Tree};

/// What a recording says, as much of it as the limits allow.
pub fn report(recorded: &Recorded, limits: Limits) -> Report {
    let mut replay = replayed(recorded);
    let mut maker = Maker::new(recorded);
    let now = maker.now;
    replay.finish(now);
    let chronicle = &recorded.chronicle;
    maker.report.duration = maker.time(now);
    maker.lines();
    let queue = histogram(&queued(&replay.steps, maker.scale));
    maker.tables(replay, limits);
    maker.pauses();
    maker.seconds();
    let all = maker.flame(&chronicle.profile, limits.calls);
    let blocked = maker.flame(&chronicle.blocked, limits.calls);
    maker.report.flame = Flames { all, blocked };
    let (step, delay) = (histogram(&chronicle.totals.durations), histogram(&chronicle.totals.lags));
    maker.report.histograms = Histograms { step, queue, delay };
    maker.report
}

/// The worst moments, and then the last events.
fn replayed(recorded: &Recorded) -> Replay {
    let chronicle = &recorded.chronicle;
    let first = recorded.events.first().map_or(u64::MAX, |event| event.stamp);
    let mut replay = Replay::default();
    let mut done = 0;
    let mut moments: Vec<_> = chronicle.moments.iter().collect();
    moments.sort_by_key(|moment| moment.events.first().map(|event| event.0));
    for moment in moments {
        let events = moment.events.iter().filter_map(|&(stamp, head, subject, value)| {
            Record { stamp, head, subject, value }.event().filter(|event| event.stamp < first && event.stamp > done)
        });
        let events: Vec<Event> = events.collect();
        let Some(last) = events.last().map(|event| event.stamp) else { continue };
        replay.begin(moment.tasks.iter());
        for event in &events {
            replay.take(event);
        }
        replay.finish(last);
        done = last;
    }
    // Who lived at the first look after the beginning and was made before has lived all the time; then those of the look before that.
    let after = chronicle.living.iter().find(|(at, _)| *at >= first);
    let before = chronicle.living.iter().rev().find(|(at, _)| *at < first);
    let known = after.into_iter().chain(before).flat_map(|(_, tasks)| tasks);
    replay.begin(known.filter(|living: &&Living| recorded.is_partial && living.born < first));
    for event in &recorded.events {
        replay.take(event);
    }
    replay
}

struct Maker<'a> {
    recorded: &'a Recorded,
    scale: &'a Scale,
    /// The last that is known to have happened, in ticks.
    now: u64,
    report: Report,
    files: FxHashMap<String, usize>,
    sites: FxHashMap<Line, usize>,
    places: FxHashMap<PlaceId, Index>,
}

impl<'a> Maker<'a> {
    fn new(recorded: &'a Recorded) -> Self {
        let Recorded { chronicle, events, scale, .. } = recorded;
        let start = scale.start();
        let until = start + scale.ticks(chronicle.totals.at);
        let now = events.last().map_or(start, |event| event.stamp).max(until);
        let report = Report {
            format: 2,
            title: chronicle.title.clone(),
            began: scale.time(start) as f64 / 1e6,
            environment: environment(recorded, scale.since_start(now)),
            ..Report::default()
        };
        let (files, sites, places) = (FxHashMap::default(), FxHashMap::default(), FxHashMap::default());
        Self { recorded, scale, now, report, files, sites, places }
    }

    /// A time in ticks.
    fn time(&self, stamp: u64) -> i64 {
        micros(self.scale.since_start(stamp))
    }

    /// A time in ticks that may not be known.
    fn time_or_none(&self, stamp: u64) -> i64 {
        if stamp == 0 { -1 } else { self.time(stamp) }
    }

    fn took(&self, ticks: u64) -> i64 {
        micros(self.scale.duration(ticks))
    }

    fn site(&mut self, line: &Line) -> Index {
        if line.line == 0 && line.function.is_empty() {
            return -1;
        }
        if let Some(known) = self.sites.get(line) {
            return *known as Index;
        }
        let file = self.file(line);
        let at = self.report.sites.len();
        self.report.sites.push((file, line.line, line.function.clone(), line.package.clone()));
        self.sites.insert(line.clone(), at);
        at as Index
    }

    fn file(&mut self, line: &Line) -> usize {
        if let Some(known) = self.files.get(&line.file) {
            return *known;
        }
        let at = self.report.files.len();
        self.files.insert(line.file.clone(), at);
        self.report.files.push(shown(&self.recorded.chronicle, line));
        self.report.paths.push(line.file.clone());
        at
    }

    fn numbered(&mut self, line: u32) -> Index {
        let chronicle = &self.recorded.chronicle;
        chronicle.line(line).map_or(-1, |line| self.site(line))
    }

    fn place(&mut self, place: PlaceId) -> Index {
        if let Some(known) = self.places.get(&place) {
            return *known;
        }
        let recorded = self.recorded;
        let found = (place.0 as usize).checked_sub(1).and_then(|at| recorded.places.get(at));
        let site = found.map_or(-1, |place| self.site(&Line::of_place(place)));
        self.places.insert(place, site);
        site
    }

    /// Findings and loops.
    fn lines(&mut self) {
        let chronicle = &self.recorded.chronicle;
        let start = self.scale.time(self.scale.start());
        let since = |time: u64| micros(time.saturating_sub(start));
        let mut found: Vec<&Found> = chronicle.findings.iter().collect();
        let loudness = |found: &Found| ["info", "warning", "error"].iter().position(|word| found.severity == *word);
        found.sort_by_key(|found| {
            let weight = found.worst.unwrap_or(0).saturating_mul(found.count.max(1));
            Reverse((!found.is_suspected, loudness(found), weight, found.count))
        });
        for found in found {
            let finding = ReportedFinding {
                name: found.name.clone(),
                severity: found.severity.clone(),
                suspected: found.is_suspected,
                site: self.site(&found.line),
                message: found.message.clone(),
                count: found.count,
                first: since(found.first),
                last: since(found.last),
                worst: found.worst.map(micros),
                cause: found.cause.clone(),
                evidence: found.evidence.clone(),
                help: found.help.clone(),
                marks: found.marks.iter().map(|time| since(*time)).collect(),
            };
            self.report.findings.push(finding);
        }
        let mut loops: Vec<(u8, u64)> = chronicle.totals.loops.iter().map(|one| (one.number, one.thread)).collect();
        // Those of which nothing is said beside the events.
        for event in self.recorded.events.iter().filter(|event| event.kind == Kind::LoopStarted) {
            if loops.iter().all(|(number, _)| *number != event.event_loop) {
                loops.push((event.event_loop, event.value));
            }
        }
        let named = |(number, thread)| ReportedLoop { number, thread, name: format!("loop {number}") };
        self.report.loops = loops.into_iter().map(named).collect();
    }

    /// Steps, tasks, sleep and jobs.
    fn tables(&mut self, mut replay: Replay, limits: Limits) {
        let waits = self.recorded.chronicle.waits.as_ref();
        let waiting: Vec<u32> =
            waits.into_iter().flat_map(|waits| &waits.tasks).map(|kept| replay.meet(&kept.living)).collect();
        let (steps, since) = thinned(std::mem::take(&mut replay.steps), limits.steps);
        let first = self.recorded.events.first().map_or(self.now, |event| event.stamp);
        let since = since.or(self.recorded.is_partial.then_some(first));
        self.report.kept_from = since.map_or(0, |since| self.time(since));
        let numbers = self.tasks(&replay, &steps, &waiting, limits);
        let mut last = 0;
        for (at, step) in steps.iter().enumerate() {
            let site = self.place(step.place);
            let (start, took) = (self.time(step.start), self.took(step.took));
            let queued = if step.woken == 0 { -1 } else { self.took(step.start.saturating_sub(step.woken)) };
            let columns = &mut self.report.steps;
            columns.r#loop.push(i64::from(step.event_loop));
            columns.task.push(numbers.get(&step.task).copied().unwrap_or(-1));
            columns.site.push(site);
            columns.start_delta.push(start - last);
            columns.took.push(took);
            columns.woken_by.push(step.woken_by as u8);
            columns.waker_delta.push(if step.waker == NONE { 0 } else { at as i64 - i64::from(step.waker) });
            let unseen = numbers.get(&step.waker_task).filter(|_| step.waker == NONE);
            columns.waker_task.push(unseen.copied().unwrap_or(-1));
            columns.queued.push(queued);
            last = start;
        }
        self.waits(&waiting, &numbers);
        self.polls(replay.polls, limits.others);
        let spare = replay.jobs.len().saturating_sub(limits.others);
        for job in &replay.jobs[spare..] {
            let name = (job.function.0 as usize).checked_sub(1).and_then(|at| self.recorded.places.get(at));
            let name = name.map_or_else(String::new, |place| place.function.clone());
            let site = self.place(job.place);
            let [submitted, started, ended] =
                [job.submitted, job.started, job.ended].map(|stamp| self.time_or_none(stamp));
            let columns = &mut self.report.jobs;
            columns.name.push(name);
            columns.site.push(site);
            columns.submitted.push(submitted);
            columns.started.push(started);
            columns.ended.push(ended);
            columns.thread.push(i64::try_from(job.thread).unwrap_or(-1));
        }
    }

    /// The tasks that have a step that is shown or have brought one about, or are alive, or were seen waiting, and those that made them.
    fn tasks(&mut self, replay: &Replay, steps: &[Step], waiting: &[u32], limits: Limits) -> FxHashMap<u32, Index> {
        // Tasks that live and are shown though none of their steps is, and with those that made them.
        let (quiet, most) = (limits.steps / 40, limits.steps);
        let named = steps.iter().flat_map(|step| [step.task, step.waker_task]);
        let mut wanted: FxHashSet<u32> = named.chain(waiting.iter().copied()).collect();
        let alive = (0..replay.tasks.len() as u32).filter(|at| replay.tasks[*at as usize].ended == 0);
        wanted.extend(alive.take(quiet));
        wanted.remove(&NONE);
        let mut open: Vec<u32> = wanted.iter().copied().collect();
        while let Some(at) = open.pop() {
            let parent = replay.tasks[at as usize].parent;
            if parent != NONE && wanted.len() < most && wanted.insert(parent) {
                open.push(parent);
            }
        }
        let mut order: Vec<u32> = wanted.into_iter().collect();
        order.sort_by_key(|at| (replay.tasks[*at as usize].born, *at));
        let numbers: FxHashMap<u32, Index> = order.iter().enumerate().map(|(at, old)| (*old, at as Index)).collect();
        let names = self.names();
        let counts = self.counts();
        for old in order {
            let task = &replay.tasks[old as usize];
            let (code, birth) = (self.place(task.code), self.place(task.birth));
            let key = (task.address, task.born);
            let name = names.get(&key).map_or_else(String::new, |name| (*name).to_owned());
            let born = self.time(task.born.max(self.scale.start()));
            let (ended, is_over) = (self.time_or_none(task.ended), task.ended != 0);
            // What came before the events that are there is known from the last look at the task.
            let before = counts.get(&key).copied().unwrap_or_default();
            let columns = &mut self.report.tasks;
            columns.name.push(name);
            columns.code.push(code);
            columns.birth.push(birth);
            columns.parent.push(numbers.get(&task.parent).copied().unwrap_or(-1));
            columns.r#loop.push(i64::from(task.event_loop));
            columns.born.push(born);
            columns.ended.push(ended);
            columns.outcome.push(if is_over { i64::from(task.outcome) } else { -1 });
            columns.run.push(micros(self.scale.duration(task.run).max(before.1)));
            columns.steps.push(task.steps.max(before.0).cast_signed());
            columns.longest.push(micros(self.scale.duration(task.longest).max(before.2)));
        }
        numbers
    }

    /// The names of tasks, as far as they were seen.
    fn names(&self) -> FxHashMap<(u64, u64), &'a str> {
        let chronicle = &self.recorded.chronicle;
        let seen = chronicle.names.iter().map(|(task, born, name)| ((*task, *born), name.as_str()));
        let waits = chronicle.waits.iter().flat_map(|waits| &waits.tasks);
        seen.chain(waits.map(|kept| ((kept.living.task, kept.living.born), kept.name.as_str()))).collect()
    }

    /// Steps, time and longest step of tasks, as they were at the last look.
    fn counts(&self) -> FxHashMap<(u64, u64), (u64, u64, u64)> {
        let looks = self.recorded.chronicle.living.iter().flat_map(|(_, tasks)| tasks);
        looks.map(|one| ((one.task, one.born), (one.steps, one.run, one.longest))).collect()
    }

    fn waits(&mut self, waiting: &[u32], numbers: &FxHashMap<u32, Index>) {
        let Some(picture) = &self.recorded.chronicle.waits else { return };
        let number = |at: usize| waiting.get(at).and_then(|task| numbers.get(task)).copied();
        let mut waits = super::ReportedWaits { t: micros(picture.at), ..Default::default() };
        let count = picture.count;
        waits.reason = if picture.is_deadlock {
            "Some of these tasks wait for each other, and nothing will wake them".to_owned()
        } else {
            format!("The most waits of tasks for each other at once: {count}")
        };
        for (at, kept) in picture.tasks.iter().enumerate() {
            let Some(task) = number(at) else { continue };
            waits.tasks.push(task);
            waits.chains.insert(task, kept.chain.iter().map(|line| self.numbered(*line)).collect());
            if !kept.waits_for.is_empty() {
                waits.waits_for.insert(task, kept.waits_for.clone());
            }
        }
        let edges = picture
            .edges
            .iter()
            .filter_map(|(from, to, thing)| Some((number(*from as usize)?, number(*to as usize)?, thing.clone())));
        waits.edges = edges.collect();
        self.report.waits = waits;
    }

    fn polls(&mut self, mut polls: Vec<(u8, u64, u64)>, limit: usize) {
        if polls.len() > limit {
            polls.sort_by_key(|(_, start, took)| Reverse((*took, *start)));
            polls.truncate(limit);
        }
        polls.sort_by_key(|(_, start, _)| *start);
        let mut last = 0;
        for (event_loop, start, took) in polls {
            let (start, took) = (self.time(start), self.took(took));
            let columns = &mut self.report.polls;
            columns.r#loop.push(i64::from(event_loop));
            columns.start_delta.push(start - last);
            columns.took.push(took);
            last = start;
        }
    }

    fn pauses(&mut self) {
        let mut pauses: Vec<_> = self.recorded.chronicle.pauses.iter().collect();
        pauses.sort_by_key(|pause| pause.start);
        for pause in pauses {
            let site = pause.line.map_or(-1, |line| self.numbered(line));
            let stack = pause.stack.iter().map(|line| self.numbered(*line)).collect();
            let start = self.time(pause.start);
            let columns = &mut self.report.pauses;
            columns.kind.push(if pause.kind == PauseKind::Blocked { "blocked" } else { "gc" });
            columns.r#loop.push(i64::from(pause.event_loop));
            columns.start.push(start);
            columns.took.push(micros(pause.took));
            columns.cause.push(pause.cause.clone());
            columns.site.push(site);
            columns.stack.push(stack);
        }
    }

    fn seconds(&mut self) {
        let seconds = &self.recorded.chronicle.seconds;
        let columns = &mut self.report.seconds;
        columns.interval = i64::from(seconds.length) * 1_000_000;
        for row in &seconds.rows {
            columns.t.push(micros(row.at));
            columns.busy.push(micros(row.busy));
            columns.idle.push(micros(row.idle));
            columns.lag.push(micros(row.lag));
            for (column, value) in [
                (&mut columns.callbacks, row.callbacks),
                (&mut columns.ready, row.ready),
                (&mut columns.tasks, row.tasks),
                (&mut columns.timers, row.timers),
                (&mut columns.fds, row.transports),
            ] {
                column.push(value.cast_signed());
            }
        }
    }

    /// A flame graph. Calls beyond the limit, the shortest, are part of who called them.
    fn flame(&mut self, tree: &Tree, limit: usize) -> Flame {
        let mut totals = tree.times.clone();
        for at in (0..tree.nodes.len()).rev() {
            if let Some(above) = tree.nodes[at].0.checked_sub(1) {
                totals[above as usize] += totals[at];
            }
        }
        let mut order: Vec<usize> = (0..tree.nodes.len()).filter(|at| totals[*at] >= 1_000).collect();
        // Who calls has at least the time of what it calls, and comes first, so that with a call its callers are there.
        order.sort_by_key(|at| (Reverse(totals[*at]), *at));
        order.truncate(limit);
        order.sort_unstable();
        let mut flames: FxHashMap<usize, Flame> = FxHashMap::default();
        let mut children: Vec<usize> = Vec::new();
        for at in &order {
            let site = self.numbered(tree.nodes[*at].1);
            flames.insert(*at, Flame { site, value: micros(totals[*at]), ..Flame::default() });
            children.push(*at);
        }
        let mut root = Flame { value: micros(tree.total()), ..Flame::default() };
        // From the end: whatever a call has called is complete before it is put under its own caller.
        for at in children.into_iter().rev() {
            let Some(mut flame) = flames.remove(&at) else { continue };
            flame.children.sort_by_key(|child| (Reverse(child.value), child.site));
            let above = (tree.nodes[at].0 as usize).checked_sub(1).and_then(|above| flames.get_mut(&above));
            above.unwrap_or(&mut root).children.push(flame);
        }
        // Looks that saw nothing of Python's, and calls that are too short to be shown.
        let other = root.value - root.children.iter().map(|child| child.value).sum::<i64>();
        if other > 0 {
            root.children.push(Flame { value: other, label: Some("(other)".to_owned()), ..Flame::default() });
        }
        root.children.sort_by_key(|child| (Reverse(child.value), child.site));
        root
    }
}

fn micros(nanoseconds: u64) -> i64 {
    (nanoseconds / 1_000).cast_signed()
}

fn histogram(bars: &Bars) -> Histogram {
    let edges = bars.edges.iter().map(|edge| micros(*edge)).collect();
    Histogram { edges, counts: bars.counts.clone(), max: micros(bars.most) }
}

/// How long callbacks were ready before they ran.
fn queued(steps: &[Step], scale: &Scale) -> Bars {
    let mut times = Times::default();
    for step in steps.iter().filter(|step| step.woken > 0) {
        times.record(scale.duration(step.start.saturating_sub(step.woken)));
    }
    Bars::of(std::iter::once(&times))
}

/// A file as it is shown: below the directory of the run, or as the module of a package.
fn shown(chronicle: &Chronicle, line: &Line) -> String {
    let directory = chronicle.environment.iter().find(|(name, _)| name == "directory").map(|(_, value)| value);
    let file = line.file.as_str();
    if line.package.is_some() {
        let below = |mark: &str| file.split_once(mark).map(|(_, rest)| rest);
        let below_version = || below("/lib/python3").and_then(|rest| rest.split_once('/')).map(|(_, rest)| rest);
        return below("/site-packages/").or_else(below_version).unwrap_or(file).to_owned();
    }
    let relative = directory.and_then(|directory| file.strip_prefix(directory.as_str())?.strip_prefix('/'));
    relative.unwrap_or(file).to_owned()
}

/// What the process said of itself, and what was counted.
fn environment(recorded: &Recorded, watched: u64) -> Vec<(String, String)> {
    let totals = &recorded.chronicle.totals;
    let seconds = |nanoseconds: u64| nanoseconds as f64 / 1e9;
    let share = 100.0 * totals.cost as f64 / watched.max(1) as f64;
    let mut rows = recorded.chronicle.environment.clone();
    rows.extend(
        [
            ("watched", format!("{:.1} s", seconds(watched))),
            ("ended", if totals.is_complete { "by itself" } else { "killed, or still running" }.to_owned()),
            ("callbacks", totals.callbacks.to_string()),
            ("events", totals.events.to_string()),
            ("events lost", totals.lost.to_string()),
            ("the doctor's cost", format!("{share:.2} % of a processor, {} looks at stacks", totals.looks)),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    );
    rows
}
