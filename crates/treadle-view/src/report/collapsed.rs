//! Stacks on lines, with their time in microseconds: what flame graph programs read.

use treadle_run::{Flame, Report};

/// A line for each stack in which time was spent: the calls, the outermost first, separated by `;`, and microseconds.
pub fn collapsed(report: &Report) -> String {
    let mut text = String::new();
    walk(&report.flame.all, &mut Vec::new(), &mut |stack, time| {
        let calls: Vec<String> = stack.iter().map(|flame| name(report, flame)).collect();
        text += &format!("{} {time}\n", calls.join(";"));
    });
    text
}

/// The name of a call, in which nothing stands that separates calls.
fn name(report: &Report, flame: &Flame) -> String {
    let shown = flame.label.clone().unwrap_or_else(|| report.shown(flame.site));
    shown.replace(';', ":").replace('\n', " ")
}

/// Hands over each stack that has time of its own, with that time in microseconds. What no call is known of belongs to the loop.
pub(super) fn walk<'a>(flame: &'a Flame, stack: &mut Vec<&'a Flame>, take: &mut dyn FnMut(&[&'a Flame], i64)) {
    let own = flame.value - flame.children.iter().map(|child| child.value).sum::<i64>();
    if own > 0 && !stack.is_empty() {
        take(stack, own);
    }
    for child in &flame.children {
        stack.push(child);
        walk(child, stack, take);
        stack.pop();
    }
}
