//! A handler or a `finally` that ends a cancellation which was not its own.

use treadle_finding::{Edit, Finding, Findings, Fix, Tier};
use treadle_program::facts::{
    ExprId, ExprKind, FileFacts, Handler, HandlerId, NodeId, NodeKind, RegionId, RegionKind, TryId, Usage,
};
use treadle_program::ids::{FileId, FunctionRef};
use treadle_program::program::Paths;
use treadle_program::ty::Ty;
use treadle_program::{Program, Types};

use super::SWALLOWED_CANCEL;
use crate::lookup;

pub(super) fn check(program: &Program, file: FileId, findings: &mut Findings) {
    for function in lookup::async_functions(program, file) {
        if decides_for_itself(program, function) || counts_cancellations(program, function) {
            continue;
        }
        let facts = program.facts(function.file);
        let run = facts.function(function.id).tries;
        for try_ in (run.start..run.end).map(TryId) {
            handlers(program, function, try_, findings);
            finally(program, function, try_, findings);
        }
        let run = facts.function(function.id).regions;
        for region in (run.start..run.end).map(RegionId) {
            suppressed(program, function, region, findings);
        }
    }
}

/// The program's outermost coroutine has nobody above it to tell; and what `__aexit__` returns decides whether the exception
/// goes on.
fn decides_for_itself(program: &Program, function: FunctionRef) -> bool {
    let facts = program.facts(function.file);
    let name = facts.name(program.function(function).name);
    name == "__aexit__" || matches!(name.trim_start_matches('_'), "main" | "amain" | "async_main")
}

/// Code that asks `cancelling()` or calls `uncancel()` knows whose cancellation it ends.
fn counts_cancellations(program: &Program, function: FunctionRef) -> bool {
    let facts = program.facts(function.file);
    facts.exprs_of(function.id).any(|(_, expr)| match expr.kind {
        ExprKind::Attribute { name, .. } => matches!(facts.name(name), "uncancel" | "cancelling"),
        _ => false,
    })
}

fn handlers(program: &Program, function: FunctionRef, try_: TryId, findings: &mut Findings) {
    let facts = program.facts(function.file);
    let entry = facts.try_(try_);
    if entry.is_star || entry.handlers.is_empty() {
        return;
    }
    let suspensions = lookup::suspensions_within(program, function, entry.body);
    if suspensions.is_empty() || awaits_only_cancelled(program, function, &suspensions) {
        return;
    }
    let catching = (entry.handlers.start..entry.handlers.end)
        .map(HandlerId)
        .find_map(|id| catches_cancel(program, function, facts.handler(id)).map(|words| (facts.handler(id), words)));
    let Some((handler, words)) = catching else { return };
    let Some(after) = leaves_quietly(facts, handler) else { return };
    let ends = ends_without_waiting(program, function, after);
    if (ends && is_only_a_task(program, function))
        || is_raised_later(program, function, handler)
        || looks_for_it(facts, handler)
    {
        return;
    }
    let at = program.location(function.file, handler.header);
    let mut finding = Finding::new(&SWALLOWED_CANCEL.about, at, format!("{words} swallows the task's cancellation"))
        .label("the task goes on as if nobody had cancelled it")
        .help("end the handler with `raise`");
    if let Some(waits) = suspensions.first().and_then(|(_, kind)| lookup::node_expr(facts, kind)) {
        finding = finding.step(program.location_of(function.with(waits)), "a cancellation arrives here");
    }
    if ends {
        // The function ends at once: the canceller may not mind, but `wait_for` and `TaskGroup` do.
        finding = finding.at_tier(Tier::Likely);
    }
    findings.push(match raise_at_end(facts, handler) {
        Some(fix) => finding.fix(fix),
        None => finding,
    });
}

/// How a handler catches `CancelledError`, if it does.
fn catches_cancel(program: &Program, function: FunctionRef, handler: &Handler) -> Option<&'static str> {
    let facts = program.facts(function.file);
    let Some(caught) = handler.caught else { return Some("a bare `except:`") };
    let names = lookup::exception_names(facts, caught);
    let has = |wanted: &str| names.iter().any(|name| name == wanted);
    if has("CancelledError") && names_asyncios(program, function, caught) {
        Some("`except CancelledError`")
    } else if has("BaseException") {
        Some("`except BaseException`")
    } else {
        None
    }
}

/// Whether one of the types is asyncio's: `concurrent.futures` has a `CancelledError` too, which is an `Exception`.
fn names_asyncios(program: &Program, function: FunctionRef, caught: ExprId) -> bool {
    let facts = program.facts(function.file);
    let parts = match facts.expr(caught).kind {
        ExprKind::Tuple(items) => facts.operands(items).to_vec(),
        _ => vec![caught],
    };
    let mut types = Types::new(program, function.file);
    parts.iter().any(|part| match types.of(*part) {
        Ty::Known(item) => program.knowledge().path(item) == "asyncio.CancelledError",
        _ => false,
    })
}

/// After the handler nothing is waited for any more.
fn ends_without_waiting(program: &Program, function: FunctionRef, after: NodeId) -> bool {
    let facts = program.facts(function.file);
    // What a `finally` still has to do is done on every way out.
    let cleans_up = |id: NodeId| {
        facts.regions_around(facts.node(id).region).any(|(_, region)| matches!(region.kind, RegionKind::Finally(_)))
    };
    let waits = |id: NodeId, kind: &NodeKind| facts.may_suspend(function.id, kind) && !cleans_up(id);
    facts.node(after).kind == NodeKind::Exit || facts.find_on_path(after, Paths::Normal, waits, |_, _| false).is_none()
}

/// Whether a coroutine is only ever started as a task of its own: who cancels the task gets what it wants when it ends.
fn is_only_a_task(program: &Program, function: FunctionRef) -> bool {
    let mut edges = program.graph().to(function).peekable();
    edges.peek().is_some()
        && edges.all(|edge| {
            let facts = program.facts(edge.caller.file);
            let made = facts.expr(edge.at);
            let outer = made.parent.filter(|_| made.usage == Usage::Argument).and_then(|parent| facts.as_call(parent));
            outer.and_then(|call| facts.last_name(call.callee)).is_some_and(|name| {
                name.ends_with("create_task")
                    || matches!(name, "ensure_future" | "start_soon" | "spawn" | "run_coroutine_threadsafe")
            })
        })
}

/// `if isinstance(error, CancelledError): raise` in the handler.
fn looks_for_it(facts: &FileFacts, handler: &Handler) -> bool {
    let function = facts.region(handler.region).function;
    let within = |region: RegionId| facts.region_within(region, handler.region);
    let asks = facts.calls_of(function).any(|(_, call)| {
        within(facts.expr(call.expr).region)
            && facts.last_name(call.callee) == Some("isinstance")
            && facts.argument(call, 1, "\0").is_some_and(|class| {
                lookup::exception_names(facts, class).iter().any(|name| name == "CancelledError" || name == "Exception")
            })
    });
    let run = facts.function(function).nodes;
    asks && facts.nodes[run.range()].iter().any(|node| matches!(node.kind, NodeKind::Raise(_)) && within(node.region))
}

/// `errors.append(error)`, and a `raise` further on: the exception is only put off.
fn is_raised_later(program: &Program, function: FunctionRef, handler: &Handler) -> bool {
    let facts = program.facts(function.file);
    let Some(name) = handler.binding.map(|binding| facts.binding(binding).local) else { return false };
    let is_kept = lookup::uses_of(facts, name).any(|id| {
        let expr = facts.expr(id);
        facts.region_within(expr.region, handler.region)
            && match expr.usage {
                Usage::Bound(_) | Usage::Stored(_) | Usage::Element => true,
                Usage::Argument => expr.parent.and_then(|parent| facts.as_call(parent)).is_some_and(|call| {
                    matches!(
                        facts.last_name(call.callee),
                        Some("append" | "add" | "put" | "put_nowait" | "set_exception")
                    )
                }),
                _ => false,
            }
    });
    let raises = |kind: &NodeKind| matches!(kind, NodeKind::Raise(_));
    let outside = |id: NodeId| !facts.region_within(facts.node(id).region, handler.region);
    is_kept
        && facts
            .find_on_path(handler.entry, Paths::Normal, |id, kind| outside(id) && raises(kind), |_, _| false)
            .is_some()
}

/// Where control goes when a handler ends without raising; `None` if it always raises.
fn leaves_quietly(facts: &FileFacts, handler: &Handler) -> Option<NodeId> {
    let outside = |id: NodeId| !facts.region_within(facts.node(id).region, handler.region);
    let raises = |kind: &NodeKind| match *kind {
        NodeKind::Raise(_) => true,
        NodeKind::Call(call) => ends_process(facts, call),
        _ => false,
    };
    let left = facts.find_on_path(handler.entry, Paths::Normal, |id, _| outside(id), |_, kind| raises(kind))?;
    // A `finally` on the way, or a join, says little: what runs next does.
    let mut here = left;
    for _ in 0..64 {
        match (&facts.node(here).kind, facts.next(here)) {
            (NodeKind::Join | NodeKind::Return(_), [next]) => here = *next,
            _ => break,
        }
    }
    // The block of a `finally` may raise again by itself.
    let goes_on = |kind: &NodeKind| matches!(kind, NodeKind::Exit);
    let stops = |kind: &NodeKind| matches!(kind, NodeKind::Raise(_));
    if matches!(facts.node(here).kind, NodeKind::Exit) {
        return Some(here);
    }
    let ends = facts.find_on_path(here, Paths::Normal, |_, kind| goes_on(kind), |_, kind| stops(kind)).is_some();
    let body = facts.try_(handler.try_).body;
    let again = |id: NodeId, kind: &NodeKind| {
        matches!(kind, NodeKind::Suspend(_)) && facts.region_within(facts.node(id).region, body)
    };
    let loops = facts.find_on_path(here, Paths::Normal, again, |_, kind| stops(kind)).is_some();
    (ends || loops).then_some(here)
}

fn ends_process(facts: &FileFacts, call: ExprId) -> bool {
    facts.as_call(call).and_then(|call| facts.dotted(call.callee)).is_some_and(|name| {
        matches!(name.as_str(), "sys.exit" | "os._exit" | "exit" | "quit" | "os.abort" | "pytest.fail")
    })
}

/// Everything awaited is a task that this function cancels: the cancellation is its own child's.
fn awaits_only_cancelled(program: &Program, function: FunctionRef, suspensions: &[(NodeId, NodeKind)]) -> bool {
    let facts = program.facts(function.file);
    let cancels = facts.calls_of(function.id).any(|(_, call)| match facts.expr(call.callee).kind {
        ExprKind::Attribute { name, .. } => facts.name(name) == "cancel",
        ExprKind::Local(local) => facts.name(facts.local(local).name).contains("cancel"),
        _ => false,
    });
    if !cancels {
        return false;
    }
    suspensions.iter().all(|(_, kind)| {
        if let NodeKind::Enter(region) | NodeKind::Leave(region) | NodeKind::LeaveRaising(region) = *kind {
            // `async with timeout(…):` around the wait.
            return match facts.region(region).kind {
                RegionKind::With { context, .. } => facts
                    .as_call(context)
                    .and_then(|call| facts.last_name(call.callee))
                    .is_some_and(|name| matches!(name, "timeout" | "timeout_at" | "async_timeout")),
                _ => false,
            };
        }
        let NodeKind::Suspend(awaits) = *kind else { return false };
        let ExprKind::Await(operand) = facts.expr(awaits).kind else { return false };
        match facts.expr(operand).kind {
            ExprKind::Local(_) | ExprKind::Attribute { .. } | ExprKind::Subscript { .. } => true,
            ExprKind::Call(call) => facts.dotted(facts.call(call).callee).is_some_and(|name| {
                matches!(
                    name.rsplit('.').next(),
                    Some("gather" | "wait" | "wait_for" | "shield" | "sleep" | "join" | "wait_closed")
                )
            }),
            _ => false,
        }
    })
}

/// Appends `raise` to a handler, or puts it where its only `pass` stands.
fn raise_at_end(facts: &FileFacts, handler: &Handler) -> Option<Fix> {
    let block = facts.region(handler.region).span;
    let first = facts.statements.partition_point(|statement| statement.start < block.start);
    let body = &facts.statements[first..];
    let mut last = *body.first()?;
    for statement in body.iter().take_while(|statement| statement.end <= block.end) {
        if statement.start >= last.end {
            last = *statement;
        }
    }
    let empty = !facts.exprs_of(facts.region(handler.region).function).any(|(_, expr)| last.contains(expr.span));
    let leaves_early = facts.nodes[facts.function(facts.region(handler.region).function).nodes.range()]
        .iter()
        .any(|node| facts.region_within(node.region, handler.region) && matches!(node.kind, NodeKind::Return(_)));
    if last.len() == 4 && empty && body[0] == last {
        return Some(Fix::safe("raise the cancellation again", vec![Edit::replace(last, "raise")]));
    }
    // After `return`, `break` or `continue` nothing would run; what to do then is for a person to say.
    let jumps = empty && matches!(last.len(), 5 | 8);
    let same_line = facts.line_of(handler.header.start) == facts.line_of(last.start);
    if leaves_early || jumps || same_line {
        return None;
    }
    let indentation = facts.indentation(body[0]);
    Some(Fix::safe("raise the cancellation again", vec![Edit::insert(block.end, format!("\n{indentation}raise"))]))
}

/// `return`, `break` or `continue` in a `finally` replaces whatever exception is on its way, a cancellation included.
fn finally(program: &Program, function: FunctionRef, try_: TryId, findings: &mut Findings) {
    let facts = program.facts(function.file);
    let entry = facts.try_(try_);
    let Some(region) = entry.finally else { return };
    if lookup::suspensions_within(program, function, entry.body).is_empty() {
        return;
    }
    let returns = program.nodes(function).find_map(|(node, kind)| match *kind {
        NodeKind::Return(value) if facts.region_within(facts.node(node.id).region, region) => Some(value),
        _ => None,
    });
    let Some(value) = returns else { return };
    let span = facts.region(region).span;
    let span = match value {
        Some(value) => facts.statement_around(facts.expr(value).span).unwrap_or(span),
        None => span,
    };
    findings.push(
        Finding::new(
            &SWALLOWED_CANCEL.about,
            program.location(function.file, span),
            "`return` in `finally` swallows the task's cancellation",
        )
        .label("replaces any exception on its way, `CancelledError` included")
        .help("move the `return` behind the `try`"),
    );
}

/// `future.set_exception(error)`, then `await future`: nothing is waited for.
fn awaits_what_is_done(facts: &FileFacts, function: FunctionRef, kind: &NodeKind) -> bool {
    let NodeKind::Suspend(awaits) = *kind else { return false };
    let ExprKind::Await(operand) = facts.expr(awaits).kind else { return false };
    let Some(name) = facts.dotted(operand) else { return false };
    facts.calls_of(function.id).any(|(_, call)| {
        facts
            .dotted(call.callee)
            .is_some_and(|called| called == format!("{name}.set_exception") || called == format!("{name}.set_result"))
    })
}

/// `with suppress(CancelledError)` around awaits of other things than a cancelled task.
fn suppressed(program: &Program, function: FunctionRef, region: RegionId, findings: &mut Findings) {
    let facts = program.facts(function.file);
    let RegionKind::With { context, is_async: false } = facts.region(region).kind else { return };
    let Some(call) = facts.as_call(context) else { return };
    if facts.dotted(call.callee).is_none_or(|name| name.rsplit('.').next() != Some("suppress")) {
        return;
    }
    let catches = facts.arguments(call).iter().any(|argument| {
        facts
            .dotted(argument.value)
            .is_some_and(|name| matches!(name.rsplit('.').next(), Some("CancelledError" | "BaseException")))
    });
    let suspensions = lookup::suspensions_within(program, function, region);
    if suspensions.iter().all(|(_, kind)| awaits_what_is_done(facts, function, kind)) {
        return;
    }
    if !catches || suspensions.is_empty() || awaits_only_cancelled(program, function, &suspensions) {
        return;
    }
    // `with suppress(CancelledError): await self._task` without a `cancel()` in sight: whose it is cannot be told.
    let all_names = suspensions.iter().all(|(_, kind)| match *kind {
        NodeKind::Suspend(awaits) => matches!(
            facts.expr(awaits).kind,
            ExprKind::Await(operand) if matches!(facts.expr(operand).kind, ExprKind::Local(_) | ExprKind::Attribute { .. })
        ),
        _ => false,
    });
    let mut finding = Finding::new(
        &SWALLOWED_CANCEL.about,
        program.location_of(function.with(context)),
        "`suppress(CancelledError)` swallows the task's own cancellation too",
    )
    .label("the task goes on as if nobody had cancelled it")
    .help("suppress only around the `await` of a task this code has cancelled");
    if all_names {
        finding = finding.at_tier(Tier::Likely);
    }
    debug_assert!(facts.expr(context).usage == Usage::Entered);
    findings.push(finding);
}
