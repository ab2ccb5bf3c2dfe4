//! Applying fixes: which edits go together, where imports go, and writing files back as they were encoded.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use treadle_finding::{Applicability, Edit, Finding, Fix, Span};
use treadle_program::facts::{BindingKind, ExprKind, FileFacts, ImportKind, RegionKind, Usage};
use treadle_program::lower;

/// Rounds of checking again after fixing: a fix may bring another finding to light.
pub const ROUNDS: usize = 8;

/// A file with fixes applied.
#[derive(Debug, PartialEq, Eq)]
pub struct Fixed {
    /// The new text.
    pub text: String,
    /// How many findings were fixed.
    pub count: usize,
}

/// The fixes that may be applied, by file.
pub fn by_file(findings: &[Finding], unsafe_too: bool) -> BTreeMap<PathBuf, Vec<&Fix>> {
    let mut files: BTreeMap<PathBuf, Vec<&Fix>> = BTreeMap::new();
    for finding in findings {
        if let Some(fix) = &finding.fix
            && (unsafe_too || fix.applicability == Applicability::Safe)
        {
            files.entry(finding.primary.path.to_path_buf()).or_default().push(fix);
        }
    }
    files
}

/// Applies fixes to a text, each whole or not at all; of two that touch the same bytes the first wins.
///
/// # Errors
///
/// The result would not be Python any more: a fault of treadle's, and the text is to be left as it is.
pub fn apply(text: &str, fixes: &[&Fix]) -> Result<Fixed, String> {
    let facts = lower::file(text);
    let mut taken: Vec<Edit> = Vec::new();
    let mut imports: Vec<&str> = Vec::new();
    let mut count = 0;
    for fix in fixes {
        let clashes = fix.edits.iter().any(|edit| taken.iter().any(|other| overlap(edit.span, other.span)));
        let fresh = |edit: &&Edit| !(edit.span.is_empty() && taken.contains(edit));
        if clashes {
            continue;
        }
        let edits: Vec<Edit> = fix.edits.iter().filter(fresh).cloned().collect();
        taken.extend(edits);
        imports.extend(fix.imports.iter().map(|module| &**module).filter(|module| !imports_module(&facts, module)));
        count += 1;
    }
    imports.sort_unstable();
    imports.dedup();
    if !imports.is_empty() && count > 0 {
        taken.push(import_edit(text, &facts, &imports));
    }
    // A stable sort keeps insertions at one place in the order they were asked for.
    taken.sort_by_key(|edit| (edit.span.start, edit.span.end));
    let fixed = splice(text, &taken);
    let before = facts.syntax_errors.len();
    if lower::file(&fixed).syntax_errors.len() > before {
        return Err(
            "a fix of treadle's would break the file; it is left as it was. This is a bug in treadle".to_owned()
        );
    }
    Ok(Fixed { text: fixed, count })
}

fn overlap(left: Span, right: Span) -> bool {
    match (left.is_empty(), right.is_empty()) {
        (true, true) => false,
        // An insertion at the edge of a replacement does not disturb it.
        (true, false) => right.start < left.start && left.start < right.end,
        (false, true) => left.start < right.start && right.start < left.end,
        (false, false) => left.start < right.end && right.start < left.end,
    }
}

fn splice(text: &str, edits: &[Edit]) -> String {
    let mut result = String::with_capacity(text.len() + 64);
    let mut at = 0;
    for edit in edits {
        let start = (edit.span.start as usize).max(at);
        result.push_str(&text[at..start]);
        result.push_str(&edit.content);
        at = at.max(edit.span.end as usize);
    }
    result.push_str(&text[at..]);
    result
}

/// Whether a module-level `import module` binds the module's own name.
fn imports_module(facts: &FileFacts, module: &str) -> bool {
    facts.bindings.iter().any(|binding| match binding.kind {
        BindingKind::Import(import) => {
            let import = facts.imports[import.index()];
            let plain = matches!(import.kind, ImportKind::Module { path, renamed: false } if facts.name(path).split('.').next() == Some(module));
            plain && facts.region(import.region).kind == RegionKind::Body && facts.region(import.region).function == FileFacts::MODULE
        }
        _ => false,
    })
}

/// `import …` lines: before the first plain import, or behind the docstring and `__future__` imports.
fn import_edit(text: &str, facts: &FileFacts, modules: &[&str]) -> Edit {
    let newline = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let lines: String = modules.iter().map(|module| format!("import {module}{newline}")).collect();
    let is_top = |import: &&treadle_program::facts::Import| {
        let region = facts.region(import.region);
        region.kind == RegionKind::Body && region.function == FileFacts::MODULE
    };
    let is_future = |import: &treadle_program::facts::Import| match import.kind {
        ImportKind::From { module, level: 0, .. } => facts.name(module) == "__future__",
        _ => false,
    };
    let first = facts.imports.iter().filter(is_top).find(|import| !is_future(import));
    if let Some(first) = first {
        return Edit::insert(first.statement.start, lines);
    }
    let future =
        facts.imports.iter().filter(is_top).filter(|import| is_future(import)).map(|import| import.statement.end).max();
    let docstring = facts.exprs_of(FileFacts::MODULE).next().filter(|(_, expr)| {
        expr.usage == Usage::Discarded
            && matches!(expr.kind, ExprKind::String(_) | ExprKind::LongString)
            && facts.statements.first().is_some_and(|statement| statement.contains(expr.span))
    });
    let after = future.or(docstring.map(|(_, expr)| expr.span.end));
    if let Some(end) = after {
        let line_end = text[end as usize..].find('\n').map_or(text.len(), |at| end as usize + at + 1);
        let lead = if text[..line_end].ends_with('\n') { "" } else { newline };
        Edit::insert(line_end as u32, format!("{lead}{lines}"))
    } else {
        // A shebang and a coding comment stay in front.
        let mut at = 0;
        for line in text.split_inclusive('\n').take(2) {
            if !line.starts_with('#') {
                break;
            }
            at += line.len();
        }
        Edit::insert(at as u32, format!("{lines}{newline}"))
    }
}

/// Writes a fixed text in the place of a file: same encoding, byte-order mark and permissions, all or nothing.
///
/// # Errors
///
/// The file cannot be read or written, is not UTF-8, or is not what was checked.
pub fn write(path: &Path, before: &str, after: &str) -> std::io::Result<()> {
    let bytes = std::fs::read(path)?;
    let mark: &[u8] = if bytes.starts_with(b"\xef\xbb\xbf") { b"\xef\xbb\xbf" } else { b"" };
    let changed = |message: &str| std::io::Error::new(std::io::ErrorKind::InvalidData, message.to_owned());
    match std::str::from_utf8(&bytes[mark.len()..]) {
        Ok(text) if text == before => {}
        Ok(_) => return Err(changed("it changed while it was checked")),
        Err(_) => return Err(changed("fixes are written to UTF-8 files only")),
    }
    // A link stays a link: its target is what is replaced.
    let target = std::fs::canonicalize(path)?;
    let directory = target.parent().unwrap_or(Path::new("."));
    let mut temporary = tempfile::NamedTempFile::new_in(directory)?;
    temporary.write_all(mark)?;
    temporary.write_all(after.as_bytes())?;
    temporary.as_file().set_permissions(std::fs::metadata(&target)?.permissions())?;
    temporary.persist(&target).map_err(|error| error.error)?;
    Ok(())
}

/// The difference between two texts of a file, as `diff -u` writes it.
pub fn diff(path: &Path, before: &str, after: &str) -> String {
    let name = path.display().to_string();
    similar::TextDiff::from_lines(before, after).unified_diff().header(&name, &name).to_string()
}
