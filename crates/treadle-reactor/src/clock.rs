//! The loop's clock.

/// The monotonic clock in nanoseconds: the one that Python's `time.monotonic()` reads, so that times of both can be compared.
#[cfg(target_os = "linux")]
pub fn now() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    // The clock starts near zero at boot, and its nanoseconds are below 10⁹.
    time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
}

/// The monotonic clock in nanoseconds: the one that Python's `time.monotonic()` reads, so that times of both can be compared.
///
/// Here that is the time since boot without sleep, which is not what the system calls `CLOCK_MONOTONIC`.
#[cfg(target_vendor = "apple")]
pub fn now() -> u64 {
    crate::sys::uptime()
}

/// How long this thread has had a processor since it began, in nanoseconds.
pub fn processor_time() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
}

#[cfg(test)]
mod tests {
    use super::{now, processor_time};

    #[test]
    fn time_does_not_go_back() {
        let times: Vec<u64> = (0..1000).map(|_| now()).collect();
        assert!(times.is_sorted());
    }

    #[test]
    fn who_sleeps_has_no_processor() {
        let (clock, processor) = (now(), processor_time());
        std::thread::sleep(std::time::Duration::from_millis(5));
        assert!(processor_time() - processor < now() - clock);
    }
}
