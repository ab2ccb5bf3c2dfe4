//! Findings for programs: one document, or one object on each line.

use std::io::{self, Write};

use serde_json::{Value, json as value};
use treadle_finding::{Applicability, Finding, Fix, Location};

use crate::place::Texts;
use crate::{Report, Style};

/// One document: `{"findings": […], "problems": […], "files": n, "ignored": n}`.
///
/// # Errors
///
/// The output cannot be written.
pub fn json(report: &Report<'_>, _style: &Style, out: &mut dyn Write) -> io::Result<()> {
    let mut texts = Texts::new(report.sources);
    let findings: Vec<Value> = report.findings.iter().map(|finding| object(finding, &mut texts)).collect();
    let problems: Vec<Value> = report
        .problems
        .iter()
        .map(|problem| value!({ "path": problem.path.display().to_string(), "message": problem.message }))
        .collect();
    let document =
        value!({ "findings": findings, "problems": problems, "files": report.files, "ignored": report.ignored });
    serde_json::to_writer_pretty(&mut *out, &document)?;
    writeln!(out)
}

/// One finding on each line.
///
/// # Errors
///
/// The output cannot be written.
pub fn json_lines(report: &Report<'_>, _style: &Style, out: &mut dyn Write) -> io::Result<()> {
    let mut texts = Texts::new(report.sources);
    for finding in report.findings {
        writeln!(out, "{}", object(finding, &mut texts))?;
    }
    Ok(())
}

fn object(finding: &Finding, texts: &mut Texts<'_>) -> Value {
    let steps: Vec<Value> = finding
        .path
        .iter()
        .map(|step| {
            let mut object = place(&step.location, texts);
            object["text"] = step.text.clone().into();
            object
        })
        .collect();
    let mut object = place(&finding.primary, texts);
    object["name"] = finding.about.name.into();
    object["severity"] = finding.about.severity.as_str().into();
    object["tier"] = finding.tier.as_str().into();
    object["message"] = finding.message.clone().into();
    object["help"] = finding.help.clone().into();
    object["notes"] = finding.notes.clone().into();
    object["steps"] = steps.into();
    object["also"] = finding.also.iter().map(|location| place(location, texts)).collect::<Vec<_>>().into();
    object["fix"] = finding.fix.as_ref().map_or(Value::Null, |fix| fix_object(finding, fix, texts));
    object
}

fn place(location: &Location, texts: &mut Texts<'_>) -> Value {
    let place = texts.place(location);
    value!({
        "path": location.path.display().to_string(),
        "line": place.line,
        "column": place.column,
        "end_line": place.end_line,
        "end_column": place.end_column,
    })
}

fn fix_object(finding: &Finding, fix: &Fix, texts: &mut Texts<'_>) -> Value {
    let edits: Vec<Value> = fix
        .edits
        .iter()
        .map(|edit| {
            let place = texts.place(&Location { path: finding.primary.path.clone(), span: edit.span });
            value!({
                "line": place.line,
                "column": place.column,
                "end_line": place.end_line,
                "end_column": place.end_column,
                "content": edit.content,
            })
        })
        .collect();
    let applicability = match fix.applicability {
        Applicability::Safe => "safe",
        Applicability::Unsafe => "unsafe",
    };
    value!({ "title": fix.title, "applicability": applicability, "edits": edits, "imports": fix.imports })
}
