//! Asking a program: every file by itself, and then what takes several files together.
//!
//! A file's answers do not depend on which other files are asked. What they leave open, ways from the loop to other
//! files and locks under locks, is judged by [`report`] from the answers of all files.

use std::collections::BTreeMap;
use std::sync::Arc;

use rayon::prelude::*;
use treadle_finding::{About, Finding, Findings};
use treadle_program::Program;
use treadle_program::ids::FileId;
use treadle_program::program::{Chain, Nesting};

use crate::{CATALOGUE, Pitfall, Rule};

/// What one file answers by itself.
#[derive(Debug, Default)]
pub struct Answers {
    /// What the rules say that are asked about one file.
    pub findings: Vec<Finding>,
    /// Ways from the loop down to functions of the file, by the pitfall that looks for them.
    pub chains: Vec<(&'static Pitfall, Chain)>,
    /// The locks that functions of the file hold while others are taken.
    pub nestings: Vec<Nesting>,
}

/// Asks every pitfall that `wanted` accepts about all files, in parallel. Findings in the order of every output.
pub fn ask(program: &Program, wanted: &dyn Fn(&About) -> bool) -> Vec<Finding> {
    let pitfalls = select(wanted);
    let files: Vec<FileId> = program.followed_files().collect();
    let mut answers: Vec<Answers> = files.into_par_iter().map(|file| ask_file(program, file, &pitfalls)).collect();
    let mut found: Vec<Finding> = answers.iter_mut().flat_map(|answers| answers.findings.drain(..)).collect();
    found.extend(report(program, &answers, &pitfalls));
    found.sort_by(|left, right| left.sort_key().cmp(&right.sort_key()));
    found.dedup();
    found
}

/// The pitfalls that `wanted` accepts, in the order of the catalogue.
pub fn select(wanted: &dyn Fn(&About) -> bool) -> Vec<&'static Pitfall> {
    CATALOGUE.iter().copied().filter(|pitfall| wanted(&pitfall.about)).collect()
}

/// Asks pitfalls about one file. Of an installed one only the chains to its functions are asked for.
pub fn ask_file(program: &Program, file: FileId, pitfalls: &[&'static Pitfall]) -> Answers {
    let is_reported = !program.file(file).installed;
    let mut answers = Answers::default();
    let mut findings = Findings::default();
    let mut asks_for_nestings = false;
    for pitfall in pitfalls {
        for rule in pitfall.rules {
            match rule {
                Rule::File(check) if is_reported => check(program, file, &mut findings),
                Rule::Chains { leaves, .. } => {
                    let chains = program.chains_in(file, |function| leaves(program, function));
                    answers.chains.extend(chains.into_iter().map(|chain| (*pitfall, chain)));
                }
                Rule::Nestings(_) => asks_for_nestings = is_reported,
                Rule::File(_) => {}
            }
        }
    }
    if asks_for_nestings {
        answers.nestings = program.nestings_in(file);
    }
    answers.findings = without_dead(program, Some(file), findings);
    answers
}

/// What the answers of all files, in the order of files, say together: findings of chains and of nestings.
pub fn report(program: &Program, answers: &[Answers], pitfalls: &[&'static Pitfall]) -> Vec<Finding> {
    let nestings: Vec<&Nesting> = answers.iter().flat_map(|answers| &answers.nestings).collect();
    let mut found = Vec::new();
    for pitfall in pitfalls {
        for rule in pitfall.rules {
            match rule {
                Rule::File(_) => {}
                Rule::Chains { report, .. } => {
                    let files = by_frontier(answers, pitfall);
                    found.par_extend(files.into_par_iter().flat_map_iter(|(file, chains)| {
                        let mut findings = Findings::default();
                        report(program, &chains, &mut findings);
                        without_dead(program, Some(file), findings)
                    }));
                }
                Rule::Nestings(report) => {
                    let mut findings = Findings::default();
                    report(program, &nestings, &mut findings);
                    found.extend(without_dead(program, None, findings));
                }
            }
        }
    }
    found
}

/// The chains of a pitfall by the file in which they leave the loop.
fn by_frontier<'a>(answers: &'a [Answers], pitfall: &Pitfall) -> BTreeMap<FileId, Vec<&'a Chain>> {
    let mut files: BTreeMap<FileId, Vec<&Chain>> = BTreeMap::new();
    let all = answers.iter().flat_map(|answers| &answers.chains);
    for (_, chain) in all.filter(|(found, _)| found.about == pitfall.about) {
        files.entry(chain.path[0].caller.file).or_default().push(chain);
    }
    files
}

/// The findings but for those in code that never runs; most lie in the file `near`.
fn without_dead(program: &Program, near: Option<FileId>, findings: Findings) -> Vec<Finding> {
    let mut findings = findings.into_vec();
    findings.retain(|finding| {
        let place = &finding.primary;
        // A location shares its path with its file.
        let mut files = near.into_iter().chain(program.reported_files());
        let file = files.find(|file| Arc::ptr_eq(&program.file(*file).path, &place.path));
        file.is_none_or(|file| !program.is_dead(file, place.span))
    });
    findings
}
