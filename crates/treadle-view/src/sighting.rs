//! What the doctor found, as people and programs read it.

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use treadle_finding::{Sighting, Site};

/// What there is to say at the end.
pub struct Closing<'a> {
    /// Everything found, in the order in which it was first seen.
    pub found: &'a [Sighting],
    /// How long the program was watched.
    pub watched: Duration,
    /// How many callbacks ran.
    pub callbacks: u64,
    /// How many events came too fast to be read.
    pub lost: u64,
    /// How often loops have looked at their tasks, how long they stood still for that altogether, and at most at once.
    pub inspections: (u64, Duration, Duration),
}

/// A finding with its line, for people.
pub fn sighting(seen: &Sighting) -> String {
    let word = if seen.is_suspected { "suspected: " } else { "" };
    let mut text = format!("{}[{}]: {word}{}\n", seen.severity, seen.about.name, seen.message);
    if seen.site.line > 0 {
        let _ = writeln!(text, "  --> {}", place(&seen.site));
        if let Some(line) = source(&seen.site) {
            let number = seen.site.line.to_string();
            let margin = " ".repeat(number.len());
            let _ = write!(text, "{margin} |\n{number} | {line}\n{margin} |\n");
        }
    }
    for note in notes(seen) {
        let _ = writeln!(text, "  = {note}");
    }
    text
}

/// The summary at the end, made of what [`closing_json`] gives, for people: one line if nothing was found.
pub fn closing_text(closing: &Value) -> String {
    let none = Vec::new();
    let found = closing["findings"].as_array().unwrap_or(&none);
    let watched = duration(nanoseconds(&closing["watched_seconds"]));
    let lost = closing["lost_events"].as_u64().filter(|lost| *lost > 0);
    let lost = lost.map_or_else(String::new, |lost| format!(", {lost} events lost"));
    let scope = format!("watched {watched} and {} callbacks{lost}", closing["callbacks"].as_u64().unwrap_or(0));
    let (Some(first), count) = (found.iter().max_by_key(|seen| weight(seen)), found.len()) else {
        return format!("treadle: nothing found; {scope}\n");
    };
    let mut text = format!("treadle: {count} finding{}; {scope}\n", if count == 1 { "" } else { "s" });
    let mut order: Vec<&Value> = found.iter().collect();
    order.sort_by_key(|seen| std::cmp::Reverse(weight(seen)));
    for seen in order {
        let word = |name: &str| seen[name].as_str().unwrap_or_default();
        let times = seen["count"].as_u64().filter(|count| *count > 1);
        let times = times.map_or_else(String::new, |times| format!(", {times} times"));
        let worst = nanoseconds(&seen["worst_seconds"]);
        let worst = if worst == 0 { String::new() } else { format!(", at worst {}", duration(worst)) };
        let suspected = if seen["suspected"] == true { "suspected: " } else { "" };
        let _ = writeln!(
            text,
            "  {}[{}] {}: {suspected}{}{times}{worst}",
            word("severity"),
            word("name"),
            place_in(seen),
            word("message")
        );
    }
    let _ =
        writeln!(text, "`treadle explain {}` says what to write instead", first["name"].as_str().unwrap_or_default());
    text
}

/// What comes first in a summary: what is sure, hurts, and took long.
fn weight(seen: &Value) -> (bool, bool, u64) {
    (seen["severity"] == "error", seen["suspected"] == false, nanoseconds(&seen["worst_seconds"]))
}

fn nanoseconds(seconds: &Value) -> u64 {
    (seconds.as_f64().unwrap_or(0.0) * 1e9) as u64
}

/// A finding for programs.
pub fn sighting_json(seen: &Sighting) -> Value {
    json!({
        "type": "finding",
        "name": seen.about.name,
        "severity": seen.severity.as_str(),
        "suspected": seen.is_suspected,
        "path": seen.site.path,
        "line": seen.site.line,
        "function": seen.site.function,
        "package": seen.site.package,
        "message": seen.message,
        "count": seen.count,
        "first": seconds(seen.first),
        "last": seconds(seen.last),
        "worst_seconds": seen.worst.map(seconds),
        "cause": seen.cause,
        "evidence": seen.evidence,
        "help": seen.help,
    })
}

/// The summary at the end, for programs.
pub fn closing_json(closing: &Closing<'_>) -> Value {
    let findings: Vec<Value> = closing.found.iter().map(sighting_json).collect();
    json!({
        "type": "summary",
        "findings": findings,
        "watched_seconds": closing.watched.as_secs_f64(),
        "callbacks": closing.callbacks,
        "lost_events": closing.lost,
        "inspections": closing.inspections.0,
        "inspection_seconds": closing.inspections.1.as_secs_f64(),
        "longest_inspection_seconds": closing.inspections.2.as_secs_f64(),
    })
}

/// `app.py:3 in main`, relative to the current directory if it is below it.
pub fn place(site: &Site) -> String {
    if site.line == 0 {
        return if site.function.is_empty() {
            "(no line is known)".to_owned()
        } else {
            format!("in {}", site.function)
        };
    }
    let here = std::env::current_dir().unwrap_or_default();
    let path = Path::new(&site.path);
    let path = path.strip_prefix(&here).unwrap_or(path).display();
    let package = site.package.as_ref().map_or_else(String::new, |package| format!(" ({package})"));
    format!("{path}:{} in {}{package}", site.line, site.function)
}

/// The same of a place in JSON.
pub(crate) fn place_in(object: &Value) -> String {
    let word = |name: &str| object[name].as_str().map(str::to_owned);
    place(&Site {
        path: word("path").unwrap_or_default(),
        line: object["line"].as_u64().unwrap_or(0) as u32,
        function: word("function").unwrap_or_default(),
        package: word("package"),
    })
}

/// A duration in nanoseconds, to three digits.
pub fn duration(nanoseconds: u64) -> String {
    let (value, unit) = match nanoseconds {
        0..1_000 => return format!("{nanoseconds} ns"),
        1_000..1_000_000 => (nanoseconds as f64 / 1e3, "µs"),
        1_000_000..1_000_000_000 => (nanoseconds as f64 / 1e6, "ms"),
        _ => (nanoseconds as f64 / 1e9, "s"),
    };
    let digits = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
    format!("{value:.digits$} {unit}")
}

fn notes(seen: &Sighting) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(worst) = seen.worst {
        let cause = seen.cause.as_ref().map_or_else(String::new, |cause| format!(", {cause}"));
        notes.push(format!("took {}{cause}", duration(worst)));
    } else if let Some(cause) = &seen.cause {
        notes.push(format!("cause: {cause}"));
    }
    notes.extend(seen.evidence.iter().cloned());
    notes.extend(seen.help.iter().map(|help| format!("help: {help}")));
    notes
}

fn source(site: &Site) -> Option<String> {
    let text = std::fs::read_to_string(&site.path).ok()?;
    let line = text.lines().nth(site.line as usize - 1)?;
    Some(line.trim_end().chars().take(200).collect())
}

fn seconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_three_digits() {
        let shown = [7, 1_234, 56_789_000, 312_000_000, 1_500_000_000, 90_000_000_000].map(duration);
        assert_eq!(shown, ["7 ns", "1.23 µs", "56.8 ms", "312 ms", "1.50 s", "90.0 s"]);
    }
}
