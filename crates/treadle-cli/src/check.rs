//! `treadle check`.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressStyle};
use treadle_check::engine::{Progress, files_of};
use treadle_check::{Configuration, Outcome, Request, add_ignore, configuration, environment, fix};
use treadle_finding::{Finding, Problem};
use treadle_program::source;
use treadle_view::{Report, Sources};

use crate::arguments::{Check, Format};
use crate::output;

pub(crate) fn run(options: &Check) -> anyhow::Result<u8> {
    let request = request(options)?;
    if options.show_files {
        return show_files(&request);
    }
    let (mut outcome, mut stdin_text) = (checked(&request, options)?, request.stdin.clone());
    if options.add_ignore {
        return add_ignores(&outcome);
    }
    if options.diff {
        return diff(&outcome, options, stdin_text.as_ref());
    }
    let mut fixed = 0;
    if options.fix || options.unsafe_fixes {
        for _ in 0..fix::ROUNDS {
            let count = apply(&outcome, options.unsafe_fixes, &mut stdin_text)?;
            if count == 0 {
                break;
            }
            fixed += count;
            outcome = checked(&Request { stdin: stdin_text.clone(), ..request.clone() }, options)?;
        }
        if let Some((_, text)) = &stdin_text {
            output::print(text)?;
        }
    }
    if stdin_text.is_none() || fixed == 0 && !options.fix && !options.unsafe_fixes {
        write(&outcome, options, stdin_text.as_ref())?;
    }
    if fixed > 0 && !options.quiet {
        eprintln!("Fixed {fixed} {}.", if fixed == 1 { "finding" } else { "findings" });
    }
    Ok(exit_code(&outcome, options))
}

/// 0 clean, 1 findings, 2 when there was nothing that could be checked.
fn exit_code(outcome: &Outcome, options: &Check) -> u8 {
    if outcome.files == 0 && !outcome.problems.is_empty() {
        2
    } else {
        u8::from(!outcome.findings.is_empty() && !options.exit_zero)
    }
}

fn request(options: &Check) -> anyhow::Result<Request> {
    let start =
        options.paths.first().filter(|path| path.as_os_str() != "-").cloned().unwrap_or_else(|| PathBuf::from("."));
    let mut configuration = match (&options.config, options.isolated) {
        (Some(file), _) => Configuration::read(file)?,
        (None, true) => Configuration::isolated(&std::path::absolute(&start).map(|start| {
            if start.is_file() { start.parent().map(Path::to_path_buf).unwrap_or(start) } else { start }
        })?),
        (None, false) => Configuration::find(options.stdin_filename.as_deref().unwrap_or(&start))?,
    };
    let names = options.select.iter().chain(&options.ignore).chain(&options.extend_select);
    for name in names {
        configuration::check_name(name).map_err(anyhow::Error::msg)?;
    }
    if !options.select.is_empty() {
        configuration.select = Some(options.select.clone());
        // What is asked for by name is not held back by the settings.
        configuration.ignore.retain(|name| !options.select.contains(name));
    }
    configuration.ignore.extend(options.ignore.iter().cloned());
    configuration.extend_select.extend(options.extend_select.iter().cloned());
    if let Some(tier) = &options.tier {
        configuration.tier = configuration::parse_tier(tier).map_err(anyhow::Error::msg)?;
    }
    configuration.excludes.extend(options.exclude.iter().cloned());
    if let Some(python) = &options.python {
        configuration.python = Some(python.clone());
    }
    if let Some(version) = &options.python_version {
        let parsed = environment::parse_version(version);
        configuration.python_version =
            Some(parsed.with_context(|| format!("`{version}` is no Python version such as 3.11"))?);
    }
    configuration.follow_installed |= options.follow_installed;
    let cache = (!options.no_cache)
        .then(|| options.cache_dir.clone().unwrap_or_else(|| configuration.project.join(".treadle_cache")));
    let from_stdin = options.paths.iter().any(|path| path.as_os_str() == "-");
    if from_stdin && options.paths.len() > 1 {
        bail!("`-` stands alone: standard input is one file");
    }
    let stdin = if from_stdin { Some(read_stdin(options)?) } else { None };
    let paths = if from_stdin { Vec::new() } else { options.paths.clone() };
    // One file from an editor is not worth a cache.
    let cache = cache.filter(|_| !from_stdin);
    Ok(Request { paths, stdin, configuration, cache })
}

fn read_stdin(options: &Check) -> anyhow::Result<(PathBuf, String)> {
    let name = options.stdin_filename.clone().unwrap_or_else(|| PathBuf::from("stdin.py"));
    let mut bytes = Vec::new();
    std::io::stdin().read_to_end(&mut bytes).context("standard input cannot be read")?;
    Ok((name, source::decode(&bytes).context("standard input")?))
}

fn show_files(request: &Request) -> anyhow::Result<u8> {
    let (found, problems) = files_of(request);
    let lines: String = found.iter().map(|file| format!("{}\n", file.path.display())).collect();
    output::print(&lines)?;
    warn(&problems);
    Ok(0)
}

/// Files nest as deeply as their authors like; the parser and the trees' destructors recurse.
const STACK: usize = 64 << 20;

/// Runs the check on threads with room, with a progress bar when it takes long and somebody watches.
fn checked(request: &Request, options: &Check) -> anyhow::Result<Outcome> {
    let pool = rayon::ThreadPoolBuilder::new().stack_size(STACK).build()?;
    let progress = Progress::default();
    let done = AtomicBool::new(false);
    let watched = !options.quiet && std::io::stderr().is_terminal();
    std::thread::scope(|scope| {
        if watched {
            scope.spawn(|| show_progress(&progress, &done));
        }
        let outcome = pool.install(|| treadle_check::check(request, &progress));
        done.store(true, Ordering::Release);
        outcome
    })
}

fn show_progress(progress: &Progress, done: &AtomicBool) {
    const STEP: Duration = Duration::from_millis(50);
    const PATIENCE: u32 = 20;
    let mut waited = 0;
    let mut bar: Option<ProgressBar> = None;
    while !done.load(Ordering::Acquire) {
        std::thread::sleep(STEP);
        waited += 1;
        if waited == PATIENCE {
            let style = ProgressStyle::with_template("{spinner} {pos}/{len} files {wide_bar}");
            let shown = ProgressBar::new(0);
            bar = Some(match style {
                Ok(style) => shown.with_style(style),
                Err(_) => shown,
            });
        }
        if let Some(bar) = &bar {
            bar.set_length(progress.found.load(Ordering::Relaxed) as u64);
            bar.set_position(progress.done.load(Ordering::Relaxed) as u64);
        }
    }
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
}

/// Texts from disk, or from standard input.
struct Texts<'a> {
    stdin: Option<&'a (PathBuf, String)>,
}

impl Sources for Texts<'_> {
    fn text(&self, path: &Path) -> Option<Arc<str>> {
        if let Some((name, text)) = self.stdin
            && name == path
        {
            return Some(text.as_str().into());
        }
        source::decode(&std::fs::read(path).ok()?).ok().map(Into::into)
    }
}

fn write(outcome: &Outcome, options: &Check, stdin: Option<&(PathBuf, String)>) -> anyhow::Result<()> {
    let texts = Texts { stdin };
    let report = Report {
        findings: &outcome.findings,
        first: treadle_pitfalls::first(&outcome.findings),
        problems: &outcome.problems,
        files: outcome.files,
        ignored: outcome.ignored,
        sources: &texts,
    };
    let style = output::style(options.color);
    let mut out = output::stdout();
    if options.statistics {
        treadle_view::statistics(&report, &style, &mut out)?;
    } else {
        let view = match options.output_format {
            Format::Full if options.quiet && outcome.findings.is_empty() => return Ok(()),
            Format::Full => treadle_view::full,
            Format::Concise => treadle_view::concise,
            Format::Json => treadle_view::json,
            Format::JsonLines => treadle_view::json_lines,
            Format::Github => treadle_view::github,
            Format::Sarif => treadle_view::sarif,
        };
        view(&report, &style, &mut out)?;
    }
    out.flush()?;
    let is_in_the_output = matches!(options.output_format, Format::Json | Format::Github | Format::Sarif);
    if options.statistics || !is_in_the_output {
        warn(&outcome.problems);
    }
    Ok(())
}

/// What could not be read goes to standard error, so that programs reading the findings need not know of it.
fn warn(problems: &[Problem]) {
    for problem in problems {
        eprintln!("warning: {}: {}", problem.path.display(), problem.message);
    }
}

fn text_of(path: &Path, stdin: Option<&(PathBuf, String)>) -> Option<Arc<str>> {
    Texts { stdin }.text(path)
}

/// Applies fixes to files, or to the text from standard input; how many findings were fixed.
fn apply(outcome: &Outcome, unsafe_too: bool, stdin: &mut Option<(PathBuf, String)>) -> anyhow::Result<usize> {
    let mut count = 0;
    for (path, fixes) in fix::by_file(&outcome.findings, unsafe_too) {
        let Some(before) = text_of(&path, stdin.as_ref()) else { continue };
        match fix::apply(&before, &fixes) {
            Ok(fixed) if fixed.count == 0 => {}
            Ok(fixed) => {
                match stdin {
                    Some((_, text)) => *text = fixed.text,
                    None => fix::write(&path, &before, &fixed.text).with_context(|| path.display().to_string())?,
                }
                count += fixed.count;
            }
            Err(message) => eprintln!("warning: {}: {message}", path.display()),
        }
    }
    Ok(count)
}

/// 1 when fixes would change something.
fn diff(outcome: &Outcome, options: &Check, stdin: Option<&(PathBuf, String)>) -> anyhow::Result<u8> {
    let mut shown = String::new();
    for (path, fixes) in fix::by_file(&outcome.findings, options.unsafe_fixes) {
        let Some(before) = text_of(&path, stdin) else { continue };
        match fix::apply(&before, &fixes) {
            Ok(fixed) => shown.push_str(&fix::diff(&path, &before, &fixed.text)),
            Err(message) => eprintln!("warning: {}: {message}", path.display()),
        }
    }
    output::print(&shown)?;
    Ok(u8::from(!shown.is_empty() && !options.exit_zero))
}

fn add_ignores(outcome: &Outcome) -> anyhow::Result<u8> {
    let mut by_path: BTreeMap<&Path, Vec<&Finding>> = BTreeMap::new();
    for finding in &outcome.findings {
        by_path.entry(&finding.primary.path).or_default().push(finding);
    }
    let mut count = 0;
    for (path, findings) in by_path {
        let Some(before) = text_of(path, None) else { continue };
        let after = add_ignore::add(&before, &findings);
        fix::write(path, &before, &after).with_context(|| path.display().to_string())?;
        count += findings.len();
    }
    output::print(&format!(
        "Added ignore comments for {count} {}.\n",
        if count == 1 { "finding" } else { "findings" }
    ))?;
    Ok(0)
}
