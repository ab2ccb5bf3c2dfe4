//! Medians over rounds, ratios within them, and how both are written.
//!
//! A ratio is a loop's figure by that of the first loop in the same round, turned so that more than 1 is better.

use std::fmt::Write;

use serde_json::{Value, json};

use super::subject::{Kind, Sample};

/// Rounds that differ by more say that the machine had other work.
const QUIET: f64 = 0.08;

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
            pairs.filter_map(|(one, base)| Some(figure(one)? / figure(base)?).filter(|ratio| ratio.is_finite()));
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
pub(crate) fn text(versions: &[String], reports: &[Report]) -> String {
    let mut text = heading(versions, reports);
    for report in reports {
        text.push('\n');
        text.push_str(&table(report));
    }
    text.push_str(&notes(reports));
    text
}

fn heading(versions: &[String], reports: &[Report]) -> String {
    let (mut loops, mut python) = (Vec::new(), "");
    for version in versions {
        let (name, of) = version.split_once('\n').unwrap_or((version, ""));
        (loops, python) = ([loops, vec![name]].concat(), of);
    }
    let rounds = reports.first().map_or(0, |report| report.rounds);
    format!("{} on Python {python}, in turns, rounds: {rounds}\n", loops.join(", "))
}

fn table(report: &Report) -> String {
    let (rate, scale) = match report.kind {
        Kind::Runs => ("wall s", 1.0),
        Kind::Operations => ("op/s", 1e6),
    };
    let unit = if report.kind == Kind::Runs { "s" } else { "µs" };
    let mut text = format!("{}\n", report.title);
    let head = [
        rate,
        "ratio",
        &format!("p50 {unit}"),
        &format!("p99 {unit}"),
        &format!("CPU {unit}"),
        "ratio",
        "MiB",
        "errors",
    ];
    line(&mut text, "loop", &head.map(str::to_owned), "rounds");
    let Some(base) = report.measured.first() else { return text };
    for row in &report.measured {
        let one = |figure: fn(&Sample) -> Option<f64>| row.median(figure).map(|figure| figure * scale);
        let (p50, p99) = match report.kind {
            // Of a whole run there is one figure for each round.
            Kind::Runs => {
                let walls = row.figures(|sample| Some(1.0 / sample.rate));
                (median(walls.clone()), quantile(walls, 99))
            }
            Kind::Operations => (one(|sample| sample.p50), one(|sample| sample.p99)),
        };
        let shown = |sample: &Sample| if report.kind == Kind::Runs { 1.0 / sample.rate } else { sample.rate };
        let rates = row.figures(|sample| Some(shown(sample)));
        let range = [0, 100].map(|part| number(quantile(rates.clone(), part))).join("–");
        let cells = [
            number(median(rates)),
            ratio(row.ratio(base, |sample| Some(sample.rate))),
            number(p50),
            number(p99),
            number(one(|sample| sample.cpu)),
            ratio(row.ratio(base, |sample| Some(1.0 / sample.cpu?))),
            number(row.median(|sample| Some(sample.memory? as f64 / f64::from(1 << 20)))),
            row.errors().to_string(),
        ];
        line(&mut text, &row.name, &cells, &range);
    }
    text
}

fn line(text: &mut String, name: &str, cells: &[String], range: &str) {
    let cells: String = cells.iter().map(|cell| format!("{cell:>9}")).collect();
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
pub(crate) fn json(versions: &[String], reports: &[Report]) -> anyhow::Result<String> {
    let python = versions.first().and_then(|version| version.split_once('\n')).map_or("", |(_, python)| python);
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
    let document = json!({ "python": python, "measured": reports.iter().map(report).collect::<Vec<_>>() });
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
            errors: 0,
        };
        Measured { name: name.to_owned(), samples: rates.iter().map(sample).collect(), is_used: true }
    }

    fn report(kind: Kind, measured: Vec<Measured>) -> Report {
        Report { title: "app.py".to_owned(), kind, rounds: 3, measured }
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
        let versions = ["asyncio\n3.13.0".to_owned(), "treadle 0.1.0\n3.13.0".to_owned()];
        insta::assert_snapshot!(text(&versions, &[report(Kind::Operations, measured)]), @"
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
        let versions = ["asyncio\n3.13.0".to_owned(), "treadle 0.1.0\n3.13.0".to_owned()];
        insta::assert_snapshot!(text(&versions, &[report(Kind::Runs, measured)]), @"
        asyncio, treadle 0.1.0 on Python 3.13.0, in turns, rounds: 3

        app.py
          loop        wall s    ratio    p50 s    p99 s    CPU s    ratio      MiB   errors  rounds
          asyncio       2.00     1.00     2.00     2.00     1.80     1.00     30.0        0  2.00–2.00
          treadle      0.667     3.00    0.667     1.00    0.600     3.00     30.0        0  0.500–1.00

        Ratios are to asyncio within each round; more than 1 is better.
        `app.py` did not ask asyncio for a loop, so the row `treadle` may be of another loop. Take out what chooses the loop.
        `app.py`: the machine was not quiet, rounds differ (treadle by 67 %). Wait until it is, or raise `--rounds`.
        ");
    }
}
