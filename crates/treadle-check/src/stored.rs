//! Answers as bytes: paths as numbers of files, pitfalls by name.

use std::path::Path;
use std::sync::Arc;

use bitcode::{Decode, Encode};
use rustc_hash::FxHashMap;
use treadle_finding::{Applicability, Edit, Finding, Fix, Location, Span, Step, Tier};
use treadle_pitfalls::{Answers, Inquiry, Report};
use treadle_program::ids::FileId;
use treadle_program::program::{Chain, Nesting, Reads};

type Place = (u32, Span);

/// An [`Inquiry`].
#[derive(Encode, Decode)]
pub(crate) struct StoredInquiry {
    answers: Vec<StoredAnswers>,
    reports: Vec<StoredReport>,
}

#[derive(Encode, Decode)]
struct StoredAnswers {
    findings: Vec<StoredFinding>,
    chains: Vec<(String, Chain)>,
    nestings: Vec<Nesting>,
    reads: Reads,
}

#[derive(Encode, Decode)]
struct StoredReport {
    pitfall: String,
    frontier: Option<FileId>,
    findings: Vec<StoredFinding>,
    reads: Reads,
}

#[derive(Encode, Decode)]
struct StoredFinding {
    name: String,
    tier: u8,
    message: String,
    primary: Place,
    label: Option<String>,
    path: Vec<(Place, String)>,
    also: Vec<Place>,
    help: Option<String>,
    notes: Vec<String>,
    fix: Option<StoredFix>,
}

#[derive(Encode, Decode)]
struct StoredFix {
    title: String,
    is_safe: bool,
    edits: Vec<(Span, String)>,
    imports: Vec<String>,
}

const TIERS: [Tier; 3] = [Tier::Certain, Tier::Likely, Tier::Advisory];

impl StoredInquiry {
    /// The answers about files with these paths; `None` when one speaks of another file.
    pub(crate) fn new(inquiry: &Inquiry, paths: &[Arc<Path>]) -> Option<Self> {
        let numbers: FxHashMap<&Path, u32> = (0..).zip(paths).map(|(number, path)| (&**path, number)).collect();
        let findings = |findings: &[Finding]| -> Option<Vec<StoredFinding>> {
            findings.iter().map(|finding| stored(finding, &numbers)).collect()
        };
        let answers = |answers: &Answers| {
            let chains = answers.chains.iter();
            Some(StoredAnswers {
                findings: findings(&answers.findings)?,
                chains: chains.map(|(pitfall, chain)| (pitfall.about.name.to_owned(), chain.clone())).collect(),
                nestings: answers.nestings.clone(),
                reads: answers.reads.clone(),
            })
        };
        let report = |report: &Report| {
            Some(StoredReport {
                pitfall: report.pitfall.about.name.to_owned(),
                frontier: report.frontier,
                findings: findings(&report.findings)?,
                reads: report.reads.clone(),
            })
        };
        Some(Self {
            answers: inquiry.answers.iter().map(answers).collect::<Option<_>>()?,
            reports: inquiry.reports.iter().map(report).collect::<Option<_>>()?,
        })
    }

    /// The answers, about files with these paths; `None` when they are not of this build.
    pub(crate) fn restored(self, paths: &[Arc<Path>]) -> Option<Inquiry> {
        let findings = |findings: Vec<StoredFinding>| -> Option<Vec<Finding>> {
            findings.into_iter().map(|finding| restored(finding, paths)).collect()
        };
        let answers = |answers: StoredAnswers| {
            let chains = answers.chains.into_iter();
            Some(Answers {
                findings: findings(answers.findings)?,
                chains: chains
                    .map(|(name, chain)| Some((treadle_pitfalls::find(&name)?, chain)))
                    .collect::<Option<_>>()?,
                nestings: answers.nestings,
                reads: answers.reads,
            })
        };
        let report = |report: StoredReport| {
            Some(Report {
                pitfall: treadle_pitfalls::find(&report.pitfall)?,
                frontier: report.frontier,
                findings: findings(report.findings)?,
                reads: report.reads,
            })
        };
        Some(Inquiry {
            answers: self.answers.into_iter().map(answers).collect::<Option<_>>()?,
            reports: self.reports.into_iter().map(report).collect::<Option<_>>()?,
        })
    }
}

fn stored(finding: &Finding, numbers: &FxHashMap<&Path, u32>) -> Option<StoredFinding> {
    let place = |location: &Location| Some((*numbers.get(&*location.path)?, location.span));
    let fix = |fix: &Fix| StoredFix {
        title: fix.title.clone(),
        is_safe: fix.applicability == Applicability::Safe,
        edits: fix.edits.iter().map(|edit| (edit.span, edit.content.clone())).collect(),
        imports: fix.imports.iter().map(ToString::to_string).collect(),
    };
    Some(StoredFinding {
        name: finding.about.name.to_owned(),
        tier: TIERS.iter().position(|tier| *tier == finding.tier)? as u8,
        message: finding.message.clone(),
        primary: place(&finding.primary)?,
        label: finding.label.clone(),
        path: finding
            .path
            .iter()
            .map(|step| Some((place(&step.location)?, step.text.clone())))
            .collect::<Option<_>>()?,
        also: finding.also.iter().map(place).collect::<Option<_>>()?,
        help: finding.help.clone(),
        notes: finding.notes.clone(),
        fix: finding.fix.as_ref().map(fix),
    })
}

fn restored(finding: StoredFinding, paths: &[Arc<Path>]) -> Option<Finding> {
    let place = |(number, span): Place| Some(Location { path: Arc::clone(paths.get(number as usize)?), span });
    let fix = |fix: StoredFix| Fix {
        title: fix.title,
        applicability: if fix.is_safe { Applicability::Safe } else { Applicability::Unsafe },
        edits: fix.edits.into_iter().map(|(span, content)| Edit { span, content }).collect(),
        imports: fix.imports.into_iter().map(Into::into).collect(),
    };
    Some(Finding {
        about: &treadle_pitfalls::find(&finding.name)?.about,
        tier: *TIERS.get(usize::from(finding.tier))?,
        message: finding.message,
        primary: place(finding.primary)?,
        label: finding.label,
        path: finding
            .path
            .into_iter()
            .map(|(at, text)| Some(Step { location: place(at)?, text }))
            .collect::<Option<_>>()?,
        also: finding.also.into_iter().map(place).collect::<Option<_>>()?,
        help: finding.help,
        notes: finding.notes,
        fix: finding.fix.map(fix),
    })
}
