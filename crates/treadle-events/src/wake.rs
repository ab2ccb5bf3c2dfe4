//! Who has brought a callback about.
//!
//! Callbacks, answers of the system, transports that are flushed and calls from other threads are counted, for each loop by itself. A callback's
//! event carries its own number and that of what went on when it was put into the ready queue. A number is half a word, so that it
//! fits into what is free in a handle; after two thousand million it begins anew, and nothing waits for so long.

/// The bit that says that a timer was due; numbers have the others.
const TIMER: u32 = 1 << 31;

/// What has put a callback into the ready queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wake(u32);

impl Wake {
    /// Nobody knows.
    pub const UNKNOWN: Self = Self(0);

    /// What has this number.
    #[inline]
    pub fn by(number: u32) -> Self {
        Self(number)
    }

    /// A timer that was due when the system had answered.
    #[inline]
    #[must_use]
    pub fn of_timer(self) -> Self {
        Self(self.0 | TIMER)
    }

    /// Whether it was a timer.
    #[inline]
    pub fn is_timer(self) -> bool {
        self.0 & TIMER != 0
    }

    /// The number of the event.
    #[inline]
    pub fn number(self) -> u32 {
        self.0 & !TIMER
    }

    /// The number after another one.
    #[inline]
    pub fn next_number(number: u32) -> u32 {
        number.wrapping_add(1) & !TIMER
    }

    /// What an event says that has such a number and was brought about like this.
    #[inline]
    pub fn with_number(self, number: u32) -> u64 {
        u64::from(self.0) << 32 | u64::from(number)
    }

    /// What an event says of who has brought it about, and its own number.
    #[inline]
    pub fn of_value(value: u64) -> (Self, u32) {
        (Self((value >> 32) as u32), value as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_says_its_own_number_and_who_has_brought_it_about() {
        for wake in [Wake::UNKNOWN, Wake::by(7), Wake::by(7).of_timer(), Wake::by(TIMER - 1).of_timer()] {
            let (found, number) = Wake::of_value(wake.with_number(9));
            assert_eq!((found, number, found.number()), (wake, 9, wake.number()));
        }
        assert_eq!((Wake::by(7).is_timer(), Wake::by(7).of_timer().is_timer()), (false, true));
    }

    #[test]
    fn numbers_begin_anew_and_are_never_taken_for_timers() {
        assert_eq!((Wake::next_number(7), Wake::next_number(TIMER - 1)), (8, 0));
        assert!(!Wake::by(Wake::next_number(TIMER - 2)).is_timer());
    }
}
