//! What a process did: events become tables of loops, tasks and places, which detectors and views read.
//!
//! A [`Run`] takes events in the order in which they were written, and notes. It decides nothing: what is too long or too many, the
//! detectors say, by the [`Thresholds`] that stand in it. Addresses are those of living objects only; what has ended is counted where it began.
#![forbid(unsafe_code)]
#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "times of a process's life and counts of rows fit into the 53 bits of a float"
)]

mod births;
mod blocked;
mod buffers;
mod by_place;
mod chronicle;
mod collections;
mod convoys;
mod histogram;
pub mod inquiry;
mod jobs;
mod knots;
mod load;
mod long;
mod loops;
mod notes;
mod patterns;
mod piles;
mod polls;
mod queues;
mod report;
mod run;
mod snapshot;
mod spins;
mod tasks;
mod thresholds;
mod timers;
mod transports;
mod vitals;

pub use births::{Birth, Births};
pub use blocked::{Blame, Blockage, Blocked, BlockedLines, Cause};
pub use chronicle::{
    Bars, Branch, Chronicle, Doings, Entry, Found, Kept, Line, Living, LoopName, Moment, Pause, PauseKind, Scribe,
    Second, Seconds, Totals, Tree, WaitPicture,
};
pub use collections::{Collections, Collector, LongCollections};
pub use convoys::Convoy;
pub use jobs::{JobKind, Jobs, Starved};
pub use load::Saturation;
pub use long::Long;
pub use loops::{Activity, EventLoop, Hot};
pub use notes::Told;
pub use patterns::{PatternVitals, Patterns};
pub use piles::{Flow, Pile};
pub use polls::{Around, Poll, Polls};
mod waits;
pub use buffers::Overfull;
pub use knots::{Knots, Stuck};
pub use queues::Growth;
pub use report::{
    Change, Difference, Flame, Flames, Histogram, Histograms, Index, JobColumns, Limits, PauseColumns, PollColumns,
    Recorded, Report, ReportedFinding, ReportedLoop, ReportedWaits, SecondColumns, StepColumns, TaskColumns, WokenBy,
    difference, report,
};
pub use run::{Run, site};
pub use snapshot::{Edge, LoopRow, Snapshot, State, TaskRow};
pub use spins::{Spin, Spins};
pub use tasks::{Task, Tasks};
pub use thresholds::Thresholds;
// Views name this crate, and not that one.
pub use timers::{Spread, Timers};
pub use transports::{Seen, Transports};
pub use treadle_events::{Figure, Figures};
pub use vitals::{Distribution, LoopVitals, Vitals};
pub use waits::{Member, Parked, Seized, Waits};
