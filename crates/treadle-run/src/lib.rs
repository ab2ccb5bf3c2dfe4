//! What a process did: events become tables of loops, tasks and places, which detectors and views read.
//!
//! A [`Run`] takes events in the order in which they were written, and notes. It decides nothing: what is too long or too many, the
//! detectors say, by the [`Thresholds`] that stand in it. Addresses are those of living objects only; what has ended is counted where it began.
#![forbid(unsafe_code)]

mod births;
mod blocked;
mod buffers;
mod by_place;
mod collections;
mod convoys;
pub mod inquiry;
mod jobs;
mod knots;
mod load;
mod loops;
mod notes;
mod piles;
mod polls;
mod queues;
mod run;
mod snapshot;
mod tasks;
mod thresholds;
mod timers;
mod transports;
mod vitals;

pub use births::Birth;
pub use blocked::{Blame, Blockage, Blocked, BlockedLines, Cause};
pub use collections::{Collections, Collector, LongCollections};
pub use convoys::Convoy;
pub use jobs::{JobKind, Jobs, Starved};
pub use load::Saturation;
pub use loops::{Activity, EventLoop, Hot, Long};
pub use notes::Told;
pub use piles::{Flow, Pile};
pub use polls::{Around, Poll, Polls};
mod waits;
pub use buffers::Overfull;
pub use knots::{Knots, Stuck};
pub use queues::Growth;
pub use run::{Run, site};
pub use snapshot::{Edge, LoopRow, Snapshot, State, TaskRow};
pub use tasks::Task;
pub use thresholds::Thresholds;
pub use timers::Timers;
pub use transports::{Seen, Transports};
pub use vitals::{Distribution, LoopVitals, Vitals};
pub use waits::{Member, Parked, Seized, Waits};
