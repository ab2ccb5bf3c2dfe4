//! The catalogue: every pitfall treadle knows, one folder each.
//!
//! A folder holds the pitfall's identity (`mod.rs`), the question it asks of a program (`rule.rs`) and its page
//! (`page.md`), which is documentation, `explain` text and test at once. Rules ask tables of `treadle-program`; they walk
//! no trees, keep no state and do no input or output.
#![forbid(unsafe_code)]

mod catalogue;
mod cure;
mod lookup;
pub mod page;

mod await_non_awaitable;
mod blocking_call;
mod blocking_call_indirect;
mod blocking_file;
mod client_per_call;
mod coroutine_misuse;
mod cpu_bound;
mod executor_per_call;
mod legacy_loop_api;
mod lock_order;
mod lock_reentry;
mod lost_exception;
mod lost_task;
mod missing_await;
mod nested_loop_run;
mod sequential_await;
mod stalled_wait;
mod swallowed_cancel;
mod sync_lock_await;
mod unclosed_resource;
mod wrong_protocol;

use std::cmp::Reverse;
use std::path::Path;

use rayon::prelude::*;
use rustc_hash::FxHashMap;
use treadle_finding::{About, Finding, Findings, Severity, Tier};
use treadle_program::Program;
use treadle_program::ids::FileId;

pub use catalogue::CATALOGUE;

/// A pitfall: its identity, and how the checker finds it.
#[derive(Debug)]
pub struct Pitfall {
    /// Name, summary, tier, page.
    pub about: About,
    /// What it asks of a program.
    pub rule: Option<fn(&Program, &mut Findings)>,
}

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

/// Asks every pitfall that `wanted` accepts, in parallel. Findings in the order of every output.
pub fn ask(program: &Program, wanted: &(dyn Fn(&About) -> bool + Sync)) -> Vec<Finding> {
    let mut found: Vec<Finding> = CATALOGUE
        .par_iter()
        .filter(|pitfall| wanted(&pitfall.about))
        .filter_map(|pitfall| pitfall.rule)
        .flat_map_iter(|rule| {
            let mut findings = Findings::default();
            rule(program, &mut findings);
            findings.into_vec()
        })
        .collect();
    let files: FxHashMap<&Path, FileId> =
        program.reported_files().map(|file| (&*program.file(file).path, file)).collect();
    found.retain(|finding| {
        let place = &finding.primary;
        files.get(&*place.path).is_none_or(|file| !program.is_dead(*file, place.span))
    });
    found.sort_by(|left, right| left.sort_key().cmp(&right.sort_key()));
    found.dedup();
    found
}
