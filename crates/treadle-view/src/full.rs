//! Findings with the code they are about, for people.

use std::io::{self, Write};
use std::ops::Range;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use treadle_finding::{Applicability, Finding, Location, Severity, Span};

use crate::place::Texts;
use crate::{Report, Style};

/// Every finding with its code, its way to the cause and its cure; the last line says what to fix first.
///
/// # Errors
///
/// The output cannot be written.
pub fn full(report: &Report<'_>, style: &Style, out: &mut dyn Write) -> io::Result<()> {
    let renderer = if style.colour { Renderer::styled() } else { Renderer::plain() };
    let renderer = renderer.decor_style(DecorStyle::Ascii).term_width(style.width.clamp(60, 200));
    let mut texts = Texts::new(report.sources);
    for finding in report.findings {
        let groups = [group(finding, &mut texts)];
        writeln!(out, "{}\n", renderer.render(&groups))?;
    }
    summary(report, &mut texts, out)
}

fn level(severity: Severity) -> Level<'static> {
    match severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Info => Level::INFO,
    }
}

/// One stretch of code with the marks in it.
struct Frame {
    location: Location,
    marks: Vec<(Span, AnnotationKind, String)>,
}

/// Marks at most this many bytes of code apart share a frame.
const NEAR: u32 = 600;

fn frames(finding: &Finding) -> Vec<Frame> {
    let primary = (finding.primary.clone(), AnnotationKind::Primary, finding.label.clone().unwrap_or_default());
    let steps = finding.path.iter().map(|step| (step.location.clone(), AnnotationKind::Context, step.text.clone()));
    let mut frames: Vec<Frame> = Vec::new();
    for (location, kind, words) in std::iter::once(primary).chain(steps) {
        let near = |frame: &Frame| {
            frame.location.path == location.path
                && frame.marks.iter().any(|(span, ..)| span.start.abs_diff(location.span.start) < NEAR)
        };
        let same = |frame: &Frame| frame.marks.iter().any(|(span, ..)| *span == location.span);
        if let Some(frame) = frames.last_mut().filter(|frame| near(frame) && !same(frame)) {
            frame.marks.push((location.span, kind, words));
        } else {
            let marks = vec![(location.span, kind, words)];
            frames.push(Frame { location, marks });
        }
    }
    frames
}

fn group<'a>(finding: &'a Finding, texts: &mut Texts<'_>) -> Group<'a> {
    let title = level(finding.about.severity).primary_title(finding.message.as_str()).id(finding.about.name);
    let mut group = Group::with_title(title);
    for frame in frames(finding) {
        let path = frame.location.path.display().to_string();
        let Some(text) = texts.get(&frame.location.path) else {
            group = group.element(Origin::path(path));
            continue;
        };
        let spans: Vec<Span> = frame.marks.iter().map(|(span, ..)| *span).collect();
        let (excerpt, line) = text.excerpt(&spans);
        let code = text.text[excerpt.clone()].to_owned();
        let mut snippet = Snippet::source(code).line_start(line).path(path).fold(true);
        for (span, kind, words) in frame.marks {
            snippet = snippet.annotation(
                kind.span(within(span, &excerpt, &text.text)).label(Some(words).filter(|words| !words.is_empty())),
            );
        }
        group = group.element(snippet);
    }
    if let Some(also) = also(finding, texts) {
        group = group.element(Level::NOTE.message(also));
    }
    for note in &finding.notes {
        group = group.element(Level::NOTE.message(note.as_str()));
    }
    if let Some(help) = &finding.help {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    group
}

/// A span as a range of its excerpt, cut to its first line so that the caret stays readable.
fn within(span: Span, excerpt: &Range<usize>, text: &str) -> Range<usize> {
    let boundary = |mut at: usize| {
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    let start = boundary((span.start as usize).clamp(excerpt.start, excerpt.end));
    let end = boundary((span.end as usize).clamp(start, excerpt.end));
    let first_line = text[start..end].find(['\n', '\r']).map_or(end, |at| start + at);
    start - excerpt.start..first_line - excerpt.start
}

fn also(finding: &Finding, texts: &mut Texts<'_>) -> Option<String> {
    const SHOWN: usize = 3;
    let count = finding.also.len();
    if count == 0 {
        return None;
    }
    let mut shown: Vec<String> = Vec::new();
    for location in finding.also.iter().take(SHOWN) {
        let place = texts.place(location);
        shown.push(format!("{}:{}", location.path.display(), place.line));
    }
    let more = if count > SHOWN { format!(" and {} more", count - SHOWN) } else { String::new() };
    let places = if count == 1 { "place" } else { "places" };
    Some(format!("reached from {count} more {places}: {}{more}", shown.join(", ")))
}

fn summary(report: &Report<'_>, texts: &mut Texts<'_>, out: &mut dyn Write) -> io::Result<()> {
    let files = if report.files == 1 { "file" } else { "files" };
    if report.files == 0 {
        return writeln!(out, "No Python file was checked.");
    }
    if report.findings.is_empty() {
        let silenced =
            if report.ignored > 0 { format!(", {} ignored by comments", report.ignored) } else { String::new() };
        return writeln!(out, "No pitfalls in {} {files}{silenced}.", report.files);
    }
    let count = report.findings.len();
    let findings = if count == 1 { "finding" } else { "findings" };
    let fixable = report
        .findings
        .iter()
        .filter(|finding| finding.fix.as_ref().is_some_and(|fix| fix.applicability == Applicability::Safe))
        .count();
    let fixable = if fixable > 0 { format!(", {fixable} of them fixed by `--fix`") } else { String::new() };
    write!(out, "{count} {findings} in {} {files}{fixable}.", report.files)?;
    if let Some(finding) = report.first.filter(|_| count > 1) {
        let place = texts.place(&finding.primary);
        let (path, line) = (finding.primary.path.display(), place.line);
        write!(out, " Fix {path}:{line} first ({})", finding.about.name)?;
        if !finding.also.is_empty() {
            write!(out, ": {} places reach it", finding.also.len() + 1)?;
        }
        write!(out, ".")?;
    }
    writeln!(out)
}
