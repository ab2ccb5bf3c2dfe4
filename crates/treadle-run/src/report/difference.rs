//! A recording against another one.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use super::{Change, Difference, Flame, Histogram, Index, Report};

/// What has changed from one report to the other. Lines move, so findings are the same that say the same of the same function.
pub fn difference(before: &Report, after: &mut Report) -> Difference {
    let rows = rows(before, after);
    let findings = findings(before, after);
    let flame = merged(before, after);
    Difference { title: before.title.clone(), findings, rows, flame }
}

/// What makes a finding the same: the pitfall, the file and the function, and what is said.
type Key = (String, String, String);

fn findings(before: &Report, after: &Report) -> Vec<Change> {
    let table = |report: &Report| {
        let mut table: BTreeMap<Key, (String, u64)> = BTreeMap::new();
        for found in &report.findings {
            let key = (found.name.clone(), key(report, found.site), found.message.clone());
            table.entry(key).or_insert_with(|| (report.shown(found.site), 0)).1 += found.count;
        }
        table
    };
    let (old, new) = (table(before), table(after));
    let mut changes: Vec<Change> = new
        .iter()
        .map(|(key, (site, after))| {
            let before = old.get(key).map_or(0, |(_, count)| *count);
            let change = match (before, after) {
                (0, _) => "new",
                (before, after) if before < *after => "more",
                (before, after) if before > *after => "fewer",
                _ => "same",
            };
            Change { name: key.0.clone(), site: site.clone(), change, before, after: *after }
        })
        .collect();
    let gone = old.iter().filter(|(key, _)| !new.contains_key(*key));
    changes.extend(gone.map(|(key, (site, count))| Change {
        name: key.0.clone(),
        site: site.clone(),
        change: "gone",
        before: *count,
        after: 0,
    }));
    let order = ["new", "more", "same", "fewer", "gone"];
    changes.sort_by_key(|change| order.iter().position(|word| *word == change.change));
    changes
}

/// What a line is known by in both reports: the file and the function.
fn key(report: &Report, site: Index) -> String {
    let site = usize::try_from(site).ok().and_then(|site| report.sites.get(site));
    site.map_or_else(String::new, |(file, _, function, _)| {
        format!("{}\n{function}", report.files.get(*file).map_or("", String::as_str))
    })
}

/// Takes a number from a report.
type Measure<'a> = &'a dyn Fn(&Report) -> f64;

fn rows(before: &Report, after: &Report) -> Vec<(String, f64, f64, String)> {
    let sum = |column: &[i64]| column.iter().sum::<i64>() as f64;
    let most = |column: &[i64]| column.iter().max().copied().unwrap_or(0) as f64;
    let seconds = |report: &Report| report.duration.max(1) as f64 / 1e6;
    let blocked = |report: &Report, kind: &str| {
        let pauses = report.pauses.kind.iter().zip(&report.pauses.took);
        pauses.filter(|(of, _)| **of == kind).map(|(_, took)| *took).sum::<i64>() as f64 / 1e3
    };
    let measures: [(&str, &str, Measure<'_>); 11] = [
        ("duration", "s", &seconds),
        ("callbacks", "/s", &|report| sum(&report.seconds.callbacks) / seconds(report)),
        ("loops busy", "%", &|report| sum(&report.seconds.busy) / seconds(report) / 1e4),
        ("step, half", "µs", &|report| quantile(&report.histograms.step, 0.5)),
        ("step, 99 of 100", "µs", &|report| quantile(&report.histograms.step, 0.99)),
        ("longest step", "ms", &|report| report.histograms.step.max as f64 / 1e3),
        ("delay, 99 of 100", "µs", &|report| quantile(&report.histograms.delay, 0.99)),
        ("longest delay", "ms", &|report| report.histograms.delay.max as f64 / 1e3),
        ("blocked", "ms", &|report| blocked(report, "blocked")),
        ("collecting garbage", "ms", &|report| blocked(report, "gc")),
        ("most tasks at once", "", &|report| most(&report.seconds.tasks)),
    ];
    let row = |(what, unit, measure): (&str, &str, Measure<'_>)| {
        (what.to_owned(), measure(before), measure(after), unit.to_owned())
    };
    measures.into_iter().map(row).collect()
}

/// Up to which time such a share of all took, by the bar it is in.
fn quantile(histogram: &Histogram, share: f64) -> f64 {
    let total: u64 = histogram.counts.iter().sum();
    let mut left = (total as f64 * share).ceil() as u64;
    for (at, count) in histogram.counts.iter().enumerate() {
        left = left.saturating_sub(*count);
        if left == 0 && total > 0 {
            return histogram.edges.get(at + 1).map_or(0.0, |edge| *edge as f64);
        }
    }
    0.0
}

/// Both flame graphs in one. Calls of one function are one call, wherever the line is.
fn merged(before: &Report, after: &mut Report) -> Flame {
    let (old, new) = (&before.flame.all, after.flame.all.clone());
    let mut sites = FxHashMap::default();
    let flame = join(before, after, &[old], &[&new], -1, &mut sites);
    Flame { value: new.value, before: Some(old.value), ..flame }
}

fn join(
    before: &Report,
    after: &mut Report,
    old: &[&Flame],
    new: &[&Flame],
    site: Index,
    sites: &mut FxHashMap<Index, Index>,
) -> Flame {
    let mut groups: BTreeMap<String, (Vec<&Flame>, Vec<&Flame>)> = BTreeMap::new();
    for child in old.iter().flat_map(|flame| &flame.children) {
        groups.entry(key(before, child.site)).or_default().0.push(child);
    }
    for child in new.iter().flat_map(|flame| &flame.children) {
        groups.entry(key(after, child.site)).or_default().1.push(child);
    }
    let sum = |flames: &[&Flame]| flames.iter().map(|flame| flame.value).sum::<i64>();
    let mut children = Vec::new();
    for (old, new) in groups.into_values() {
        let site = match (new.first(), old.first()) {
            (Some(flame), _) => flame.site,
            (None, Some(flame)) => adopted(before, after, flame.site, sites),
            (None, None) => -1,
        };
        children.push(join(before, after, &old, &new, site, sites));
    }
    children.sort_by_key(|child| std::cmp::Reverse((child.value, child.before)));
    let label = new.iter().chain(old).find_map(|flame| flame.label.clone());
    Flame { site, value: sum(new), before: Some(sum(old)), label, children }
}

/// The number of a line of the one report in the other, which gets it if it lacks it.
fn adopted(before: &Report, after: &mut Report, site: Index, sites: &mut FxHashMap<Index, Index>) -> Index {
    if let Some(known) = sites.get(&site) {
        return *known;
    }
    let Some((file, line, function, package)) = usize::try_from(site).ok().and_then(|site| before.sites.get(site))
    else {
        return -1;
    };
    let name = before.files.get(*file).cloned().unwrap_or_default();
    let file = after.files.iter().position(|known| *known == name).unwrap_or_else(|| {
        after.paths.push(before.paths.get(*file).cloned().unwrap_or_default());
        after.files.push(name);
        after.files.len() - 1
    });
    after.sites.push((file, *line, function.clone(), package.clone()));
    let new = (after.sites.len() - 1) as Index;
    sites.insert(site, new);
    new
}
