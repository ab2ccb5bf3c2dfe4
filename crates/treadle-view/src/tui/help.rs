//! The keys.

use super::ink::Ink;
use super::sheet::Sheet;
use super::text::wrap;

const KEYS: [(&str, &str); 17] = [
    ("1 … 7, Tab, ← →", "another tab"),
    ("↑ ↓ j k, PgUp PgDn, Home End", "another line"),
    ("Enter", "details: await chain, what it waits for, cure; in groups: the tasks of one"),
    ("Esc, Backspace", "back; without details: show all again"),
    ("/", "show only lines with a text in them; tasks: name, place, class, or `stuck`, `running`"),
    ("s S", "tasks, patterns: sort by the next or the previous column"),
    ("r", "tasks, patterns: the other way round"),
    ("g", "tasks: counted by where they were made"),
    ("t", "tasks: below those that made them"),
    ("space", "pause: nothing is asked, nothing moves"),
    ("[ ]", "step back and forth through what this tab has shown"),
    ("mouse", "click a tab or a line, again for details; the wheel moves"),
    ("q, Ctrl-C", "quit"),
    ("", ""),
    ("!  ✗", "hurts: an error, a stuck task, a loop that is blocked"),
    ("?  ⟳  ↻", "suspected; a ring of tasks; a task that wakes itself again and again"),
    ("lag", "how long what is ready has to wait: from one look at the system to the next"),
];

pub(super) fn sheet() -> Sheet {
    let mut sheet = Sheet::new();
    sheet.push(ratatui::text::Line::styled("keys", Ink::heading()));
    for (keys, what) in KEYS {
        // Fits beside the keys on the smallest screen.
        for (at, part) in wrap(what, 46, 0).into_iter().enumerate() {
            sheet.push(format!("  {:<31}{part}", if at == 0 { keys } else { "" }));
        }
    }
    sheet
}
