//! Results of `gather(…, return_exceptions=True)` that nobody looks at, or looks at with the wrong type.

use treadle_finding::{Edit, Finding, Findings, Fix, Span, Tier};
use treadle_program::Program;
use treadle_program::facts::{
    BindingKind, Call, CallId, ExprId, ExprKind, FileFacts, FunctionKind, LocalId, RegionKind, Usage,
};
use treadle_program::ids::{CallRef, FileId, In};

use super::LOST_EXCEPTION;
use crate::lookup;

pub(super) fn check(program: &Program, file: FileId, findings: &mut Findings) {
    if program.is_foreign(file) {
        return;
    }
    for call in program.calls(file) {
        match lookup::known_path(program, call) {
            Some("asyncio.gather") if collects_exceptions(program, call) => dropped(program, call, findings),
            Some("builtins.isinstance") => filtered(program, file, call, findings),
            _ => {}
        }
    }
}

fn collects_exceptions(program: &Program, call: CallRef) -> bool {
    let facts = program.facts(call.file);
    facts
        .keyword(facts.call(call.id), "return_exceptions")
        .is_some_and(|value| facts.expr(value).kind == ExprKind::Bool(true))
}

fn dropped(program: &Program, call: CallRef, findings: &mut Findings) {
    let facts = program.facts(call.file);
    let at = program.call_expr(call);
    let value = lookup::awaited_or_self(facts, at.id);
    if value == at.id || winds_down(program, call) {
        return;
    }
    if let Some(used) = used_untested(program, call.file, value) {
        findings.push(
            Finding::new(
                &LOST_EXCEPTION.about,
                program.location_of(In::new(call.file, used)),
                "this may be an exception: `gather(…, return_exceptions=True)` returns them as results",
            )
            .label("used as a result, and nothing asks what it is")
            .step(program.location_of(at), "the results come from here")
            .help("test each result with `isinstance(result, BaseException)`, or leave `return_exceptions` out"),
        );
        return;
    }
    if facts.expr(value).usage != Usage::Discarded && !is_only_counted(facts, value) {
        return;
    }
    findings.push(
        Finding::new(
            &LOST_EXCEPTION.about,
            program.location_of(at),
            "`gather(…, return_exceptions=True)` collects exceptions that nobody looks at",
        )
        .label("a failure here leaves no trace")
        .help("look at the results, or leave `return_exceptions` out and let the first failure be raised"),
    );
}

/// The results go into a variable of which nothing but the length is asked.
fn is_only_counted(facts: &FileFacts, value: ExprId) -> bool {
    let Usage::Bound(binding) = facts.expr(value).usage else { return false };
    let entry = facts.binding(binding);
    let local = facts.local(entry.local);
    let plain = matches!(entry.kind, BindingKind::Value { value: found, .. } if found == value);
    plain
        && !local.captured
        && facts.bindings_of(entry.local).count() == 1
        && facts.function(local.function).kind == FunctionKind::Def
        && lookup::uses_of(facts, entry.local).all(|id| {
            let call = facts
                .expr(id)
                .parent
                .filter(|_| facts.expr(id).usage == Usage::Argument)
                .and_then(|parent| facts.as_call(parent));
            call.is_some_and(|call| facts.last_name(call.callee) == Some("len"))
        })
}

/// `[row["name"] for row in rows]`: a result that is indexed or asked for an attribute in a function that looks at no type.
fn used_untested(program: &Program, file: FileId, value: ExprId) -> Option<ExprId> {
    let facts = program.facts(file);
    let function = facts.function_of(value);
    let looks = facts.calls_of(function).any(|(_, call)| {
        matches!(
            facts.last_name(call.callee),
            Some("isinstance" | "type" | "issubclass" | "partition" | "hasattr" | "callable")
        )
    });
    let looks = looks
        || facts
            .exprs_of(function)
            .any(|(_, expr)| matches!(expr.kind, ExprKind::Attribute { name, .. } if facts.name(name) == "__class__"));
    // In a `try`, what a wrong result raises is expected.
    let tries = facts.function(function).tries;
    if looks || tries.start != tries.end {
        return None;
    }
    facts.exprs_of(function).find_map(|(id, expr)| {
        let ExprKind::Local(local) = expr.kind else { return None };
        if is_summed(facts, id)
            && results(program, file, id).is_some_and(|gather| lookup::awaited_or_self(facts, gather.id) == value)
        {
            return Some(id);
        }
        let is_used = matches!(expr.usage, Usage::SubscriptBase | Usage::AttributeBase | Usage::Operand);
        // Through `zip` it may be something else that stands beside the result.
        let is_direct = match last_binding(facts, local, id)? {
            BindingKind::Iterated { iterable, .. } => facts.as_call(iterable).is_none(),
            BindingKind::Unpacked { .. } => true,
            _ => false,
        };
        let gather = gathered(program, file, id).filter(|_| is_used && is_direct)?;
        (lookup::awaited_or_self(facts, gather.id) == value).then_some(id)
    })
}

/// `sum(results)`.
fn is_summed(facts: &FileFacts, id: ExprId) -> bool {
    let expr = facts.expr(id);
    let call = expr.parent.filter(|_| expr.usage == Usage::Argument).and_then(|parent| facts.as_call(parent));
    call.is_some_and(|call| matches!(facts.last_name(call.callee), Some("sum" | "min" | "max" | "join")))
}

/// Waiting for tasks that were cancelled on purpose: their `CancelledError`s are of no interest.
fn winds_down(program: &Program, call: CallRef) -> bool {
    let facts = program.facts(call.file);
    let function = program.enclosing_def(program.call_expr(call));
    let name = facts.name(program.function(function).name);
    let words = [
        "close",
        "stop",
        "shutdown",
        "cleanup",
        "clean_up",
        "cancel",
        "teardown",
        "exit",
        "finalize",
        "dispose",
        "disconnect",
        "kill",
        "drain",
    ];
    if words.iter().any(|word| name.contains(word)) {
        return true;
    }
    let region = facts.expr(program.call_expr(call).id).region;
    if facts.regions_around(region).any(|(_, region)| matches!(region.kind, RegionKind::Finally(_))) {
        return true;
    }
    facts.calls_of(function.id).any(|(_, other)| match facts.expr(other.callee).kind {
        ExprKind::Attribute { name, .. } => facts.name(name).starts_with("cancel"),
        ExprKind::Local(local) => facts.name(facts.local(local).name).contains("cancel"),
        _ => false,
    })
}

/// `isinstance(result, Exception)` lets `CancelledError` through, which is a `BaseException`.
fn filtered(program: &Program, file: FileId, call: CallRef, findings: &mut Findings) {
    let facts = program.facts(file);
    let entry = facts.call(call.id);
    let (Some(value), Some(class)) = (facts.argument(entry, 0, "\0"), facts.argument(entry, 1, "\0")) else { return };
    let is_exception = matches!(facts.expr(class).kind, ExprKind::Global(name) if facts.name(name) == "Exception");
    if !is_exception {
        narrow(program, call, value, class, findings);
        return;
    }
    let Some(gather) = gathered(program, file, value) else { return };
    if is_tested_for_the_rest(facts, value, call.id) || winds_down(program, call) {
        return;
    }
    let span = facts.expr(class).span;
    let tier = if only_logs(facts, entry.expr) { Tier::Likely } else { Tier::Certain };
    findings.push(
        Finding::new(
            &LOST_EXCEPTION.about,
            program.location(file, span),
            "a cancelled call passes this test: `CancelledError` is no `Exception`",
        )
        .at_tier(tier)
        .label("`asyncio.CancelledError` is a `BaseException`")
        .step(program.location_of(gather), "the results come from here")
        .help("`isinstance(result, BaseException)`")
        .fix(Fix::safe("test for `BaseException`", vec![Edit::replace(span, "BaseException")])),
    );
}

/// `isinstance(result, TimeoutError)` as the only test: every other exception passes for a result.
fn narrow(program: &Program, call: CallRef, value: ExprId, class: ExprId, findings: &mut Findings) {
    let facts = program.facts(call.file);
    let names = lookup::exception_names(facts, class);
    let [name] = names.as_slice() else { return };
    let is_one_kind = (name.ends_with("Error") || name.ends_with("Exception"))
        && !matches!(name.as_str(), "BaseException" | "Exception" | "CancelledError");
    if !is_one_kind || gathered(program, call.file, value).is_none() || winds_down(program, call) {
        return;
    }
    let others = facts.calls_of(facts.function_of(value)).filter(|(id, other)| {
        *id != call.id && matches!(facts.last_name(other.callee), Some("isinstance" | "type" | "issubclass"))
    });
    if others.count() > 0 {
        return;
    }
    findings.push(
        Finding::new(
            &LOST_EXCEPTION.about,
            program.location(call.file, facts.expr(class).span),
            format!("every other exception than `{name}` passes this test as a result"),
        )
        .at_tier(Tier::Likely)
        .help("`isinstance(result, BaseException)`, and then look which one it is"),
    );
}

/// `elif isinstance(result, BaseException)` on the same value: nothing passes both tests.
fn is_tested_for_the_rest(facts: &FileFacts, value: ExprId, test: CallId) -> bool {
    facts.calls_of(facts.function_of(value)).any(|(id, call)| {
        id != test
            && facts.last_name(call.callee) == Some("isinstance")
            && facts.argument(call, 0, "\0").is_some_and(|other| {
                facts.expr(other).kind == facts.expr(value).kind
                    || facts.dotted(other).is_some_and(|name| facts.dotted(value) == Some(name))
            })
            && facts.argument(call, 1, "\0").is_some_and(|class| {
                lookup::exception_names(facts, class)
                    .iter()
                    .any(|name| matches!(name.as_str(), "BaseException" | "CancelledError"))
            })
    })
}

/// Whether nothing but a line in a log depends on a condition.
fn only_logs(facts: &FileFacts, test: ExprId) -> bool {
    let run = facts.function(facts.function_of(test)).regions;
    let branch = facts.regions[run.range()].iter().find(|region| match region.kind {
        RegionKind::Branch { test: found, when: true } => facts.expr(found).span.contains(facts.expr(test).span),
        _ => false,
    });
    let Some(branch) = branch else { return false };
    let mut within = facts.statements.iter().filter(|statement| branch.span.contains(**statement)).peekable();
    let is_log = |statement: &Span| {
        facts.exprs_of(branch.function).any(|(id, expr)| {
            expr.span == *statement
                && expr.usage == Usage::Discarded
                && facts.as_call(id).and_then(|call| facts.last_name(call.callee)).is_some_and(|name| {
                    matches!(name, "debug" | "info" | "warning" | "error" | "exception" | "critical" | "log" | "print")
                })
        })
    };
    within.peek().is_some() && within.all(is_log)
}

/// The `gather` whose results a value is one of.
fn gathered(program: &Program, file: FileId, value: ExprId) -> Option<In<ExprId>> {
    let facts = program.facts(file);
    let source = match facts.expr(value).kind {
        ExprKind::Local(local) => {
            let binding = last_binding(facts, local, value)?;
            match binding {
                BindingKind::Iterated { iterable, .. } => return results(program, file, iterable),
                BindingKind::Unpacked { value, .. } => value,
                _ => return None,
            }
        }
        ExprKind::Subscript { base, .. } => return results(program, file, base),
        _ => return None,
    };
    gather_behind(program, file, source)
}

fn last_binding(facts: &FileFacts, local: LocalId, at: ExprId) -> Option<BindingKind> {
    let before = facts.expr(at).span.start;
    let bindings: Vec<_> = facts.bindings_of(local).collect();
    // In a comprehension the target stands after the element that reads it.
    let last = bindings.iter().rev().find(|(_, binding)| binding.span.start <= before);
    last.or(bindings.first().filter(|_| bindings.len() == 1)).map(|(_, binding)| binding.kind)
}

/// The `gather` behind an iterable: its results, or `zip`/`enumerate` over them.
fn results(program: &Program, file: FileId, iterable: ExprId) -> Option<In<ExprId>> {
    let facts = program.facts(file);
    if let Some(call) = facts.as_call(iterable) {
        let name = facts.dotted(call.callee)?;
        if matches!(name.as_str(), "zip" | "enumerate" | "reversed" | "list") {
            return facts.arguments(call).iter().find_map(|argument| results(program, file, argument.value));
        }
        return None;
    }
    match facts.expr(iterable).kind {
        ExprKind::Await(_) => gather_behind(program, file, iterable),
        ExprKind::Local(local) => match last_binding(facts, local, iterable)? {
            BindingKind::Value { value, .. } => gather_behind(program, file, value),
            _ => None,
        },
        _ => None,
    }
}

fn gather_behind(program: &Program, file: FileId, value: ExprId) -> Option<In<ExprId>> {
    let facts = program.facts(file);
    let ExprKind::Await(operand) = facts.expr(value).kind else { return None };
    let call: &Call = facts.as_call(operand)?;
    let reference = program.call_of(In::new(file, call.expr))?;
    let is_gather = lookup::known_path(program, reference) == Some("asyncio.gather");
    (is_gather && collects_exceptions(program, reference)).then(|| In::new(file, operand))
}
