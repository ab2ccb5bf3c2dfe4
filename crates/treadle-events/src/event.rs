//! One thing that happened, in 32 bytes.
//!
//! Objects are told apart by their addresses, which mean the same object from its birth to its end. A callback's end is the next
//! event of its loop, so that one reading of the clock serves both.

use crate::PlaceId;

/// An event as it lies in the ring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Ticks of the processor's clock; see [`Scale`](crate::Scale).
    pub stamp: u64,
    /// Kind (8 bits), loop (8), small (16), place (32), from the lowest.
    pub head: u64,
    /// The address of the object that it is about.
    pub subject: u64,
    /// What else there is to say; each [`Kind`] says what.
    pub value: u64,
}

/// An event, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// Ticks of the processor's clock.
    pub stamp: u64,
    /// What happened.
    pub kind: Kind,
    /// The loop, by its number in the process.
    pub event_loop: u8,
    /// A small number; each [`Kind`] says what.
    pub small: u16,
    /// Where in the program, where that is known.
    pub place: PlaceId,
    /// The address of the object.
    pub subject: u64,
    /// What else there is to say.
    pub value: u64,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $number:literal,)*) => {
        /// What happened.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Kind { $($(#[$doc])* $name = $number,)* }

        impl Kind {
            /// The kind of that number.
            #[inline]
            pub fn from_number(number: u8) -> Option<Self> {
                match number { $($number => Some(Self::$name),)* _ => None }
            }
        }
    };
}

kinds! {
    /// A loop begins to run. `value`: the system's number of its thread.
    LoopStarted = 1,
    /// It stops running. `value`: how many tasks are pending.
    LoopStopped = 2,
    /// It is closed.
    LoopClosed = 3,
    /// A task's step begins. `subject`: the task. `value`: see [`Wake`](crate::Wake).
    Step = 4,
    /// Another callback begins. `place`: of its code. `subject`: the handle. `value`: see [`Wake`](crate::Wake).
    Call = 5,
    /// A transport is called. `subject`: the transport. `place`: of its protocol's code. `small`: the descriptor. `value`: its number
    /// among those that [`Wake`](crate::Wake) counts.
    Ready = 6,
    /// The loop asks the system. `value`: how long it is ready to sleep, in nanoseconds, or the highest number. `small`: how many
    /// callbacks are ready.
    Poll = 7,
    /// It has an answer. `value`: ticks from there until the interpreter let it go on. `subject`: its number, as of `Ready`.
    Woke = 8,
    /// What a transport has gathered is sent. `subject`: the transport. `value`: its number, as of `Ready`.
    Flush = 9,
    /// A task was made. `place`: where. `value`: the place of its coroutine's code.
    TaskBorn = 10,
    /// A task has ended. `small`: how, see [`Outcome`].
    TaskDone = 11,
    /// A timer was set. `place`: where. `value`: nanoseconds until it is due. `subject`: the handle.
    TimerSet = 12,
    /// A timer ran (`small` 0) or was cancelled (1).
    TimerGone = 13,
    /// A transport was made. `place`: where, if the program's code did it. `value`: the descriptor.
    TransportMade = 14,
    /// A transport has ended.
    TransportLost = 15,
    /// A function was handed to an executor. `place`: where. `subject`: the number of the job. `value`: the place of the function (lower half) and
    /// what tells the executor from others. `small`: how many threads it has at most, 0 if that is not known.
    JobSubmitted = 16,
    /// It begins, in another thread. `subject`: the number of the job. `value`: the system's number of the thread.
    JobStarted = 17,
    /// It has ended.
    JobEnded = 18,
    /// The garbage collector begins. `small`: the generation. `subject`: 1 if the program has asked for it. `value`: the system's number of the
    /// thread.
    GcStarted = 19,
    /// It has ended. `small`: the generation. `place`: what it interrupted, if it took long. `subject`: the system's number of the thread.
    /// `value`: how long it had a processor, if it took long, in nanoseconds.
    GcEnded = 20,
    /// A task that was looked at has, in its step, seen to it that it goes on at once. `subject`: the task. `place`: where it waits, now and then.
    /// `value`: for how many steps the look stands.
    SelfWoken = 30,
    /// A callback of a descriptor that was looked at has run. `place`: of its code. `subject`: the descriptor, twice, and 1 more if it is called to
    /// write. `small`: 0 if it has neither read nor written and would be called again, else 1. `value`: for how many calls the look stands.
    CalledAgain = 31,
    /// A loop is used from another thread than the one it runs in. `place`: where. `value`: the system's number of that thread.
    CrossThread = 50,
    /// Another thread hands a callback to the loop. `subject`: the handle. `value`: its number, as of `Ready`. `small`: the number of the loop that
    /// runs in that thread, 0 if there is none.
    Handed = 32,
    /// A transport that nobody has closed was collected, or its loop was closed. `subject`: the transport.
    TransportLeft = 51,
    /// Something was written to a transport whose buffer is far beyond its limit already. `value`: the bytes in it. `place`: where.
    BufferOverfull = 40,
    /// All that a transport had in such a buffer is sent.
    BufferDrained = 41,
}

/// How a task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// With a result.
    Returned,
    /// With an exception.
    Raised,
    /// Cancelled.
    Cancelled,
}

impl Outcome {
    /// The number in an event.
    pub fn number(self) -> u16 {
        self as u16
    }

    /// The outcome of that number.
    pub fn from_number(number: u16) -> Self {
        match number {
            0 => Self::Returned,
            1 => Self::Raised,
            _ => Self::Cancelled,
        }
    }
}

impl Event {
    /// An event of a loop, about nothing yet.
    #[inline]
    pub fn new(kind: Kind, event_loop: u8) -> Self {
        Self { stamp: 0, kind, event_loop, small: 0, place: PlaceId::UNKNOWN, subject: 0, value: 0 }
    }

    /// As it lies in the ring.
    #[inline]
    pub fn record(&self) -> Record {
        let head = u64::from(self.kind as u8)
            | u64::from(self.event_loop) << 8
            | u64::from(self.small) << 16
            | u64::from(self.place.0) << 32;
        Record { stamp: self.stamp, head, subject: self.subject, value: self.value }
    }
}

impl Record {
    /// Whether it is of a kind.
    #[inline]
    pub fn is(&self, kind: Kind) -> bool {
        self.head as u8 == kind as u8
    }

    /// The number of the loop.
    #[inline]
    pub fn event_loop(&self) -> u8 {
        (self.head >> 8) as u8
    }

    /// Where in the program.
    #[inline]
    pub fn place(&self) -> PlaceId {
        PlaceId((self.head >> 32) as u32)
    }

    /// The event, unless it is of a kind that this version does not know.
    #[inline]
    pub fn event(&self) -> Option<Event> {
        Some(Event {
            stamp: self.stamp,
            kind: Kind::from_number(self.head as u8)?,
            event_loop: self.event_loop(),
            small: (self.head >> 16) as u16,
            place: self.place(),
            subject: self.subject,
            value: self.value,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_comes_out_of_its_record_as_it_went_in() {
        for number in 0..=u8::MAX {
            let Some(kind) = Kind::from_number(number) else { continue };
            let event = Event {
                stamp: 7,
                kind,
                event_loop: 200,
                small: 65_535,
                place: PlaceId(u32::MAX),
                subject: 9,
                value: 11,
            };
            let record = event.record();
            assert_eq!(record.event(), Some(event));
            assert_eq!((record.is(kind), record.event_loop(), record.place()), (true, 200, PlaceId(u32::MAX)));
        }
        assert_eq!(Record::default().event(), None);
    }
}
