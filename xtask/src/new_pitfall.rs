//! The folder of a new pitfall, and the lines that make it known.

use std::path::Path;

use anyhow::{Context, bail, ensure};
use treadle_pitfalls::page::{CASE_HEADINGS, HEADINGS};

use crate::folder_of;

/// Makes the folder and enters it in the catalogue. What it makes compiles; its page and cases are to be written.
pub(crate) fn run(root: &Path, name: &str) -> anyhow::Result<()> {
    let is_word = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase());
    ensure!(name.split('-').all(is_word), "`{name}` is no name such as `lost-task`: lower-case words with `-` between");
    let folder = folder_of(root, name);
    if folder.exists() {
        bail!("{} is there already", folder.display());
    }
    std::fs::create_dir_all(&folder)?;
    let module = name.replace('-', "_");
    let constant = module.to_uppercase();
    std::fs::write(folder.join("mod.rs"), definition(name, &constant))?;
    std::fs::write(folder.join("rule.rs"), rule(&constant))?;
    std::fs::write(folder.join("page.md"), page(name))?;
    std::fs::write(folder.join("cases.md"), cases(name))?;
    let sources = root.join("crates/treadle-pitfalls/src");
    insert_sorted(&sources.join("lib.rs"), "mod ", &format!("mod {module};"))?;
    let catalogue = sources.join("catalogue.rs");
    insert_sorted(&catalogue, "use crate::", &format!("use crate::{module}::{constant};"))?;
    append_entry(&catalogue, &constant)?;
    println!("{} is there; write page.md and cases.md first, then rule.rs", folder.display());
    Ok(())
}

fn definition(name: &str, constant: &str) -> String {
    format!(
        r#"//! `{name}`: say in a few words what it is.

mod rule;

use treadle_finding::{{About, FixKind, Severity, Tier}};

use crate::{{Pitfall, Rule}};

/// The pitfall.
pub(crate) static {constant}: Pitfall = Pitfall {{
    about: About {{
        name: "{name}",
        summary: "what the reader sees in a list",
        severity: Severity::Warning,
        tier: Tier::Advisory,
        fix: FixKind::Hint,
        since: "{version}",
        remedy: None,
        page: include_str!("page.md"),
    }},
    rules: &[Rule::File(rule::check)],
    detector: None,
    kin: &[],
}};
"#,
        version = env!("CARGO_PKG_VERSION")
    )
}

fn rule(constant: &str) -> String {
    format!(
        r#"//! Say which tables the rule asks, and what it takes for proof.

use treadle_finding::{{Finding, Findings}};
use treadle_program::Program;
use treadle_program::ids::FileId;

use super::{constant};
use crate::lookup;

pub(super) fn check(program: &Program, file: FileId, findings: &mut Findings) {{
    for function in lookup::async_functions(program, file) {{
        for (call, _, _) in program.blocking_calls(function) {{
            let at = program.location_of(program.call_expr(call));
            findings.push(Finding::new(&{constant}.about, at, format!(
                "`{{}}` is to be replaced by a question of this pitfall's own",
                lookup::spelled(program, call)
            )));
        }}
    }}
}}
"#
    )
}

fn page(name: &str) -> String {
    let sections: String = HEADINGS.iter().map(|heading| format!("\n## {heading}\n")).collect();
    format!("# {name}\n{sections}")
}

fn cases(name: &str) -> String {
    let sections: String = CASE_HEADINGS.iter().map(|heading| format!("\n## {heading}\n")).collect();
    format!("# {name}: further cases\n{sections}")
}

/// Puts a line into the last block of lines that begin alike, which is sorted.
fn insert_sorted(path: &Path, prefix: &str, line: &str) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let mut lines: Vec<&str> = text.lines().collect();
    let last = lines.iter().rposition(|other| other.starts_with(prefix) && other.ends_with(';'));
    let last = last.with_context(|| format!("{} has no line with `{prefix}`", path.display()))?;
    let first = lines[..last].iter().rposition(|other| !other.starts_with(prefix)).map_or(0, |before| before + 1);
    let at = first + lines[first..=last].partition_point(|other| *other < line);
    lines.insert(at, line);
    std::fs::write(path, lines.join("\n") + "\n")?;
    Ok(())
}

fn append_entry(path: &Path, constant: &str) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(path)?;
    let Some(end) = text.rfind("];") else { bail!("{} has no list that ends with `];`", path.display()) };
    std::fs::write(path, format!("{}    &{constant},\n{}", &text[..end], &text[end..]))?;
    Ok(())
}
