//! A running program at one moment, for programs and people.

use serde_json::{Value, json};
use treadle_finding::Sighting;
use treadle_run::{Activity, Run};

use crate::sighting::{duration, place, sighting_json};

/// Loops, tasks and findings as they are now.
pub fn snapshot_json(run: &Run, found: &[Sighting]) -> Value {
    let scale = run.scale();
    let seconds = |ticks: u64| scale.duration(ticks) as f64 / 1e9;
    let loops: Vec<Value> = run
        .loops()
        .iter()
        .map(|event_loop| {
            let activity = match event_loop.activity {
                Activity::Outside => "outside",
                Activity::Polling { .. } => "polling",
                Activity::Running { .. } => "running",
            };
            json!({
                "number": event_loop.number,
                "thread": event_loop.thread,
                "is_running": event_loop.is_running,
                "activity": activity,
                "callbacks": event_loop.callbacks,
                "busy_seconds": seconds(event_loop.busy),
                "idle_seconds": seconds(event_loop.idle),
            })
        })
        .collect();
    let findings: Vec<Value> = found.iter().map(sighting_json).collect();
    json!({ "type": "snapshot", "loops": loops, "findings": findings })
}

/// What the loops of a process were doing when its last event was written, and the tasks that lived then, by the lines that made most of them.
pub fn last_moments(run: &Run) -> Vec<String> {
    const LINES: usize = 5;
    let since = |ticks: u64| duration(run.scale().duration(run.now().saturating_sub(ticks)));
    let mut lines: Vec<String> = run
        .loops()
        .iter()
        .filter(|event_loop| event_loop.is_running)
        .map(|event_loop| match event_loop.activity {
            Activity::Outside => format!("loop {} was between two callbacks", event_loop.number),
            Activity::Polling { .. } => format!("loop {} waited for the system", event_loop.number),
            Activity::Running { since: began, place: code, .. } => {
                format!(
                    "loop {} ran {}, for {} and until the end",
                    event_loop.number,
                    place(&run.site(code)),
                    since(began)
                )
            }
        })
        .collect();
    let mut births: Vec<_> = run.births().iter().filter(|(_, birth)| birth.alive > 0).collect();
    births.sort_by_key(|(place, birth)| (std::cmp::Reverse(birth.alive), **place));
    lines.extend(births.iter().take(LINES).map(|(site, birth)| {
        let plural = if birth.alive == 1 { "task" } else { "tasks" };
        format!("{} {plural} of {}", birth.alive, place(&run.site(**site)))
    }));
    lines
}

/// The same, as people read it; nothing if it is no snapshot.
pub fn snapshot_text(snapshot: &Value) -> Option<String> {
    let mut text = String::new();
    for event_loop in snapshot.get("loops")?.as_array()? {
        let nanoseconds = |name: &str| (event_loop[name].as_f64().unwrap_or(0.0) * 1e9) as u64;
        text += &format!(
            "loop {} ({}): {} callbacks, busy {}, idle {}\n",
            event_loop["number"],
            event_loop["activity"].as_str().unwrap_or_default(),
            event_loop["callbacks"],
            duration(nanoseconds("busy_seconds")),
            duration(nanoseconds("idle_seconds")),
        );
    }
    Some(text)
}
