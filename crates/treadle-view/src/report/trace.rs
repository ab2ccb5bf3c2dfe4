//! The trace event format of Chrome, which Perfetto reads: a lane for findings, and for each loop, what held it up, and each thread of an executor.
//!
//! In a lane no slice begins when another does or before another has ended: readers lay those in each other, and join arrows to the wrong ones.

use std::collections::BTreeMap;

use serde_json::{Map, Number, Value, json};
use treadle_run::{Report, WokenBy};

/// The process, and the lane of findings. Readers take the lane with the number of the process for that of its main thread.
const PROCESS: i64 = 1;
const FINDINGS: i64 = 2;

/// Lanes are shown by their numbers: those of a loop stand together, and executors come after all.
const LANES_OF_LOOP: i64 = 10;
const BLOCKED: i64 = 1;
const GARBAGE: i64 = 2;

const NANOSECONDS: i64 = 1_000;

/// A trace. Times are microseconds.
pub fn trace(report: &Report) -> String {
    let mut events = vec![metadata("process_name", 0, &report.title)];
    for one in &report.loops {
        let lane = lane_of_loop(i64::from(one.number));
        events.push(metadata("thread_name", lane, &format!("{} (thread {})", one.name, one.thread)));
        events.push(metadata("thread_name", lane + BLOCKED, &format!("{}: blocked", one.name)));
        events.push(metadata("thread_name", lane + GARBAGE, &format!("{}: collecting garbage", one.name)));
    }
    steps(report, &mut events);
    pauses(report, &mut events);
    jobs(report, &mut events);
    findings(report, &mut events);
    counters(report, &mut events);
    json!({ "displayTimeUnit": "ms", "traceEvents": events }).to_string()
}

fn metadata(kind: &str, lane: i64, name: &str) -> Value {
    json!({"ph": "M", "name": kind, "pid": PROCESS, "tid": lane, "args": {"name": name}})
}

fn lane_of_loop(number: i64) -> i64 {
    number * LANES_OF_LOOP
}

/// When and where something was, in microseconds.
#[derive(Clone, Copy)]
struct Span {
    lane: i64,
    start: i64,
    took: i64,
}

/// The same in nanoseconds, so that nothing in a lane overlaps.
type Place = Span;

/// Times are cut off to whole microseconds: what began in the same one is spread over it, and ends when the next begins, if it says to end later.
fn placed(spans: &[Span]) -> Vec<Place> {
    let mut lanes: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
    for (at, span) in spans.iter().enumerate() {
        lanes.entry(span.lane).or_default().push(at);
    }
    let scaled = |span: &Span| Span { start: span.start * NANOSECONDS, took: span.took * NANOSECONDS, ..*span };
    let mut places: Vec<Place> = spans.iter().map(scaled).collect();
    for lane in lanes.values_mut() {
        // Only the last that begins in a microsecond can take longer than that.
        lane.sort_by_key(|at| (spans[*at].start, spans[*at].took > 0));
        for together in lane.chunk_by(|one, other| spans[*one].start == spans[*other].start) {
            let many = i64::try_from(together.len()).unwrap_or(NANOSECONDS);
            for (rank, at) in (0..).zip(together) {
                let late = rank * NANOSECONDS / many;
                let place = &mut places[*at];
                (place.start, place.took) = (place.start + late, (place.took - late).max(0));
            }
        }
        for pair in lane.windows(2) {
            let next = places[pair[1]].start;
            let place = &mut places[pair[0]];
            place.took = place.took.min(next - place.start);
        }
    }
    places
}

/// Nanoseconds, as microseconds.
fn micros(nanoseconds: i64) -> Value {
    if nanoseconds % NANOSECONDS == 0 {
        return (nanoseconds / NANOSECONDS).into();
    }
    #[expect(clippy::cast_precision_loss, reason = "a hundred days of nanoseconds are exact")]
    Number::from_f64(nanoseconds as f64 / 1e3).map_or(Value::Null, Value::Number)
}

fn slice(name: &str, category: &str, place: Place, args: Value) -> Value {
    let mut slice = json!({
        "ph": "X", "name": name, "cat": category, "pid": PROCESS, "tid": place.lane, "ts": micros(place.start), "dur": micros(place.took),
    });
    // What is not known is left out.
    if let Value::Object(args) = args {
        let known: Map<String, Value> = args.into_iter().filter(|(_, value)| !value.is_null()).collect();
        if !known.is_empty() {
            slice["args"] = Value::Object(known);
        }
    }
    slice
}

fn steps(report: &Report, events: &mut Vec<Value>) {
    let (columns, polls) = (&report.steps, &report.polls);
    let span = |((start, took), number): ((i64, &i64), &i64)| Span { lane: lane_of_loop(*number), start, took: *took };
    let mut spans: Vec<Span> =
        sums(&columns.start_delta).into_iter().zip(&columns.took).zip(&columns.r#loop).map(span).collect();
    spans.extend(sums(&polls.start_delta).into_iter().zip(&polls.took).zip(&polls.r#loop).map(span));
    let places = placed(&spans);
    let (places, sleeps) = places.split_at(columns.took.len());
    for (at, place) in places.iter().enumerate() {
        let task = columns.task[at];
        let name = report.shown(columns.site[at]);
        let name = if name.is_empty() { "callback" } else { &name };
        let category = if task < 0 { "callback" } else { "step" };
        let queued = (columns.queued[at] >= 0).then(|| columns.queued[at]);
        let woken_by = columns.woken_by.get(at).and_then(|number| WokenBy::of(*number).words());
        let waker_task = columns.waker_task.get(at).filter(|task| **task >= 0);
        let args = json!({ "task": (task >= 0).then_some(task), "queued_us": queued, "woken by": woken_by, "woken by task": waker_task });
        events.push(slice(name, category, *place, args));
        let above = usize::try_from(columns.waker_delta[at]).unwrap_or(0);
        let Some(waker) = at.checked_sub(above).filter(|waker| *waker != at) else { continue };
        // Arrows begin and end at the slice that is the last to have begun in the lane.
        let flow = |phase: &str, end: Place| json!({"ph": phase, "name": "wakes", "cat": "wake", "id": at, "pid": PROCESS, "tid": end.lane, "ts": micros(end.start), "bp": "e"});
        events.extend([flow("s", places[waker]), flow("f", *place)]);
    }
    events.extend(sleeps.iter().map(|place| slice("sleeps in the system", "poll", *place, Value::Null)));
}

fn pauses(report: &Report, events: &mut Vec<Value>) {
    let columns = &report.pauses;
    let lane = |at: usize| lane_of_loop(columns.r#loop[at]) + if columns.kind[at] == "gc" { GARBAGE } else { BLOCKED };
    let span = |at| Span { lane: lane(at), start: columns.start[at], took: columns.took[at] };
    let spans: Vec<Span> = (0..columns.kind.len()).map(span).collect();
    for (at, place) in placed(&spans).into_iter().enumerate() {
        let name = match columns.kind[at] {
            "gc" => "collecting garbage".to_owned(),
            _ => format!("blocked: {}", report.shown(columns.site[at])),
        };
        let stack: Vec<String> = columns.stack[at].iter().map(|site| report.shown(*site)).collect();
        let args = json!({ "cause": columns.cause[at], "stack": (!stack.is_empty()).then_some(stack) });
        events.push(slice(&name, columns.kind[at], place, args));
    }
}

fn jobs(report: &Report, events: &mut Vec<Value>) {
    let columns = &report.jobs;
    let mut threads: Vec<i64> = columns.thread.clone();
    threads.sort_unstable();
    threads.dedup();
    let first = lane_of_loop(report.loops.iter().map(|one| i64::from(one.number)).max().unwrap_or(0) + 1);
    let lanes: BTreeMap<i64, i64> = threads.into_iter().zip(first..).collect();
    for (thread, lane) in lanes.iter().filter(|(thread, _)| **thread > 0) {
        events.push(metadata("thread_name", *lane, &format!("executor (thread {thread})")));
    }
    let begun: Vec<usize> = (0..columns.name.len()).filter(|at| columns.started[*at] >= 0).collect();
    let span = |at: &usize| {
        let (start, ended) = (columns.started[*at], columns.ended[*at]);
        let end = if ended < 0 { report.duration } else { ended };
        Span { lane: lanes[&columns.thread[*at]], start, took: (end - start).max(0) }
    };
    let spans: Vec<Span> = begun.iter().map(span).collect();
    for (at, place) in begun.into_iter().zip(placed(&spans)) {
        let (submitted, started) = (columns.submitted[at], columns.started[at]);
        let waited = (submitted >= 0).then(|| started - submitted);
        let args = json!({ "handed over at": report.shown(columns.site[at]), "waited_us": waited });
        events.push(slice(&columns.name[at], "job", place, args));
    }
}

fn findings(report: &Report, events: &mut Vec<Value>) {
    if report.findings.iter().any(|found| !found.marks.is_empty()) {
        events.push(metadata("thread_name", FINDINGS, "findings"));
    }
    for found in &report.findings {
        for mark in &found.marks {
            events.push(json!({
                "ph": "i", "s": "t", "name": format!("{}: {}", found.name, found.message), "cat": "finding", "pid": PROCESS, "tid": FINDINGS, "ts": mark,
                "args": { "at": report.shown(found.site) },
            }));
        }
    }
}

/// Perfetto names a counter by its event and the argument.
fn counters(report: &Report, events: &mut Vec<Value>) {
    let columns = &report.seconds;
    for (at, time) in columns.t.iter().enumerate() {
        for (name, unit, value) in [
            ("loops busy", "%", columns.busy[at] * 100 / columns.interval.max(1)),
            ("ready", "callbacks", columns.ready[at]),
            ("living", "tasks", columns.tasks[at]),
        ] {
            events.push(
                json!({"ph": "C", "name": name, "pid": PROCESS, "tid": FINDINGS, "ts": time, "args": {unit: value}}),
            );
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
        assert_eq!(flows, [json!(["s", 2, 10, 10]), json!(["f", 2, 20, 35])]);
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

    #[test]
    fn nothing_in_a_lane_begins_when_another_does_or_before_it_has_ended() {
        let of = |lane, start, took| Span { lane, start, took };
        let spans = [of(1, 5, 1), of(1, 5, 0), of(2, 5, 9), of(1, 4, 0), of(1, 5, 0), of(1, 6, 4), of(1, 9, 0)];
        let places = placed(&spans).into_iter().map(|place| (place.start, place.took));
        let wanted = [(5_666, 334), (5_000, 0), (5_000, 9_000), (4_000, 0), (5_333, 0), (6_000, 3_000), (9_000, 0)];
        assert_eq!(places.collect::<Vec<_>>(), wanted);
        assert_eq!([micros(5_666), micros(6_000)], [json!(5.666), json!(6)]);
    }
}
