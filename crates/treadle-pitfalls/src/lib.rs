//! The catalogue: every pitfall treadle knows, one folder each.
//!
//! A folder holds the pitfall's identity (`mod.rs`), the question it asks of a program (`rule.rs`), the one it asks of a running
//! program (`detector.rs`), and its page (`page.md`), which is documentation, `explain` text and test at once. Rules ask tables of `treadle-program`, about one
//! file at a time where they can; they walk no trees, keep no state and do no input or output.
#![forbid(unsafe_code)]

mod ask;
mod catalogue;
mod cure;
mod lookup;
pub mod page;
mod told_waits;
mod watch;

mod await_non_awaitable;
mod blocked_loop;
mod blocking_call;
mod blocking_call_indirect;
mod blocking_file;
mod busy_poll;
mod client_per_call;
mod coroutine_misuse;
mod cpu_bound;
mod cross_thread_call;
mod deadlock;
mod executor_per_call;
mod executor_starved;
mod gc_pause;
mod gil_convoy;
mod leaked_task;
mod leaked_timer;
mod legacy_loop_api;
mod lock_order;
mod lock_reentry;
mod lost_exception;
mod lost_task;
mod missing_await;
mod nested_loop_run;
mod never_awaited;
mod pending_at_exit;
mod permit_leak;
mod resolver_in_pool;
mod saturated_loop;
mod sequential_await;
mod stalled_wait;
mod stuck_wait;
mod swallowed_cancel;
mod sync_lock_await;
mod task_flood;
mod unbounded_buffer;
mod unbounded_queue;
mod unclosed_generator;
mod unclosed_resource;
mod wrong_protocol;

use std::cmp::Reverse;

use treadle_finding::{About, Finding, Findings, Severity, Sightings, Tier};
use treadle_program::Program;
use treadle_program::ids::{CallRef, FileId, FunctionRef};
use treadle_program::program::{Chain, Nesting};
use treadle_run::Run;

pub use ask::{Answers, Inquiry, Report, ask, ask_noting};
pub use catalogue::CATALOGUE;
pub use watch::watch;

/// A pitfall: its identity, and how the checker finds it.
#[derive(Debug)]
pub struct Pitfall {
    /// Name, summary, tier, page.
    pub about: About,
    /// What it asks of a program; at most one rule of each kind.
    pub rules: &'static [Rule],
    /// What it asks of a running program.
    pub detector: Option<Detector>,
    /// Pitfalls that are the same mistake seen from elsewhere: a comment that allows one of them allows this.
    pub kin: &'static [&'static str],
}

/// One way in which the checker finds a pitfall.
#[derive(Debug)]
pub enum Rule {
    /// Asked about one file; what it says belongs to that file, and lies there but for waits on what the file makes.
    File(fn(&Program, FileId, &mut Findings)),
    /// Ways from the loop down to plain functions for whose bodies `leaves` finds calls. `report` gets those that leave
    /// the loop in one file, together, in the order of the functions they lead to.
    Chains {
        /// The calls in a function's body that are looked for.
        leaves: fn(&Program, FunctionRef) -> Vec<CallRef>,
        /// What is said of the ways that lead to them.
        report: fn(&Program, &[&Chain], &mut Findings),
    },
    /// Locks taken under locks. The rule gets those of the whole program, in the order of files and functions.
    Nestings(fn(&Program, &[&Nesting], &mut Findings)),
}

/// How the doctor finds a pitfall: from tables of what was done up to now, anew each time. What it says of one place has the same message
/// every time, so that it is one finding.
pub type Detector = fn(&Run, &mut Sightings);

/// The pitfall of that name.
pub fn find(name: &str) -> Option<&'static Pitfall> {
    CATALOGUE.iter().copied().find(|pitfall| pitfall.about.name == name)
}

/// The finding to begin with: of the sure ones that which most places reach, then by the order of the catalogue, which
/// has what stops a whole program before what spoils one task.
pub fn first(findings: &[Finding]) -> Option<&Finding> {
    let rank = |finding: &Finding| CATALOGUE.iter().position(|pitfall| pitfall.about == *finding.about);
    findings.iter().min_by_key(|finding| {
        let is_sure = finding.tier == Tier::Certain && finding.about.severity == Severity::Error;
        (!is_sure, Reverse(finding.also.len()), rank(finding).unwrap_or(usize::MAX))
    })
}
