//! macOS: a clock that `rustix` lacks.

use std::mem::MaybeUninit;

/// Nanoseconds since boot without sleep: `mach_absolute_time`, scaled.
pub(crate) fn uptime() -> u64 {
    let mut time = MaybeUninit::<libc::timespec>::uninit();
    // SAFETY: `time` is a `timespec` for the kernel to write (R2, R4).
    let answer = unsafe { libc::clock_gettime(libc::CLOCK_UPTIME_RAW, time.as_mut_ptr()) };
    assert!(answer == 0, "every system we run on has this clock");
    // SAFETY: the call has succeeded, so it has written `time` (R2).
    let time = unsafe { time.assume_init() };
    time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
}
