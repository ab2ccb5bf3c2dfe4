//! What does not fit into an event: words about one occurrence, told by the process while it lives.

use crate::Place;

/// Something that happened, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Ticks of the processor's clock.
    pub stamp: u64,
    /// What happened.
    pub what: What,
    /// The address of the object that it is about; 0 where there is none.
    pub address: u64,
    /// The line of the program that is to be changed, as far as is known.
    pub place: Option<Place>,
    /// What it happened to, as the program names it: a coroutine, a class, a task.
    pub subject: String,
    /// What else there is to know, a line each: an exception's class, the way to the place.
    pub details: Vec<String>,
    /// How long it took, in nanoseconds, or how many there were; 0 where neither is meant.
    pub size: u64,
}

/// What a note may be about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum What {
    /// A task has answered a cancellation with a result.
    CancelAnswered,
    /// A task goes on after a cancellation that it was told of.
    CancelSwallowed,
    /// A task of a `gather` fails after the first failure was raised.
    ExceptionInGather,
    /// An exception is among the results of a `gather`, which are thrown away.
    ExceptionInResults,
    /// A task or future was thrown away with an exception that nobody has seen.
    ExceptionNeverRetrieved,
    /// Nobody has looked at a task's exception, though somebody still holds the task.
    ExceptionUnseen,
    /// A generator with something left to do was left.
    GeneratorLeft,
    /// All threads of an executor wait for futures, one of them for a job that waits for a thread of this executor.
    JobsEntangled,
    /// A coroutine was thrown away before it ran.
    NeverAwaited,
    /// An exception has left a function that had taken a lock and did not give it back. `address`: the task.
    PermitLost,
    /// Something that is to be closed was thrown away open.
    ResourceUnclosed,
    /// The program's end has ended a task that nobody held in the middle of its work.
    TaskCutOff,
    /// Something was put into a queue that was asked about.
    QueuePut,
    /// A task was thrown away before it had ended.
    TaskDestroyed,
    /// The program ended before a task had made its first step.
    TaskNeverBegan,
}

impl What {
    /// All, with the words in which the process tells of them.
    pub const ALL: [(&'static str, Self); 15] = [
        ("cancel-answered", Self::CancelAnswered),
        ("cancel-swallowed", Self::CancelSwallowed),
        ("exception-in-gather", Self::ExceptionInGather),
        ("exception-in-results", Self::ExceptionInResults),
        ("exception-never-retrieved", Self::ExceptionNeverRetrieved),
        ("exception-unseen", Self::ExceptionUnseen),
        ("generator-left", Self::GeneratorLeft),
        ("jobs-entangled", Self::JobsEntangled),
        ("never-awaited", Self::NeverAwaited),
        ("permit-lost", Self::PermitLost),
        ("resource-unclosed", Self::ResourceUnclosed),
        ("task-cut-off", Self::TaskCutOff),
        ("queue-put", Self::QueuePut),
        ("task-destroyed", Self::TaskDestroyed),
        ("task-never-began", Self::TaskNeverBegan),
    ];

    /// What a word stands for.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(name, _)| *name == word).map(|(_, what)| *what)
    }
}
