//! A loop that awaits independent calls one after the other and collects their results.

use treadle_finding::{Edit, Finding, Findings, Fix, Span};
use treadle_program::facts::{
    BindingKind, ComprehensionKind, ExprId, ExprKind, FileFacts, LoopKind, NodeKind, RegionId, RegionKind, Usage,
};
use treadle_program::ids::{FileId, FunctionRef, In};
use treadle_program::program::EdgeKind;
use treadle_program::ty::Ty;
use treadle_program::{Program, Types};

use super::SEQUENTIAL_AWAIT;
use crate::lookup;

pub(super) fn check(program: &Program, file: FileId, findings: &mut Findings) {
    for function in lookup::async_functions(program, file) {
        let facts = program.facts(function.file);
        let run = facts.function(function.id).regions;
        for region in (run.start..run.end).map(RegionId) {
            if let RegionKind::Loop { kind: LoopKind::For | LoopKind::Comprehension, .. } = facts.region(region).kind
                && let Some(awaits) = independent(program, function, region)
            {
                let finding = finding(program, function, awaits);
                findings.push(match gathered(facts, region, awaits) {
                    Some(fix) => finding.fix(fix),
                    None => finding,
                });
            }
        }
    }
}

fn finding(program: &Program, function: FunctionRef, awaits: ExprId) -> Finding {
    let facts = program.facts(function.file);
    let name = match facts.expr(awaits).kind {
        ExprKind::Await(operand) => facts.as_call(operand).and_then(|call| facts.dotted(call.callee)),
        _ => None,
    };
    let name = name.unwrap_or_else(|| "the calls".to_owned());
    Finding::new(
        &SEQUENTIAL_AWAIT.about,
        program.location_of(function.with(awaits)),
        format!("calls of `{name}` that do not need each other wait for each other"),
    )
    .label("each round starts when the one before is done")
    .help(format!("`results = await asyncio.gather(*({name}(…) for …))`, with a limit if there may be many"))
}

/// The same with `gather`, for a list comprehension and for a loop that only appends.
fn gathered(facts: &FileFacts, region: RegionId, awaits: ExprId) -> Option<Fix> {
    let entry = facts.expr(awaits);
    let ExprKind::Await(operand) = entry.kind else { return None };
    let call = facts.expr(operand).span;
    let parent = entry.parent?;
    let title = "start all of them, then wait";
    if let ExprKind::Comprehension { kind: ComprehensionKind::List, .. } = facts.expr(parent).kind {
        let whole = facts.expr(parent);
        if matches!(whole.usage, Usage::AttributeBase | Usage::SubscriptBase | Usage::Operand) {
            return None;
        }
        let edits = vec![
            Edit::insert(whole.span.start, "await asyncio.gather(*"),
            Edit::delete(Span::new(entry.span.start, call.start)),
            Edit::insert(whole.span.end, ")"),
        ];
        return Some(Fix::unsafe_(title, edits).importing("asyncio"));
    }
    let RegionKind::Loop { kind: LoopKind::For, control } = facts.region(region).kind else { return None };
    let append = facts.as_call(parent)?;
    let ExprKind::Attribute { base, name } = facts.expr(append.callee).kind else { return None };
    let (list, iterable) = (facts.dotted(base)?, facts.dotted(control)?);
    let target = facts.bindings.iter().find_map(|binding| match binding.kind {
        BindingKind::Iterated { iterable, .. } if iterable == control => {
            Some(facts.name(facts.local(binding.local).name))
        }
        _ => None,
    })?;
    let statement = facts.statement_around(facts.expr(control).span)?;
    let body = facts.expr(parent).span;
    let inside = facts.statements.iter().filter(|other| facts.region(region).span.contains(**other)).count();
    if facts.name(name) != "append" || inside != 1 || statement.end != body.end {
        return None;
    }
    let edits = vec![
        Edit::replace(Span::new(statement.start, call.start), format!("{list}.extend(await asyncio.gather(*[")),
        Edit::replace(Span::new(call.end, statement.end), format!(" for {target} in {iterable}]))")),
    ];
    Some(Fix::unsafe_(title, edits).importing("asyncio"))
}

/// The one `await` of the loop, if each round does nothing but collect what an independent call gives.
fn independent(program: &Program, function: FunctionRef, region: RegionId) -> Option<ExprId> {
    let facts = program.facts(function.file);
    let suspensions = lookup::suspensions_within(program, function, region);
    let [(node, NodeKind::Suspend(awaits))] = suspensions.as_slice() else { return None };
    let ExprKind::Await(operand) = facts.expr(*awaits).kind else { return None };
    let call = facts.as_call(operand)?;
    // Directly in the loop: in a branch, a `try` or a `with` the rounds may well depend on each other.
    if facts.node(*node).region != region || is_under_pressure(facts, region) || leaves_early(program, function, region)
    {
        return None;
    }
    let reference = program.call_of(function.with(operand))?;
    (uses_item(facts, region, call)
        && !depends_on_rounds(facts, region, operand)
        && is_collected(facts, *awaits, region)
        && does_independent_work(program, reference))
    .then_some(*awaits)
}

/// Under a lock, a limit or a transaction one at a time may be the point.
fn is_under_pressure(facts: &FileFacts, region: RegionId) -> bool {
    facts.regions_around(region).skip(1).any(|(_, region)| match region.kind {
        RegionKind::With { context, .. } => facts
            .as_call(context)
            .and_then(|call| facts.dotted(call.callee))
            .is_none_or(|name| !matches!(name.rsplit('.').next(), Some("ClientSession" | "AsyncClient" | "timeout"))),
        RegionKind::Loop { .. } => true,
        _ => false,
    })
}

/// `break` or `return` after a result: the later calls may not be wanted.
fn leaves_early(program: &Program, function: FunctionRef, region: RegionId) -> bool {
    let facts = program.facts(function.file);
    program.nodes(function).any(|(node, kind)| {
        let within = facts.region_within(facts.node(node.id).region, region);
        let is_head = matches!(kind, NodeKind::Iterate(found) if *found == region);
        within
            && !is_head
            && (matches!(kind, NodeKind::Return(_) | NodeKind::Raise(_))
                || facts.next(node.id).iter().any(|next| {
                    let next = facts.node(*next);
                    next.kind != NodeKind::Iterate(region) && !facts.region_within(next.region, region)
                }))
    })
}

/// The call is about the item of this round.
fn uses_item(facts: &FileFacts, region: RegionId, call: &treadle_program::facts::Call) -> bool {
    let RegionKind::Loop { control, .. } = facts.region(region).kind else { return false };
    facts.arguments(call).iter().any(|argument| {
        let span = facts.expr(argument.value).span;
        facts.exprs_of(facts.region(region).function).any(|(_, expr)| match expr.kind {
            ExprKind::Local(local) if span.contains(expr.span) => facts.bindings_of(local).any(
                |(_, binding)| matches!(binding.kind, BindingKind::Iterated { iterable, .. } if iterable == control),
            ),
            _ => false,
        })
    })
}

/// The call reads something that an earlier round wrote.
fn depends_on_rounds(facts: &FileFacts, region: RegionId, operand: ExprId) -> bool {
    let span = facts.expr(operand).span;
    let body = facts.region(region).span;
    facts.exprs_of(facts.region(region).function).any(|(_, expr)| match expr.kind {
        ExprKind::Local(local) if span.contains(expr.span) => facts.bindings_of(local).any(|(_, binding)| {
            let in_loop = body.contains(binding.span);
            let fresh = matches!(binding.kind, BindingKind::Iterated { .. })
                || (binding.span.end <= span.start && matches!(binding.kind, BindingKind::Value { .. }));
            in_loop && !fresh
        }),
        _ => false,
    })
}

/// `(await f(x))["name"]`, `row.json()`: the expression that what is taken from the result ends up in.
fn whole_of(facts: &FileFacts, id: ExprId) -> ExprId {
    let mut here = id;
    while let (Usage::AttributeBase | Usage::SubscriptBase | Usage::Callee, Some(parent)) =
        (facts.expr(here).usage, facts.expr(here).parent)
    {
        here = parent;
    }
    here
}

/// The results go into a list, a dict or a comprehension.
fn is_collected(facts: &FileFacts, awaits: ExprId, region: RegionId) -> bool {
    let awaits = whole_of(facts, awaits);
    let entry = facts.expr(awaits);
    match entry.usage {
        Usage::Collected => {
            entry.parent.is_some_and(|parent| matches!(facts.expr(parent).kind, ExprKind::Comprehension { .. }))
        }
        Usage::Argument => entry.parent.and_then(|parent| facts.as_call(parent)).is_some_and(|call| {
            facts.expr(call.expr).usage == Usage::Discarded
                && matches!(facts.expr(call.callee).kind, ExprKind::Attribute { base, name }
                    if matches!(facts.name(name), "append" | "add" | "extend")
                        && matches!(facts.expr(base).kind, ExprKind::Local(_)))
        }),
        Usage::Stored(store) => matches!(
            facts.store(store).target,
            treadle_program::facts::StoreTarget::Subscript { base, .. } if matches!(facts.expr(base).kind, ExprKind::Local(_))
        ),
        Usage::Bound(binding) => {
            let local = facts.binding(binding).local;
            // `row = await fetch(x)` and then only `rows.append(row)` or the like.
            let mut uses = lookup::uses_of(facts, local);
            let (Some(only), None) = (uses.next(), uses.next()) else { return false };
            facts.region_within(facts.expr(only).region, region) && is_collected(facts, only, region)
        }
        _ => false,
    }
}

/// An HTTP request, or a coroutine of the program that makes one (or sleeps) and changes nothing others see.
fn does_independent_work(program: &Program, call: treadle_program::ids::CallRef) -> bool {
    match program.callee(call) {
        Ty::KnownMethod(item, _) | Ty::Known(item) => is_request(program.knowledge().path(*item)),
        Ty::Function(function) | Ty::Method(function, _) => {
            let mut found = false;
            let mut waiting = vec![(*function, 0)];
            let mut met = Vec::new();
            while let Some((here, depth)) = waiting.pop() {
                if met.contains(&here) || depth > 4 {
                    continue;
                }
                met.push(here);
                if changes_state(program, here) {
                    return false;
                }
                let run = program.function(here).calls;
                for call in (run.start..run.end).map(|id| In::new(here.file, treadle_program::facts::CallId(id))) {
                    if let Some(path) = lookup::known_path(program, call) {
                        found |= is_request(path)
                            || matches!(path, "asyncio.sleep" | "asyncio.to_thread" | "treadle.to_thread");
                        if is_ordered(path) {
                            return false;
                        }
                    }
                }
                let edges = program.graph().from(here).iter();
                waiting
                    .extend(edges.filter(|edge| edge.kind != EdgeKind::Offloaded).map(|edge| (edge.callee, depth + 1)));
            }
            found
        }
        _ => false,
    }
}

fn is_request(path: &str) -> bool {
    let Some((owner, method)) = path.rsplit_once('.') else { return false };
    // Each call on a pool takes a connection of its own.
    (owner == "asyncpg.Pool" && matches!(method, "fetch" | "fetchrow" | "fetchval"))
        || matches!(owner, "aiohttp.ClientSession" | "httpx.AsyncClient")
            && matches!(method, "get" | "head" | "options" | "request" | "post" | "put" | "patch" | "delete")
}

/// Work whose order others see: writes, queues, locks, statements on a connection.
fn is_ordered(path: &str) -> bool {
    let method = path.rsplit('.').next().unwrap_or_default();
    matches!(method, "drain" | "acquire" | "execute" | "send_json" | "send_text")
        || path.starts_with("asyncio.Queue.")
        || path.starts_with("asyncio.Lock")
        || path.starts_with("asyncio.StreamWriter")
}

fn changes_state(program: &Program, function: FunctionRef) -> bool {
    let facts = program.facts(function.file);
    let entry = facts.function(function.id);
    let mut types = Types::new(program, function.file);
    let stores = facts.stores[entry.stores.range()].iter().any(|store| match store.target {
        treadle_program::facts::StoreTarget::Attribute { .. } => true,
        treadle_program::facts::StoreTarget::Subscript { base, .. } => {
            !matches!(facts.expr(base).kind, ExprKind::Local(local) if facts.local(local).function == function.id)
                || types.of(base).is_unknown()
        }
    });
    let outer =
        facts.bindings[entry.bindings.range()].iter().any(|binding| facts.local(binding.local).function != function.id);
    stores || outer
}
