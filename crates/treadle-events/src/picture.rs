//! What the tasks of a loop wait for at one moment, as plain data: addresses and places, no objects.

use crate::PlaceId;

/// What one loop has seen of its tasks without a pause. A large request is answered by many of these: one table of everything would keep the loop
/// for milliseconds whenever it grows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Picture {
    /// The loop, by its number.
    pub event_loop: u8,
    /// When it was begun, in ticks.
    pub began: u64,
    /// When it was complete, in ticks: so long the loop stood still.
    pub ended: u64,
    /// Whether it is the last one that answers a request.
    pub is_last: bool,
    /// The tasks that were asked for and wait.
    pub tasks: Vec<Waiting>,
    /// What they wait for, hold and refer to.
    pub things: Vec<Thing>,
    /// Whether a descriptor, a timer or a ready callback could still do something.
    pub surroundings: Surroundings,
    /// Objects of the patterns, or a part of them.
    pub patterns: Vec<Pattern>,
    /// How many objects were left out, if those are the last ones.
    pub patterns_left_out: Option<u64>,
}

/// An object of the patterns, and what its statistics say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pattern {
    /// A number that is its own for ever.
    pub number: u64,
    /// What it is: `Semaphore`.
    pub kind: String,
    /// What the program calls it.
    pub name: Option<String>,
    /// A word for its state, where it has one.
    pub state: String,
    /// Its numbers, by [`Figure`].
    pub figures: Figures,
}

/// Numbers of a pattern, those that it has.
pub type Figures = [Option<u64>; Figure::ALL.len()];

/// What a number of a pattern is, in the order in which Python's half tells them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Figure {
    /// Permits, places, workers that are taken.
    InUse,
    /// How many there are of those.
    Limit,
    /// Who waits for one.
    Waiting,
    /// Calls that were begun or let through, in all.
    Calls,
    /// Those that have failed.
    Failed,
    /// How often something was tried again.
    Retries,
    /// Calls that were not made.
    Rejected,
}

impl Figure {
    /// All.
    pub const ALL: [Self; 7] =
        [Self::InUse, Self::Limit, Self::Waiting, Self::Calls, Self::Failed, Self::Retries, Self::Rejected];

    /// The word that statistics have for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::InUse => "in_use",
            Self::Limit => "limit",
            Self::Waiting => "waiting",
            Self::Calls => "calls",
            Self::Failed => "failed",
            Self::Retries => "retries",
            Self::Rejected => "rejected",
        }
    }

    /// Whether it only grows as long as the object is there.
    pub fn grows(self) -> bool {
        matches!(self, Self::Calls | Self::Failed | Self::Retries | Self::Rejected)
    }
}

/// What else a loop has that may wake a task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// Callbacks that are ready.
    pub ready: usize,
    /// Timers.
    pub timers: usize,
    /// Descriptors of the program's.
    pub descriptors: usize,
    /// Transports among those.
    pub transports: usize,
    /// What they have still to send, in bytes.
    pub unsent: usize,
}

/// A task that waits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Its address.
    pub task: u64,
    /// When it was looked at, in ticks.
    pub stamp: u64,
    /// Its name.
    pub name: String,
    /// Where each of its coroutines stands, the outermost first; the last ones may be a library's.
    pub chain: Vec<PlaceId>,
    /// What it waits for.
    pub wait: Wait,
    /// Whether a timeout will end it.
    pub is_timed: bool,
    /// Whether it waits for a lock in code that gives that back on some ways out and keeps it on others.
    pub leaks: bool,
    /// What it has entered and not left, or taken and not given back.
    pub holds: Vec<Hold>,
    /// Things that its frames refer to, with how often.
    pub refers: Vec<(u64, u32)>,
}

/// What a task waits for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Wait {
    /// Nothing that could be seen through: the system, a timer, a thread.
    #[default]
    Outside,
    /// It pauses for a time.
    Sleep,
    /// What an object grants, by its address.
    Thing(Manner, u64),
    /// All of these tasks, by their addresses.
    All(Vec<u64>),
    /// Any of these tasks.
    Any(Vec<u64>),
}

/// What is wanted of a thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Manner {
    /// A lock, for itself.
    Lock,
    /// A permit of a semaphore.
    Permit,
    /// That somebody notifies a condition.
    Notice,
    /// That an event is set.
    Event,
    /// An item of a queue.
    Item,
    /// Room in a queue.
    Room,
    /// That all items of a queue are done.
    Done,
    /// That others come to a barrier.
    Barrier,
    /// The result of a future.
    Result,
}

impl Manner {
    /// All, with the words that Python's half has for them.
    pub const ALL: [(&'static str, Self); 9] = [
        ("barrier", Self::Barrier),
        ("done", Self::Done),
        ("event", Self::Event),
        ("item", Self::Item),
        ("lock", Self::Lock),
        ("notice", Self::Notice),
        ("permit", Self::Permit),
        ("result", Self::Result),
        ("room", Self::Room),
    ];

    /// What a word stands for.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(name, _)| *name == word).map(|(_, manner)| *manner)
    }

    /// The word.
    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|(_, manner)| *manner == self).map_or("result", |(name, _)| *name)
    }
}

/// Something that a task has entered by `async with`, or taken by `await lock.acquire()`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Hold {
    /// The lock or semaphore, by its address.
    pub thing: u64,
    /// The line of that.
    pub place: PlaceId,
}

/// An object that tasks wait for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Thing {
    /// Its address.
    pub address: u64,
    /// The name of its class.
    pub class: String,
    /// How many references there are to it, but for those that waiting itself makes.
    pub references: u32,
    /// Whether a lock is locked, a semaphore has no permit, an event is not set.
    pub is_taken: bool,
    /// How many permits a bounded semaphore has; how many items a queue may have; 0 where there is no bound.
    pub bound: u64,
    /// How many items a queue has.
    pub size: u64,
    /// Things, and objects like this one, that it refers to, and how often: for instances and containers by which tasks come to what they wait for.
    pub refers: Vec<(u64, u32)>,
}

impl Thing {
    /// Whether it is a lock or a semaphore that could be had at once: whoever waits for it goes on soon.
    pub fn is_free(&self) -> bool {
        !self.is_taken && matches!(self.class.as_str(), "Lock" | "Semaphore" | "BoundedSemaphore" | "Event")
    }
}
