//! Loop calls that asyncio has removed or deprecated.

use treadle_finding::{Edit, Finding, Findings, Fix, Span, Tier};
use treadle_program::facts::{ExprId, ExprKind, FunctionKind, Usage};
use treadle_program::ids::{CallRef, FileId, In};
use treadle_program::knowledge::claim::Legacy;
use treadle_program::program::Context;
use treadle_program::ty::Ty;
use treadle_program::{Program, Types};

use super::LEGACY_LOOP_API;
use crate::lookup;

pub(super) fn check(program: &Program, file: FileId, findings: &mut Findings) {
    if program.is_foreign(file) {
        return;
    }
    for call in program.calls(file) {
        let Some((item, known)) = program.claim(call) else { continue };
        let Some(legacy) = &known.claim.legacy else { continue };
        if lookup::is_version_guarded(program, program.call_expr(call)) {
            continue;
        }
        let path = program.knowledge().path(item);
        let finding = match (&legacy.argument, path) {
            (Some(argument), _) => keyword(program, call, path, argument, legacy),
            (None, "asyncio.get_event_loop") => get_event_loop(program, call),
            (None, _) => Some(name(program, call, path, legacy)),
        };
        findings_extend(findings, finding);
    }
    decorators(program, file, findings);
    for call in program.calls(file) {
        findings_extend(findings, waits_for_coroutines(program, call));
    }
}

/// `@asyncio.coroutine`, which is not called.
fn decorators(program: &Program, file: FileId, findings: &mut Findings) {
    let facts = program.facts(file);
    let mut types = Types::new(program, file);
    for (position, expr) in facts.exprs.iter().enumerate() {
        let at = In::new(file, ExprId(position as u32));
        if expr.usage != Usage::Decorator || lookup::is_version_guarded(program, at) {
            continue;
        }
        let Ty::Known(item) = types.of(at.id) else { continue };
        let Some(legacy) = program.knowledge().claim(item).and_then(|known| known.claim.legacy.as_ref()) else {
            continue;
        };
        let (Some(removed), None) = (&legacy.removed, &legacy.argument) else { continue };
        let path = program.knowledge().path(item);
        let message = format!("`{path}` was removed in Python {removed}");
        findings.push(
            Finding::new(&LEGACY_LOOP_API.about, program.location_of(at), message)
                .help("write `async def`, and `await` in it"),
        );
    }
}

/// `asyncio.wait([f(), g()])`, which takes tasks only since Python 3.11.
fn waits_for_coroutines(program: &Program, call: CallRef) -> Option<Finding> {
    if lookup::known_path(program, call) != Some("asyncio.wait") {
        return None;
    }
    let facts = program.facts(call.file);
    let given = facts.argument(facts.call(call.id), 0, "fs")?;
    let element = Types::new(program, call.file).of(given).element();
    element.is_coroutine().then(|| {
        Finding::new(
            &LEGACY_LOOP_API.about,
            program.location_of(In::new(call.file, given)),
            "`asyncio.wait` takes no coroutines since Python 3.11",
        )
        .label("raises `TypeError`")
        .help("make tasks of them: `asyncio.create_task(…)`")
    })
}

fn findings_extend(findings: &mut Findings, finding: Option<Finding>) {
    if let Some(finding) = finding {
        findings.push(finding);
    }
}

/// `asyncio.Lock(loop=loop)`.
fn keyword(program: &Program, call: CallRef, path: &str, argument: &str, legacy: &Legacy) -> Option<Finding> {
    let facts = program.facts(call.file);
    let entry = facts.call(call.id);
    let value = facts.keyword(entry, argument)?;
    let arguments = facts.arguments(entry);
    let position = arguments.iter().position(|argument| argument.value == value)?;
    let removed = legacy.removed.as_deref().unwrap_or("3.10");
    let span = match position.checked_sub(1).map(|before| arguments[before]) {
        Some(before) => Span::new(before.span.end, arguments[position].span.end),
        None => match arguments.get(1) {
            Some(next) => Span::new(arguments[0].span.start, next.span.start),
            None => arguments[0].span,
        },
    };
    Some(
        Finding::new(
            &LEGACY_LOOP_API.about,
            program.location(call.file, arguments[position].span),
            format!("`{path}` takes no `{argument}` since Python {removed}"),
        )
        .label("raises `TypeError`")
        .help(format!("leave `{argument}` out"))
        .fix(Fix::safe(format!("leave `{argument}` out"), vec![Edit::delete(span)])),
    )
}

/// Outside a running loop `get_event_loop()` used to make one; from 3.14 it raises.
fn get_event_loop(program: &Program, call: CallRef) -> Option<Finding> {
    let facts = program.facts(call.file);
    let at = program.call_expr(call);
    let function = program.enclosing_def(at);
    let entry = program.function(function);
    if entry.is_async || program.context(function) == Context::Loop {
        return None;
    }
    // Only where the loop is then run is it sure that none is running.
    let runs = |name: &str| matches!(name, "run_until_complete" | "run_forever");
    let used = match facts.expr(at.id).usage {
        Usage::AttributeBase => facts.expr(at.id).parent.is_some_and(
            |parent| matches!(facts.expr(parent).kind, ExprKind::Attribute { name, .. } if runs(facts.name(name))),
        ),
        Usage::Bound(binding) => {
            let local = facts.binding(binding).local;
            lookup::uses_of(facts, local).any(|id| {
                facts.expr(id).parent.is_some_and(|parent| {
                    matches!(facts.expr(parent).kind, ExprKind::Attribute { name, .. } if runs(facts.name(name)))
                })
            })
        }
        _ => false,
    };
    if !used {
        return None;
    }
    let finding = Finding::new(
        &LEGACY_LOOP_API.about,
        program.location_of(at),
        "`asyncio.get_event_loop()` makes no loop any more: it raises `RuntimeError` from Python 3.14",
    )
    .help("`asyncio.run(main())`, or `asyncio.new_event_loop()` for a loop of your own");
    Some(if entry.kind == FunctionKind::Module { finding } else { finding.at_tier(Tier::Likely) })
}

fn name(program: &Program, call: CallRef, path: &str, legacy: &Legacy) -> Finding {
    let at = program.call_expr(call);
    let (words, tier) = match (&legacy.removed, &legacy.deprecated) {
        (Some(removed), _) => (format!("was removed in Python {removed}"), Tier::Certain),
        (None, Some(deprecated)) => (format!("is deprecated since Python {deprecated}"), Tier::Likely),
        (None, None) => ("is out of use".to_owned(), Tier::Likely),
    };
    let finding =
        Finding::new(&LEGACY_LOOP_API.about, program.location_of(at), format!("`{path}` {words}")).at_tier(tier);
    match &legacy.instead {
        Some(instead) if legacy.instead_is_exact => {
            let facts = program.facts(call.file);
            let callee = facts.expr(facts.call(call.id).callee).span;
            let module = instead.split('.').next().unwrap_or_default();
            let fix = Fix::safe(format!("use `{instead}`"), vec![Edit::replace(callee, instead.clone())]);
            let finding = finding.help(format!("`{instead}`"));
            match module {
                "inspect" => finding.fix(fix.importing("inspect")),
                "asyncio" => finding.fix(fix.importing("asyncio")),
                _ => finding,
            }
        }
        Some(instead) => finding
            .help(format!("use {}", if instead.contains('`') { instead.clone() } else { format!("`{instead}`") })),
        None => finding.help("leave it out"),
    }
}
