//! What the user has said about how to watch: on the command line, in `[tool.treadle.watch]`, in a call.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use treadle_pitfalls::CATALOGUE;
use treadle_run::Thresholds;

/// How to watch. The same on the command line, in a table of settings, and between the processes of one program.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Settings {
    /// How findings are written.
    pub output: Output,
    /// Where they are written: a descriptor's number, or a file that is appended to.
    pub to: To,
    /// From when on something is too much, by pitfall: `50ms`, `2s`.
    pub thresholds: std::collections::BTreeMap<String, String>,
    /// Pitfalls not to report.
    pub ignore: Vec<String>,
    /// Pitfalls for which the program's end is a failure; `any` stands for all.
    pub fail_on: Vec<String>,
    /// A file with findings that are known and not reported.
    pub baseline: Option<PathBuf>,
    /// Where metrics are served, `127.0.0.1:9464`.
    pub metrics: Option<String>,
    /// The descriptor of the file in which the events are written, if somebody else reads them too.
    pub tape: Option<i32>,
    /// What is recorded, if anything.
    pub record: Option<Record>,
    /// Another process that is watched has started this one.
    pub is_follower: bool,
    /// The process that waits for this one, and with which it ends.
    pub parent: Option<u32>,
}

/// What is recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Record {
    /// The file. Its process makes it unless it is handed one; followers make theirs beside it.
    pub path: Option<PathBuf>,
    /// The descriptor of the file, if it is handed over. With a tape and without this, the tape is at the beginning of the recording.
    pub file: Option<i32>,
    /// How large it is, in bytes; 0 for what is usual.
    pub size: u64,
    /// The program: `app.py`, `-m service`.
    pub title: String,
    /// What there is to know of the process, by names.
    pub environment: Vec<(String, String)>,
}

/// How findings are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Output {
    /// For people: each when it is first seen, and all at the end.
    #[default]
    Text,
    /// For programs: an object on a line for each, and one at the end.
    Json,
    /// As [`Json`](Self::Json), for the program's own `logging`.
    Logging,
    /// Not at all; whoever wants them asks.
    Silent,
}

/// Where findings are written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum To {
    /// A descriptor of the process.
    Descriptor(i32),
    /// A file, to its end.
    File(PathBuf),
}

impl Default for To {
    fn default() -> Self {
        Self::Descriptor(2)
    }
}

impl Settings {
    /// The same, where `over` says nothing of a thing.
    pub fn under(self, over: Self) -> Self {
        let mut thresholds = self.thresholds;
        thresholds.extend(over.thresholds);
        Self {
            thresholds,
            ignore: [self.ignore, over.ignore].concat(),
            fail_on: if over.fail_on.is_empty() { self.fail_on } else { over.fail_on },
            baseline: over.baseline.or(self.baseline),
            metrics: over.metrics.or(self.metrics),
            ..over
        }
    }

    /// From when on something is too much.
    ///
    /// # Errors
    /// In words: a name is of no pitfall with a threshold, or a value is none.
    pub fn thresholds(&self) -> Result<Thresholds, String> {
        let mut thresholds = Thresholds::default();
        for (name, value) in &self.thresholds {
            thresholds.set(name, value)?;
        }
        Ok(thresholds)
    }

    /// Whether all that is named is there.
    ///
    /// # Errors
    /// In words: what is not.
    pub fn check(&self) -> Result<(), String> {
        self.thresholds()?;
        for name in self.ignore.iter().chain(self.fail_on.iter().filter(|name| *name != "any")) {
            let pitfall = CATALOGUE.iter().find(|pitfall| pitfall.about.name == *name);
            match pitfall {
                None => return Err(format!("`{name}` is no pitfall; `treadle pitfalls` lists them")),
                Some(pitfall) if pitfall.detector.is_none() => {
                    return Err(format!("`{name}` is found by `treadle check` only, not in a running program"));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// Whether a program that has met this pitfall has failed.
    pub fn fails_on(&self, name: &str) -> bool {
        self.fail_on.iter().any(|wanted| wanted == "any" || wanted == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Settings {
        serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn what_is_said_nearer_counts() {
        let file = settings(
            r#"{"thresholds": {"blocked-loop": "1s"}, "fail-on": ["never-awaited"], "ignore": ["lost-task"]}"#,
        );
        let line =
            settings(r#"{"thresholds": {"blocked-loop": "50ms"}, "fail-on": ["any"], "output": "json", "to": 5}"#);
        let both = file.under(line);
        assert_eq!(both.thresholds().map(|thresholds| thresholds.blocked), Ok(50_000_000));
        assert!(both.fails_on("deadlock"));
        assert_eq!(
            (both.output, both.to, both.ignore),
            (Output::Json, To::Descriptor(5), vec!["lost-task".to_owned()])
        );
    }

    #[test]
    fn what_is_not_there_is_named() {
        for (text, words) in [
            (r#"{"fail-on": ["blocked"]}"#, "`blocked` is no pitfall"),
            (r#"{"ignore": ["legacy-loop-api"]}"#, "found by `treadle check` only"),
            (r#"{"thresholds": {"blocked-loop": "50"}}"#, "`50` is no duration"),
            (r#"{"thresholds": {"never-awaited": "50ms"}}"#, "`never-awaited` has no threshold"),
        ] {
            let error = settings(text).check().err().unwrap_or_default();
            assert!(error.contains(words), "{error}");
        }
    }
}
