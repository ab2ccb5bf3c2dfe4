//! Medians over rounds, ratios within them, and how both are written.
//!
//! A ratio is a loop's figure by that of the first loop in the same round, turned so that more than 1 is better.

use std::fmt::Write;

use serde_json::{Value, json};

use super::subject::{Kind, Sample};

/// Rounds that differ by more say that the machine had other work.
const QUIET: f64 = 0.08;

/// A loop that is measured.
pub(crate) struct Loop {
    pub(crate) name: String,
    /// Empty for asyncio, which is as old as Python.
    pub(crate) version: String,
    pub(crate) python: String,
}

/// One subject on all loops.
pub(crate) struct Report {
    pub(crate) title: String,
    pub(crate) kind: Kind,
    pub(crate) rounds: usize,
    /// In the order in which they were named.
    pub(crate) measured: Vec<Measured>,
}

/// One loop's samples, by round.
pub(crate) struct Measured {
    pub(crate) name: String,
    pub(crate) samples: Vec<Sample>,
    /// The program made this loop, in every round.
    pub(crate) is_used: bool,
}

impl Measured {
    pub(crate) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), samples: Vec::new(), is_used: true }
    }

    fn figures(&self, figure: impl Fn(&Sample) -> Option<f64>) -> Vec<f64> {
        self.samples.iter().filter_map(figure).collect()
    }

    fn median(&self, figure: impl Fn(&Sample) -> Option<f64>) -> Option<f64> {
        median(self.figures(figure))
    }

    /// The median of the ratios to another loop within each round; `figure` is such that more is better.
    fn ratio(&self, base: &Self, figure: impl Fn(&Sample) -> Option<f64>) -> Option<f64> {
        let pairs = self.samples.iter().zip(&base.samples);
        let ratios =
            // Of short runs there may be no processor time at all, for one or the other.
            pairs.filter_map(|(one, base)| Some(figure(one)? / figure(base)?).filter(|ratio| ratio.is_normal()));
        median(ratios.collect())
    }

    /// By how much its rates differ, as a part of the median.
    fn spread(&self) -> f64 {
        let rates = self.figures(|sample| Some(sample.rate));
        let (low, high) = (quantile(rates.clone(), 0), quantile(rates.clone(), 100));
        match (low, high, median(rates)) {
            (Some(low), Some(high), Some(middle)) if middle > 0.0 => (high - low) / middle,
            _ => 0.0,
        }
    }

    fn errors(&self) -> u64 {
        self.samples.iter().map(|sample| sample.errors).sum()
    }
}

/// The figure that so many in a hundred do not exceed.
fn quantile(mut figures: Vec<f64>, percent: usize) -> Option<f64> {
    figures.sort_by(f64::total_cmp);
    figures.get((figures.len().checked_sub(1)? * percent).div_ceil(100)).copied()
}

fn median(mut figures: Vec<f64>) -> Option<f64> {
    figures.sort_by(f64::total_cmp);
    let last = figures.len().checked_sub(1)?;
    Some(f64::midpoint(figures[last / 2], figures[last.div_ceil(2)]))
}

/// Everything for a terminal.
pub(crate) fn text(loops: &[Loop], reports: &[Report]) -> String {
    let mut text = heading(loops, reports);
    for report in reports {
        text.push('\n');
        text.push_str(&table(report));
    }
    text.push_str(&notes(reports));
    text
}

fn heading(loops: &[Loop], reports: &[Report]) -> String {
    let names: Vec<String> = loops.iter().map(|each| format!("{} {}", each.name, each.version)).collect();
    let names: Vec<&str> = names.iter().map(|name| name.trim_end()).collect();
    let python = loops.first().map_or("", |each| &each.python);
    let rounds = reports.first().map_or(0, |report| report.rounds);
    format!("{} on Python {python}, in turns, rounds: {rounds}\n", names.join(", "))
}

fn table(report: &Report) -> String {
    let mut text = format!("{}\n", report.title);
    let head: &[&str] = match report.kind {
        Kind::Runs => &["wall s", "ratio", "CPU s", "ratio", "MiB"],
        Kind::Operations => &["op/s", "ratio", "p50 µs", "p99 µs", "CPU µs", "ratio", "MiB", "errors"],
    };
    line(&mut text, "loop", head.iter().map(|name| (*name).to_owned()), "rounds");
    let Some(base) = report.measured.first() else { return text };
    for row in &report.measured {
        let shown = |sample: &Sample| if report.kind == Kind::Runs { 1.0 / sample.rate } else { sample.rate };
        let rates = row.figures(|sample| Some(shown(sample)));
        let range = [0, 100].map(|part| number(quantile(rates.clone(), part))).join("–");
        let faster = ratio(row.ratio(base, |sample| Some(sample.rate)));
        let thriftier = ratio(row.ratio(base, |sample| Some(1.0 / sample.cpu?)));
        let memory = number(row.median(|sample| Some(sample.memory? as f64 / f64::from(1 << 20))));
        let micro = |figure: fn(&Sample) -> Option<f64>| number(row.median(figure).map(|figure| figure * 1e6));
        let cells = match report.kind {
            // Of a whole run there is one time for each round, and a few rounds have no 99th percentile.
            Kind::Runs => {
                vec![number(median(rates)), faster, number(row.median(|sample| sample.cpu)), thriftier, memory]
            }
            Kind::Operations => vec![
                number(median(rates)),
                faster,
                micro(|sample| sample.p50),
                micro(|sample| sample.p99),
                micro(|sample| sample.cpu),
                thriftier,
                memory,
                row.errors().to_string(),
            ],
        };
        line(&mut text, &row.name, cells, &range);
    }
    text
}

fn line(text: &mut String, name: &str, cells: impl IntoIterator<Item = String>, range: &str) {
    let cells: String = cells.into_iter().map(|cell| format!("{cell:>9}")).collect();
    // Writing to a string cannot fail.
    let _ = writeln!(text, "  {name:<9}{cells}  {range}");
}

/// What a reader has to know before believing the figures.
fn notes(reports: &[Report]) -> String {
    let mut text = String::new();
    let base = reports.first().and_then(|report| report.measured.first()).map_or("", |row| row.name.as_str());
    let _ = writeln!(text, "\nRatios are to {base} within each round; more than 1 is better.");
    for report in reports {
        let title = &report.title;
        for row in report.measured.iter().filter(|row| !row.is_used) {
            let _ = writeln!(
                text,
                "`{title}` did not ask asyncio for a loop, so the row `{}` may be of another loop. Take out what chooses the loop.",
                row.name
            );
        }
        for row in &report.measured {
            if let Some(complaint) = row.samples.iter().find_map(|sample| sample.complaint.as_ref()) {
                let (name, errors) = (&row.name, row.errors());
                let _ = writeln!(
                    text,
                    "`{title}` on {name}: errors: {errors}, first: {complaint}. Look for the cause before comparing."
                );
            }
        }
        let loud = report.measured.iter().filter(|row| row.spread() > QUIET);
        let loud: Vec<String> = loud.map(|row| format!("{} by {:.0} %", row.name, row.spread() * 100.0)).collect();
        if !loud.is_empty() {
            let _ = writeln!(
                text,
                "`{title}`: the machine was not quiet, rounds differ ({}). Wait until it is, or raise `--rounds`.",
                loud.join(", ")
            );
        }
    }
    text
}

/// Three digits that mean something.
fn number(value: Option<f64>) -> String {
    match value {
        None => "–".to_owned(),
        Some(value) if value >= 1e6 => format!("{:.2} M", value / 1e6),
        Some(value) if value >= 1e4 => format!("{:.1} k", value / 1e3),
        Some(value) if value >= 100.0 => format!("{value:.0}"),
        Some(value) if value >= 10.0 => format!("{value:.1}"),
        Some(value) if value >= 1.0 => format!("{value:.2}"),
        Some(value) => format!("{value:.3}"),
    }
}

fn ratio(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:.2}"))
}

/// Every single figure, in seconds and bytes.
pub(crate) fn json(loops: &[Loop], reports: &[Report]) -> anyhow::Result<String> {
    let python = loops.first().map_or("", |each| &each.python);
    let versions: serde_json::Map<String, Value> =
        loops.iter().map(|each| (each.name.clone(), each.version.clone().into())).collect();
    let report = |report: &Report| {
        let row = |row: &Measured| {
            let base = &report.measured[0];
            json!({
                "loop": row.name,
                "used": row.is_used,
                "rate": row.median(|sample| Some(sample.rate)),
                "ratio": row.ratio(base, |sample| Some(sample.rate)),
                "cpu_ratio": row.ratio(base, |sample| Some(1.0 / sample.cpu?)),
                "spread": row.spread(),
                "rounds": row.samples.iter().map(sample).collect::<Vec<_>>(),
            })
        };
        json!({
            "title": report.title,
            "kind": if report.kind == Kind::Runs { "runs" } else { "operations" },
            "loops": report.measured.iter().map(row).collect::<Vec<_>>(),
        })
    };
    let document =
        json!({ "python": python, "versions": versions, "measured": reports.iter().map(report).collect::<Vec<_>>() });
    Ok(format!("{}\n", serde_json::to_string_pretty(&document)?))
}

fn sample(sample: &Sample) -> Value {
    json!({
        "rate": sample.rate,
        "p50": sample.p50,
        "p99": sample.p99,
        "cpu": sample.cpu,
        "memory": sample.memory,
        "errors": sample.errors,
        "first_error": sample.complaint,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, rates: &[f64]) -> Measured {
        let sample = |rate: &f64| Sample {
            rate: *rate,
            p50: Some(0.5 / rate),
            p99: Some(2.0 / rate),
            cpu: Some(0.9 / rate),
            memory: Some(30 << 20),
            ..Sample::default()
        };
        Measured { name: name.to_owned(), samples: rates.iter().map(sample).collect(), is_used: true }
    }

    fn report(kind: Kind, measured: Vec<Measured>) -> Report {
        Report { title: "app.py".to_owned(), kind, rounds: 3, measured }
    }

    fn loops() -> [Loop; 2] {
        [("asyncio", ""), ("treadle", "0.1.0")].map(|(name, version)| Loop {
            name: name.to_owned(),
            version: version.to_owned(),
            python: "3.13.0".to_owned(),
        })
    }

    #[test]
    fn a_round_without_processor_time_has_no_ratio() {
        let (mut first, second) = (row("asyncio", &[100.0, 100.0, 100.0]), row("treadle", &[200.0, 200.0, 400.0]));
        for sample in &mut first.samples[..2] {
            sample.cpu = Some(0.0);
        }
        assert_eq!(second.ratio(&first, |sample| Some(1.0 / sample.cpu?)), Some(4.0));
        assert_eq!(first.ratio(&second, |sample| Some(1.0 / sample.cpu?)), Some(0.25));
    }

    #[test]
    fn ratios_are_taken_within_rounds() {
        // The machine was half as fast in the second round, for both.
        let (first, second) = (row("asyncio", &[100.0, 50.0, 100.0]), row("treadle", &[200.0, 100.0, 200.0]));
        assert_eq!(second.ratio(&first, |sample| Some(sample.rate)), Some(2.0));
        assert_eq!(second.ratio(&first, |sample| Some(1.0 / sample.cpu?)), Some(2.0));
    }

    #[test]
    fn operations_have_a_rate_and_what_one_took() {
        let measured = vec![row("asyncio", &[12000.0, 12100.0, 12200.0]), row("treadle", &[24000.0, 24200.0, 24400.0])];
        insta::assert_snapshot!(text(&loops(), &[report(Kind::Operations, measured)]), @"
        asyncio, treadle 0.1.0 on Python 3.13.0, in turns, rounds: 3

        app.py
          loop          op/s    ratio   p50 µs   p99 µs   CPU µs    ratio      MiB   errors  rounds
          asyncio     12.1 k     1.00     41.3      165     74.4     1.00     30.0        0  12.0 k–12.2 k
          treadle     24.2 k     2.00     20.7     82.6     37.2     2.00     30.0        0  24.0 k–24.4 k

        Ratios are to asyncio within each round; more than 1 is better.
        ");
    }

    #[test]
    fn runs_have_a_time_and_doubts_are_told() {
        let mut treadle = row("treadle", &[1.0, 2.0, 1.5]);
        treadle.is_used = false;
        let measured = vec![row("asyncio", &[0.5, 0.5, 0.5]), treadle];
        insta::assert_snapshot!(text(&loops(), &[report(Kind::Runs, measured)]), @"
        asyncio, treadle 0.1.0 on Python 3.13.0, in turns, rounds: 3

        app.py
          loop        wall s    ratio    CPU s    ratio      MiB  rounds
          asyncio       2.00     1.00     1.80     1.00     30.0  2.00–2.00
          treadle      0.667     3.00    0.600     3.00     30.0  0.500–1.00

        Ratios are to asyncio within each round; more than 1 is better.
        `app.py` did not ask asyncio for a loop, so the row `treadle` may be of another loop. Take out what chooses the loop.
        `app.py`: the machine was not quiet, rounds differ (treadle by 67 %). Wait until it is, or raise `--rounds`.
        ");
    }
}
