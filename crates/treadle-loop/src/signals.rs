//! Signals that arrive while the loop sleeps: Python's C handler writes their numbers into a descriptor that the loop polls.

use crate::core::Core;
use crate::ffi::{Object, Result, check_signals};
use crate::known::names;

/// Lets Python's handlers run, and those of `add_signal_handler`.
pub(crate) fn process(core: &Core, fd: treadle_reactor::RawFd) -> Result<()> {
    let mut numbers = [0; 128];
    let count = match treadle_reactor::io_calls::read(fd, &mut numbers) {
        Ok(count) => count,
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => 0,
        Err(error) => return Err(error.into()),
    };
    check_signals()?;
    let Some(event_loop) = core.event_loop() else { return Ok(()) };
    for number in &numbers[..count] {
        event_loop.method(&names()._process_signal, [&Object::integer(i64::from(*number))?])?;
    }
    Ok(())
}
