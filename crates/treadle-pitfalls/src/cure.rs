//! Edits that several rules offer.

use treadle_finding::{Edit, Fix, Span};
use treadle_program::Program;
use treadle_program::facts::{ArgumentKind, ExprKind, FileFacts, Usage};
use treadle_program::ids::{CallRef, ExprRef};

/// Puts `await` before an expression, with parentheses where what follows binds tighter.
pub(crate) fn await_it(program: &Program, expr: ExprRef) -> Vec<Edit> {
    let facts = program.facts(expr.file);
    let span = facts.expr(expr.id).span;
    if needs_parentheses(facts, expr) {
        vec![Edit::insert(span.start, "(await "), Edit::insert(span.end, ")")]
    } else {
        vec![Edit::insert(span.start, "await ")]
    }
}

fn needs_parentheses(facts: &FileFacts, expr: ExprRef) -> bool {
    let entry = facts.expr(expr.id);
    match entry.usage {
        Usage::AttributeBase | Usage::SubscriptBase | Usage::Callee | Usage::Awaited => true,
        Usage::Operand => entry.parent.is_some_and(|parent| {
            matches!(facts.expr(parent).kind, ExprKind::Binary { op: treadle_program::facts::Operator::Power, .. })
        }),
        _ => false,
    }
}

/// `f(a, b)` becomes `await asyncio.to_thread(f, a, b)`.
///
/// `None` where `await` cannot stand, or where the value is used in a way that a thread changes (a context manager or an
/// iterator would still do its work on the loop).
pub(crate) fn in_thread(program: &Program, call: CallRef) -> Option<Fix> {
    let expr = program.call_expr(call);
    let facts = program.facts(call.file);
    let entry = facts.call(call.id);
    let usage = facts.expr(expr.id).usage;
    let unfit = matches!(
        usage,
        Usage::Entered | Usage::AsyncEntered | Usage::Iterated | Usage::AsyncIterated | Usage::Decorator
    );
    if unfit || !crate::lookup::may_await(program, expr) || in_comprehension(facts, expr) {
        return None;
    }
    let span = facts.expr(expr.id).span;
    let callee = facts.expr(entry.callee).span;
    let parentheses = needs_parentheses(facts, expr);
    let open = if parentheses { "(await asyncio.to_thread(" } else { "await asyncio.to_thread(" };
    let mut edits = vec![Edit::insert(span.start, open)];
    match facts.arguments(entry).first() {
        Some(first) => edits.push(Edit::replace(Span::new(callee.end, first.span.start), ", ")),
        None => edits.push(Edit::replace(Span::new(callee.end, span.end), ")")),
    }
    if parentheses {
        edits.push(Edit::insert(span.end, ")"));
    }
    Some(Fix::unsafe_("run the call in a thread", edits).importing("asyncio"))
}

fn in_comprehension(facts: &FileFacts, expr: ExprRef) -> bool {
    use treadle_program::facts::{LoopKind, RegionKind};
    let kind = |region: &treadle_program::facts::Region| match region.kind {
        RegionKind::Loop { kind, .. } => Some(kind),
        _ => None,
    };
    facts
        .regions_around(facts.expr(expr.id).region)
        .any(|(_, region)| matches!(kind(region), Some(LoopKind::Comprehension | LoopKind::AsyncComprehension)))
}

/// Puts the statements from the line after `statement` to the end of its block one level deeper.
///
/// `None` where a text over several lines would change with its indentation.
pub(crate) fn indent_rest(facts: &FileFacts, statement: Span, block_end: u32) -> Option<Vec<Edit>> {
    let (first, last) = (facts.line_of(statement.end) + 1, facts.line_of(block_end.saturating_sub(1)));
    let inside = |span: Span| statement.end <= span.start && span.end <= block_end;
    let spans_lines = |span: Span| facts.line_of(span.start) != facts.line_of(span.end);
    let is_text = |kind: &ExprKind| {
        matches!(kind, ExprKind::String(_) | ExprKind::LongString | ExprKind::Format(_) | ExprKind::Constant)
    };
    if facts.exprs.iter().any(|expr| is_text(&expr.kind) && inside(expr.span) && spans_lines(expr.span)) {
        return None;
    }
    let is_empty = |line: usize| {
        let next = facts.line_starts.get(line + 1).copied().unwrap_or(block_end + 1);
        next - facts.line_starts[line] <= 1
    };
    let level = if facts.tabs { "\t" } else { "    " };
    Some(
        (first..=last)
            .filter(|line| !is_empty(*line))
            .map(|line| Edit::insert(facts.line_starts[line], level))
            .collect(),
    )
}

/// How the call would read in a thread: `await asyncio.to_thread(f, …)`.
pub(crate) fn thread_words(program: &Program, call: CallRef) -> String {
    let facts = program.facts(call.file);
    let name = crate::lookup::spelled(program, call);
    let arguments = facts.arguments(facts.call(call.id));
    let rest = match arguments {
        [] => String::new(),
        [only] if only.kind == ArgumentKind::Positional => {
            facts.dotted(only.value).map_or(", …".to_owned(), |argument| format!(", {argument}"))
        }
        _ => ", …".to_owned(),
    };
    format!("run it in a thread: `await asyncio.to_thread({name}{rest})`")
}
