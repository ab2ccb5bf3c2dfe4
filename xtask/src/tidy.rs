//! The project's rules that no compiler knows: floors, generated files, the form of pitfalls and of source files.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use treadle_pitfalls::CATALOGUE;
use treadle_pitfalls::page::{self, Block, CASE_HEADINGS, HEADINGS};

use crate::{folder_of, generate};

/// What each of our crates may name. Arrows point down.
const MAY_NAME: &[(&str, &[&str])] = &[
    ("treadle-finding", &[]),
    ("treadle-events", &[]),
    ("treadle-reactor", &[]),
    ("treadle-program", &["treadle-finding"]),
    ("treadle-run", &["treadle-events", "treadle-finding"]),
    ("treadle-loop", &["treadle-events", "treadle-reactor"]),
    ("treadle-pitfalls", &["treadle-events", "treadle-finding", "treadle-program", "treadle-run"]),
    ("treadle-view", &["treadle-finding", "treadle-run"]),
    ("treadle-check", &["treadle-finding", "treadle-program", "treadle-pitfalls"]),
    (
        "treadle-doctor",
        &[
            "treadle-events",
            "treadle-finding",
            "treadle-program",
            "treadle-run",
            "treadle-loop",
            "treadle-pitfalls",
            "treadle-view",
        ],
    ),
    (
        "treadle-cli",
        &[
            "treadle-events",
            "treadle-finding",
            "treadle-program",
            "treadle-run",
            "treadle-pitfalls",
            "treadle-view",
            "treadle-check",
            "treadle-doctor",
        ],
    ),
    ("treadle-python", &["treadle-cli", "treadle-doctor", "treadle-events", "treadle-loop", "treadle-view"]),
];

/// The crate that alone names the parser's.
const PARSER: (&str, &str) = ("treadle-program", "ruff_");

/// A source file longer than this says why in its header.
const LONG: usize = 700;

/// Fails with every rule that is broken.
pub(crate) fn run(root: &Path) -> anyhow::Result<()> {
    let mut broken = Vec::new();
    floors(root, &mut broken)?;
    generated(root, &mut broken);
    pitfalls(root, &mut broken);
    sources(root, &mut broken)?;
    if broken.is_empty() {
        return Ok(());
    }
    bail!("{}", broken.join("\n"))
}

fn floors(root: &Path, broken: &mut Vec<String>) -> anyhow::Result<()> {
    let known: BTreeSet<&str> = MAY_NAME.iter().map(|(name, _)| *name).collect();
    for entry in std::fs::read_dir(root.join("crates"))? {
        let path = entry?.path().join("Cargo.toml");
        let manifest: toml::Table =
            toml::from_str(&std::fs::read_to_string(&path)?).context(path.display().to_string())?;
        let name = manifest["package"]["name"].as_str().unwrap_or_default().to_owned();
        let Some((_, allowed)) = MAY_NAME.iter().find(|(known, _)| *known == name) else {
            broken.push(format!("{}: `{name}` has no floor in xtask/src/tidy.rs", path.display()));
            continue;
        };
        let tables = ["dependencies", "build-dependencies"].iter().filter_map(|table| manifest.get(*table)?.as_table());
        for dependency in tables.flat_map(toml::Table::keys) {
            let is_ours = known.contains(dependency.as_str()) || dependency.starts_with("treadle-");
            if is_ours && !allowed.contains(&dependency.as_str()) {
                broken.push(format!("{}: `{name}` may not name `{dependency}`, which stands no lower", path.display()));
            }
            if dependency.starts_with(PARSER.1) && name != PARSER.0 {
                broken.push(format!("{}: only `{}` names `{dependency}`", path.display(), PARSER.0));
            }
        }
    }
    Ok(())
}

fn generated(root: &Path, broken: &mut Vec<String>) {
    for (path, wanted) in generate::files(root) {
        if std::fs::read_to_string(&path).ok().as_deref() != Some(&wanted) {
            broken.push(format!("{}: stale; `cargo xtask generate` makes it anew", path.display()));
        }
    }
}

fn pitfalls(root: &Path, broken: &mut Vec<String>) {
    for pitfall in CATALOGUE {
        let folder = folder_of(root, pitfall.about.name);
        let texts = [("page.md", HEADINGS.as_slice()), ("cases.md", CASE_HEADINGS.as_slice())];
        let has_rule = !pitfall.rules.is_empty();
        let (mut hits, mut look_alikes) = (0, 0);
        // Cases are programs for the checker.
        for (name, headings) in &texts[..if has_rule { 2 } else { 1 }] {
            let path = folder.join(name);
            let Ok(text) = std::fs::read_to_string(&path) else {
                broken.push(format!("{}: missing", path.display()));
                continue;
            };
            if page::headings(&text) != *headings {
                broken.push(format!("{}: its headings are {headings:?}, in this order", path.display()));
            }
            let blocks = page::blocks(&text);
            hits += blocks.iter().map(Block::hits).sum::<usize>();
            look_alikes += blocks.iter().filter(|block| block.hits() == 0).count();
        }
        if has_rule && (hits == 0 || look_alikes < hits) {
            broken.push(format!(
                "{}: {hits} marks and {look_alikes} look-alikes; there must be as many",
                folder.display()
            ));
        }
    }
}

fn sources(root: &Path, broken: &mut Vec<String>) -> anyhow::Result<()> {
    let mut files = Vec::new();
    for directory in ["crates", "benches/loops/load", "xtask"] {
        rust_files(&root.join(directory), &mut files)?;
    }
    files.sort();
    for path in files {
        let text = std::fs::read_to_string(&path)?;
        let header: Vec<&str> = text.lines().take_while(|line| line.starts_with("//!")).collect();
        if header.is_empty() {
            broken.push(format!("{}: begins without `//!`: what lives here, what does not", path.display()));
        }
        let lines = text.lines().count();
        if lines > LONG && !header.iter().any(|line| line.contains("long because")) {
            broken.push(format!(
                "{}: {lines} lines; split it, or say in its header that it is long because …",
                path.display()
            ));
        }
    }
    Ok(())
}

fn rust_files(directory: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            rust_files(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}
