//! Looks at the threads of loops while a callback takes long, and says what it was.
//!
//! What the machine kept from a thread is not laid to the program: time in which it was ready to run and others ran, and time in which the
//! doctor itself was not run either. Who computes has taken no longer than it had a processor.

use std::collections::HashMap;

use treadle_events::{Frame, Owner, Place};
use treadle_run::{Activity, Blame, Blockage, Cause, EventLoop, Run};

use crate::blame::{Sample, Share, blame};
use crate::source::Sources;
use crate::thread::{Thread, Time};
use crate::witness::Witness;

/// Looks that are kept of one blockage.
const SAMPLES: usize = 128;

/// How much longer than the threshold it takes until a mixture of things is told, in nanoseconds.
const PATIENCE: u64 = 80_000_000;

/// Who has asked the system for a shorter time is not asked whether it waits for the interpreter, in nanoseconds.
const POLLED: u64 = 500_000;

/// Where callbacks that nobody could look at are laid to: their own code.
type Fallback = Option<Blame>;

/// What was seen in one look.
#[derive(Default)]
pub(crate) struct Seen {
    /// Blockages that are new or have changed.
    pub(crate) blockages: Vec<Blockage>,
    /// Loops that wait for the interpreter, and what the thread executes that has it.
    pub(crate) holds: Vec<(u8, Place)>,
}

/// The loops, and what they are at.
pub(crate) struct Blockages {
    witness: Option<Box<dyn Witness>>,
    sources: Sources,
    loops: HashMap<u8, Watched>,
}

/// A loop.
struct Watched {
    thread: Thread,
    /// How much its thread had run, and how late the doctor had been, when it was last seen not to take long.
    before: (Option<Time>, u64),
    /// Since when it asked the system then, if it did.
    polling: Option<u64>,
    /// The callback that takes long.
    long: Option<Long>,
}

/// A callback that takes long.
struct Long {
    since: u64,
    samples: Vec<Sample>,
    /// When the next look is due, in ticks.
    next: u64,
    fallback: Fallback,
    /// How long it had taken at the last look, in nanoseconds.
    seen: u64,
    /// What it was laid to.
    told: Vec<Blame>,
    spent: Spent,
}

/// How a callback that takes long has spent its time up to the last look, in nanoseconds.
#[derive(Default)]
struct Spent {
    /// How long it had taken.
    gross: u64,
    /// What the system said of the thread.
    time: Option<Time>,
    /// How long it computed, by the clock and by the system.
    computed: u64,
    /// See `computed`.
    ran: u64,
    /// How long it was ready to run meanwhile, and while it did something else.
    delayed: u64,
    /// See `delayed`.
    delayed_otherwise: u64,
}

impl Blockages {
    pub(crate) fn new(witness: Option<Box<dyn Witness>>) -> Self {
        Self { witness, sources: Sources::default(), loops: HashMap::new() }
    }

    /// Whether stacks can be seen.
    pub(crate) fn has_witness(&self) -> bool {
        self.witness.is_some()
    }

    /// Who sees stacks.
    pub(crate) fn witness(&mut self) -> Option<&mut (dyn Witness + 'static)> {
        self.witness.as_deref_mut()
    }

    /// Looks, and returns what was seen. `late` is by how much the doctor has come too late altogether, in nanoseconds.
    pub(crate) fn look(&mut self, run: &Run, late: u64) -> Seen {
        let mut found = Seen::default();
        for event_loop in run.loops() {
            let Self { witness, sources, loops } = self;
            let watched = loops.entry(event_loop.number).or_insert_with(|| Watched::new(event_loop.thread));
            if watched.thread.number() != event_loop.thread {
                *watched = Watched::new(event_loop.thread);
            }
            watched.look(run, event_loop, late, witness.as_deref_mut(), sources, &mut found);
        }
        found
    }
}

impl Watched {
    fn new(thread: u64) -> Self {
        Self { thread: Thread::open(thread), before: (None, 0), polling: None, long: None }
    }

    fn look(
        &mut self,
        run: &Run,
        event_loop: &EventLoop,
        late: u64,
        witness: Option<&mut (dyn Witness + 'static)>,
        sources: &mut Sources,
        found: &mut Seen,
    ) {
        let running = match event_loop.activity {
            Activity::Running { since, place, .. } => Some((since, place)),
            _ => None,
        };
        if self.long.as_ref().is_some_and(|long| running.is_none_or(|(since, _)| since != long.since)) {
            found.blockages.extend(self.end(run, event_loop.number, late, sources));
        }
        let took = running.map_or(0, |(since, _)| run.scale().duration(run.now().saturating_sub(since)));
        let Some((since, place)) = running.filter(|_| took >= run.thresholds.blocked / 4) else {
            let polling = match event_loop.activity {
                Activity::Polling { since } => Some(since),
                _ => None,
            };
            // Who still sleeps has not run, and the file need not be read.
            let time = if polling.is_some() && polling == self.polling { self.before.0 } else { self.thread.time() };
            (self.before, self.polling) = ((time, late), polling);
            let has_polled = |since: u64| run.scale().duration(run.now().saturating_sub(since)) >= POLLED;
            if let Some(witness) = witness.filter(|_| polling.is_some_and(has_polled)) {
                found.holds.extend(hold(event_loop.number, &self.thread, witness));
            }
            return;
        };
        let long = self.long.get_or_insert_with(|| {
            let place = run.place(place).filter(|place| place.line > 0).cloned();
            let fallback = place.map(|place| Blame { place, called: None, way: Vec::new() });
            let spent = Spent { time: self.before.0, ..Spent::default() };
            Long { since, samples: Vec::new(), next: 0, fallback, seen: 0, told: Vec::new(), spent }
        });
        if run.now() < long.next {
            return;
        }
        long.next = run.now() + run.scale().ticks(pause(took));
        let mut doing = Cause::Unknown;
        if let Some(witness) = witness {
            doing = long.sample(event_loop, &self.thread, run, took, witness);
            if doing == Cause::Interpreter {
                found.holds.extend(hold(event_loop.number, &self.thread, witness));
            }
        }
        long.spent.pass(took, self.thread.time(), doing);
        let (gross, took) = (took, took.saturating_sub(self.kept_from_it(late)));
        if took >= run.thresholds.blocked {
            // Before long it may be seen what most of the time is spent with.
            let is_sure = took >= run.thresholds.blocked + PATIENCE;
            found.blockages.extend(self.verdict(run, event_loop.number, (took, gross), (is_sure, false), sources));
        }
    }

    /// How long the machine has kept it from running, in nanoseconds.
    fn kept_from_it(&self, late: u64) -> u64 {
        let kept = self.long.as_ref().map_or(0, |long| long.spent.kept());
        kept.max(late - self.before.1)
    }

    /// What there is to say of a callback that has ended.
    fn end(&mut self, run: &Run, number: u8, late: u64, sources: &mut Sources) -> Vec<Blockage> {
        let Some(long) = &mut self.long else { return Vec::new() };
        let ended = run.long().iter().rev().find(|ended| (ended.event_loop, ended.since) == (number, long.since));
        let gross = ended.map_or(0, |ended| run.scale().duration(ended.took));
        if let Some(last) = long.samples.last_mut() {
            last.took += gross.saturating_sub(long.seen);
        }
        let doing = long.samples.last().map_or(Cause::Unknown, |sample| sample.doing);
        long.spent.pass(gross, self.thread.time(), doing);
        let took = gross.saturating_sub(self.kept_from_it(late));
        let is_long = took >= run.thresholds.blocked;
        let said = if is_long { self.verdict(run, number, (took, gross), (true, true), sources) } else { Vec::new() };
        self.long = None;
        said
    }

    /// What to lay a callback to that took so long, and so long with what the machine kept from it.
    fn verdict(
        &mut self,
        run: &Run,
        event_loop: u8,
        (took, gross): (u64, u64),
        (is_sure, has_ended): (bool, bool),
        sources: &mut Sources,
    ) -> Vec<Blockage> {
        let Some(long) = &mut self.long else { return Vec::new() };
        let since = long.since;
        let threshold = run.thresholds.blocked;
        if long.samples.is_empty() {
            let fallback = long.fallback.clone().map(|blame| (blame, Cause::Unknown, took));
            let said =
                fallback.map(|(blame, cause, took)| Blockage { event_loop, since, took, has_ended, blame, cause });
            return said.into_iter().collect();
        }
        // Of what the machine kept from it, each look has its part.
        let enough = part(threshold, gross, took);
        let shares = blame(&long.samples, enough, is_sure, sources).into_iter();
        let blockage = |share: Share| {
            let took = part(share.took, took, gross).max(threshold);
            Blockage {
                event_loop,
                since,
                took,
                has_ended,
                blame: as_told(&mut long.told, share.blame),
                cause: share.cause,
            }
        };
        shares.map(blockage).collect()
    }
}

impl Spent {
    /// Takes in what has happened since the last look; most of the time it did what it does now.
    fn pass(&mut self, gross: u64, time: Option<Time>, doing: Cause) {
        let passed = gross.saturating_sub(self.gross);
        self.gross = gross;
        let Some((before, now)) = self.time.zip(time) else { return };
        self.time = time;
        let delayed = now.delayed.saturating_sub(before.delayed);
        if matches!(doing, Cause::Processor | Cause::Collector) {
            self.computed += passed;
            self.ran += now.ran.saturating_sub(before.ran);
            self.delayed += delayed;
        } else {
            self.delayed_otherwise += delayed;
        }
    }

    /// How long the machine has kept it from running. Of a delay that has not ended, the system says nothing yet.
    fn kept(&self) -> u64 {
        self.delayed.max(self.computed.saturating_sub(self.ran)) + self.delayed_otherwise
    }
}

impl Long {
    /// Looks at the stack, and returns what the thread does.
    fn sample(
        &mut self,
        event_loop: &EventLoop,
        thread: &Thread,
        run: &Run,
        took: u64,
        witness: &mut dyn Witness,
    ) -> Cause {
        let stack = witness.stack(event_loop.number, thread.number());
        let doing = if run.is_collecting(thread.number()) {
            Cause::Collector
        } else {
            thread.doing(|address| witness.is_interpreter(address))
        };
        let Some(stack) = stack else { return doing };
        if self.samples.len() >= SAMPLES {
            self.thin_out();
        }
        self.samples.push(Sample { stack, doing, took: took.saturating_sub(self.seen) });
        self.seen = took;
        doing
    }

    /// Leaves out every second look; the next one stands for it.
    fn thin_out(&mut self) {
        let (mut keep, mut spare) = (true, 0);
        self.samples.retain_mut(|sample| {
            keep = !keep;
            if keep {
                sample.took += spare;
            } else {
                spare = sample.took;
            }
            keep
        });
    }
}

/// What the thread executes that has the interpreter, if the loop waits for it.
fn hold(event_loop: u8, thread: &Thread, witness: &mut dyn Witness) -> Option<(u8, Place)> {
    if !thread.waits_for_interpreter(|address| witness.is_interpreter(address)) {
        return None;
    }
    let (stack, _) = witness.holder(event_loop)?;
    let nearest = |owner: fn(&Frame) -> bool| stack.frames.iter().find(|frame| owner(frame));
    let frame = nearest(|frame| frame.place.is_program())
        .or_else(|| nearest(|frame| matches!(frame.place.owner, Owner::Package(_))))?;
    Some((event_loop, frame.place.clone()))
}

/// So much of an amount as `share` is of `whole`.
fn part(amount: u64, share: u64, whole: u64) -> u64 {
    let part = u128::from(amount) * u128::from(share) / u128::from(whole.max(1));
    u64::try_from(part).unwrap_or(u64::MAX)
}

/// What is laid to a line stays what was said of it first, so that nothing is said twice.
fn as_told(told: &mut Vec<Blame>, blame: Blame) -> Blame {
    if let Some(known) = told.iter().find(|known| known.place == blame.place) {
        return known.clone();
    }
    told.push(blame.clone());
    blame
}

/// How long until the next look at what has taken so long, in nanoseconds.
fn pause(took: u64) -> u64 {
    match took {
        0..500_000_000 => 0,
        500_000_000..10_000_000_000 => 50_000_000,
        _ => 200_000_000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(looks: &[(u64, u64, u64, Cause)]) -> u64 {
        let mut spent = Spent { time: Some(Time::default()), ..Spent::default() };
        for (gross, ran, delayed, doing) in looks {
            spent.pass(*gross, Some(Time { ran: *ran, delayed: *delayed }), *doing);
        }
        spent.kept()
    }

    #[test]
    fn who_computes_has_taken_as_long_as_it_ran() {
        assert_eq!(kept(&[(25, 24, 1, Cause::Processor), (100, 99, 1, Cause::Processor)]), 1);
        // It waits for a processor, which the system tells of afterwards.
        assert_eq!(kept(&[(25, 25, 0, Cause::Processor), (100, 25, 0, Cause::Processor)]), 75);
        assert_eq!(
            kept(&[(25, 25, 0, Cause::Processor), (100, 25, 0, Cause::Processor), (110, 35, 75, Cause::Processor)]),
            75
        );
    }

    #[test]
    fn who_waits_has_taken_the_time_it_waited() {
        assert_eq!(kept(&[(25, 1, 0, Cause::Sleep), (100, 1, 5, Cause::Sleep)]), 5);
    }
}
