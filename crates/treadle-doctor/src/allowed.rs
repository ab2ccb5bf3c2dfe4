//! What is known and not to be reported: by settings, by comments in the program, by a baseline.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use treadle_finding::Sighting;
use treadle_pitfalls::find;
use treadle_program::facts::DirectiveKind;
use treadle_program::lower;

/// What is not to be reported.
#[derive(Debug, Default)]
pub struct Allowed {
    names: Vec<String>,
    baseline: Vec<Entry>,
    /// The comments of files that were looked at, by line.
    comments: HashMap<String, Vec<Comment>>,
}

/// A finding in a baseline: without its line, which other edits move.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Entry {
    name: String,
    path: PathBuf,
    function: String,
    message: String,
}

/// A baseline as it stands in its file.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Baseline {
    findings: Vec<Entry>,
}

/// A comment that silences a pitfall.
#[derive(Debug)]
struct Comment {
    /// Empty for all.
    name: String,
    /// First and last line; none for a whole file.
    lines: Option<(u32, u32)>,
}

impl Allowed {
    /// Nothing but what settings name.
    pub fn new(names: Vec<String>) -> Self {
        Self { names, ..Self::default() }
    }

    /// What a baseline has as well. One that does not exist is empty.
    ///
    /// # Errors
    /// It cannot be read, or is none.
    pub fn with_baseline(mut self, path: &Path) -> io::Result<Self> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(self),
            Err(error) => return Err(error),
        };
        let baseline: Baseline = serde_json::from_str(&text)?;
        self.baseline = baseline.findings;
        Ok(self)
    }

    /// Whether a sighting is known.
    pub fn allows(&mut self, seen: &Sighting) -> bool {
        let is_named = |name: &str| self.names.iter().any(|allowed| allowed == name);
        if is_named(seen.about.name) || self.baseline.contains(&entry(seen)) {
            return true;
        }
        if seen.site.line == 0 {
            return false;
        }
        let comments = self.comments.entry(seen.site.path.clone()).or_insert_with(|| comments(&seen.site.path));
        let kin = find(seen.about.name).map_or(&[][..], |pitfall| pitfall.kin);
        comments.iter().any(|comment| {
            let is_meant = |name: &str| comment.name.is_empty() || comment.name == name;
            let covers = comment.lines.is_none_or(|(first, last)| (first..=last).contains(&seen.site.line));
            covers && (is_meant(seen.about.name) || kin.iter().any(|name| is_meant(name)))
        })
    }
}

/// Writes a baseline that has these findings, as [`sighting_json`](treadle_view::sighting_json) gives them.
///
/// # Errors
/// The file cannot be written.
pub fn write_baseline(path: &Path, found: &[Value]) -> io::Result<()> {
    let word = |found: &Value, name: &str| found[name].as_str().unwrap_or_default().to_owned();
    let entry = |found| Entry {
        name: word(found, "name"),
        path: shown(&word(found, "path")),
        function: word(found, "function"),
        message: word(found, "message"),
    };
    let mut findings: Vec<Entry> = found.iter().map(entry).collect();
    findings.sort();
    findings.dedup();
    let mut text = serde_json::to_string_pretty(&Baseline { findings })?;
    text.push('\n');
    std::fs::write(path, text)
}

fn entry(seen: &Sighting) -> Entry {
    Entry {
        name: seen.about.name.to_owned(),
        path: shown(&seen.site.path),
        function: seen.site.function.clone(),
        message: seen.message.clone(),
    }
}

/// A path, relative to the current directory if it is below it.
fn shown(path: &str) -> PathBuf {
    let here = std::env::current_dir().unwrap_or_default();
    Path::new(path).strip_prefix(&here).unwrap_or(Path::new(path)).to_path_buf()
}

/// The comments of a file; none if it cannot be read.
fn comments(path: &str) -> Vec<Comment> {
    let Ok(text) = std::fs::read_to_string(path) else { return Vec::new() };
    // Most files have none, and reading a program takes its time.
    if !text.contains("treadle:") {
        return Vec::new();
    }
    let line_of = |offset: u32| 1 + text[..(offset as usize).min(text.len())].matches('\n').count() as u32;
    let facts = lower::file(&text);
    let silenced = facts.directives.iter().flat_map(|directive| match &directive.kind {
        DirectiveKind::Ignore { names, covers } => {
            let lines = Some((line_of(covers.start), line_of(covers.end)));
            names.iter().map(|(name, _)| Comment { name: name.to_string(), lines }).collect()
        }
        DirectiveKind::IgnoreFile { names } if names.is_empty() => vec![Comment { name: String::new(), lines: None }],
        DirectiveKind::IgnoreFile { names } => {
            names.iter().map(|(name, _)| Comment { name: name.to_string(), lines: None }).collect()
        }
        DirectiveKind::Unknown(_) => Vec::new(),
    });
    silenced.collect()
}

#[cfg(test)]
mod tests {
    use treadle_finding::Site;

    use super::*;

    fn seen(path: &Path, line: u32) -> Sighting {
        let about = find("blocked-loop").map_or_else(|| panic!("it is there"), |pitfall| &pitfall.about);
        let site = Site { path: path.display().to_string(), line, function: "main".to_owned(), package: None };
        Sighting::new(about, site, 0, "`main` blocks the event loop")
    }

    #[test]
    fn comments_silence_the_lines_they_cover() {
        let directory = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
        let path = directory.path().join("app.py");
        let text = "import time\n\ntime.sleep(\n    1,\n)  # treadle: ignore[blocked-loop] once\ntime.sleep(1)\n\
                    time.sleep(1)  # treadle: ignore[blocking-call] kin\ntime.sleep(1)  # treadle: ignore[lost-task] other\n";
        assert!(std::fs::write(&path, text).is_ok());
        let mut allowed = Allowed::default();
        let silenced: Vec<u32> = (1..=8).filter(|line| allowed.allows(&seen(&path, *line))).collect();
        assert_eq!(silenced, [3, 4, 5, 7]);
    }

    #[test]
    fn a_baseline_knows_a_finding_on_another_line() {
        let directory = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
        let (file, baseline) = (directory.path().join("app.py"), directory.path().join("baseline.json"));
        assert!(write_baseline(&baseline, &[treadle_view::sighting_json(&seen(&file, 3))]).is_ok());
        let mut allowed = Allowed::default().with_baseline(&baseline).unwrap_or_else(|error| panic!("{error}"));
        assert!(allowed.allows(&seen(&file, 7)));
        assert!(!allowed.allows(&Sighting { message: "`other` blocks the event loop".to_owned(), ..seen(&file, 7) }));
        assert!(Allowed::default().with_baseline(&directory.path().join("none.json")).is_ok());
        assert!(std::fs::write(&baseline, "[1]").is_ok());
        assert!(Allowed::default().with_baseline(&baseline).is_err());
    }
}
