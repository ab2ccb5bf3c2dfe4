//! A running program at one moment, for programs and people.

use serde_json::{Value, json};
use treadle_finding::Sighting;
use treadle_run::{Activity, Run};

use crate::sighting::{duration, sighting_json};

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
