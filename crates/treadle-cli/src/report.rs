//! `treadle report`: reads a recording, makes a report of it, and writes that in some format.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use treadle_doctor::{Child, Unreadable, children_of};
use treadle_run::{Limits, Recorded};
use treadle_view::LARGEST_PAGE;

use crate::arguments::{Report, ReportFormat};
use crate::output;

pub(crate) fn run(options: &Report) -> anyhow::Result<u8> {
    match options.recording.as_slice() {
        [recording] => show(recording, options)?,
        _ if options.format != ReportFormat::Html || options.output.is_some() || options.compare.is_some() => {
            bail!("several recordings get a page each, beside them. Name one for `--format`, `--output` or `--compare`")
        }
        recordings => show_all(recordings)?,
    }
    Ok(0)
}

/// Writes what was recorded in one process.
fn show(recording: &Path, options: &Report) -> anyhow::Result<()> {
    let children = children_of(recording);
    let after = treadle_doctor::read_recording(recording).map_err(|error| of_children(error, &children))?;
    let before = options.compare.as_deref().map(treadle_doctor::read_recording).transpose()?;
    let default = || (options.format == ReportFormat::Html).then(|| recording.with_extension("html"));
    let to = options.output.clone().or_else(default).filter(|to| to != Path::new("-"));
    let is_input = |to: &PathBuf| {
        let there = to.canonicalize().ok();
        let inputs = [Some(recording), options.compare.as_deref()];
        there.is_some() && inputs.into_iter().flatten().any(|input| input.canonicalize().ok() == there)
    };
    if let Some(to) = to.as_ref().filter(|to| is_input(to)) {
        bail!("`{}` is a recording. Write the report to another file", to.display());
    }
    let after = with_children(after, &children);
    let text = match options.format {
        ReportFormat::Html => page(&after, before.as_ref(), LARGEST_PAGE),
        format => written(&report(&after, before.as_ref(), Limits::default()), format),
    };
    match to {
        None => output::print(&text)?,
        Some(to) => {
            write(&to, &text)?;
            eprintln!("treadle: wrote {}", to.display());
        }
    }
    if !children.is_empty() {
        eprintln!("treadle: children were recorded beside {}: {}", recording.display(), listed(&children));
    }
    Ok(())
}

/// Writes a page for each of some recordings; one in which nothing was recorded, as that of a process that only starts others, is left out.
fn show_all(recordings: &[PathBuf]) -> anyhow::Result<()> {
    let mut is_any = false;
    for recording in recordings {
        let to = recording.with_extension("html");
        match treadle_doctor::read_recording(recording) {
            Err(error) if error.is_empty => eprintln!("treadle: {error}"),
            recorded => {
                write_page(recorded?, &to, &children_of(recording))?;
                eprintln!("treadle: wrote {}", to.display());
                is_any = true;
            }
        }
    }
    if !is_any {
        bail!("there is nothing to show. Record a program that runs asyncio");
    }
    Ok(())
}

/// Says where to look instead, if nothing was recorded in a process but in its children.
fn of_children(error: Unreadable, children: &[Child]) -> anyhow::Error {
    match children.first() {
        Some(child) if error.is_empty => {
            let (listed, first) = (listed(children), child.path.display());
            anyhow!("this process has run no event loop, but its children have: {listed}. Name one such as `{first}`")
        }
        _ => error.into(),
    }
}

/// The recordings of children, in words.
pub(crate) fn listed(children: &[Child]) -> String {
    let one = |child: &Child| format!("{} (process {})", child.path.display(), child.process);
    children.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// What was recorded, with a row that says which children there are.
fn with_children(mut recorded: Recorded, children: &[Child]) -> Recorded {
    if !children.is_empty() {
        let numbers: Vec<String> = children.iter().map(|child| child.process.to_string()).collect();
        recorded.chronicle.environment.push(("children recorded too".to_owned(), numbers.join(", ")));
    }
    recorded
}

/// Writes a page of what was recorded.
pub(crate) fn write_page(recorded: Recorded, to: &Path, children: &[Child]) -> anyhow::Result<()> {
    write(to, &page(&with_children(recorded, children), None, LARGEST_PAGE))
}

fn write(to: &Path, text: &str) -> anyhow::Result<()> {
    File::create(to).and_then(|mut file| file.write_all(text.as_bytes())).with_context(|| to.display().to_string())
}

/// A page, with as much as goes into one that is so large at most.
fn page(after: &Recorded, before: Option<&Recorded>, largest: usize) -> String {
    let mut limits = Limits::default();
    loop {
        let page = treadle_view::html(&report(after, before, limits));
        if page.len() <= largest || limits.steps < 1_000 {
            return page;
        }
        limits = limits.halved();
    }
}

fn written(report: &treadle_run::Report, format: ReportFormat) -> String {
    match format {
        ReportFormat::Html => treadle_view::html(report),
        ReportFormat::Json => treadle_view::report_json(report) + "\n",
        ReportFormat::Perfetto => treadle_view::trace(report),
        ReportFormat::Collapsed => treadle_view::collapsed(report),
        ReportFormat::Speedscope => treadle_view::speedscope(report),
        ReportFormat::Sarif => treadle_view::report_sarif(report),
    }
}

/// The report, with pages of pitfalls and lines of the source as they are now.
fn report(after: &Recorded, before: Option<&Recorded>, limits: Limits) -> treadle_run::Report {
    let mut report = treadle_run::report(after, limits);
    if let Some(before) = before {
        let before = treadle_run::report(before, limits);
        report.difference = Some(treadle_run::difference(&before, &mut report));
    }
    let names = report.findings.iter().map(|found| found.name.clone());
    let page = |name: String| Some((treadle_pitfalls::find(&name)?.about.page.to_owned(), name));
    report.pages = names.filter_map(page).map(|(page, name)| (name, page)).collect();
    report.add_excerpts(|path| source(Path::new(path)));
    report
}

/// The text of a file, if it is one of a source's size.
fn source(path: &Path) -> Option<String> {
    const SIZE: u64 = 2 << 20;
    let is_source = std::fs::metadata(path).is_ok_and(|data| data.is_file() && data.len() <= SIZE);
    let bytes = if is_source { std::fs::read(path).ok()? } else { return None };
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use treadle_events::{Event, Kind, PlaceId, Scale};
    use treadle_run::Chronicle;

    use super::*;

    #[test]
    fn page_stays_small_whatever_is_in_it() {
        let mut seed = 1_u64;
        let mut random = move || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            seed >> 40
        };
        let mut events = Vec::new();
        let mut stamp = 0;
        // Tasks of one step, of which nothing can be foreseen.
        for subject in 0..15_000 {
            stamp += random();
            let place = PlaceId(random() as u32 % 9);
            events.push(Event { stamp, subject, place, value: random() % 9, ..Event::new(Kind::TaskBorn, 1) });
            stamp += random();
            events.push(Event { stamp, subject, ..Event::new(Kind::Step, 1) });
            stamp += random();
            events.push(Event { stamp, subject, ..Event::new(Kind::TaskDone, 1) });
        }
        let (places, scale) = (Vec::new(), Scale::nanoseconds());
        let recorded = Recorded { chronicle: Chronicle::default(), events, is_partial: true, places, scale };
        let empty = treadle_view::html(&treadle_run::Report::default()).len();
        let [most, page] = [usize::MAX, empty + 200_000].map(|largest| page(&recorded, None, largest).len() - empty);
        assert!(most > 400_000 && page <= 200_000 && page > 50_000, "{most} {page}");
    }
}
