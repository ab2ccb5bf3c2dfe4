//! One line for each finding.

use std::collections::BTreeMap;
use std::io::{self, Write};

use treadle_finding::{Applicability, Severity};

use crate::place::Texts;
use crate::{Report, Style};

/// `path:line:column: severity[name] message`.
///
/// # Errors
///
/// The output cannot be written.
pub fn concise(report: &Report<'_>, _style: &Style, out: &mut dyn Write) -> io::Result<()> {
    let mut texts = Texts::new(report.sources);
    for finding in report.findings {
        let place = texts.place(&finding.primary);
        let (path, about) = (finding.primary.path.display(), finding.about);
        writeln!(
            out,
            "{path}:{}:{}: {}[{}] {}",
            place.line, place.column, about.severity, about.name, finding.message
        )?;
    }
    Ok(())
}

/// Workflow commands that GitHub shows beside the code.
///
/// # Errors
///
/// The output cannot be written.
pub fn github(report: &Report<'_>, _style: &Style, out: &mut dyn Write) -> io::Result<()> {
    let mut texts = Texts::new(report.sources);
    for finding in report.findings {
        let place = texts.place(&finding.primary);
        let command = match finding.about.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Info => "notice",
        };
        let path = property(&finding.primary.path.display().to_string());
        let mut message = finding.message.clone();
        if let Some(help) = &finding.help {
            message.push_str("\nhelp: ");
            message.push_str(help);
        }
        writeln!(
            out,
            "::{command} title=treadle {},file={path},line={},col={},endLine={},endColumn={}::{}",
            finding.about.name,
            place.line,
            place.column,
            place.end_line,
            place.end_column,
            data(&message)
        )?;
    }
    for problem in report.problems {
        let path = property(&problem.path.display().to_string());
        writeln!(out, "::warning file={path}::{}", data(&problem.message))?;
    }
    Ok(())
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

/// How many findings of each pitfall, the most frequent first.
///
/// # Errors
///
/// The output cannot be written.
pub fn statistics(report: &Report<'_>, _style: &Style, out: &mut dyn Write) -> io::Result<()> {
    let mut counts: BTreeMap<&str, (usize, usize, &str)> = BTreeMap::new();
    for finding in report.findings {
        let entry = counts.entry(finding.about.name).or_insert((0, 0, finding.about.summary));
        entry.0 += 1;
        let safe = finding.fix.as_ref().is_some_and(|fix| fix.applicability == Applicability::Safe);
        entry.1 += usize::from(safe);
    }
    let mut rows: Vec<_> = counts.into_iter().collect();
    rows.sort_by_key(|(name, (count, ..))| (std::cmp::Reverse(*count), *name));
    for (name, (count, fixable, summary)) in rows {
        let mark = if fixable > 0 { format!("{fixable} fixable") } else { String::new() };
        writeln!(out, "{count:>6}  {name:<24} {mark:<12} {summary}")?;
    }
    Ok(())
}
