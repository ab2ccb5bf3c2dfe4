//! Chains of plain functions from the loop down to something that blocks: one finding for each function that blocks, at the
//! call where the shortest chain leaves the coroutine.

use std::collections::BTreeMap;

use treadle_finding::{Finding, Findings, Tier};
use treadle_program::Program;
use treadle_program::facts::{ExprId, Usage};
use treadle_program::ids::{CallRef, ExprRef, FunctionRef};
use treadle_program::knowledge::claim::Blocking;
use treadle_program::program::{Chain, Edge};

use super::BLOCKING_CALL_INDIRECT;
use crate::{cure, lookup};

pub(super) fn leaves(program: &Program, function: FunctionRef) -> Vec<CallRef> {
    let mut calls: Vec<CallRef> = program.blocking_calls(function).into_iter().map(|(call, _, _)| call).collect();
    calls.retain(|call| !lookup::is_ready(program, *call) && !lookup::is_debugger(program, *call));
    if !calls.is_empty() && lookup::asks_for_its_thread(program, function) {
        calls.clear();
    }
    calls
}

pub(super) fn report(program: &Program, chains: &[&Chain], findings: &mut Findings) {
    // Several functions that block may lie below one call: they are one thing to move off the loop.
    let mut by_frontier: BTreeMap<ExprId, Vec<&Chain>> = BTreeMap::new();
    for chain in chains {
        by_frontier.entry(chain.path[0].at).or_default().push(chain);
    }
    for mut chains in by_frontier.into_values() {
        chains.sort_by_key(|chain| (tier(program, chain), chain.path.len(), chain.function));
        if let Some(finding) = finding(program, &chains) {
            findings.push(finding);
        }
    }
}

fn tier(program: &Program, chain: &Chain) -> Tier {
    let is_sure = |leaf: &CallRef| {
        kind(program, *leaf) != Blocking::File && lookup::known_path(program, *leaf) != Some("subprocess.Popen")
    };
    let certain = chain.leaves.iter().any(is_sure);
    // `await` on a plain function: where it gives something to await it may not be the way that blocks.
    let first = chain.path[0];
    let is_awaited = program.facts(first.caller.file).expr(first.at).usage == Usage::Awaited;
    let is_command = lookup::is_command_line(program, first.caller.file);
    let is_cached = chain.path.iter().any(|edge| lookup::is_cached(program, edge.callee));
    if !certain && (is_command || is_cached) {
        return Tier::Advisory;
    }
    if certain && !is_awaited && !is_command { Tier::Certain } else { Tier::Likely }
}

fn kind(program: &Program, leaf: CallRef) -> Blocking {
    program.blocking(leaf).map_or(Blocking::File, |(blocking, _, _)| blocking)
}

fn leaf_name(program: &Program, leaf: CallRef) -> String {
    let path = lookup::known_path(program, leaf).unwrap_or("the call");
    format!("`{}`", path.trim_start_matches("builtins."))
}

fn finding(program: &Program, chains: &[&Chain]) -> Option<Finding> {
    let chain = chains.first()?;
    let path = &chain.path;
    // The leaf to show is the surest one.
    let leaf = chain.leaves.iter().copied().min_by_key(|leaf| (kind(program, *leaf) == Blocking::File, *leaf))?;
    let first = path.first()?;
    let frontier = ExprRef::of_edge(first);
    let name = lookup::name_of(program, first.callee);
    let message = format!("{name} blocks the event loop: it reaches {}", leaf_name(program, leaf));
    let mut finding = Finding::new(&BLOCKING_CALL_INDIRECT.about, program.location_of(frontier), message)
        .at_tier(tier(program, chain))
        .label(format!("called on the loop by {}", lookup::name_of(program, first.caller)));
    for edge in &path[1..] {
        finding = finding.step(program.location_of(ExprRef::of_edge(edge)), step_words(program, edge));
    }
    let leaf_words = format!("{} {}", lookup::name_of(program, chain.function), does(kind(program, leaf)));
    finding = finding.step(program.location_of(program.call_expr(leaf)), leaf_words);
    let others = chains.iter().flat_map(|chain| chain.others.iter().chain(chain.path.first()));
    finding.also = others.map(|edge| program.location_of(ExprRef::of_edge(edge))).collect();
    finding.also.retain(|location| *location != finding.primary);
    finding.also.sort();
    finding.also.dedup();
    let mut others: Vec<String> = chains[1..].iter().map(|chain| leaf_name(program, chain.leaves[0])).collect();
    others.sort();
    others.dedup();
    if !others.is_empty() {
        others.truncate(4);
        finding = finding.note(format!("the same call also reaches {}", others.join(", ")));
    }
    // A property or a `with` has no call to move.
    let Some(call) = program.call_of(frontier) else { return Some(finding) };
    finding = finding.help(cure::thread_words(program, call));
    let callee_is_plain = program.callee(call).function() == Some(first.callee);
    Some(match cure::in_thread(program, call).filter(|_| callee_is_plain) {
        Some(fix) => finding.fix(fix),
        None => finding,
    })
}

fn step_words(program: &Program, edge: &Edge) -> String {
    format!("{} calls {}", lookup::name_of(program, edge.caller), lookup::name_of(program, edge.callee))
}

fn does(blocking: Blocking) -> &'static str {
    match blocking {
        Blocking::Sleep => "sleeps",
        Blocking::Network => "waits for the network",
        Blocking::Database => "waits for the database",
        Blocking::Subprocess => "waits for a process",
        Blocking::Wait => "waits for another thread",
        Blocking::Input => "waits for a person",
        Blocking::File => "waits for the file system",
        Blocking::Cpu => "computes for long",
    }
}
