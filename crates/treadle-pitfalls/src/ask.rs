//! Asking a program: every file by itself, and then what takes several files together.
//!
//! A file's answers do not depend on which other files are asked. What they leave open, ways from the loop to other
//! files and locks under locks, is judged in parties from the answers of all files.

use std::collections::BTreeMap;
use std::sync::Arc;

use rayon::prelude::*;
use treadle_finding::{About, Finding, Findings};
use treadle_program::Program;
use treadle_program::ids::FileId;
use treadle_program::program::{Chain, Nesting, Reads};

use crate::{CATALOGUE, Pitfall, Rule};

/// What one file answers by itself.
#[derive(Clone, Debug, Default)]
pub struct Answers {
    /// What the rules say that are asked about one file.
    pub findings: Vec<Finding>,
    /// Ways from the loop down to functions of the file, by the pitfall that looks for them.
    pub chains: Vec<(&'static Pitfall, Chain)>,
    /// The locks that functions of the file hold while others are taken.
    pub nestings: Vec<Nesting>,
    /// What the answers were made from, where that is noted.
    pub reads: Reads,
}

/// What is said of the answers of several files together.
#[derive(Clone, Debug)]
pub struct Report {
    /// The pitfall.
    pub pitfall: &'static Pitfall,
    /// The file in which the chains leave the loop; none for nestings, which are judged all together.
    pub frontier: Option<FileId>,
    /// What is said.
    pub findings: Vec<Finding>,
    /// What that was made from besides the answers, where that is noted.
    pub reads: Reads,
}

/// Everything that was asked of a program.
#[derive(Debug, Default)]
pub struct Inquiry {
    /// By file.
    pub answers: Vec<Answers>,
    /// Of files together.
    pub reports: Vec<Report>,
}

impl Inquiry {
    /// All findings, in the order of every output.
    pub fn findings(&self) -> Vec<Finding> {
        let of_files = self.answers.iter().flat_map(|answers| &answers.findings);
        let together = self.reports.iter().flat_map(|report| &report.findings);
        let mut findings: Vec<Finding> = of_files.chain(together).cloned().collect();
        findings.sort_by(|left, right| left.sort_key().cmp(&right.sort_key()));
        findings.dedup();
        findings
    }
}

/// Asks every pitfall that `wanted` accepts about all files, in parallel. Findings in the order of every output.
pub fn ask(program: &Program, wanted: &dyn Fn(&About) -> bool) -> Vec<Finding> {
    let pitfalls = select(wanted);
    let files: Vec<FileId> = program.all_files().collect();
    let answers: Vec<Answers> = files.into_par_iter().map(|file| ask_file(program, file, &pitfalls)).collect();
    let parties = parties(&answers, &pitfalls);
    let reports = parties.par_iter().map(|party| party.report(program)).collect();
    Inquiry { answers, reports }.findings()
}

/// Asks all pitfalls about a program and notes what the answers were made from. What `before` holds of them, for the
/// program as it was, is taken over where nothing has changed that it was made from: the result is as if all had been
/// asked anew.
pub fn ask_noting(program: &Program, before: &Inquiry) -> Inquiry {
    let files: Vec<FileId> = program.all_files().collect();
    let ask = |file: FileId| match before.answers.get(file.index()) {
        Some(answers) if !program.concerns(&answers.reads) => answers.clone(),
        _ => {
            let (answers, reads) = program.reads_of(|| ask_file(program, file, CATALOGUE));
            Answers { reads, ..answers }
        }
    };
    let answers: Vec<Answers> = files.into_par_iter().map(ask).collect();
    let known = parties(&before.answers, CATALOGUE);
    let known: BTreeMap<_, (&Party<'_>, &Report)> = known
        .iter()
        .filter_map(|party| {
            let report = before.reports.iter().find(|report| report.key() == party.key())?;
            Some((party.key(), (party, report)))
        })
        .collect();
    let parties = parties(&answers, CATALOGUE);
    let report = |party: &Party<'_>| match known.get(&party.key()) {
        Some((before, report)) if party.members == before.members && !program.concerns(&report.reads) => {
            (*report).clone()
        }
        _ => {
            let (report, reads) = program.reads_of(|| party.report(program));
            Report { reads, ..report }
        }
    };
    let reports = parties.par_iter().map(report).collect();
    Inquiry { answers, reports }
}

/// The pitfalls that `wanted` accepts, in the order of the catalogue.
fn select(wanted: &dyn Fn(&About) -> bool) -> Vec<&'static Pitfall> {
    CATALOGUE.iter().copied().filter(|pitfall| wanted(&pitfall.about)).collect()
}

/// Asks pitfalls about one file. Of an installed one only the chains to its functions are asked for.
fn ask_file(program: &Program, file: FileId, pitfalls: &[&'static Pitfall]) -> Answers {
    let is_reported = !program.file(file).installed;
    let mut answers = Answers::default();
    if !program.is_followed(file) {
        return answers;
    }
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

/// Answers that one report judges together.
struct Party<'a> {
    pitfall: &'static Pitfall,
    frontier: Option<FileId>,
    members: Members<'a>,
}

#[derive(PartialEq)]
enum Members<'a> {
    Chains(Vec<&'a Chain>),
    Nestings(Vec<&'a Nesting>),
}

/// The answers of all files, in the order of files, in parties: chains by the file in which they leave the loop, all
/// nestings in one.
fn parties<'a>(answers: &'a [Answers], pitfalls: &[&'static Pitfall]) -> Vec<Party<'a>> {
    let mut parties = Vec::new();
    for pitfall in pitfalls {
        for rule in pitfall.rules {
            match rule {
                Rule::File(_) => {}
                Rule::Chains { .. } => {
                    let mut by_file: BTreeMap<FileId, Vec<&Chain>> = BTreeMap::new();
                    let all = answers.iter().flat_map(|answers| &answers.chains);
                    for (_, chain) in all.filter(|(found, _)| found.about == pitfall.about) {
                        by_file.entry(chain.path[0].caller.file).or_default().push(chain);
                    }
                    parties.extend(by_file.into_iter().map(|(file, chains)| Party {
                        pitfall,
                        frontier: Some(file),
                        members: Members::Chains(chains),
                    }));
                }
                Rule::Nestings(_) => {
                    let nestings = answers.iter().flat_map(|answers| &answers.nestings).collect();
                    parties.push(Party { pitfall, frontier: None, members: Members::Nestings(nestings) });
                }
            }
        }
    }
    parties
}

type Key = (&'static str, Option<FileId>);

impl Report {
    fn key(&self) -> Key {
        (self.pitfall.about.name, self.frontier)
    }
}

impl Party<'_> {
    fn key(&self) -> Key {
        (self.pitfall.about.name, self.frontier)
    }

    fn report(&self, program: &Program) -> Report {
        let mut findings = Findings::default();
        for rule in self.pitfall.rules {
            match (rule, &self.members) {
                (Rule::Chains { report, .. }, Members::Chains(chains)) => report(program, chains, &mut findings),
                (Rule::Nestings(report), Members::Nestings(nestings)) => report(program, nestings, &mut findings),
                _ => {}
            }
        }
        let findings = without_dead(program, self.frontier, findings);
        Report { pitfall: self.pitfall, frontier: self.frontier, findings, reads: Reads::new() }
    }
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
