//! A process in numbers, as Prometheus reads it: text, or protocol buffers with native histograms if it asks for those.
//!
//! Labels have few values: numbers of loops, causes, states, names of pitfalls. Of the program's nothing becomes one but the first names that it
//! gives to objects of the patterns.

use std::collections::BTreeMap;
use std::fmt::Error;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, MetricEncoder, NativeHistogram, NativeHistogramBuckets, NoLabelSet, prometheus_protobuf, text,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::exemplar::Exemplar;
use prometheus_client::registry::{Registry, Unit};
use serde_json::{Value, json};
use treadle_run::{Cause, Distribution, Figure, LoopVitals, PatternVitals, Vitals};

/// Buckets of native histograms lie so close that eight of them double a value.
const SCHEMA: i32 = 3;

/// Upper ends of the other buckets, in seconds: from what a callback takes to what nobody waits for any more.
const BUCKETS: [f64; 14] = [1e-5, 1e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 10.0];

/// A process in numbers, with what was found in it.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    /// The numbers.
    pub vitals: Vitals,
    /// The part of the last seconds that each loop was busy, by its number.
    pub busy: BTreeMap<u8, f64>,
    /// How often each pitfall was found, with its severity.
    pub findings: BTreeMap<(&'static str, &'static str), u64>,
    /// Descriptors that the process has open.
    pub descriptors: Option<u64>,
    /// What watching costs, as a part of the time since it began.
    pub overhead: f64,
    /// The patterns' objects, by kind and name, and how many of them were not read.
    pub patterns: Vec<PatternVitals>,
    /// See `patterns`.
    pub patterns_unread: u64,
}

/// How metrics are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exposition {
    /// As text of `OpenMetrics`.
    Text,
    /// As protocol buffers of Prometheus.
    Protobuf,
}

impl Exposition {
    /// What somebody wants who accepts such media types.
    pub fn accepted(accept: &str) -> Self {
        let wanted =
            |part: &str| part.trim().starts_with("application/vnd.google.protobuf") && part.contains("delimited");
        // The first one is what Prometheus likes best; it names protocol buffers first only if it reads native histograms.
        if accept.split(',').next().is_some_and(wanted) { Self::Protobuf } else { Self::Text }
    }

    /// Its media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Text => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Protobuf => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
            }
        }
    }
}

impl Metrics {
    /// As programs read it: seconds, bytes and counts.
    pub fn json(&self) -> Value {
        let vitals = &self.vitals;
        let blocked = Cause::ALL.map(|cause| {
            let time = vitals.blocked.iter().find(|(known, _)| *known == cause).map_or(0, |(_, time)| *time);
            (cause.word().to_owned(), json!(seconds(time)))
        });
        let findings: Vec<Value> = self
            .findings
            .iter()
            .map(|((pitfall, severity), count)| json!({"pitfall": pitfall, "severity": severity, "count": count}))
            .collect();
        json!({
            "time": seconds(vitals.time),
            "loops": vitals.loops.iter().map(|row| self.loop_json(row)).collect::<Vec<_>>(),
            "tasks": {"running": vitals.running, "waiting": vitals.waiting, "stuck": vitals.stuck},
            "executor_queue": {"queued": vitals.queued_jobs, "running": vitals.running_jobs},
            "blocked_seconds": blocked.into_iter().collect::<serde_json::Map<_, _>>(),
            "findings": findings,
            "gc_pause_seconds": distribution(&vitals.collections),
            "fds": self.descriptors,
            "lost_events": vitals.lost,
            "overhead_ratio": self.overhead,
            "patterns": self.patterns.iter().map(pattern_json).collect::<Vec<_>>(),
            "patterns_unread": self.patterns_unread,
        })
    }

    fn loop_json(&self, row: &LoopVitals) -> Value {
        json!({
            "loop": row.number,
            "thread": row.thread,
            "running": row.is_running,
            "busy_ratio": self.busy.get(&row.number),
            "busy_seconds": seconds(row.busy),
            "idle_seconds": seconds(row.idle),
            "callbacks": row.callbacks,
            "switches": row.steps,
            "delay_seconds": seconds(row.lag),
            "ready_queue": row.ready,
            "timers": row.surroundings.timers,
            "transports": row.surroundings.transports,
            "write_buffer_bytes": row.surroundings.unsent,
            "callback_seconds": distribution(&row.callback),
            "lag_seconds": distribution(&row.lags),
        })
    }

    /// As Prometheus reads it.
    ///
    /// # Errors
    /// The library refuses what it is given, which it does not for these names.
    pub fn write(self, exposition: Exposition) -> Result<Vec<u8>, Error> {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self));
        match exposition {
            Exposition::Text => {
                let mut written = String::new();
                text::encode(&mut written, &registry)?;
                Ok(written.into_bytes())
            }
            Exposition::Protobuf => prometheus_protobuf::encode_to_vec(&registry).map_err(|_| Error),
        }
    }
}

impl Collector for Metrics {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let mut sheet = Sheet(encoder);
        self.loops(&mut sheet)?;
        let vitals = &self.vitals;
        let states = [("running", vitals.running), ("waiting", vitals.waiting), ("stuck", vitals.stuck)];
        sheet.gauges(
            "treadle_tasks",
            "Tasks that are alive",
            None,
            states.map(|(state, count)| ([("state", state)], count as f64)),
        )?;
        let jobs = [("queued", vitals.queued_jobs), ("running", vitals.running_jobs)];
        let help = "Jobs handed to executors of threads that have not ended";
        sheet.gauges(
            "treadle_executor_queue",
            help,
            None,
            jobs.map(|(state, count)| ([("state", state)], count as f64)),
        )?;
        let blocked: BTreeMap<Cause, u64> = vitals.blocked.iter().copied().collect();
        let causes =
            Cause::ALL.map(|cause| ([("cause", cause.word())], seconds(blocked.get(&cause).copied().unwrap_or(0))));
        let help = "Time for which one callback kept a loop for longer than the threshold, by what it did";
        sheet.counters("treadle_loop_blocked", help, Some(&Unit::Seconds), causes)?;
        let findings = self.findings.iter();
        let findings = findings
            .map(|((pitfall, severity), count)| ([("pitfall", *pitfall), ("severity", *severity)], *count as f64));
        sheet.counters("treadle_findings", "Pitfalls that were found, each time counted", None, findings)?;
        sheet.histograms("treadle_gc_pause", "How long collections of garbage took", [(None, &vitals.collections)])?;
        if let Some(descriptors) = self.descriptors {
            sheet.gauge("treadle_fds", "Descriptors that the process has open", None, descriptors as f64)?;
        }
        let lost = [(None, vitals.lost as f64)];
        sheet.counters("treadle_watch_lost_events", "Events that came too fast to be read", None, lost)?;
        let help = "Processor time of watching and time that loops stood still for it, as a part of the time watched";
        sheet.gauge("treadle_watch_overhead", help, Some(&ratio()), self.overhead)?;
        self.patterns(&mut sheet)
    }
}

impl Metrics {
    fn loops(&self, sheet: &mut Sheet<'_>) -> Result<(), Error> {
        let numbers: Vec<(String, &LoopVitals)> =
            self.vitals.loops.iter().map(|row| (row.number.to_string(), row)).collect();
        let of = |value: &dyn Fn(&LoopVitals) -> f64| -> Vec<([(&'static str, String); 1], f64)> {
            numbers.iter().map(|(number, row)| ([("loop", number.clone())], value(row))).collect()
        };
        let busy = |row: &LoopVitals| self.busy.get(&row.number).copied().unwrap_or(0.0);
        let seconds_unit = Some(&Unit::Seconds);
        sheet.gauges(
            "treadle_loop_busy",
            "Part of the last seconds that was spent in callbacks",
            Some(&ratio()),
            of(&busy),
        )?;
        let help = "Time spent in callbacks";
        sheet.counters("treadle_loop_busy", help, seconds_unit, of(&|row| seconds(row.busy)))?;
        let help = "Time spent waiting for the system";
        sheet.counters("treadle_loop_idle", help, seconds_unit, of(&|row| seconds(row.idle)))?;
        let help = "Callbacks that were run, steps of tasks included";
        sheet.counters("treadle_callbacks", help, None, of(&|row| row.callbacks as f64))?;
        sheet.counters("treadle_switches", "Steps of tasks", None, of(&|row| row.steps as f64))?;
        let help = "How long what is ready has waited now, at least";
        sheet.gauges("treadle_loop_delay", help, seconds_unit, of(&|row| seconds(row.lag)))?;
        let help = "Callbacks that were ready when the loop last asked the system";
        sheet.gauges("treadle_ready_queue", help, None, of(&|row| row.ready as f64))?;
        sheet.gauges("treadle_timers", "Timers that wait", None, of(&|row| row.surroundings.timers as f64))?;
        let help = "Transports that are open";
        sheet.gauges("treadle_transports", help, None, of(&|row| row.surroundings.transports as f64))?;
        let help = "What transports have still to send";
        sheet.gauges("treadle_write_buffer", help, Some(&Unit::Bytes), of(&|row| row.surroundings.unsent as f64))?;
        let callback = numbers.iter().map(|(number, row)| (Some(("loop", number.as_str())), &row.callback));
        sheet.histograms("treadle_loop_callback", "How long callbacks took", callback)?;
        let lags = numbers.iter().map(|(number, row)| (Some(("loop", number.as_str())), &row.lags));
        sheet.histograms("treadle_loop_lag", "How long it took from one look at the system to the next", lags)
    }
}

impl Metrics {
    fn patterns(&self, sheet: &mut Sheet<'_>) -> Result<(), Error> {
        let label = |row: &PatternVitals| [("kind", row.kind.clone()), ("name", row.name.clone())];
        let help = "Objects of treadle's patterns that are alive";
        sheet.gauges(
            "treadle_patterns",
            help,
            None,
            self.patterns.iter().map(|row| (label(row), row.objects as f64)),
        )?;
        for figure in Figure::ALL {
            let (name, help) = described(figure);
            let value = |row: &PatternVitals| row.figures[figure as usize].map(|value| (label(row), value as f64));
            let rows = self.patterns.iter().filter_map(value);
            if figure.grows() {
                sheet.counters(name, help, None, rows)?;
            } else {
                sheet.gauges(name, help, None, rows)?;
            }
        }
        let breakers = self.patterns.iter().filter(|row| row.kind == "Breaker");
        let states = breakers.flat_map(|row| {
            // A state that none is in is a 0, so that there is something to compare with.
            ["closed", "half-open", "open"].map(|state| {
                let count = row.states.get(state).copied().unwrap_or(0);
                ([("name", row.name.clone()), ("state", state.to_owned())], count as f64)
            })
        });
        sheet.gauges("treadle_breakers", "Circuit breakers by their state", None, states)?;
        let help = "Objects of patterns that there are too many of to be read";
        sheet.gauge("treadle_patterns_unread", help, None, self.patterns_unread as f64)
    }
}

/// The name of a metric, and what it is.
fn described(figure: Figure) -> (&'static str, &'static str) {
    match figure {
        Figure::InUse => ("treadle_pattern_in_use", "Permits, places and workers of patterns that are taken"),
        Figure::Limit => ("treadle_pattern_limit", "How many of those there are"),
        Figure::Waiting => ("treadle_pattern_waiting", "Who waits for one"),
        Figure::Calls => ("treadle_pattern_calls", "Calls that patterns have begun or let through"),
        Figure::Failed => ("treadle_pattern_failed", "Those that have failed"),
        Figure::Retries => ("treadle_pattern_retries", "How often something was tried again"),
        Figure::Rejected => ("treadle_pattern_rejected", "Calls that were not made"),
    }
}

fn pattern_json(row: &PatternVitals) -> Value {
    let mut shown = json!({"kind": row.kind, "name": row.name, "objects": row.objects, "states": row.states});
    for figure in Figure::ALL {
        shown[figure.word()] = json!(row.figures[figure as usize]);
    }
    shown
}

/// Where metrics are written, one after the other.
struct Sheet<'a>(DescriptorEncoder<'a>);

impl Sheet<'_> {
    fn gauge(&mut self, name: &str, help: &str, unit: Option<&Unit>, value: f64) -> Result<(), Error> {
        self.0.encode_descriptor(name, help, unit, MetricType::Gauge)?.encode_gauge(&value)
    }

    fn gauges<L: Label>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        rows: impl IntoIterator<Item = (L, f64)>,
    ) -> Result<(), Error> {
        let mut encoder = self.0.encode_descriptor(name, help, unit, MetricType::Gauge)?;
        rows.into_iter().try_for_each(|(label, value)| label.of(&mut encoder, |one| one.encode_gauge(&value)))
    }

    fn counters<L: Label>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        rows: impl IntoIterator<Item = (L, f64)>,
    ) -> Result<(), Error> {
        let mut encoder = self.0.encode_descriptor(name, help, unit, MetricType::Counter)?;
        let none: Option<&Exemplar<NoLabelSet, f64>> = None;
        rows.into_iter().try_for_each(|(label, value)| label.of(&mut encoder, |one| one.encode_counter(&value, none)))
    }

    fn histograms<'a>(
        &mut self,
        name: &str,
        help: &str,
        rows: impl IntoIterator<Item = (Option<(&'static str, &'a str)>, &'a Distribution)>,
    ) -> Result<(), Error> {
        let mut encoder = self.0.encode_descriptor(name, help, Some(&Unit::Seconds), MetricType::Histogram)?;
        rows.into_iter().try_for_each(|(label, seen)| label.of(&mut encoder, |one| histogram(one, seen)))
    }
}

/// Something by which rows of a metric are told apart, if there is anything.
trait Label {
    fn of(
        &self,
        encoder: &mut MetricEncoder<'_>,
        write: impl FnOnce(&mut MetricEncoder<'_>) -> Result<(), Error>,
    ) -> Result<(), Error>;
}

impl<T: AsRef<str>, const N: usize> Label for [(&'static str, T); N] {
    fn of(
        &self,
        encoder: &mut MetricEncoder<'_>,
        write: impl FnOnce(&mut MetricEncoder<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        write(&mut encoder.encode_family(&self.each_ref().map(|(name, value)| (*name, value.as_ref())))?)
    }
}

impl Label for Option<(&'static str, &str)> {
    fn of(
        &self,
        encoder: &mut MetricEncoder<'_>,
        write: impl FnOnce(&mut MetricEncoder<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        match self {
            Some(label) => [*label].of(encoder, write),
            None => write(encoder),
        }
    }
}

fn histogram(encoder: &mut MetricEncoder<'_>, seen: &Distribution) -> Result<(), Error> {
    let mut classic: Vec<(f64, u64)> = BUCKETS.iter().chain([&f64::INFINITY]).map(|end| (*end, 0)).collect();
    let mut native: BTreeMap<i32, i64> = BTreeMap::new();
    for (nanoseconds, count) in &seen.points {
        let value = seconds(*nanoseconds);
        let at = classic.partition_point(|(end, _)| *end < value).min(BUCKETS.len());
        classic[at].1 += count;
        *native.entry(index(value)).or_default() += i64::try_from(*count).unwrap_or(i64::MAX);
    }
    let (spans, deltas) = sparse(&native);
    let none = NativeHistogramBuckets { spans: &[], deltas: &[] };
    let native = NativeHistogram {
        schema: SCHEMA,
        zero_threshold: 1e-9,
        zero_count: 0,
        negative: none,
        positive: NativeHistogramBuckets { spans: &spans, deltas: &deltas },
        created: None,
    };
    encoder.encode_histogram_with_native::<NoLabelSet>(seconds(seen.sum), seen.count(), &classic, None, native)
}

/// The bucket of a native histogram: it ends at `2^(index / 2^SCHEMA)`, which belongs to it.
fn index(value: f64) -> i32 {
    (value.max(1e-9).log2() * f64::from(1 << SCHEMA)).ceil() as i32
}

/// Buckets as they are sent: runs of neighbours with what lies between, and each count as the difference to the one before.
fn sparse(buckets: &BTreeMap<i32, i64>) -> (Vec<(i32, u32)>, Vec<i64>) {
    let (mut spans, mut deltas): (Vec<(i32, u32)>, Vec<i64>) = Default::default();
    let (mut next, mut before) = (0, 0);
    for (index, count) in buckets {
        match spans.last_mut() {
            Some((_, length)) if *index == next => *length += 1,
            _ => spans.push((*index - next, 1)),
        }
        deltas.push(count - before);
        (next, before) = (index + 1, *count);
    }
    (spans, deltas)
}

fn distribution(seen: &Distribution) -> Value {
    json!({
        "count": seen.count(),
        "sum": seconds(seen.sum),
        "p50": seconds(seen.quantile(500)),
        "p99": seconds(seen.quantile(990)),
        "max": seconds(seen.most()),
    })
}

fn ratio() -> Unit {
    Unit::Other("ratio".to_owned())
}

fn seconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics() -> Metrics {
        let callback = Distribution { points: vec![(900_000, 5), (40_000_000, 2)], sum: 84_500_000 };
        let row = LoopVitals { number: 1, busy: 1_500_000_000, callbacks: 7, callback, ..LoopVitals::default() };
        Metrics {
            vitals: Vitals { loops: vec![row], blocked: vec![(Cause::Sleep, 250_000_000)], ..Vitals::default() },
            busy: [(1, 0.25)].into(),
            findings: [(("blocked-loop", "error"), 3)].into(),
            descriptors: Some(9),
            overhead: 0.01,
            patterns: vec![PatternVitals {
                kind: "Breaker".to_owned(),
                name: "db \"1\"".to_owned(),
                objects: 2,
                figures: [None, None, Some(0), None, None, None, Some(7)],
                states: [("open".to_owned(), 2)].into(),
            }],
            patterns_unread: 5,
        }
    }

    #[test]
    fn units_stand_in_the_names_and_counts_under_their_labels() {
        let written = metrics().write(Exposition::Text).unwrap_or_default();
        let text = String::from_utf8_lossy(&written);
        for line in [
            "treadle_loop_busy_ratio{loop=\"1\"} 0.25",
            "treadle_loop_busy_seconds_total{loop=\"1\"} 1.5",
            "treadle_loop_blocked_seconds_total{cause=\"sleep\"} 0.25",
            "treadle_loop_blocked_seconds_total{cause=\"gil\"} 0.0",
            "treadle_findings_total{pitfall=\"blocked-loop\",severity=\"error\"} 3.0",
            "treadle_loop_callback_seconds_bucket{le=\"0.001\",loop=\"1\"} 5",
            "treadle_loop_callback_seconds_bucket{le=\"+Inf\",loop=\"1\"} 7",
            "treadle_loop_callback_seconds_sum{loop=\"1\"} 0.0845",
            "treadle_fds 9.0",
            "treadle_patterns{kind=\"Breaker\",name=\"db \\\"1\\\"\"} 2.0",
            "treadle_pattern_waiting{kind=\"Breaker\",name=\"db \\\"1\\\"\"} 0.0",
            "treadle_pattern_rejected_total{kind=\"Breaker\",name=\"db \\\"1\\\"\"} 7.0",
            "treadle_breakers{name=\"db \\\"1\\\"\",state=\"open\"} 2.0",
            "treadle_breakers{name=\"db \\\"1\\\"\",state=\"closed\"} 0.0",
            "treadle_patterns_unread 5.0",
        ] {
            assert!(text.lines().any(|shown| shown == line), "{line} is not in\n{text}");
        }
        assert!(!text.contains("treadle_pattern_in_use{"), "nobody has told of that");
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn native_buckets_hold_their_upper_end() {
        assert_eq!([1.0, 1.000_001, 2.0, 0.5].map(index), [0, 1, 8, -8]);
        let buckets = [(-3, 4), (-2, 6), (5, 1)].into();
        assert_eq!(sparse(&buckets), (vec![(-3, 2), (6, 1)], vec![4, 2, -5]));
    }

    #[test]
    fn protocol_buffers_are_for_those_who_want_them_most() {
        let accept = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.5,text/plain";
        assert_eq!(Exposition::accepted(accept), Exposition::Protobuf);
        assert_eq!(
            Exposition::accepted("text/plain, application/vnd.google.protobuf;encoding=delimited"),
            Exposition::Text
        );
        assert!(metrics().write(Exposition::Protobuf).is_ok_and(|bytes| bytes.len() > 500));
    }
}
