//! `# treadle: ignore[…]` comments for findings that are there today.

use std::collections::{BTreeMap, BTreeSet};

use treadle_finding::{Edit, Finding};
use treadle_program::facts::{DirectiveKind, FileFacts};
use treadle_program::lower;

/// The text with a comment for each finding, at the end of the logical line the finding starts on.
///
/// A comment that is there already takes the new names in. Lines that end in a string or a backslash get theirs where the
/// statement ends.
pub fn add(text: &str, findings: &[&Finding]) -> String {
    let facts = lower::file(text);
    let mut by_line: BTreeMap<u32, BTreeSet<&str>> = BTreeMap::new();
    for finding in findings {
        by_line.entry(line_end(text, &facts, finding)).or_default().insert(finding.about.name);
    }
    let mut edits = Vec::new();
    for (end, names) in by_line {
        edits.push(edit(text, &facts, end, &names));
    }
    edits.sort_by_key(|edit| edit.span.start);
    let mut result = String::with_capacity(text.len() + edits.len() * 40);
    let mut at = 0;
    for edit in &edits {
        result.push_str(&text[at..edit.span.start as usize]);
        result.push_str(&edit.content);
        at = edit.span.end as usize;
    }
    result.push_str(&text[at..]);
    result
}

/// The end of the line on which the finding's statement, or a compound statement's header, ends.
fn line_end(text: &str, facts: &FileFacts, finding: &Finding) -> u32 {
    let span = finding.primary.span;
    let statement = facts.statement_around(span).unwrap_or(span);
    let next = facts.statements.partition_point(|other| other.start <= statement.start);
    let inner = facts.statements.get(next).filter(|inner| inner.start < statement.end);
    // A compound statement's header ends before its first inner statement, with the colon.
    let last = match inner {
        Some(inner) => text[..inner.start as usize].trim_end().len() as u32,
        None => statement.end,
    };
    let last = last.max(span.start) as usize;
    let rest = &text[last..];
    (last + rest.find(['\n', '\r']).unwrap_or(rest.len())) as u32
}

fn edit(text: &str, facts: &FileFacts, end: u32, names: &BTreeSet<&str>) -> Edit {
    let there = facts.directives.iter().find(|directive| directive.span.end == end);
    if let Some(directive) = there
        && let DirectiveKind::Ignore { names: old, .. } = &directive.kind
        && let Some((_, last)) = old.last()
    {
        let new: Vec<&str> =
            names.iter().copied().filter(|name| !old.iter().any(|(known, _)| &**known == *name)).collect();
        let content = new.iter().map(|name| format!(", {name}")).collect::<String>();
        return Edit::insert(last.end, content);
    }
    let line_start = text[..end as usize].rfind('\n').map_or(0, |at| at + 1);
    let blank = text[line_start..end as usize].trim_end().len() + line_start;
    let names = names.iter().copied().collect::<Vec<_>>().join(", ");
    Edit::insert(blank as u32, format!("  # treadle: ignore[{names}]"))
}
