//! A task is started and nothing keeps its handle; the loop itself holds only a weak reference.

use treadle_finding::{Edit, Finding, Findings, Fix, Location};
use treadle_program::facts::{ExprId, ExprKind, FileFacts, FunctionKind, NodeKind, Usage};
use treadle_program::ids::{CallRef, FileId, FunctionRef, In};
use treadle_program::knowledge::claim::Effect;
use treadle_program::knowledge::types::Shape;
use treadle_program::program::Paths;
use treadle_program::ty::Ty;
use treadle_program::{Program, Types};

use super::LOST_TASK;
use crate::lookup;

pub(super) fn check(program: &Program, file: FileId, findings: &mut Findings) {
    if program.is_foreign(file) {
        return;
    }
    let mut types = Types::new(program, file);
    for call in program.calls(file) {
        let at = program.call_expr(call);
        if starts_task(program, call) {
            if is_dropped(program, file, at.id) || is_dropped_by_lambda(program, file, at.id) {
                findings.push(finding(program, call));
            }
        } else if lookup::known_path(program, call) == Some("asyncio.gather") {
            if program.facts(file).expr(at.id).usage == Usage::Discarded {
                findings.push(finding(program, call));
            }
        } else if let Some(started) = unkept_by_wrapper(program, &mut types, call)
            && is_dropped(program, file, lookup::awaited_or_self(program.facts(file), at.id))
        {
            findings.push(wrapper_finding(program, call, started));
        }
    }
}

/// Whether a call schedules a coroutine and returns the only strong handle.
fn starts_task(program: &Program, call: CallRef) -> bool {
    let Some((item, known)) = program.claim(call) else { return false };
    known.claim.effects.values().any(|effect| *effect == Effect::Task)
        && program.knowledge().path(item) != "asyncio.run_coroutine_threadsafe"
}

/// Whether the value of an expression is gone when its statement, or its function, is over.
fn is_dropped(program: &Program, file: FileId, expr: ExprId) -> bool {
    let facts = program.facts(file);
    match facts.expr(expr).usage {
        Usage::Discarded => true,
        Usage::Collected => facts.expr(expr).parent.is_some_and(|parent| {
            matches!(facts.expr(parent).kind, ExprKind::Comprehension { .. })
                && facts.expr(parent).usage == Usage::Discarded
        }),
        Usage::Bound(binding) => {
            // `tasks.add(task := create_task(…))`: the variable is not all that gets it.
            if facts.expr(expr).parent.is_some_and(|parent| matches!(facts.expr(parent).kind, ExprKind::Walrus(_))) {
                return false;
            }
            let local = facts.local(facts.binding(binding).local);
            let owner = In::new(file, local.function);
            // `task.add_done_callback(…)` keeps nothing.
            let mut uses = lookup::uses_of(facts, facts.binding(binding).local);
            let is_kept = uses.any(|id| facts.expr(id).usage != Usage::AttributeBase);
            if is_kept || local.captured || facts.function(owner.id).kind != FunctionKind::Def {
                return false;
            }
            // As long as the function waits, its frame keeps the variable.
            let bound =
                program.nodes(owner).find(|(_, kind)| matches!(kind, NodeKind::Bind(found) if *found == binding));
            bound.is_some_and(|(node, _)| {
                facts
                    .find_on_path(node.id, Paths::Normal, |_, kind| facts.may_suspend(owner.id, kind), |_, _| false)
                    .is_none()
            })
        }
        _ => false,
    }
}

/// `call_later(1, lambda: create_task(f()))`: the loop drops what callbacks return.
fn is_dropped_by_lambda(program: &Program, file: FileId, expr: ExprId) -> bool {
    let facts = program.facts(file);
    let owner = facts.function_of(expr);
    if facts.expr(expr).usage != Usage::Returned || facts.function(owner).kind != FunctionKind::Lambda {
        return false;
    }
    let lambda = facts.exprs.iter().position(|other| other.kind == ExprKind::Lambda(owner));
    let Some(lambda) = lambda.map(|position| &facts.exprs[position]) else { return false };
    let call = lambda
        .parent
        .filter(|_| lambda.usage == Usage::Argument)
        .and_then(|parent| program.call_of(In::new(file, parent)));
    call.and_then(|call| lookup::known_path(program, call)).is_some_and(|path| {
        path.starts_with("asyncio.")
            && matches!(
                path.rsplit('.').next(),
                Some(
                    "call_later"
                        | "call_at"
                        | "call_soon"
                        | "call_soon_threadsafe"
                        | "add_signal_handler"
                        | "add_done_callback"
                )
            )
    })
}

/// The call that starts a task which a function of the program returns without keeping it.
fn unkept_by_wrapper(program: &Program, types: &mut Types<'_>, call: CallRef) -> Option<CallRef> {
    let function = match program.callee(call) {
        Ty::Function(function) | Ty::Method(function, _) => *function,
        _ => return None,
    };
    let result = types.of(lookup::awaited_or_self(program.facts(call.file), program.call_expr(call).id));
    if !matches!(result, Ty::Of(Shape::Task, _)) {
        return None;
    }
    let facts = program.facts(function.file);
    let mut started = None;
    for (_, kind) in program.nodes(function) {
        let NodeKind::Return(Some(value)) = *kind else { continue };
        started = Some(started_by(program, facts, function, value)?);
    }
    started
}

/// The start of the task a returned expression is, if nothing else in the function holds on to it.
fn started_by(program: &Program, facts: &FileFacts, function: FunctionRef, value: ExprId) -> Option<CallRef> {
    match facts.expr(value).kind {
        ExprKind::Call(call) => {
            let call = function.with(call);
            starts_task(program, call).then_some(call)
        }
        ExprKind::Local(local) => {
            let mut bindings = facts.bindings_of(local);
            let (_, binding) = bindings.next()?;
            let treadle_program::facts::BindingKind::Value { value, .. } = binding.kind else { return None };
            let call = program.call_of(function.with(value))?;
            let kept = facts.exprs_of(function.id).any(|(_, expr)| {
                expr.kind == ExprKind::Local(local) && !matches!(expr.usage, Usage::Returned | Usage::AttributeBase)
            });
            (bindings.next().is_none() && !kept && !facts.local(local).captured && starts_task(program, call))
                .then_some(call)
        }
        _ => None,
    }
}

fn finding(program: &Program, call: CallRef) -> Finding {
    let at = program.call_expr(call);
    let name = lookup::spelled(program, call);
    let finding = Finding::new(
        &LOST_TASK.about,
        program.location_of(at),
        format!("the task that `{name}` starts is kept by nothing"),
    )
    .label("may be collected before it is done, and nobody sees its exception")
    .help("keep the task until it is done, or start it in an `asyncio.TaskGroup`");
    match fix(program, call) {
        Some(fix) => finding.fix(fix),
        None => finding,
    }
}

fn wrapper_finding(program: &Program, call: CallRef, started: CallRef) -> Finding {
    let at: Location = program.location_of(program.call_expr(call));
    let name = lookup::spelled(program, call);
    Finding::new(&LOST_TASK.about, at, format!("the task that `{name}` returns is kept by nothing"))
        .label("the handle is dropped here")
        .step(program.location_of(program.call_expr(started)), "started here, and returned without being kept")
        .help("keep the task until it is done, or let the function keep it")
}

/// Keeps the task in a set of the module until it is done.
fn fix(program: &Program, call: CallRef) -> Option<Fix> {
    let facts = program.facts(call.file);
    let at = facts.call(call.id).expr;
    if facts.expr(at).usage != Usage::Discarded || facts.function(facts.function_of(at)).kind != FunctionKind::Def {
        return None;
    }
    let span = facts.expr(at).span;
    let module = facts.function(FileFacts::MODULE);
    let taken = (module.locals.start..module.locals.end)
        .map(treadle_program::facts::LocalId)
        .any(|local| facts.name(facts.local(local).name) == "background_tasks");
    let mut edits = vec![
        Edit::insert(span.start, "background_tasks.add(task := "),
        Edit::insert(span.end, "); task.add_done_callback(background_tasks.discard)"),
    ];
    if !taken {
        let top_level = facts.imports.iter().filter(|import| facts.region(import.region).parent.is_none());
        let last = top_level.map(|import| import.statement.end).filter(|end| *end < span.start).max()?;
        edits.push(Edit::insert(last, "\n\nbackground_tasks = set()"));
    }
    Some(Fix::unsafe_("keep the task in a set until it is done", edits))
}
