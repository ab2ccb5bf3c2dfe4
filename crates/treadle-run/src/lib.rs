//! What a process did: events become tables of loops, tasks and places, which detectors and views read.
//!
//! A [`Run`] takes events in the order in which they were written, and notes. It decides nothing: what is too long or too many, the
//! detectors say, by the [`Thresholds`] that stand in it. Addresses are those of living objects only; what has ended is counted where it began.
#![forbid(unsafe_code)]

mod births;
mod buffers;
mod knots;
mod loops;
mod notes;
mod queues;
mod run;
mod snapshot;
mod tasks;
mod thresholds;
mod waits;

pub use births::Birth;
pub use buffers::Overfull;
pub use knots::{Knots, Stuck};
pub use loops::{Activity, EventLoop, Hot, Long};
pub use notes::Told;
pub use queues::Growth;
pub use run::{Run, site};
pub use snapshot::{Edge, LoopRow, Snapshot, State, TaskRow};
pub use tasks::Task;
pub use thresholds::Thresholds;
pub use waits::{Member, Parked, Seized, Waits};
