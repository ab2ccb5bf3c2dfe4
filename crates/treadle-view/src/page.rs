//! A pitfall's page on a terminal.

use std::fmt::Write;

use anstyle::{AnsiColor, Style as Ansi};

use crate::Style;

/// Markdown as readable text: headings stand out, code is indented, fences and marks for tests are left out.
pub fn page(markdown: &str, style: &Style) -> String {
    let heading = Ansi::new().bold();
    let code = AnsiColor::Cyan.on_default();
    let mut out = String::new();
    let mut in_code = false;
    for line in markdown.lines() {
        if line.starts_with("```") {
            in_code = !in_code;
            continue;
        }
        // Writing to a string cannot fail.
        let _ = if in_code {
            let shown = line.split("  # error:").next().unwrap_or(line);
            if style.colour { writeln!(out, "    {code}{shown}{code:#}") } else { writeln!(out, "    {shown}") }
        } else if let Some(title) = line.trim_start_matches('#').strip_prefix(' ').filter(|_| line.starts_with('#')) {
            if style.colour {
                writeln!(out, "{heading}{title}{heading:#}")
            } else {
                writeln!(out, "{title}\n{}", "-".repeat(title.chars().count()))
            }
        } else {
            writeln!(out, "{line}")
        };
    }
    out
}
