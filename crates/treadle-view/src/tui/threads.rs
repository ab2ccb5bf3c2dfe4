//! The tab of threads: those of loops, and those that have jobs.

use ratatui::style::Style;
use treadle_run::inquiry::Reply;

use super::header::LATE;
use super::ink::Ink;
use super::sheet::{Column, Sheet, plain, row, share, titles};
use super::text::{count, place};
use crate::duration;

pub(super) fn sheet(reply: &Reply, width: usize, ink: Ink) -> Sheet {
    let Some(page) = &reply.threads else { return Sheet::new() };
    let columns = share(
        [
            Column::number("thread", 8),
            Column::text("runs", 9),
            Column::text("does", 9),
            Column::text("system", 8),
            Column::number("since", 8),
            Column::number("cpu", 8),
            Column::place("code", 0),
        ],
        width,
    );
    let mut sheet = Sheet { head: Some(titles(&columns)), ..Sheet::new() };
    for thread in &page.rows {
        let runs = thread.event_loop.map_or("a job".to_owned(), |number| format!("loop {number}"));
        let does = match thread.activity.as_str() {
            "polling" => "waits",
            "outside" => "between",
            other => other,
        };
        let code = match (&thread.code, &thread.birth) {
            (Some(code), Some(birth)) => format!("{}, from {}", place(code), place(birth)),
            (Some(code), None) => place(code),
            _ => String::new(),
        };
        let is_late = thread.event_loop.is_some() && does == "running" && thread.since >= LATE;
        let look = if is_late { ink.bad() } else { Style::new() };
        let since = if thread.since == 0 { String::new() } else { duration(thread.since) };
        let cells = vec![
            plain(thread.thread.to_string()),
            plain(runs),
            (if is_late { "! blocked".to_owned() } else { does.to_owned() }, look),
            plain(thread.doing.clone().unwrap_or_default()),
            plain(since),
            plain(thread.ran.map_or_else(String::new, duration)),
            (code, ink.code()),
        ];
        sheet.push(row(&columns, cells));
    }
    let vitals = &reply.pulse.vitals;
    sheet.push("");
    let threads = page.count.map_or_else(String::new, |number| format!("the process has {} threads; ", count(number)));
    sheet.push(format!("{threads}jobs: {} running, {} waiting for a thread", vitals.running_jobs, vitals.queued_jobs));
    sheet
}
