//! `treadle pitfalls`.

use serde_json::{Value, json};
use treadle_pitfalls::CATALOGUE;

use crate::arguments::{ListFormat, Pitfalls};
use crate::output;

pub(crate) fn run(options: &Pitfalls) -> anyhow::Result<u8> {
    let text = match options.output_format {
        ListFormat::Text => {
            let row =
                |name: &str, tier: &str, fix: &str, summary: &str| format!("{name:<24}{tier:<10}{fix:<8}{summary}\n");
            let header = row("name", "tier", "fix", "what it is");
            let rows = CATALOGUE.iter().map(|pitfall| {
                let about = &pitfall.about;
                row(about.name, about.tier.as_str(), about.fix.as_str(), about.summary)
            });
            std::iter::once(header).chain(rows).collect()
        }
        ListFormat::Json => {
            let object = |about: &treadle_finding::About| {
                json!({
                    "name": about.name,
                    "summary": about.summary,
                    "severity": about.severity.as_str(),
                    "tier": about.tier.as_str(),
                    "fix": about.fix.as_str(),
                    "since": about.since,
                })
            };
            let rows: Vec<Value> = CATALOGUE.iter().map(|pitfall| object(&pitfall.about)).collect();
            format!("{}\n", serde_json::to_string_pretty(&rows)?)
        }
    };
    output::print(&text)?;
    Ok(0)
}
