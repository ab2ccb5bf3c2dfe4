//! One run: paths in, findings out.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;
use treadle_finding::{Finding, Location, Problem, Tier};
use treadle_pitfalls::Inquiry;
use treadle_program::ids::FileId;
use treadle_program::program::Modules;
use treadle_program::{Facts, Options, Program, SourceFile, lower, source};

use crate::cache::Cache;
use crate::configuration::Configuration;
use crate::discover::{Found, Packages, discover, module_names};
use crate::environment::Environment;
use crate::load::{Loaded, Read, facts, load};
use crate::snapshot::{self, Entry, Listing, Snapshot};
use crate::suppress::{Kept, SYNTAX_ERROR, UNUSED_IGNORE, suppress};

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

/// Of more changed files than this, asking about everything is as fast.
const MOST_CHANGED: usize = 64;

/// Installed modules that were looked for, with the files that were found.
type Tried = BTreeMap<String, Option<String>>;

/// A program, and what was asked of it.
struct Checked {
    program: Program,
    findings: Vec<Finding>,
    /// The files that hold directives or cannot be parsed.
    remarked: Vec<FileId>,
}

/// Checks.
///
/// # Errors
///
/// The environment asked for does not exist, or a claim in the configuration is wrong.
pub fn check(request: &Request, progress: &Progress) -> anyhow::Result<Outcome> {
    let configuration = &request.configuration;
    let began = snapshot::now();
    let (found, mut problems) = files_of(request);
    progress.found.store(found.len(), Ordering::Relaxed);
    let cache = Arc::new(Cache::new(request.cache.clone()));
    let environment =
        Environment::find(configuration.python.as_deref(), &configuration.project).map_err(anyhow::Error::msg)?;
    let python = configuration.python_version.or(environment.version).unwrap_or((3, 11));
    let options =
        Options { python, follow_installed: configuration.follow_installed, books: configuration.books.clone() };
    let run = Run { request, found: &found, cache: &cache, environment: &environment, options: &options, began };
    let checked = match run.again()? {
        Some(checked) => {
            progress.done.store(found.len(), Ordering::Relaxed);
            checked
        }
        None => run.anew(progress, &mut problems)?,
    };
    // A cache that cannot be written costs the next run some time and this one nothing.
    let _ = cache.save();
    problems.sort();
    let kept = kept(configuration, &checked);
    let files = checked.program.reported_files().count();
    // The tables of a large program take a while to free, and the process is about to end.
    std::mem::forget(checked.program);
    Ok(Outcome { findings: kept.findings, problems, files, ignored: kept.ignored })
}

/// The findings that are wanted and not silenced.
fn kept(configuration: &Configuration, checked: &Checked) -> Kept {
    let files: Vec<&SourceFile> = checked.remarked.iter().map(|file| checked.program.file(*file)).collect();
    let mut findings = checked.findings.clone();
    if configuration.wants(&SYNTAX_ERROR) {
        findings.extend(files.iter().flat_map(|file| syntax_errors(file)));
    }
    findings.retain(|finding| {
        configuration.wants(finding.about)
            && configuration.tier_allows(finding.tier)
            && !configuration.is_ignored_for(&finding.primary.path, finding.about.name)
    });
    let asked = |name: &str| {
        treadle_pitfalls::find(name)
            .is_some_and(|pitfall| configuration.wants(&pitfall.about) && configuration.tier_allows(pitfall.about.tier))
    };
    let mut kept = suppress(&files, findings, &asked);
    if !configuration.wants(&UNUSED_IGNORE) {
        kept.findings.retain(|finding| finding.about != &UNUSED_IGNORE);
    }
    kept
}

/// What both ways of checking need.
struct Run<'r> {
    request: &'r Request,
    found: &'r [Found],
    cache: &'r Arc<Cache>,
    environment: &'r Environment,
    options: &'r Options,
    /// When the run began.
    began: u128,
}

impl Run<'_> {
    /// Checks all files, and leaves a snapshot where there is a cache.
    fn anew(&self, progress: &Progress, problems: &mut Vec<Problem>) -> anyhow::Result<Checked> {
        let (mut loaded, failed) = load(self.found, self.cache, false, &progress.done);
        let is_whole = failed.is_empty() && self.request.stdin.is_none() && self.request.cache.is_some();
        problems.extend(failed);
        let mut files: Vec<SourceFile> = loaded.iter().map(|loaded| loaded.file.clone()).collect();
        if let Some((name, text)) = &self.request.stdin {
            files.push(given(name, text, &self.request.configuration));
        }
        let tried = self.add_installed(&mut files, &mut loaded, &progress.done)?;
        let remarked = remarked(&files);
        if !is_whole {
            let program = Program::link(files, self.options.clone())?;
            let wanted = |about: &treadle_finding::About| self.request.configuration.wants(about);
            let findings = treadle_pitfalls::ask(&program, &wanted);
            return Ok(Checked { program, findings, remarked });
        }
        let program = Program::link_noting(files, self.options.clone())?;
        let inquiry = treadle_pitfalls::ask_noting(&program, &Inquiry::default());
        self.leave(&program, &inquiry, &loaded, tried, &remarked);
        Ok(Checked { findings: inquiry.findings(), program, remarked })
    }

    fn leave(&self, program: &Program, inquiry: &Inquiry, loaded: &[Loaded], tried: Tried, remarked: &[FileId]) {
        let entry = |(number, loaded): (u32, &Loaded)| {
            Some(Entry {
                path: loaded.file.path.to_str()?.to_owned(),
                names: loaded.file.names.clone(),
                is_package: loaded.file.is_package,
                installed: loaded.file.installed,
                stamp: loaded.stamp,
                key: loaded.key,
                is_remarked: remarked.binary_search(&FileId(number)).is_ok(),
            })
        };
        let entries = (0..).zip(loaded).map(entry).collect::<Option<Vec<Entry>>>();
        // A snapshot is found by paths as text, and nothing would tell that a file can be read that could not.
        let is_whole = tried.values().flatten().count() == loaded.iter().filter(|loaded| loaded.file.installed).count();
        let Some(files) = entries.filter(|_| is_whole) else { return };
        let tried = tried.into_iter().collect();
        let directories = self.environment.directories().iter().map(|directory| snapshot::text_of(directory)).collect();
        let listing = Listing { files, tried, directories, python: self.options.python, began: self.began };
        let paths: Vec<Arc<Path>> = loaded.iter().map(|loaded| Arc::clone(&loaded.file.path)).collect();
        snapshot::save(self.request, &listing, &program.memory(), inquiry, &paths);
    }

    /// Goes on from the snapshot of a run before; `None` if there is none, or too much has changed since.
    fn again(&self) -> anyhow::Result<Option<Checked>> {
        let Some(snapshot) = self.request.cache.as_ref().and_then(|_| Snapshot::open(self.request)) else {
            return Ok(None);
        };
        let listing = &snapshot.listing;
        let own = listing.files.iter().filter(|entry| !entry.installed);
        let as_found = |entry: &Entry| (entry.path.clone(), entry.names.clone(), entry.is_package);
        let found = self.found.iter().map(|found| (found.path.to_str(), &found.names, found.is_package));
        let is_same =
            own.map(as_found)
                .eq(found
                    .map(|(path, names, is_package)| (path.unwrap_or_default().to_owned(), names.clone(), is_package)));
        let is_there = listing.files.par_iter().all(|entry| self.cache.keep(entry.key));
        let is_same = is_same && listing.python == self.options.python && snapshot.has_same(self.environment);
        if !is_same || !is_there {
            return Ok(None);
        }
        let Some(changes) = snapshot.changes().filter(|changes| changes.len() <= MOST_CHANGED) else {
            return Ok(None);
        };
        self.again_with(&snapshot, changes)
    }

    fn again_with(&self, snapshot: &Snapshot, changes: Vec<(usize, Read)>) -> anyhow::Result<Option<Checked>> {
        let listing = &snapshot.listing;
        let mut files: Vec<SourceFile> = listing.files.iter().map(|entry| self.as_before(entry)).collect();
        let mut before = Vec::new();
        for (position, read) in changes {
            let Ok(facts) = facts(&read, self.cache) else { return Ok(None) };
            let was = std::mem::replace(&mut files[position].facts, facts.into());
            before.push((FileId(position as u32), was));
        }
        let paths: Vec<Arc<Path>> = files.iter().map(|file| Arc::clone(&file.path)).collect();
        let Some((whole, inquiry)) = snapshot.whole().zip(snapshot.inquiry(&paths)) else { return Ok(None) };
        let linked = Program::link_again(files, self.options.clone(), &whole, snapshot.tables(), &before)?;
        let Ok(program) = linked else { return Ok(None) };
        if !self.environment.is_empty() && !wants_the_same(&program, listing, &before) {
            return Ok(None);
        }
        let findings = treadle_pitfalls::ask_noting(&program, &inquiry).findings();
        let is_changed = |file: FileId| before.iter().any(|(changed, _)| *changed == file);
        let remarked = program.reported_files().filter(|file| {
            if is_changed(*file) { is_remarked(program.file(*file)) } else { listing.files[file.index()].is_remarked }
        });
        Ok(Some(Checked { remarked: remarked.collect(), findings, program }))
    }

    /// A file that has not changed; what it says is read when somebody asks.
    fn as_before(&self, entry: &Entry) -> SourceFile {
        let path: Arc<Path> = Path::new(&entry.path).into();
        let (cache, key, source) = (Arc::clone(self.cache), entry.key, Arc::clone(&path));
        let lowered = move || {
            let read = Read::new(&source).ok().filter(|read| read.key == key)?;
            source::decode(&read.bytes).ok().map(|text| lower::file(&text))
        };
        // What is kept of it may be damaged, or gone by now. That it also changes at that moment cannot be helped.
        let facts = Facts::later(move || cache.load(key).or_else(lowered).unwrap_or_else(|| lower::file("")));
        SourceFile { path, names: entry.names.clone(), is_package: entry.is_package, installed: entry.installed, facts }
    }

    /// Adds the installed modules that the files want; gives all that were looked for.
    fn add_installed(
        &self,
        files: &mut Vec<SourceFile>,
        loaded: &mut Vec<Loaded>,
        done: &AtomicUsize,
    ) -> anyhow::Result<Tried> {
        let mut tried = Tried::new();
        let mut asked = 0;
        let rounds = if self.environment.is_empty() { 0 } else { INSTALLED_ROUNDS };
        for _ in 0..rounds {
            let wanted = Program::wanted(files, asked, self.options)?;
            asked = files.len();
            let missing: Vec<String> = wanted.into_iter().filter(|module| !tried.contains_key(module)).collect();
            let found: Vec<Option<Found>> = missing.par_iter().map(|module| self.environment.locate(module)).collect();
            let paths = found.iter().map(|found| found.as_ref().map(|found| snapshot::text_of(&found.path)));
            tried.extend(missing.into_iter().zip(paths));
            let found: Vec<Found> = found.into_iter().flatten().collect();
            if found.is_empty() {
                break;
            }
            // An installed file that cannot be read is as good as one that is not there.
            let installed = load(&found, self.cache, true, done).0;
            files.extend(installed.iter().map(|loaded| loaded.file.clone()));
            loaded.extend(installed);
        }
        Ok(tried)
    }
}

/// Whether the files that have changed, given with what they said before, want the installed modules they wanted, and
/// nothing else that was never looked for. In another order the same modules would make another program.
fn wants_the_same(program: &Program, listing: &Listing, before: &[(FileId, Facts)]) -> bool {
    let files = program.files();
    let own = Modules::new(&files[..files.partition_point(|file| !file.installed)]);
    let find = |module: &String| listing.tried.binary_search_by(|(tried, _)| tried.cmp(module)).ok();
    let is_found = |module: &String| find(module).is_none_or(|at| listing.tried[at].1.is_some());
    before.iter().all(|(file, facts)| {
        let now = program.file(*file);
        let before = SourceFile { facts: facts.clone(), ..now.clone() };
        let (now, before) = (program.wanted_by(now, &own), program.wanted_by(&before, &own));
        let is_same = now.iter().filter(|module| is_found(module)).eq(before.iter().filter(|module| is_found(module)));
        is_same && now.iter().all(|module| find(module).is_some())
    })
}

/// The files that findings may be reported on and that hold directives or cannot be parsed.
fn remarked(files: &[SourceFile]) -> Vec<FileId> {
    let numbered = (0..).map(FileId).zip(files);
    numbered.filter(|(_, file)| !file.installed && is_remarked(file)).map(|(number, _)| number).collect()
}

fn is_remarked(file: &SourceFile) -> bool {
    !file.facts.directives.is_empty() || !file.facts.syntax_errors.is_empty()
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

fn syntax_errors(file: &SourceFile) -> Vec<Finding> {
    let first = file.facts.syntax_errors.iter().take(1);
    first
        .map(|error| {
            let location = Location { path: Arc::clone(&file.path), span: error.span };
            Finding::new(&SYNTAX_ERROR, location, error.message.to_string()).at_tier(Tier::Certain)
        })
        .collect()
}
