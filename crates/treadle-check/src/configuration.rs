//! `[tool.treadle]` in `pyproject.toml`, or `treadle.toml`.

use std::fmt;
use std::path::{Path, PathBuf};

use ignore::gitignore::{Gitignore, GitignoreBuilder};
use serde::Deserialize;
use treadle_finding::{About, Tier};
use treadle_pitfalls::CATALOGUE;
use treadle_program::knowledge::claim::{Book, Claim};

use crate::environment::parse_version;
use crate::suppress::OWN;

/// The settings of one run.
#[derive(Clone, Debug)]
pub struct Configuration {
    /// The directory the project is in: that of the settings' file, or the current one.
    pub project: PathBuf,
    /// The file the settings come from.
    pub file: Option<PathBuf>,
    /// Only these pitfalls, if any are named.
    pub select: Option<Vec<String>>,
    /// These as well, whatever their tier.
    pub extend_select: Vec<String>,
    /// Not these.
    pub ignore: Vec<String>,
    /// The least sure tier that is reported.
    pub tier: Tier,
    /// Patterns of files not to check.
    pub excludes: Vec<String>,
    /// Directories that dotted names start at.
    pub sources: Vec<PathBuf>,
    /// Pitfalls not to report in files of a pattern.
    pub per_file_ignores: Vec<(Gitignore, Vec<String>)>,
    /// The environment's interpreter or directory.
    pub python: Option<PathBuf>,
    /// The oldest Python the program is for.
    pub python_version: Option<(u8, u8)>,
    /// Whether chains go on inside installed packages.
    pub follow_installed: bool,
    /// How to watch a running program, as written; the doctor makes sense of it.
    pub watch: Option<serde_json::Value>,
    /// The project's own claims.
    pub books: Vec<Book>,
}

/// What is wrong with the settings.
#[derive(Debug)]
pub struct ConfigurationError(String);

impl fmt::Display for ConfigurationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigurationError {}

/// The table as written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Table {
    select: Option<Vec<String>>,
    #[serde(default)]
    extend_select: Vec<String>,
    #[serde(default)]
    ignore: Vec<String>,
    tier: Option<String>,
    #[serde(default)]
    exclude: Vec<String>,
    #[serde(default)]
    src: Vec<PathBuf>,
    #[serde(default)]
    per_file_ignores: std::collections::BTreeMap<String, Vec<String>>,
    python: Option<PathBuf>,
    python_version: Option<String>,
    #[serde(default)]
    follow_installed: bool,
    #[serde(default)]
    knowledge: Vec<Claim>,
    watch: Option<serde_json::Value>,
}

const KEYS: [&str; 12] = [
    "select",
    "extend-select",
    "ignore",
    "tier",
    "exclude",
    "src",
    "per-file-ignores",
    "python",
    "python-version",
    "follow-installed",
    "knowledge",
    "watch",
];

impl Configuration {
    /// The defaults, for a project in `directory`.
    pub fn isolated(directory: &Path) -> Self {
        Self {
            project: directory.to_path_buf(),
            file: None,
            select: None,
            extend_select: Vec::new(),
            ignore: Vec::new(),
            tier: Tier::Likely,
            excludes: Vec::new(),
            sources: Vec::new(),
            per_file_ignores: Vec::new(),
            python: None,
            python_version: None,
            follow_installed: false,
            watch: None,
            books: Vec::new(),
        }
    }

    /// The settings nearest to `start`, going up; the defaults if there are none.
    ///
    /// # Errors
    ///
    /// The nearest file cannot be read or says something treadle does not know.
    pub fn find(start: &Path) -> Result<Self, ConfigurationError> {
        let start = std::path::absolute(start).unwrap_or_else(|_| start.to_path_buf());
        let mut project = None;
        for directory in start.ancestors() {
            let own = directory.join("treadle.toml");
            if own.is_file() {
                return Self::read(&own);
            }
            let shared = directory.join("pyproject.toml");
            if shared.is_file() {
                if has_table(&shared) {
                    return Self::read(&shared);
                }
                project.get_or_insert((directory.to_path_buf(), shared));
            }
        }
        let Some((directory, shared)) = project else {
            let directory = if start.is_dir() { start } else { start.parent().unwrap_or(&start).to_path_buf() };
            return Ok(Self::isolated(&directory));
        };
        let mut configuration = Self::isolated(&directory);
        let text = std::fs::read_to_string(&shared).unwrap_or_default();
        configuration.python_version = toml::from_str::<toml::Table>(&text).ok().as_ref().and_then(required_python);
        Ok(configuration)
    }

    /// The settings in a file: `[tool.treadle]` of a `pyproject.toml`, or a whole `treadle.toml`.
    ///
    /// # Errors
    ///
    /// It cannot be read, is no TOML, or says something treadle does not know.
    pub fn read(file: &Path) -> Result<Self, ConfigurationError> {
        let shown = file.display();
        let fail = |message: String| ConfigurationError(format!("{shown}: {message}"));
        let text = std::fs::read_to_string(file).map_err(|error| fail(format!("cannot be read: {error}")))?;
        let document: toml::Table =
            toml::from_str(&text).map_err(|error| fail(error.to_string().trim_end().to_owned()))?;
        let is_shared = file.file_name().is_some_and(|name| name == "pyproject.toml");
        let table = if is_shared {
            let tool = document.get("tool").and_then(|tool| tool.get("treadle"));
            tool.and_then(toml::Value::as_table).cloned().unwrap_or_default()
        } else {
            document.clone()
        };
        if let Some(unknown) = table.keys().find(|key| !KEYS.contains(&key.as_str())) {
            return Err(fail(format!(
                "{}unknown key `{unknown}`{}",
                line_of(&text, unknown),
                suggestion(unknown, KEYS)
            )));
        }
        let table: Table = table.try_into().map_err(|error: toml::de::Error| {
            let message = plain(error.message());
            fail(format!("{}{message}", quoted_line(&text, &message)))
        })?;
        let directory = file.parent().map_or_else(PathBuf::new, Path::to_path_buf);
        let directory = std::path::absolute(&directory).unwrap_or(directory);
        let mut configuration = Self::isolated(&directory);
        configuration.file = Some(file.to_path_buf());
        configuration.python_version = required_python(&document);
        configuration.apply(table).map_err(|message| fail(format!("{}{message}", quoted_line(&text, &message))))?;
        Ok(configuration)
    }

    fn apply(&mut self, table: Table) -> Result<(), String> {
        let named = table.select.iter().flatten().chain(&table.ignore).chain(&table.extend_select);
        for name in named.chain(table.per_file_ignores.values().flatten()) {
            check_name(name)?;
        }
        if let Some(tier) = &table.tier {
            self.tier = parse_tier(tier)?;
        }
        if let Some(version) = &table.python_version {
            let parsed =
                parse_version(version).ok_or_else(|| format!("`{version}` is no Python version such as \"3.11\""))?;
            self.python_version = Some(parsed);
        }
        for (pattern, names) in table.per_file_ignores {
            let mut builder = GitignoreBuilder::new(&self.project);
            builder.add_line(None, &pattern).map_err(|error| format!("the pattern `{pattern}` is wrong: {error}"))?;
            let matcher = builder.build().map_err(|error| format!("the pattern `{pattern}` is wrong: {error}"))?;
            self.per_file_ignores.push((matcher, names));
        }
        self.select = table.select;
        self.extend_select = table.extend_select;
        self.ignore = table.ignore;
        self.watch = table.watch;
        self.excludes = table.exclude;
        self.sources = table.src.into_iter().map(|source| self.project.join(source)).collect();
        self.python = table.python.map(|python| self.project.join(python));
        self.follow_installed = table.follow_installed;
        if !table.knowledge.is_empty() {
            self.books = vec![Book { library: "project".to_owned(), claim: table.knowledge, ..Book::default() }];
        }
        Ok(())
    }

    /// Whether a pitfall takes part in the run.
    pub fn wants(&self, about: &About) -> bool {
        let listed = |names: &[String]| names.iter().any(|name| name == about.name);
        if listed(&self.extend_select) {
            return true;
        }
        !listed(&self.ignore) && self.select.as_ref().is_none_or(|select| listed(select))
    }

    /// Whether findings of a tier are reported.
    pub fn tier_allows(&self, tier: Tier) -> bool {
        tier <= self.tier
    }

    /// Whether findings of a pitfall are not to be reported in a file.
    pub fn is_ignored_for(&self, path: &Path, name: &str) -> bool {
        self.per_file_ignores.iter().any(|(pattern, names)| {
            names.iter().any(|ignored| ignored == name) && {
                let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
                absolute.starts_with(&self.project) && pattern.matched_path_or_any_parents(&absolute, false).is_ignore()
            }
        })
    }
}

/// The tier of that name.
///
/// # Errors
///
/// There is none.
pub fn parse_tier(name: &str) -> Result<Tier, String> {
    let found = Tier::ALL.into_iter().find(|tier| tier.as_str() == name);
    found.ok_or_else(|| format!("unknown tier `{name}`: `certain`, `likely` or `advisory`"))
}

/// Whether there is a pitfall of that name.
///
/// # Errors
///
/// There is none; the message names the nearest.
pub fn check_name(name: &str) -> Result<(), String> {
    let known = || CATALOGUE.iter().map(|pitfall| pitfall.about.name).chain(OWN.iter().map(|own| own.name));
    if known().any(|one| one == name) {
        return Ok(());
    }
    Err(format!("unknown pitfall `{name}`{}", suggestion(name, known())))
}

/// The most similar of `names`, if one is similar at all.
pub fn nearest<'n>(name: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let scored = names.into_iter().map(|known| (strsim::jaro_winkler(name, known), known));
    let best = scored.max_by(|left, right| left.0.total_cmp(&right.0))?;
    (best.0 > 0.75).then_some(best.1)
}

fn suggestion<'n>(name: &str, names: impl IntoIterator<Item = &'n str>) -> String {
    nearest(name, names).map_or(String::new(), |nearest| format!("; did you mean `{nearest}`?"))
}

/// What serde says about a key it does not know, in the words used for other names.
fn plain(message: &str) -> String {
    let words: Vec<&str> = message.split('`').collect();
    match words.as_slice() {
        ["unknown field " | "unknown variant ", name, rest @ ..] => {
            let known = rest.iter().skip(1).step_by(2).copied();
            let what = if message.starts_with("unknown field") { "key" } else { "value" };
            format!("unknown {what} `{name}`{}", suggestion(name, known))
        }
        _ => message.to_owned(),
    }
}

fn has_table(file: &Path) -> bool {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    // A file that is no TOML is read, so that its error is told.
    match toml::from_str::<toml::Table>(&text) {
        Ok(document) => document.get("tool").and_then(|tool| tool.get("treadle")).is_some(),
        Err(_) => text.contains("[tool.treadle"),
    }
}

fn required_python(document: &toml::Table) -> Option<(u8, u8)> {
    let requires = document.get("project")?.get("requires-python")?.as_str()?;
    let lower = requires.split(',').find_map(|part| {
        let part = part.trim();
        [">=", "~=", "==", ">"].iter().find_map(|operator| part.strip_prefix(operator))
    })?;
    parse_version(lower)
}

/// `line N: ` of the first line that sets `key`.
fn line_of(text: &str, key: &str) -> String {
    let sets = |line: &str| line.trim_start().trim_start_matches('"').starts_with(key);
    text.lines().position(sets).map_or(String::new(), |line| format!("line {}: ", line + 1))
}

/// `line N: ` of the first line that holds the first quoted word of a message.
fn quoted_line(text: &str, message: &str) -> String {
    let Some(word) = message.split('`').nth(1) else { return String::new() };
    let line = text.lines().position(|line| line.contains(word));
    line.map_or(String::new(), |line| format!("line {}: ", line + 1))
}
