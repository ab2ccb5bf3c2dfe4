//! A process at one moment, for programs and people.

use serde_json::{Value, json};
use treadle_finding::{Sighting, Site};
use treadle_run::{Activity, Edge, LoopRow, Run, Snapshot, State, TaskRow};

use crate::sighting::{duration, place, place_in, sighting_json};

/// A snapshot as JSON: seconds, and addresses as texts, which fit into no number of JavaScript's.
pub fn snapshot_json(snapshot: &Snapshot, found: &[Sighting]) -> Value {
    json!({
        "type": "snapshot",
        "time": seconds(snapshot.time),
        "loops": snapshot.loops.iter().map(event_loop).collect::<Vec<_>>(),
        "tasks": snapshot.tasks.iter().map(task).collect::<Vec<_>>(),
        "waits": snapshot.edges.iter().map(edge).collect::<Vec<_>>(),
        "findings": found.iter().map(sighting_json).collect::<Vec<_>>(),
    })
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

/// What [`snapshot_json`] gives, as people read it; nothing if it is no snapshot.
pub fn snapshot_text(snapshot: &Value) -> Option<String> {
    let mut text = String::new();
    for event_loop in snapshot.get("loops")?.as_array()? {
        let nanoseconds = |name: &str| (event_loop[name].as_f64().unwrap_or(0.0) * 1e9) as u64;
        let state = event_loop["activity"].as_str().unwrap_or_default();
        text += &format!(
            "loop {} ({state}): {} callbacks, busy {}, idle {}\n",
            event_loop["number"],
            event_loop["callbacks"],
            duration(nanoseconds("busy_seconds")),
            duration(nanoseconds("idle_seconds")),
        );
    }
    let tasks = snapshot.get("tasks")?.as_array()?;
    text += &format!("{} {}\n", tasks.len(), if tasks.len() == 1 { "task" } else { "tasks" });
    for task in tasks {
        text += &task_text(task);
    }
    for found in snapshot.get("findings")?.as_array()? {
        let word = |name: &str| found[name].as_str().unwrap_or_default();
        text += &format!("{}[{}] {}: {}\n", word("severity"), word("name"), place_in(found), word("message"));
    }
    Some(text)
}

/// A task, on a line for each of what is known of it.
fn task_text(task: &Value) -> String {
    let word = |name: &str| task[name].as_str().unwrap_or_default();
    let age = duration((task["age_seconds"].as_f64().unwrap_or(0.0) * 1e9) as u64);
    let name = task["name"].as_str().unwrap_or_else(|| word("task"));
    let mut text = format!("  {name}: {}, {age} old, {} steps\n", word("state"), task["steps"]);
    if let Some(at) = task["await_chain"].as_array().and_then(|chain| chain.last()).filter(|at| at.is_object()) {
        let what = task["waits_for"]["what"].as_str().map_or_else(String::new, |what| {
            let class = task["waits_for"]["class"].as_str().unwrap_or_default();
            format!(" for {what} {class}").trim_end().to_owned()
        });
        text += &format!("    waits{what} at {}\n", place_in(at));
    }
    for held in task["holds"].as_array().into_iter().flatten() {
        text +=
            &format!("    holds {} since {}\n", held["class"].as_str().unwrap_or_default(), place_in(&held["since"]));
    }
    if task["born_at"].is_object() {
        text += &format!("    made at {}\n", place_in(&task["born_at"]));
    }
    text
}

fn event_loop(row: &LoopRow) -> Value {
    json!({
        "number": row.number,
        "thread": row.thread,
        "running": row.is_running,
        "activity": row.activity,
        "callbacks": row.callbacks,
        "busy_seconds": seconds(row.busy),
        "idle_seconds": seconds(row.idle),
    })
}

fn task(row: &TaskRow) -> Value {
    json!({
        "task": address(row.task),
        "loop": row.event_loop,
        "name": row.name,
        "born_at": site(&row.birth),
        "code": site(&row.code),
        "parent": row.parent.map(address),
        "state": match row.state {
            State::Running => "running",
            State::Waiting => "waiting",
            State::Unknown => "unknown",
        },
        "await_chain": row.chain.iter().map(site).collect::<Vec<_>>(),
        "waits_for": row.waits_for.as_ref().map(|(what, class)| json!({"what": what, "class": class})),
        "holds": row.holds.iter().map(|(class, at)| json!({"class": class, "since": site(at)})).collect::<Vec<_>>(),
        "stuck": row.is_stuck,
        "age_seconds": seconds(row.age),
        "quiet_seconds": seconds(row.quiet),
        "run_seconds": seconds(row.run),
        "steps": row.steps,
        "longest_step_seconds": seconds(row.longest),
    })
}

fn edge(edge: &Edge) -> Value {
    let thing = (edge.thing != 0).then(|| address(edge.thing));
    json!({"from": address(edge.from), "to": address(edge.to), "thing": thing})
}

fn site(site: &Site) -> Option<Value> {
    (site.line > 0 || !site.function.is_empty())
        .then(|| json!({"path": site.path, "line": site.line, "function": site.function, "package": site.package}))
}

fn address(address: u64) -> String {
    format!("{address:#x}")
}

fn seconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_says_what_it_waits_for_and_what_it_holds() {
        let at = Site { path: "app.py".to_owned(), line: 3, function: "work".to_owned(), package: None };
        let row = TaskRow {
            task: 255,
            state: State::Waiting,
            waits_for: Some(("item", "Queue".to_owned())),
            holds: vec![("Lock".to_owned(), at)],
            ..TaskRow::default()
        };
        let edges = vec![Edge { from: 255, to: 256, thing: 0 }];
        let shown = snapshot_json(&Snapshot { tasks: vec![row], edges, ..Snapshot::default() }, &[]);
        let task = &shown["tasks"][0];
        assert_eq!((&task["task"], &task["state"]), (&json!("0xff"), &json!("waiting")));
        assert_eq!(task["waits_for"], json!({"what": "item", "class": "Queue"}));
        assert_eq!(task["holds"][0]["since"]["line"], json!(3));
        assert_eq!(shown["waits"], json!([{"from": "0xff", "to": "0x100", "thing": null}]));
    }
}
