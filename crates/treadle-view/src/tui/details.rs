//! One task or one finding, with all there is to know, and what to write instead.

use ratatui::text::Line;
use treadle_finding::Site;
use treadle_run::inquiry::{Details, FindingRow, Holder, Reply, Row, Woken};

use super::data::Data;
use super::findings::severity;
use super::ink::Ink;
use super::sheet::Sheet;
use super::tasks::{doing, name, waits_for};
use super::text::{clean, count, fit, place, plural, wrap};
use crate::duration;

/// The part of a page that says what to do.
const CURE: &str = "Write this instead";

pub(super) fn task(task: u64, reply: &Reply, data: &Data, width: usize, ink: Ink) -> Sheet {
    let mut sheet = Sheet::new();
    let Some(details) = reply.task.as_ref().filter(|details| details.row.task == task) else {
        sheet.push("the task has ended, or was not asked for at that moment");
        return sheet;
    };
    facts(&mut sheet, details, width, ink);
    chain(&mut sheet, details, width, ink);
    relatives(&mut sheet, details, width, ink);
    for seen in &details.findings {
        sheet.push("");
        add_finding(&mut sheet, seen, data, width, ink);
    }
    sheet
}

fn facts(sheet: &mut Sheet, details: &Details, width: usize, ink: Ink) {
    let row = &details.row;
    let (word, look) = doing(row, ink);
    sheet.push(Line::styled(fit(&format!("{}: {word}, in loop {}", name(row), details.event_loop), width), look));
    if let Some(reason) = details.stuck {
        let why = match (reason.is_in_ring, reason.is_forgotten) {
            (true, _) => "it and others wait for each other",
            (_, true) => "nobody but stuck tasks has a reference to what it waits for",
            _ => "those that could wake it are stuck",
        };
        let doubt = if reason.is_doubtful { ", unless something does that was not seen" } else { "" };
        sheet.push(Line::styled(format!("! nothing wakes it any more: {why}{doubt}"), ink.bad()));
    }
    let times = format!(
        "{} old, {} since its last step; {} {}, {} together, the longest {}",
        duration(row.age),
        duration(row.quiet),
        count(row.steps),
        plural(row.steps, "step", "steps"),
        duration(row.run),
        duration(row.longest)
    );
    for line in wrap(&times, width, 2) {
        sheet.push(line);
    }
    sheet.push(format!("made at {}", place(&row.birth)));
    sheet.push(format!("runs {}", place(&row.code)));
    if let Some(woken) = &details.woken {
        sheet.push(fit(&woken_by(woken), width));
    }
    if let Some((wakes, site)) = &details.self_wakes {
        sheet.push(format!("↻ wakes itself at {}, tasks there about {} times", place(site), count(*wakes)));
    }
}

fn woken_by(woken: &Woken) -> String {
    let through = woken.callback.as_ref().map(place);
    let who = woken.task.as_ref().map(holder).or_else(|| (!woken.by.is_empty()).then(|| woken.by.clone()));
    let who = match (who, through) {
        (Some(who), Some(through)) => format!("{who}, through {through}"),
        (Some(who), None) | (None, Some(who)) => who,
        (None, None) => "a callback".to_owned(),
    };
    format!("woken last by {who}; ready {} before it ran", duration(woken.waited))
}

fn chain(sheet: &mut Sheet, details: &Details, width: usize, ink: Ink) {
    if !details.chain.is_empty() {
        sheet.section("await chain, the outermost first");
        for (depth, site) in details.chain.iter().enumerate() {
            let indent = " ".repeat(2 + depth.min(10));
            sheet.push(Line::styled(fit(&format!("{indent}{}", place(site)), width), ink.code()));
        }
    }
    let what = waits_for(&details.row);
    if !what.is_empty() {
        let from: Vec<String> = details.waits_on.iter().map(holder).collect();
        let from = if from.is_empty() { String::new() } else { format!(": {}", from.join(", ")) };
        sheet.push(fit(&format!("waits for {what}{from}"), width));
    }
    for (class, site) in &details.holds {
        sheet.push(fit(&format!("holds {} since {}", clean(class), place(site)), width));
    }
}

fn holder(holder: &Holder) -> String {
    let since = holder.since.as_ref().map_or_else(String::new, |site: &Site| format!(" since {}", place(site)));
    format!("{}{since}", clean(&holder.name))
}

fn relatives(sheet: &mut Sheet, details: &Details, width: usize, ink: Ink) {
    let Details { parent, children, child_count, .. } = details;
    if parent.is_none() && children.is_empty() {
        return;
    }
    sheet.section("family");
    let line = |word: &str, row: &Row| {
        let (state, _) = doing(row, ink);
        fit(&format!("  {word} {} {state}, {}", name(row), place(row.at.as_ref().unwrap_or(&row.code))), width)
    };
    sheet
        .entries
        .extend(parent.iter().map(|row| super::sheet::Entry { line: line("made by", row).into(), target: None }));
    for row in children {
        sheet.push(line("made", row));
    }
    if *child_count > children.len() {
        sheet.push(format!("  and {} more", child_count - children.len()));
    }
    sheet.total = sheet.entries.len();
}

/// A finding, by its name, line and message.
pub(super) fn finding(wanted: (&str, u32, &str), reply: &Reply, data: &Data, width: usize, ink: Ink) -> Sheet {
    let mut sheet = Sheet::new();
    let is_it = |seen: &&FindingRow| (seen.name.as_str(), seen.site.line, seen.message.as_str()) == wanted;
    match reply.findings.iter().flatten().find(is_it) {
        Some(seen) => add_finding(&mut sheet, seen, data, width, ink),
        None => sheet.push("it was not found at that moment"),
    }
    sheet
}

fn add_finding(sheet: &mut Sheet, seen: &FindingRow, data: &Data, width: usize, ink: Ink) {
    let (sign, look) = severity(seen, ink);
    let suspected = if seen.is_suspected { "suspected: " } else { "" };
    let head = format!("{sign} {}[{}]: {suspected}{}", seen.severity, seen.name, seen.message);
    for line in wrap(&head, width, 2) {
        sheet.push(Line::styled(line, look));
    }
    sheet.push(Line::styled(format!("  --> {}", place(&seen.site)), ink.code()));
    let times = format!("  = seen {} {}", count(seen.count), plural(seen.count, "time", "times"));
    let worst = seen.worst.map_or_else(String::new, |worst| format!(", at worst {}", duration(worst)));
    let cause = seen.cause.as_ref().map_or_else(String::new, |cause| format!(", {cause}"));
    sheet.push(format!("{times}{worst}{cause}"));
    let notes = seen.evidence.iter().map(|note| format!("  = {note}"));
    let help = seen.help.iter().map(|help| format!("  = help: {help}"));
    for line in notes.chain(help).flat_map(|note| wrap(&note, width, 4)) {
        sheet.push(line);
    }
    if let Some(cure) = (data.page)(&seen.name).and_then(|page| section(page, CURE)) {
        sheet.section(CURE);
        for line in cure {
            if let Some(code) = line.strip_prefix('\t') {
                sheet.push(Line::styled(fit(&format!("    {code}"), width), ink.code()));
                continue;
            }
            for line in wrap(line.trim_end(), width, 0) {
                sheet.push(line);
            }
        }
    }
}

/// The lines of a page below a heading; those of code begin with a tabulator. Marks for tests are left out.
fn section(page: &str, heading: &str) -> Option<Vec<String>> {
    let mut is_code = false;
    let mut is_inside = false;
    let mut found = Vec::new();
    for line in page.lines() {
        if line.starts_with("```") {
            is_code = !is_code;
            continue;
        }
        if !is_code && let Some(title) = line.strip_prefix("## ") {
            is_inside = title == heading;
            continue;
        }
        if is_inside {
            let shown = line.split("  # error:").next().unwrap_or(line).split("  # watch:").next().unwrap_or(line);
            found.push(if is_code { format!("\t{shown}") } else { shown.to_owned() });
        }
    }
    while found.last().is_some_and(|line| line.trim().is_empty()) {
        found.pop();
    }
    let first = found.iter().position(|line| !line.trim().is_empty())?;
    Some(found.split_off(first))
}
