//! The format of speedscope: all time of the loops, and blocked time.

use std::collections::HashMap;

use serde_json::{Value, json};
use treadle_run::{Flame, Report};

use super::collapsed::walk;

/// A file for speedscope.
pub fn speedscope(report: &Report) -> String {
    let mut frames: Vec<Value> = Vec::new();
    let mut known: HashMap<(i64, Option<String>), usize> = HashMap::new();
    let flames = [("time of the loops", &report.flame.all), ("blocked time", &report.flame.blocked)];
    let profiles: Vec<Value> = flames.map(|(name, flame)| profile(report, name, flame, &mut frames, &mut known)).into();
    json!({
        "$schema": "https://www.speedscope.app/file-format-schema.json",
        "exporter": concat!("treadle@", env!("CARGO_PKG_VERSION")),
        "name": report.title,
        "activeProfileIndex": 0,
        "shared": { "frames": frames },
        "profiles": profiles,
    })
    .to_string()
}

fn profile(
    report: &Report,
    name: &str,
    flame: &Flame,
    frames: &mut Vec<Value>,
    known: &mut HashMap<(i64, Option<String>), usize>,
) -> Value {
    let (mut samples, mut weights) = (Vec::new(), Vec::new());
    walk(flame, &mut Vec::new(), &mut |stack, time| {
        let calls = stack.iter().map(|flame| {
            *known.entry((flame.site, flame.label.clone())).or_insert_with(|| {
                frames.push(frame(report, flame));
                frames.len() - 1
            })
        });
        samples.push(calls.collect::<Vec<usize>>());
        weights.push(time);
    });
    json!({
        "type": "sampled",
        "name": name,
        "unit": "microseconds",
        "startValue": 0,
        "endValue": weights.iter().sum::<i64>(),
        "samples": samples,
        "weights": weights,
    })
}

fn frame(report: &Report, flame: &Flame) -> Value {
    let site = usize::try_from(flame.site).ok().and_then(|site| report.sites.get(site));
    match (site, &flame.label) {
        (_, Some(label)) => json!({ "name": label }),
        (None, None) => json!({ "name": "(unknown)" }),
        (Some((_, 0, function, _)), None) => json!({ "name": function }),
        (Some((file, line, function, _)), None) => {
            json!({ "name": function, "file": report.files.get(*file), "line": line })
        }
    }
}
