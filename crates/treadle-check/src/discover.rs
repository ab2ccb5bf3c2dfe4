//! Which files are meant, and what modules they are.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::sync::Mutex;

use ignore::{WalkBuilder, WalkState, overrides::OverrideBuilder};
use treadle_finding::Problem;

/// Directories that hold other people's code or none at all.
pub const DEFAULT_EXCLUDES: [&str; 22] = [
    ".bzr",
    ".direnv",
    ".eggs",
    ".git",
    ".hg",
    ".ipynb_checkpoints",
    ".mypy_cache",
    ".nox",
    ".pyenv",
    ".pytest_cache",
    ".ruff_cache",
    ".svn",
    ".tox",
    ".treadle_cache",
    ".venv",
    "__pypackages__",
    "build",
    "buck-out",
    "dist",
    "node_modules",
    "site-packages",
    "venv",
];

/// A file to check.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Found {
    /// The path as the user would write it.
    pub path: PathBuf,
    /// Dotted module names, the best first.
    pub names: Vec<String>,
    /// Whether it is a package's `__init__`.
    pub is_package: bool,
}

/// Finds the Python files below `roots`. A root that is a file is taken as it is.
///
/// `.gitignore` and `.ignore` files are honoured, hidden directories and `excludes` passed over. What cannot be read is a
/// problem, never the end of the walk. The order depends on nothing but the paths.
pub fn discover(
    roots: &[PathBuf],
    project: &Path,
    sources: &[PathBuf],
    excludes: &[String],
) -> (Vec<Found>, Vec<Problem>) {
    let mut problems = Vec::new();
    let mut paths: BTreeMap<PathBuf, bool> = BTreeMap::new();
    for root in roots {
        match root.metadata() {
            Ok(metadata) if metadata.is_dir() => walk(root, excludes, &mut paths, &mut problems),
            Ok(metadata) if metadata.is_file() => drop(paths.insert(tidy(root), true)),
            // Opening a pipe would wait for somebody to write into it.
            Ok(_) => problems.push(Problem { path: root.as_path().into(), message: "is no regular file".to_owned() }),
            Err(error) => problems.push(problem(root, &error)),
        }
    }
    problems.sort();
    let bases = bases(roots, project, sources);
    let mut packages = Packages::default();
    let found = paths.into_keys().map(|path| found(path, &bases, &mut packages)).collect();
    (found, problems)
}

/// Which directories are packages; each is looked at once.
#[derive(Default)]
pub struct Packages(std::collections::HashMap<PathBuf, bool>);

impl Packages {
    fn contains(&mut self, directory: &Path) -> bool {
        if let Some(known) = self.0.get(directory) {
            return *known;
        }
        let is_package = directory.join("__init__.py").is_file();
        self.0.insert(directory.to_path_buf(), is_package);
        is_package
    }
}

/// Directories that dotted names may start at: given roots, source directories, the project and its `src`.
fn bases(roots: &[PathBuf], project: &Path, sources: &[PathBuf]) -> Vec<PathBuf> {
    let mut bases: Vec<PathBuf> = sources.to_vec();
    bases.extend([project.join("src"), project.to_path_buf()]);
    bases.extend(roots.iter().filter(|root| root.is_dir()).cloned());
    bases.into_iter().map(|base| absolute(&base)).collect()
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).map_or_else(|_| path.to_path_buf(), |path| tidy(&path))
}

/// `./a/../b` without its detours, symbolic links untouched.
fn tidy(path: &Path) -> PathBuf {
    let mut tidied = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir if matches!(tidied.components().next_back(), Some(Component::Normal(_))) => {
                tidied.pop();
            }
            other => tidied.push(other),
        }
    }
    if tidied.as_os_str().is_empty() { PathBuf::from(".") } else { tidied }
}

fn problem(path: &Path, error: &dyn std::fmt::Display) -> Problem {
    Problem { path: tidy(path).into(), message: format!("cannot be read: {error}") }
}

fn walk(root: &Path, excludes: &[String], paths: &mut BTreeMap<PathBuf, bool>, problems: &mut Vec<Problem>) {
    let mut overrides = OverrideBuilder::new(root);
    let patterns = DEFAULT_EXCLUDES.iter().map(|name| (*name).to_owned()).chain(excludes.iter().cloned());
    for pattern in patterns {
        if let Err(error) = overrides.add(&format!("!{pattern}")) {
            problems.push(Problem {
                path: root.into(),
                message: format!("the exclude pattern `{pattern}` is wrong: {error}"),
            });
        }
    }
    let mut builder = WalkBuilder::new(root);
    // `ignore` reports a circle of links as an error of the entry that closes it.
    builder.follow_links(true).require_git(false);
    if let Ok(overrides) = overrides.build() {
        builder.overrides(overrides);
    }
    let collected: Mutex<(Vec<PathBuf>, Vec<Problem>)> = Mutex::default();
    builder.build_parallel().run(|| {
        Box::new(|entry| {
            let Ok(mut collected) = collected.lock() else { return WalkState::Quit };
            match entry {
                Ok(entry) => {
                    let is_file = entry.file_type().is_some_and(|kind| kind.is_file());
                    let extension = entry.path().extension().and_then(|extension| extension.to_str());
                    if is_file && matches!(extension, Some("py" | "pyw")) {
                        collected.0.push(tidy(entry.path()));
                    }
                }
                Err(error) if is_circle(&error) => {}
                Err(error) => {
                    let path = path_of(&error).unwrap_or(root).to_path_buf();
                    collected.1.push(problem(&path, &inner(&error)));
                }
            }
            WalkState::Continue
        })
    });
    if let Ok((found, failed)) = collected.into_inner() {
        paths.extend(found.into_iter().map(|path| (path, false)));
        problems.extend(failed);
    }
}

fn is_circle(error: &ignore::Error) -> bool {
    match error {
        ignore::Error::Loop { .. } => true,
        ignore::Error::WithDepth { err, .. } | ignore::Error::WithPath { err, .. } => is_circle(err),
        _ => false,
    }
}

fn path_of(error: &ignore::Error) -> Option<&Path> {
    match error {
        ignore::Error::WithPath { path, .. } => Some(path),
        ignore::Error::WithDepth { err, .. } => path_of(err),
        _ => None,
    }
}

fn inner(error: &ignore::Error) -> String {
    match error {
        ignore::Error::WithPath { err, .. } | ignore::Error::WithDepth { err, .. } => inner(err),
        other => other.to_string(),
    }
}

fn found(path: PathBuf, bases: &[PathBuf], packages: &mut Packages) -> Found {
    let (names, is_package) = module_names(&path, bases, packages);
    Found { path, names, is_package }
}

/// The dotted names of a file: by the packages it stands in, then relative to each base.
pub fn module_names(path: &Path, bases: &[PathBuf], packages: &mut Packages) -> (Vec<String>, bool) {
    let absolute = absolute(path);
    let stem = absolute.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_owned();
    let is_package = stem == "__init__";
    let mut names = Vec::new();
    let mut parts = if is_package { Vec::new() } else { vec![stem.clone()] };
    let mut directory = absolute.parent();
    while let Some(here) = directory.filter(|here| packages.contains(here)) {
        parts.push(here.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned());
        directory = here.parent();
    }
    parts.reverse();
    if !parts.is_empty() {
        names.push(parts.join("."));
    }
    for base in bases {
        let Ok(relative) = absolute.strip_prefix(base) else { continue };
        let mut parts: Vec<&str> = relative.iter().filter_map(|part| part.to_str()).collect();
        parts.pop();
        if !is_package {
            parts.push(&stem);
        }
        let name = parts.join(".");
        if !name.is_empty() && !names.contains(&name) && parts.iter().all(|part| !part.contains('.')) {
            names.push(name);
        }
    }
    (names, is_package)
}
