//! SARIF 2.1.0, for code hosts and editors.

use std::io::{self, Write};

use serde_json::{Value, json};
use treadle_finding::{About, Finding, Location, Severity};

use crate::place::Texts;
use crate::{Report, Style};

/// One SARIF log with one run.
///
/// # Errors
///
/// The output cannot be written.
pub fn sarif(report: &Report<'_>, _style: &Style, out: &mut dyn Write) -> io::Result<()> {
    let mut texts = Texts::new(report.sources);
    let mut abouts: Vec<&About> = report.findings.iter().map(|finding| finding.about).collect();
    abouts.sort_by_key(|about| about.name);
    abouts.dedup_by_key(|about| about.name);
    let rules: Vec<Value> = abouts.iter().map(|about| rule(about)).collect();
    let results: Vec<Value> = report.findings.iter().map(|finding| result(finding, &abouts, &mut texts)).collect();
    let notifications: Vec<Value> = report
        .problems
        .iter()
        .map(|problem| {
            json!({
                "level": "warning",
                "message": { "text": problem.message },
                "locations": [{ "physicalLocation": { "artifactLocation": { "uri": uri(&problem.path) } } }],
            })
        })
        .collect();
    let log = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": { "name": "treadle", "version": env!("CARGO_PKG_VERSION"), "rules": rules } },
            "columnKind": "unicodeCodePoints",
            "results": results,
            "invocations": [{ "executionSuccessful": true, "toolExecutionNotifications": notifications }],
        }],
    });
    serde_json::to_writer_pretty(&mut *out, &log)?;
    writeln!(out)
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Info => "note",
    }
}

fn rule(about: &About) -> Value {
    json!({
        "id": about.name,
        "shortDescription": { "text": about.summary },
        "help": { "text": about.page, "markdown": about.page },
        "defaultConfiguration": { "level": level(about.severity) },
        "properties": { "tier": about.tier.as_str() },
    })
}

fn result(finding: &Finding, abouts: &[&About], texts: &mut Texts<'_>) -> Value {
    let mut text = finding.message.clone();
    if let Some(help) = &finding.help {
        text.push_str("\nhelp: ");
        text.push_str(help);
    }
    let mut result = json!({
        "ruleId": finding.about.name,
        "ruleIndex": abouts.iter().position(|about| about.name == finding.about.name),
        "level": level(finding.about.severity),
        "message": { "text": text },
        "locations": [location(&finding.primary, texts)],
    });
    if !finding.path.is_empty() {
        let mut steps = vec![json!({ "location": location(&finding.primary, texts) })];
        for step in &finding.path {
            let mut at = location(&step.location, texts);
            at["message"] = json!({ "text": step.text });
            steps.push(json!({ "location": at }));
        }
        result["codeFlows"] = json!([{ "threadFlows": [{ "locations": steps }] }]);
    }
    if !finding.also.is_empty() {
        let also: Vec<Value> = finding.also.iter().map(|at| location(at, texts)).collect();
        result["relatedLocations"] = also.into();
    }
    if let Some(fix) = &finding.fix {
        let path = &finding.primary.path;
        let replacements: Vec<Value> = fix
            .edits
            .iter()
            .map(|edit| {
                let at = Location { path: path.clone(), span: edit.span };
                json!({ "deletedRegion": region(&at, texts), "insertedContent": { "text": edit.content } })
            })
            .collect();
        result["fixes"] = json!([{
            "description": { "text": fix.title },
            "artifactChanges": [{ "artifactLocation": { "uri": uri(path) }, "replacements": replacements }],
        }]);
    }
    result
}

fn location(location: &Location, texts: &mut Texts<'_>) -> Value {
    json!({ "physicalLocation": { "artifactLocation": { "uri": uri(&location.path) }, "region": region(location, texts) } })
}

fn region(location: &Location, texts: &mut Texts<'_>) -> Value {
    let place = texts.place(location);
    json!({
        "startLine": place.line.max(1),
        "startColumn": place.column.max(1),
        "endLine": place.end_line.max(1),
        "endColumn": place.end_column.max(1),
    })
}

/// A path as a URI: forward slashes, and what URIs reserve escaped.
pub(crate) fn uri(path: &std::path::Path) -> String {
    let mut escaped = String::new();
    for byte in path.display().to_string().replace('\\', "/").bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'.' | b'-' | b'_' | b'~') {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}
