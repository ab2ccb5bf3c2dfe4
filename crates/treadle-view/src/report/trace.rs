//! The trace event format of Chrome, which Perfetto reads: a lane for each loop and each thread of an executor.

use serde_json::{Value, json};
use treadle_run::{Report, WokenBy};

/// Lanes of threads of executors, of findings and of pauses come after those of loops.
const THREADS: i64 = 1_000;
const PAUSES: i64 = 500;

/// A trace. Times are microseconds.
pub fn trace(report: &Report) -> String {
    let mut events =
        vec![json!({"ph": "M", "name": "process_name", "pid": 1, "tid": 0, "args": {"name": report.title}})];
    for one in &report.loops {
        events.push(lane(i64::from(one.number), &format!("{} (thread {})", one.name, one.thread)));
        events.push(lane(PAUSES + i64::from(one.number), &format!("{}: stood still", one.name)));
    }
    steps(report, &mut events);
    pauses(report, &mut events);
    jobs(report, &mut events);
    findings(report, &mut events);
    counters(report, &mut events);
    json!({ "displayTimeUnit": "ms", "traceEvents": events }).to_string()
}

fn lane(number: i64, name: &str) -> Value {
    json!({"ph": "M", "name": "thread_name", "pid": 1, "tid": number, "args": {"name": name}})
}

fn steps(report: &Report, events: &mut Vec<Value>) {
    let columns = &report.steps;
    let starts = sums(&columns.start_delta);
    for at in 0..starts.len() {
        let (start, task, lane) = (starts[at], columns.task[at], columns.r#loop[at]);
        let name = report.shown(columns.site[at]);
        let name = if name.is_empty() { "callback" } else { &name };
        let category = if task < 0 { "callback" } else { "step" };
        let queued = (columns.queued[at] >= 0).then(|| columns.queued[at]);
        let woken_by = columns.woken_by.get(at).and_then(|number| WokenBy::of(*number).words());
        let waker_task = columns.waker_task.get(at).filter(|task| **task >= 0);
        let args = json!({ "task": (task >= 0).then_some(task), "queued_us": queued, "woken by": woken_by, "woken by task": waker_task });
        events.push(json!({
            "ph": "X", "name": name, "cat": category, "pid": 1, "tid": lane, "ts": start, "dur": columns.took[at], "args": args,
        }));
        let above = usize::try_from(columns.waker_delta[at]).unwrap_or(0);
        let Some(waker) = at.checked_sub(above).filter(|waker| *waker != at) else { continue };
        let from = (columns.r#loop[waker], starts[waker]);
        let flow = |phase: &str, (lane, time): (i64, i64)| json!({"ph": phase, "name": "wakes", "cat": "wake", "id": at, "pid": 1, "tid": lane, "ts": time, "bp": "e"});
        events.extend([flow("s", from), flow("f", (lane, start))]);
    }
    for (at, start) in sums(&report.polls.start_delta).into_iter().enumerate() {
        let (lane, took) = (report.polls.r#loop[at], report.polls.took[at]);
        events.push(json!({"ph": "X", "name": "sleeps in the system", "cat": "poll", "pid": 1, "tid": lane, "ts": start, "dur": took}));
    }
}

fn pauses(report: &Report, events: &mut Vec<Value>) {
    let columns = &report.pauses;
    for at in 0..columns.kind.len() {
        let name = match columns.kind[at] {
            "gc" => "collecting garbage".to_owned(),
            _ => format!("blocked: {}", report.shown(columns.site[at])),
        };
        let stack: Vec<String> = columns.stack[at].iter().map(|site| report.shown(*site)).collect();
        events.push(json!({
            "ph": "X", "name": name, "cat": columns.kind[at], "pid": 1, "tid": PAUSES + columns.r#loop[at],
            "ts": columns.start[at], "dur": columns.took[at], "args": { "cause": columns.cause[at], "stack": stack },
        }));
    }
}

fn jobs(report: &Report, events: &mut Vec<Value>) {
    let columns = &report.jobs;
    let mut threads: Vec<i64> = columns.thread.clone();
    threads.sort_unstable();
    threads.dedup();
    let lane_of =
        |thread: i64| (THREADS..).zip(&threads).find(|(_, known)| **known == thread).map_or(0, |(lane, _)| lane);
    for thread in threads.iter().filter(|thread| **thread > 0) {
        events.push(lane(lane_of(*thread), &format!("executor (thread {thread})")));
    }
    for at in 0..columns.name.len() {
        let (submitted, started, ended) = (columns.submitted[at], columns.started[at], columns.ended[at]);
        if started < 0 {
            continue;
        }
        let took = if ended < 0 { report.duration } else { ended } - started;
        events.push(json!({
            "ph": "X", "name": columns.name[at], "cat": "job", "pid": 1, "tid": lane_of(columns.thread[at]), "ts": started, "dur": took,
            "args": { "handed over at": report.shown(columns.site[at]), "waited_us": (submitted >= 0).then(|| started - submitted) },
        }));
    }
}

fn findings(report: &Report, events: &mut Vec<Value>) {
    for found in &report.findings {
        for mark in &found.marks {
            events.push(json!({
                "ph": "i", "s": "g", "name": format!("{}: {}", found.name, found.message), "cat": "finding", "pid": 1, "tid": 0, "ts": mark,
                "args": { "at": report.shown(found.site) },
            }));
        }
    }
}

fn counters(report: &Report, events: &mut Vec<Value>) {
    let columns = &report.seconds;
    for (at, time) in columns.t.iter().enumerate() {
        for (name, value) in [
            ("loops busy, %", columns.busy[at] * 100 / columns.interval.max(1)),
            ("ready", columns.ready[at]),
            ("tasks", columns.tasks[at]),
        ] {
            events.push(json!({"ph": "C", "name": name, "pid": 1, "tid": 0, "ts": time, "args": {"value": value}}));
        }
    }
}

/// What differences add up to.
fn sums(deltas: &[i64]) -> Vec<i64> {
    let add = |sum: &mut i64, delta: &i64| {
        *sum += delta;
        Some(*sum)
    };
    deltas.iter().scan(0, add).collect()
}

#[cfg(test)]
mod tests {
    use treadle_run::StepColumns;

    use super::*;

    #[test]
    fn arrows_lead_from_who_wakes_to_who_is_woken() {
        let steps = StepColumns {
            r#loop: vec![1, 1, 2],
            task: vec![0, 1, 2],
            site: vec![-1, -1, -1],
            start_delta: vec![10, 5, 20],
            took: vec![4, 3, 2],
            woken_by: vec![WokenBy::Timer as u8, WokenBy::Descriptor as u8, WokenBy::Thread as u8],
            waker_delta: vec![0, 0, 2],
            waker_task: vec![-1, 7, -1],
            queued: vec![1, -1, 16],
        };
        let trace = trace(&Report { steps, ..Report::default() });
        let trace: Value = serde_json::from_str(&trace).unwrap_or_default();
        let events: Vec<&Value> = trace["traceEvents"].as_array().into_iter().flatten().collect();
        let flows = events.iter().filter(|event| event["cat"] == "wake");
        let flows: Vec<Value> =
            flows.map(|event| json!([event["ph"], event["id"], event["tid"], event["ts"]])).collect();
        assert_eq!(flows, [json!(["s", 2, 1, 10]), json!(["f", 2, 2, 35])]);
        let told = events.iter().filter(|event| event["ph"] == "X").map(|event| &event["args"]);
        let told: Vec<Value> =
            told.map(|args| json!([args["queued_us"], args["woken by"], args["woken by task"]])).collect();
        let wanted = [
            json!([1, "a timer", null]),
            json!([null, "a descriptor that was ready", 7]),
            json!([16, "another thread", null]),
        ];
        assert_eq!(told, wanted);
    }
}
