//! A lock for threads that is held while the task gives up the thread.

use treadle_finding::{Edit, Finding, Findings, Fix};
use treadle_program::facts::{ExprId, ExprKind, FileFacts, NodeId, NodeKind, RegionId, RegionKind, Usage};
use treadle_program::ids::{ExprRef, FileId, FunctionRef};
use treadle_program::knowledge::claim::Primitive;
use treadle_program::program::{Paths, Wrapping};
use treadle_program::ty::Ty;
use treadle_program::{Program, Types};

use super::SYNC_LOCK_AWAIT;
use crate::lookup;

pub(super) fn check(program: &Program, file: FileId, findings: &mut Findings) {
    for function in lookup::async_functions(program, file) {
        let facts = program.facts(function.file);
        let run = facts.function(function.id).regions;
        let mut types = Types::new(program, function.file);
        for region in (run.start..run.end).map(RegionId) {
            if let RegionKind::With { context, is_async: false } = facts.region(region).kind
                && (is_thread_lock(program, &types.of(context)) || yields_under_lock(program, function.with(context)))
                && let Some((node, _)) = lookup::suspensions_within(program, function, region).first()
            {
                report(program, function, context, *node, findings);
            }
        }
        for (node, kind) in program.nodes(function) {
            if let NodeKind::Call(call) = *kind
                && !only_tries(facts, call)
                && let Some(receiver) = acquired(program, &mut types, function, call)
                && let Some(suspension) = held_over(program, function, node.id, &receiver)
            {
                report(program, function, call, suspension, findings);
            }
        }
    }
}

fn is_thread_lock(program: &Program, ty: &Ty) -> bool {
    let Ty::KnownInstance(item) = ty else { return false };
    let primitive = program.knowledge().claim(*item).and_then(|known| known.claim.primitive);
    matches!(
        primitive,
        Some(Primitive::ThreadLock | Primitive::ThreadRlock | Primitive::ThreadSemaphore | Primitive::ThreadCondition)
    )
}

/// `with guard():` where the generator behind it yields while it holds a lock for threads.
fn yields_under_lock(program: &Program, context: ExprRef) -> bool {
    let Some(manager) = program.call_of(context).and_then(|call| program.callee(call).function()) else { return false };
    if !matches!(program.decoration(manager).wrapping, Wrapping::ContextManager { is_async: false }) {
        return false;
    }
    let facts = program.facts(manager.file);
    let mut types = Types::new(program, manager.file);
    let run = facts.function(manager.id).regions;
    (run.start..run.end).map(RegionId).any(|region| match facts.region(region).kind {
        RegionKind::With { context, is_async: false } => {
            is_thread_lock(program, &types.of(context))
                && program.nodes(manager).any(|(node, kind)| {
                    matches!(kind, NodeKind::Yield(_)) && facts.region_within(facts.node(node.id).region, region)
                })
        }
        _ => false,
    })
}

/// The receiver of `lock.acquire()`, as spelled.
fn acquired(program: &Program, types: &mut Types<'_>, function: FunctionRef, call: ExprId) -> Option<String> {
    let facts = program.facts(function.file);
    let ExprKind::Attribute { base, name } = facts.expr(facts.as_call(call)?.callee).kind else { return None };
    if facts.name(name) != "acquire"
        || facts.expr(call).usage == Usage::Awaited
        || !is_thread_lock(program, &types.of(base))
    {
        return None;
    }
    facts.dotted(base)
}

/// `lock.acquire(blocking=False)`: who does not get the lock goes on.
fn only_tries(facts: &FileFacts, call: ExprId) -> bool {
    facts
        .as_call(call)
        .and_then(|call| facts.argument(call, 0, "blocking"))
        .is_some_and(|flag| facts.expr(flag).kind == ExprKind::Bool(false))
}

/// A suspension that control can reach from `node` before the lock is released.
fn held_over(program: &Program, function: FunctionRef, node: NodeId, receiver: &str) -> Option<NodeId> {
    let facts = program.facts(function.file);
    let releases = |kind: &NodeKind| match *kind {
        NodeKind::Call(call) => facts
            .as_call(call)
            .and_then(|call| facts.dotted(call.callee))
            .is_some_and(|name| name.strip_suffix(".release") == Some(receiver)),
        _ => false,
    };
    facts.find_on_path(node, Paths::Normal, |_, kind| facts.may_suspend(function.id, kind), |_, kind| releases(kind))
}

fn report(program: &Program, function: FunctionRef, lock: ExprId, suspension: NodeId, findings: &mut Findings) {
    let facts = program.facts(function.file);
    let Some(waits) = lookup::node_expr(facts, &facts.node(suspension).kind) else { return };
    let spelled = match facts.as_call(lock) {
        Some(call) => facts.dotted(call.callee).map(|name| name.trim_end_matches(".acquire").to_owned()),
        None => facts.dotted(lock),
    };
    let name = spelled.map_or("a thread lock".to_owned(), |name| format!("the thread lock `{name}`"));
    let finding = Finding::new(
        &SYNC_LOCK_AWAIT.about,
        program.location_of(function.with(lock)),
        format!("{name} is held across `await`"),
    )
    .label("taken here")
    .step(program.location_of(function.with(waits)), "the task gives up the thread here, and keeps the lock")
    .help("use `asyncio.Lock` with `async with`, or let go of the lock before the `await`");
    findings.push(match asyncios_instead(program, function.with(lock)) {
        Some(fix) => finding.fix(fix),
        None => finding,
    });
}

/// `asyncio.Lock` in the place of `threading.Lock`, where nothing but `with` in coroutines of the same file uses it.
fn asyncios_instead(program: &Program, lock: ExprRef) -> Option<Fix> {
    let facts = program.facts(lock.file);
    let used = program.primitives().at(&program.place_of(lock)?)?;
    let [created] = used.created.as_slice() else { return None };
    // Whatever another file does with it, numbers of that file mean nothing here.
    let is_elsewhere = created.file != lock.file || used.operations.iter().any(|other| other.at.file != lock.file);
    if used.primitive != Primitive::ThreadLock || used.escapes || is_elsewhere {
        return None;
    }
    let callee = facts.expr(facts.call(created.id).callee).span;
    let mut edits = vec![Edit::replace(callee, "asyncio.Lock")];
    for operation in &used.operations {
        let statement = facts.statement_around(facts.expr(operation.at.id).span)?;
        let is_with = &*operation.name == "with" && lookup::may_await(program, operation.at);
        // `with lock, file:` would make both asynchronous.
        let starts = facts.expr(operation.at.id).span.start - statement.start == "with ".len() as u32;
        let items = facts.regions.iter().filter(|region| match region.kind {
            RegionKind::With { context, .. } => facts.statement_around(facts.expr(context).span) == Some(statement),
            _ => false,
        });
        if !is_with || !starts || items.count() != 1 {
            return None;
        }
        edits.push(Edit::insert(statement.start, "async "));
    }
    Some(Fix::unsafe_("use `asyncio.Lock`", edits).importing("asyncio"))
}
