//! macOS: calls that `rustix` lacks.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd};
use std::ptr;

use rustix::io::Errno;

use super::Descriptor;

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

/// Sends up to `count` bytes of `input`, from `offset`, to the socket `output`.
pub(crate) fn sendfile(output: Descriptor, input: Descriptor, offset: u64, count: usize) -> Result<usize, Errno> {
    let offset = libc::off_t::try_from(offset).map_err(|_| Errno::INVAL)?;
    // Zero would mean all there is.
    let mut len = match libc::off_t::try_from(count).unwrap_or(libc::off_t::MAX) {
        0 => return Ok(0),
        len => len,
    };
    let (output, input) = (output.as_fd(), input.as_fd());
    // SAFETY: `len` outlives the call, which reads and writes it, and there are no headers (R1, R2).
    let answer =
        unsafe { libc::sendfile(input.as_raw_fd(), output.as_raw_fd(), offset, &raw mut len, ptr::null_mut(), 0) };
    // A call that was interrupted, or would have blocked, tells in `len` what it has sent before that.
    if answer == 0 || len > 0 && matches!(last_error(), Errno::INTR | Errno::AGAIN) {
        return Ok(len.unsigned_abs() as usize);
    }
    Err(last_error())
}

fn last_error() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::INVAL)
}
