//! The tab of waits: a graph as text. What nothing wakes any more comes first, with a sign.

use ratatui::text::{Line, Span};
use treadle_run::inquiry::{Holder, Reply, ThingRow, Waiter};

use super::ink::Ink;
use super::sheet::{Sheet, Target};
use super::text::{clean, count, fit, fit_place, place, plural, want};
use crate::duration;

pub(super) fn sheet(reply: &Reply, width: usize, ink: Ink) -> Sheet {
    let Some(page) = &reply.waits else { return Sheet::new() };
    let mut sheet = Sheet::new();
    for ring in &page.rings {
        add_ring(&mut sheet, ring, width, ink);
    }
    if !page.alone.is_empty() {
        sheet.section("! nothing wakes these any more");
        for waiter in &page.alone {
            sheet.lead(waiting(waiter, "  ", width, ink), Target::Task(waiter.task));
            for holder in &waiter.holders {
                sheet.lead(held(holder, "    └ ", width), Target::Task(holder.task));
            }
        }
    }
    if !page.things.is_empty() {
        sheet.section("what tasks wait for");
        for thing in &page.things {
            add_thing(&mut sheet, thing, width, ink);
        }
    }
    sheet.section("other waits");
    sheet.push(format!(
        "  {} for tasks, {} for a time, {} for what is outside: the system, threads, futures",
        count(page.for_tasks),
        count(page.for_time),
        count(page.outside)
    ));
    sheet
}

fn add_ring(sheet: &mut Sheet, ring: &[Waiter], width: usize, ink: Ink) {
    let quiet = ring.iter().map(|waiter| waiter.quiet).min().unwrap_or(0);
    let doubt = if ring.iter().any(|waiter| waiter.is_doubtful) { "suspected: " } else { "" };
    let number = ring.len() as u64;
    let words = format!(
        "⟳ ! {doubt}{number} {} for each other, for {}",
        plural(number, "task waits", "tasks wait"),
        duration(quiet)
    );
    if !sheet.entries.is_empty() {
        sheet.push("");
    }
    sheet.push(Line::styled(words, ink.bad()));
    for (at, waiter) in ring.iter().enumerate() {
        let corner = match at {
            0 => "╭▶ ",
            _ if at + 1 == ring.len() => "╰─ ",
            _ => "│  ",
        };
        sheet.lead(waiting(waiter, corner, width, ink).style(ink.bad()), Target::Task(waiter.task));
        for holder in waiter.holders.iter().filter(|holder| ring.iter().any(|other| other.task == holder.task)) {
            let stem = if at + 1 == ring.len() { "      └ " } else { "│     └ " };
            sheet.lead(held(holder, stem, width), Target::Task(holder.task));
        }
    }
}

fn waiting(waiter: &Waiter, before: &str, width: usize, ink: Ink) -> Line<'static> {
    let text = format!("{before}{} waits for {} at ", clean(&waiter.name), want(&waiter.what, &waiter.class));
    let left = width.saturating_sub(text.chars().count());
    Line::from(vec![Span::raw(text), Span::styled(fit_place(&place(&waiter.at), left), ink.code())])
}

fn held(holder: &Holder, before: &str, width: usize) -> Line<'static> {
    let text = match &holder.since {
        Some(site) => format!("{before}held by {} since {}", clean(&holder.name), place(site)),
        None => format!("{before}{}", clean(&holder.name)),
    };
    Line::raw(fit(&text, width))
}

fn add_thing(sheet: &mut Sheet, thing: &ThingRow, width: usize, ink: Ink) {
    let stuck = if thing.stuck > 0 { format!(", ! {} stuck", count(thing.stuck)) } else { String::new() };
    let text = format!(
        "  {} {} for {} {:#x}{stuck}, up to {}: ",
        count(thing.waiting),
        plural(thing.waiting, "waits", "wait"),
        want(&thing.what, &thing.class),
        thing.thing,
        duration(thing.longest),
    );
    let left = width.saturating_sub(text.chars().count());
    let look = if thing.stuck > 0 { ink.bad() } else { ratatui::style::Style::new() };
    let line = Line::from(vec![Span::styled(text, look), Span::styled(fit_place(&place(&thing.at), left), ink.code())]);
    match thing.some.first() {
        Some(first) => sheet.lead(line, Target::Task(first.task)),
        None => sheet.push(line),
    }
    let names: Vec<String> = thing.some.iter().map(|holder| clean(&holder.name)).collect();
    let more = if thing.waiting as usize > names.len() { ", …" } else { "" };
    sheet.push(Line::styled(fit(&format!("    ├ {}{more}", names.join(", ")), width), Ink::faint()));
    for holder in &thing.holders {
        sheet.lead(held(holder, "    └ ", width), Target::Task(holder.task));
    }
}
