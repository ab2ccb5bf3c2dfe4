//! Findings of a running program in SARIF 2.1.0.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use treadle_run::{Report, ReportedFinding};

use crate::sarif::uri;

/// One SARIF log with one run: a result for each finding.
pub fn report_sarif(report: &Report) -> String {
    let names: Vec<&str> =
        report.findings.iter().map(|found| found.name.as_str()).collect::<BTreeSet<_>>().into_iter().collect();
    let rules: Vec<Value> = names.iter().map(|name| rule(report, name)).collect();
    let results: Vec<Value> = report.findings.iter().map(|found| result(report, found, &names)).collect();
    let log = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": { "name": "treadle", "version": env!("CARGO_PKG_VERSION"), "rules": rules } },
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    });
    format!("{log:#}\n")
}

fn rule(report: &Report, name: &str) -> Value {
    let mut rule = json!({ "id": name });
    if let Some(page) = report.pages.get(name) {
        rule["help"] = json!({ "text": page, "markdown": page });
    }
    rule
}

fn result(report: &Report, found: &ReportedFinding, names: &[&str]) -> Value {
    let mut text = found.message.clone();
    for line in found.cause.iter().chain(&found.evidence) {
        text += &format!("\n{line}");
    }
    if let Some(help) = &found.help {
        text += &format!("\nhelp: {help}");
    }
    let mut result = json!({
        "ruleId": found.name,
        "ruleIndex": names.iter().position(|name| *name == found.name),
        "level": match found.severity.as_str() {
            "error" => "error",
            "warning" => "warning",
            _ => "note",
        },
        "message": { "text": text },
        "occurrenceCount": found.count.max(1),
        "properties": { "suspected": found.suspected, "worst_us": found.worst },
    });
    let site = usize::try_from(found.site).ok().and_then(|site| report.sites.get(site)).filter(|site| site.1 > 0);
    if let Some((file, line, function, _)) = site {
        let path = report.files.get(*file).map_or("", String::as_str);
        result["locations"] = json!([{
            "physicalLocation": {
                "artifactLocation": { "uri": uri(std::path::Path::new(path)) },
                "region": { "startLine": line },
            },
            "logicalLocations": [{ "fullyQualifiedName": function }],
        }]);
    }
    result
}
