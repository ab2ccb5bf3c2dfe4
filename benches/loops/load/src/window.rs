//! The time that counts: begins when everybody is warm, is announced, and ends with one line of figures.

use std::io::{self, Write};
use std::thread::ScopedJoinHandle;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use crate::arguments::Time;

#[derive(Clone, Copy)]
pub(crate) struct Window {
    begin: Instant,
    end: Instant,
}

impl Window {
    pub(crate) fn new(time: Time) -> Self {
        let begin = Instant::now() + time.warm;
        Self { begin, end: begin + time.seconds }
    }

    /// What is left until the end, or nothing.
    pub(crate) fn left(&self) -> Option<Duration> {
        self.end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
    }

    pub(crate) fn has_begun(&self) -> bool {
        Instant::now() >= self.begin
    }

    /// Sleeps until the beginning and announces it, runs until the end, and prints what `counted` gives.
    pub(crate) fn announce(&self, counted: impl FnOnce() -> anyhow::Result<u64>) -> anyhow::Result<()> {
        std::thread::sleep(self.begin.saturating_duration_since(Instant::now()));
        let mut out = io::stdout().lock();
        writeln!(out, "started")?;
        out.flush()?;
        let (begin, before) = (Instant::now(), processor_seconds());
        let operations = counted()?;
        let (seconds, cpu) = (begin.elapsed().as_secs_f64(), processor_seconds() - before);
        writeln!(out, r#"{{"operations": {operations}, "seconds": {seconds:.6}, "cpu": {cpu:.6}}}"#)?;
        Ok(out.flush()?)
    }
}

/// What the threads have counted together.
pub(crate) fn total(threads: Vec<ScopedJoinHandle<'_, anyhow::Result<u64>>>) -> anyhow::Result<u64> {
    let mut sum = 0;
    for thread in threads {
        sum += thread.join().map_err(|_| anyhow::anyhow!("a thread panicked"))??;
    }
    Ok(sum)
}

#[expect(clippy::cast_precision_loss, reason = "seconds of one process")]
fn processor_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
