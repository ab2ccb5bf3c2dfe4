//! A snapshot of a process, for programs.

use serde_json::{Value, json};
use treadle_finding::Site;
use treadle_run::{Edge, LoopRow, Snapshot, State, TaskRow};

/// A snapshot as JSON: seconds, and addresses as texts, which fit into no number of JavaScript's.
pub fn snapshot_json(snapshot: &Snapshot) -> Value {
    json!({
        "type": "snapshot",
        "time": seconds(snapshot.time),
        "loops": snapshot.loops.iter().map(event_loop).collect::<Vec<_>>(),
        "tasks": snapshot.tasks.iter().map(task).collect::<Vec<_>>(),
        "waits": snapshot.edges.iter().map(edge).collect::<Vec<_>>(),
    })
}

fn event_loop(row: &LoopRow) -> Value {
    json!({
        "number": row.number,
        "thread": row.thread,
        "running": row.is_running,
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
        let shown = snapshot_json(&Snapshot { tasks: vec![row], edges, ..Snapshot::default() });
        let task = &shown["tasks"][0];
        assert_eq!((&task["task"], &task["state"]), (&json!("0xff"), &json!("waiting")));
        assert_eq!(task["waits_for"], json!({"what": "item", "class": "Queue"}));
        assert_eq!(task["holds"][0]["since"]["line"], json!(3));
        assert_eq!(shown["waits"], json!([{"from": "0xff", "to": "0x100", "thing": null}]));
    }
}
