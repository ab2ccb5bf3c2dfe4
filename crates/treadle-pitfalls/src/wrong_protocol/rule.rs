//! `with` and `for` where `async with` and `async for` are needed, and the reverse.

use treadle_finding::{Edit, Finding, Findings, Fix, Span};
use treadle_program::facts::{ArgumentKind, ExprId, FileFacts, LoopKind, RegionId, RegionKind};
use treadle_program::ids::{CallRef, FileId, In};
use treadle_program::knowledge::claim::Protocol;
use treadle_program::ty::Ty;
use treadle_program::{Program, Types};

use super::WRONG_PROTOCOL;
use crate::lookup;

/// One use of a protocol.
struct Use {
    value: ExprId,
    used: Protocol,
    instead: Protocol,
    keyword: &'static str,
    is_async: bool,
    is_statement: bool,
}

pub(super) fn check(program: &Program, file: FileId, findings: &mut Findings) {
    if program.is_foreign(file) {
        return;
    }
    let facts = program.facts(file);
    let mut types = Types::new(program, file);
    for region in (0..facts.regions.len() as u32).map(RegionId) {
        if let Some(used) = use_of(facts.region(region).kind) {
            let ty = types.of(used.value);
            judge(program, file, &used, &ty, findings);
        }
    }
    for call in program.calls(file) {
        consumed(program, &mut types, call, findings);
    }
}

/// `list(rows())` where `rows` is an asynchronous generator.
fn consumed(program: &Program, types: &mut Types<'_>, call: CallRef, findings: &mut Findings) {
    let facts = program.facts(call.file);
    let consumes = lookup::known_path(program, call).and_then(|path| path.strip_prefix("builtins.")).filter(|name| {
        matches!(
            *name,
            "list"
                | "tuple"
                | "set"
                | "dict"
                | "sorted"
                | "sum"
                | "min"
                | "max"
                | "any"
                | "all"
                | "enumerate"
                | "zip"
                | "next"
        )
    });
    let (Some(name), [only, ..]) = (consumes, facts.arguments(facts.call(call.id))) else { return };
    let ty = types.of(only.value);
    if only.kind == ArgumentKind::Positional
        && program.supports(&ty, Protocol::Iter) == Some(false)
        && program.supports(&ty, Protocol::AsyncIter) == Some(true)
    {
        let message = format!("`{name}` cannot iterate what is for `async for`");
        findings.push(
            Finding::new(&WRONG_PROTOCOL.about, program.location_of(In::new(call.file, only.value)), message)
                .label("raises `TypeError`")
                .help(format!("`{name}` of `[item async for item in …]`")),
        );
    }
}

fn use_of(kind: RegionKind) -> Option<Use> {
    Some(match kind {
        RegionKind::With { context, is_async: false } => Use {
            value: context,
            used: Protocol::With,
            instead: Protocol::AsyncWith,
            keyword: "with",
            is_async: false,
            is_statement: true,
        },
        RegionKind::With { context, is_async: true } => Use {
            value: context,
            used: Protocol::AsyncWith,
            instead: Protocol::With,
            keyword: "with",
            is_async: true,
            is_statement: true,
        },
        RegionKind::Loop { kind: kind @ (LoopKind::For | LoopKind::Comprehension), control } => {
            let is_statement = kind == LoopKind::For;
            Use {
                value: control,
                used: Protocol::Iter,
                instead: Protocol::AsyncIter,
                keyword: "for",
                is_async: false,
                is_statement,
            }
        }
        RegionKind::Loop { kind: kind @ (LoopKind::AsyncFor | LoopKind::AsyncComprehension), control } => {
            let is_statement = kind == LoopKind::AsyncFor;
            Use {
                value: control,
                used: Protocol::AsyncIter,
                instead: Protocol::Iter,
                keyword: "for",
                is_async: true,
                is_statement,
            }
        }
        _ => return None,
    })
}

fn judge(program: &Program, file: FileId, used: &Use, ty: &Ty, findings: &mut Findings) {
    if program.supports(ty, used.used) != Some(false) {
        return;
    }
    let facts = program.facts(file);
    let at = In::new(file, used.value);
    let name = facts
        .as_call(used.value)
        .and_then(|call| facts.dotted(call.callee))
        .or_else(|| facts.dotted(used.value))
        .map_or("this".to_owned(), |name| format!("`{name}`"));
    let keyword = used.keyword;
    let written = if used.is_async { format!("async {keyword}") } else { keyword.to_owned() };
    if program.supports(ty, used.instead) == Some(true) {
        let needed = if used.is_async { keyword.to_owned() } else { format!("async {keyword}") };
        let mut finding = Finding::new(
            &WRONG_PROTOCOL.about,
            program.location_of(at),
            format!("{name} is for `{needed}`, not for `{written}`"),
        )
        .help(format!("write `{needed}`"));
        let allowed = used.is_async || lookup::may_await(program, at);
        if used.is_statement
            && allowed
            && let Some(edit) = keyword_edit(facts, used)
        {
            finding = finding.fix(Fix::safe(format!("write `{needed}`"), vec![edit]));
        }
        findings.push(finding);
    } else if ty.is_coroutine() && used.is_async {
        findings.push(
            Finding::new(
                &WRONG_PROTOCOL.about,
                program.location_of(at),
                format!("{name} makes a coroutine; `{written}` needs what it gives when awaited"),
            )
            .help(format!("`{written} … await {}(…)`, or make it a generator with `yield`", name.trim_matches('`'))),
        );
    }
}

/// Adds or takes away `async`, where the statement has only this item.
fn keyword_edit(facts: &FileFacts, used: &Use) -> Option<Edit> {
    let value = facts.expr(used.value).span;
    let statement = facts.statement_around(value)?;
    if used.keyword == "with" {
        let items = facts.regions.iter().filter(|region| match region.kind {
            RegionKind::With { context, .. } => facts.statement_around(facts.expr(context).span) == Some(statement),
            _ => false,
        });
        if items.count() != 1 {
            return None;
        }
    }
    Some(if used.is_async {
        Edit::delete(Span::new(statement.start, statement.start + "async ".len() as u32))
    } else {
        Edit::insert(statement.start, "async ")
    })
}
