//! Functions that were handed to executors of threads, and how long they waited for one.

use rustc_hash::FxHashMap;
use treadle_events::{Event, PlaceId};

/// Jobs that are remembered at once: a program that hands over more is not followed in all it does.
const JOBS: usize = 100_000;

/// Which jobs are meant: of which function, handed over where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobKind {
    /// Where it is handed over.
    pub place: PlaceId,
    /// The function.
    pub function: PlaceId,
}

/// Jobs of one kind that waited for a thread while those of another had all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Starved {
    /// How many threads there are.
    pub workers: u16,
    /// How many jobs waited.
    pub count: u64,
    /// When the first and the last of them was handed over, in ticks.
    pub first: u64,
    /// See `first`.
    pub last: u64,
    /// The longest wait, in ticks.
    pub worst: u64,
    /// The most jobs that waited at once.
    pub queue: usize,
}

/// A job that has not ended.
#[derive(Clone, Debug)]
struct Job {
    kind: JobKind,
    pool: u32,
    submitted: u64,
    is_started: bool,
    /// When, in ticks, and in which thread, by the system's number of it.
    started: (u64, u64),
    /// It was counted among those that waited long.
    is_counted: bool,
}

/// The jobs of a process.
#[derive(Clone, Debug, Default)]
pub struct Jobs {
    living: FxHashMap<u64, Job>,
    workers: FxHashMap<u32, u16>,
    /// By who has the threads and who waits.
    starved: FxHashMap<(JobKind, JobKind), Starved>,
}

impl Jobs {
    pub(crate) fn submit(&mut self, event: &Event) {
        if self.living.len() >= JOBS {
            return;
        }
        let pool = (event.value >> 32) as u32;
        if event.small > 0 {
            self.workers.insert(pool, event.small);
        }
        let kind = JobKind { place: event.place, function: PlaceId(event.value as u32) };
        let job = Job { kind, pool, submitted: event.stamp, is_started: false, started: (0, 0), is_counted: false };
        self.living.insert(event.subject, job);
    }

    /// `threshold` is from when on a wait is long, in ticks.
    pub(crate) fn start(&mut self, event: &Event, threshold: u64) {
        self.look(event.stamp, threshold);
        if let Some(job) = self.living.get_mut(&event.subject) {
            (job.is_started, job.started) = (true, (event.stamp, event.value));
        }
    }

    pub(crate) fn end(&mut self, event: &Event) {
        self.living.remove(&event.subject);
    }

    /// Whether all have ended.
    pub fn is_empty(&self) -> bool {
        self.living.is_empty()
    }

    /// Looks for jobs that have waited long.
    pub(crate) fn look(&mut self, now: u64, threshold: u64) {
        let is_late = |job: &Job| !job.is_started && now.saturating_sub(job.submitted) >= threshold;
        if self.living.len() < 2 || !self.living.values().any(is_late) {
            return;
        }
        let pools: Vec<(u32, u16)> = self.workers.iter().map(|(pool, workers)| (*pool, *workers)).collect();
        for (pool, workers) in pools {
            if let Some(holder) = self.holder(pool, workers) {
                self.count(pool, workers, holder, now, threshold);
            }
        }
    }

    /// Who has all threads of a pool: those that have most of them.
    fn holder(&self, pool: u32, workers: u16) -> Option<JobKind> {
        let mut kinds: FxHashMap<JobKind, usize> = FxHashMap::default();
        let running = self.living.values().filter(|job| job.pool == pool && job.is_started);
        running.for_each(|job| *kinds.entry(job.kind).or_default() += 1);
        let total: usize = kinds.values().sum();
        let most = kinds.into_iter().max_by_key(|(kind, count)| (*count, *kind));
        most.filter(|(_, count)| total >= usize::from(workers) && count * 2 > total).map(|(kind, _)| kind)
    }

    fn count(&mut self, pool: u32, workers: u16, holder: JobKind, now: u64, threshold: u64) {
        let Self { living, starved, .. } = self;
        let queue = living.values().filter(|job| job.pool == pool && !job.is_started).count();
        for job in living.values_mut().filter(|job| job.pool == pool && !job.is_started) {
            let waited = now.saturating_sub(job.submitted);
            if waited < threshold {
                continue;
            }
            let new = Starved { workers, count: 0, first: job.submitted, last: job.submitted, worst: 0, queue };
            let row = starved.entry((holder, job.kind)).or_insert(new);
            row.count += u64::from(!job.is_counted);
            job.is_counted = true;
            (row.first, row.last) = (row.first.min(job.submitted), row.last.max(job.submitted));
            (row.worst, row.queue) = (row.worst.max(waited), row.queue.max(queue));
        }
    }

    /// How many wait for a thread, and how many have one.
    pub fn counts(&self) -> (u64, u64) {
        let running = self.living.values().filter(|job| job.is_started).count();
        ((self.living.len() - running) as u64, running as u64)
    }

    /// How many of each kind wait for a thread and how many have one, and since when the oldest of those waits, in ticks.
    pub fn kinds(&self) -> FxHashMap<JobKind, (u64, u64, Option<u64>)> {
        let mut kinds: FxHashMap<JobKind, (u64, u64, Option<u64>)> = FxHashMap::default();
        for job in self.living.values() {
            let (queued, running, oldest) = kinds.entry(job.kind).or_default();
            if job.is_started {
                *running += 1;
            } else {
                *queued += 1;
                *oldest = Some(oldest.map_or(job.submitted, |known| known.min(job.submitted)));
            }
        }
        kinds
    }

    /// The jobs that have a thread: which, since when in ticks, and the system's number of it.
    pub fn running(&self) -> impl Iterator<Item = (JobKind, u64, u64)> {
        self.living.values().filter(|job| job.is_started).map(|job| (job.kind, job.started.0, job.started.1))
    }

    /// Who waited long for whom: the kind that had most of the threads, and the kind that waited.
    pub fn starved(&self) -> impl Iterator<Item = (&(JobKind, JobKind), &Starved)> {
        self.starved.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use treadle_events::Kind;

    fn jobs(events: &[(u64, Kind, u64, u32)]) -> Jobs {
        let mut jobs = Jobs::default();
        for (stamp, kind, subject, place) in events {
            let (small, place) = (2, PlaceId(*place));
            let event =
                Event { stamp: *stamp, subject: *subject, place, small, value: 7 << 32, ..Event::new(*kind, 1) };
            match kind {
                Kind::JobSubmitted => jobs.submit(&event),
                Kind::JobStarted => jobs.start(&event, 100),
                _ => jobs.end(&event),
            }
        }
        jobs
    }

    #[test]
    fn job_that_waits_for_a_thread_is_laid_to_those_who_have_them() {
        let (submitted, started) = (Kind::JobSubmitted, Kind::JobStarted);
        let mut jobs = jobs(&[
            (0, submitted, 1, 5),
            (0, started, 1, 0),
            (1, submitted, 2, 5),
            (1, started, 2, 0),
            (10, submitted, 3, 6),
        ]);
        jobs.look(50, 100);
        assert_eq!(jobs.starved().count(), 0);
        jobs.look(150, 100);
        jobs.look(250, 100);
        let rows: Vec<_> = jobs
            .starved()
            .map(|((holder, waits), row)| (holder.place.0, waits.place.0, row.count, row.worst))
            .collect();
        assert_eq!(rows, [(5, 6, 1, 240)]);
    }

    #[test]
    fn jobs_are_counted_by_what_they_do_and_known_by_their_threads() {
        let (submitted, started) = (Kind::JobSubmitted, Kind::JobStarted);
        let jobs = jobs(&[(3, submitted, 1, 5), (9, started, 1, 0), (11, submitted, 2, 5), (12, submitted, 3, 5)]);
        let kind = JobKind { place: PlaceId(5), function: PlaceId(0) };
        assert_eq!(jobs.kinds()[&kind], (2, 1, Some(11)));
        assert_eq!(jobs.running().collect::<Vec<_>>(), [(kind, 9, 7 << 32)]);
    }

    #[test]
    fn job_that_waits_while_a_thread_is_free_is_nobodys_fault() {
        let mut jobs =
            jobs(&[(0, Kind::JobSubmitted, 1, 5), (0, Kind::JobStarted, 1, 0), (10, Kind::JobSubmitted, 3, 6)]);
        jobs.look(500, 100);
        assert_eq!(jobs.starved().count(), 0);
    }
}
