//! Texts that fit into columns.

use ratatui::text::Span;
use treadle_finding::Site;

/// A text in exactly so many columns: cut at the end, filled up with spaces at the end.
pub(super) fn fit(text: &str, width: usize) -> String {
    let text = clean(text);
    let used = width_of(&text);
    if used <= width {
        return text + &" ".repeat(width - used);
    }
    let mut kept = String::new();
    let mut used = 0;
    for letter in text.chars() {
        let more = width_of(letter.encode_utf8(&mut [0; 4]));
        if used + more + 1 > width {
            break;
        }
        used += more;
        kept.push(letter);
    }
    if width > 0 {
        kept.push('…');
        used += 1;
    }
    kept + &" ".repeat(width.saturating_sub(used))
}

/// The same with the spaces in front: for numbers.
pub(super) fn fit_right(text: &str, width: usize) -> String {
    let fitted = fit(text, width);
    let kept = fitted.trim_end();
    " ".repeat(width.saturating_sub(width_of(kept))) + kept
}

/// The same of a place: without directories where there is no room for them, and then with as much of the function as there is room for.
pub(super) fn fit_place(text: &str, width: usize) -> String {
    let text = clean(text);
    if width_of(&text) <= width {
        return fit(&text, width);
    }
    let path = text.split(" in ").next().unwrap_or_default();
    let from = path.rfind('/').map_or(0, |at| at + 1);
    fit(&text[from..], width)
}

/// A text in lines of at most so many columns, broken between words where that is possible; further lines begin with spaces.
pub(super) fn wrap(text: &str, width: usize, indent: usize) -> Vec<String> {
    let width = width.max(indent + 10);
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in clean(text).split(' ') {
        let more = width_of(word) + usize::from(!line.trim().is_empty());
        if width_of(&line) + more > width && !line.trim().is_empty() {
            lines.push(std::mem::replace(&mut line, " ".repeat(indent)));
        } else if !line.trim().is_empty() {
            line.push(' ');
        } else if word.is_empty() {
            line.push(' ');
            continue;
        }
        line.push_str(word);
    }
    lines.push(line);
    lines
}

/// What a program calls something may have anything in it; a terminal is only to see letters.
pub(super) fn clean(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '·' } else { letter }).collect()
}

pub(super) fn width_of(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { Span::raw(text).width() }
}

/// A place in a table; `–` if it is not known.
pub(super) fn place(site: &Site) -> String {
    if site.line == 0 && site.function.is_empty() { "–".to_owned() } else { crate::place(site) }
}

/// A number with spaces between thousands.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// Bytes, to three digits.
pub(super) fn bytes(number: u64) -> String {
    match number {
        0..1_024 => format!("{number} B"),
        1_024..1_048_576 => format!("{:.1} KiB", number as f64 / 1_024.0),
        _ => format!("{:.1} MiB", number as f64 / 1_048_576.0),
    }
}

/// The time of day of nanoseconds since 1970.
pub(super) fn clock(time: u64) -> String {
    let seconds = time / 1_000_000_000 % 86_400;
    format!("{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}

/// A part in hundredths.
pub(super) fn percent(part: f64) -> String {
    if part < 0.1 { format!("{:.1} %", part * 100.0) } else { format!("{:.0} %", part * 100.0) }
}

/// What is wanted of something: `lock`, `item of Queue`.
pub(super) fn want(what: &str, class: &str) -> String {
    match what {
        "all" => "all of tasks".to_owned(),
        "any" => "any of tasks".to_owned(),
        _ if what.eq_ignore_ascii_case(class) || class.is_empty() => what.to_owned(),
        _ => format!("{what} of {}", clean(class)),
    }
}

/// One thing or several.
pub(super) fn plural<'w>(count: u64, one: &'w str, several: &'w str) -> &'w str {
    if count == 1 { one } else { several }
}
