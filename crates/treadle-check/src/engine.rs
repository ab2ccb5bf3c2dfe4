//! One run: paths in, findings out.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use rayon::prelude::*;
use treadle_finding::{Finding, Location, Problem, Tier};
use treadle_program::{Options, Program, SourceFile, lower};

use crate::cache::Cache;
use crate::configuration::Configuration;
use crate::discover::{Found, Packages, discover, module_names};
use crate::environment::Environment;
use crate::load::load;
use crate::suppress::{SYNTAX_ERROR, UNUSED_IGNORE, suppress};

/// What to check, and how.
#[derive(Clone, Debug)]
pub struct Request {
    /// Files and directories.
    pub paths: Vec<PathBuf>,
    /// Text given instead of read, with the name it goes by.
    pub stdin: Option<(PathBuf, String)>,
    /// The project's settings.
    pub configuration: Configuration,
    /// Where the cache is; `None` for none.
    pub cache: Option<PathBuf>,
}

/// What a run found.
pub struct Outcome {
    /// In the order of every output.
    pub findings: Vec<Finding>,
    /// What could not be read.
    pub problems: Vec<Problem>,
    /// How many files were checked.
    pub files: usize,
    /// How many findings directives silenced.
    pub ignored: usize,
    /// The files that were checked.
    pub sources: Vec<SourceFile>,
}

/// How far a run is, for who shows it.
#[derive(Debug, Default)]
pub struct Progress {
    /// Files found so far.
    pub found: AtomicUsize,
    /// Files read so far.
    pub done: AtomicUsize,
}

/// Rounds of looking up installed modules: a name re-exported through more modules than this stays unknown.
const INSTALLED_ROUNDS: usize = 6;

/// Checks.
///
/// # Errors
///
/// The environment asked for does not exist, or a claim in the configuration is wrong.
pub fn check(request: &Request, progress: &Progress) -> anyhow::Result<Outcome> {
    let configuration = &request.configuration;
    let (found, mut problems) = files_of(request);
    progress.found.store(found.len(), std::sync::atomic::Ordering::Relaxed);
    let cache = Cache::new(request.cache.clone());
    let (mut files, failed) = load(&found, &cache, false, &progress.done);
    problems.extend(failed);
    if let Some((name, text)) = &request.stdin {
        files.push(given(name, text, configuration));
    }
    let environment =
        Environment::find(configuration.python.as_deref(), &configuration.project).map_err(anyhow::Error::msg)?;
    let python = configuration.python_version.or(environment.version).unwrap_or((3, 11));
    let options =
        Options { python, follow_installed: configuration.follow_installed, books: configuration.books.clone() };
    add_installed(&mut files, &environment, &cache, &options, &progress.done)?;
    // A cache that cannot be written costs the next run some time and this one nothing.
    let _ = cache.save();
    drop(cache);
    let program = Program::link(files, options)?;
    let wanted = |about: &treadle_finding::About| configuration.wants(about);
    let mut findings = treadle_pitfalls::ask(&program, &wanted);
    if configuration.wants(&SYNTAX_ERROR) {
        findings.extend(program.files().iter().filter(|file| !file.installed).flat_map(syntax_errors));
    }
    findings.retain(|finding| {
        configuration.tier_allows(finding.tier)
            && !configuration.is_ignored_for(&finding.primary.path, finding.about.name)
    });
    let asked = |name: &str| {
        treadle_pitfalls::find(name)
            .is_some_and(|pitfall| configuration.wants(&pitfall.about) && configuration.tier_allows(pitfall.about.tier))
    };
    let mut kept = suppress(program.files(), findings, &asked);
    if !configuration.wants(&UNUSED_IGNORE) {
        kept.findings.retain(|finding| finding.about != &UNUSED_IGNORE);
    }
    problems.sort();
    let sources: Vec<SourceFile> = program.files().iter().filter(|file| !file.installed).cloned().collect();
    // The tables of a large program take a while to free, and the process is about to end.
    std::mem::forget(program);
    Ok(Outcome { findings: kept.findings, problems, files: sources.len(), ignored: kept.ignored, sources })
}

/// The files a request means, without reading them.
pub fn files_of(request: &Request) -> (Vec<Found>, Vec<Problem>) {
    let configuration = &request.configuration;
    discover(&request.paths, &configuration.project, &configuration.sources, &configuration.excludes)
}

fn given(name: &Path, text: &str, configuration: &Configuration) -> SourceFile {
    let (names, is_package) =
        module_names(name, std::slice::from_ref(&configuration.project), &mut Packages::default());
    SourceFile { path: name.into(), names, is_package, installed: false, facts: lower::file(text).into() }
}

fn add_installed(
    files: &mut Vec<SourceFile>,
    environment: &Environment,
    cache: &Cache,
    options: &Options,
    done: &AtomicUsize,
) -> anyhow::Result<()> {
    if environment.is_empty() {
        return Ok(());
    }
    let mut tried: BTreeSet<String> = BTreeSet::new();
    let mut asked = 0;
    for _ in 0..INSTALLED_ROUNDS {
        let wanted = Program::wanted(files, asked, options)?;
        asked = files.len();
        let missing: Vec<String> = wanted.into_iter().filter(|module| tried.insert(module.clone())).collect();
        let found: Vec<Found> = missing.par_iter().filter_map(|module| environment.locate(module)).collect();
        if found.is_empty() {
            break;
        }
        // An installed file that cannot be read is as good as one that is not there.
        files.extend(load(&found, cache, true, done).0);
    }
    Ok(())
}

fn syntax_errors(file: &SourceFile) -> Vec<Finding> {
    let first = file.facts.syntax_errors.iter().take(1);
    first
        .map(|error| {
            let location = Location { path: Arc::clone(&file.path), span: error.span };
            Finding::new(&SYNTAX_ERROR, location, error.message.to_string()).at_tier(Tier::Certain)
        })
        .collect()
}
