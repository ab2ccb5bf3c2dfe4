//! Questions several rules ask in the same words.

use treadle_program::Program;
use treadle_program::facts::{ExprId, ExprKind, FileFacts, FunctionKind, NodeKind, RegionId, RegionKind, Usage};
use treadle_program::ids::{CallRef, ExprRef, FileId, FunctionRef};
use treadle_program::knowledge::claim::Effect;
use treadle_program::program::{Context, Edge};
use treadle_program::ty::Ty;

/// The functions of a file that run on the loop's thread by themselves: coroutines, asynchronous generators, callbacks.
pub(crate) fn loop_functions(program: &Program, file: FileId) -> impl Iterator<Item = FunctionRef> {
    let functions = (!program.is_foreign(file)).then(|| program.functions_in(file));
    functions.into_iter().flatten().filter(|function| program.context(*function) == Context::Loop)
}

/// The coroutine functions and asynchronous generators of a file.
pub(crate) fn async_functions(program: &Program, file: FileId) -> impl Iterator<Item = FunctionRef> {
    loop_functions(program, file).filter(|function| program.function(*function).is_async)
}

/// The functions that have a name, on the loop or not.
pub(crate) fn plain_and_async_functions(program: &Program, file: FileId) -> impl Iterator<Item = FunctionRef> {
    let functions = (!program.is_foreign(file)).then(|| program.functions_in(file));
    functions.into_iter().flatten().filter(|function| program.function(*function).kind == FunctionKind::Def)
}

/// The dotted name of what a call calls, if a claim speaks of it.
pub(crate) fn known_path(program: &Program, call: CallRef) -> Option<&str> {
    program.callee(call).item().map(|item| program.knowledge().path(item))
}

/// Whether `await` may be written at an expression.
pub(crate) fn may_await(program: &Program, expr: ExprRef) -> bool {
    let function = program.function(program.function_of(expr));
    function.kind == FunctionKind::Def && function.is_async
}

/// A function's name in code quotes.
pub(crate) fn name_of(program: &Program, function: FunctionRef) -> String {
    format!("`{}`", program.qualified_name(function))
}

/// What a call calls, as the program spells it.
pub(crate) fn spelled(program: &Program, call: CallRef) -> String {
    let facts = program.facts(call.file);
    facts.dotted(facts.call(call.id).callee).unwrap_or_else(|| match program.callee(call).item() {
        Some(item) => program.knowledge().path(item).to_owned(),
        None => match facts.expr(facts.call(call.id).callee).kind {
            ExprKind::Attribute { name, .. } => format!("….{}", facts.name(name)),
            _ => "the call".to_owned(),
        },
    })
}

/// Whether a function runs once in the life of a program: it is given to `asyncio.run`, sets up or tears down by its name, or is
/// called, outside loops, by nothing but such functions.
pub(crate) fn runs_once(program: &Program, function: FunctionRef) -> bool {
    runs_once_within(program, function, 4)
}

fn runs_once_within(program: &Program, function: FunctionRef, depth: u32) -> bool {
    let facts = program.facts(function.file);
    let entry = program.function(function);
    if entry.kind == FunctionKind::Module || is_lifecycle(facts.name(entry.name)) {
        return true;
    }
    // A decorated function may be a route or a handler.
    if depth == 0 || !entry.decorators.is_empty() {
        return false;
    }
    let mut edges = program.graph().to(function).peekable();
    edges.peek().is_some()
        && edges.all(|edge| {
            is_given_to_a_runner(program, edge)
                || (!is_in_loop(program, edge.caller.with(edge.at))
                    && runs_once_within(program, edge.caller, depth - 1))
        })
}

fn is_lifecycle(name: &str) -> bool {
    matches!(
        name.trim_matches('_'),
        "main"
            | "amain"
            | "async_main"
            | "lifespan"
            | "aenter"
            | "aexit"
            | "init"
            | "setup"
            | "startup"
            | "on_startup"
            | "shutdown"
            | "on_shutdown"
            | "async_setup"
            | "setup_hook"
            | "asyncSetUp"
            | "asyncTearDown"
            | "bootstrap"
            | "run_forever"
            | "serve_forever"
    )
}

/// Whether an expression stands in a loop of its function.
pub(crate) fn is_in_loop(program: &Program, at: ExprRef) -> bool {
    let facts = program.facts(at.file);
    facts.regions_around(facts.expr(at.id).region).any(|(_, region)| matches!(region.kind, RegionKind::Loop { .. }))
}

/// `asyncio.run(function())`.
fn is_given_to_a_runner(program: &Program, edge: &Edge) -> bool {
    let facts = program.facts(edge.caller.file);
    let call = facts.expr(edge.at);
    let outer = call
        .parent
        .filter(|_| call.usage == Usage::Argument)
        .and_then(|parent| program.call_of(edge.caller.with(parent)));
    outer
        .and_then(|outer| program.claim(outer))
        .is_some_and(|(_, known)| known.claim.effects.values().any(|effect| *effect == Effect::Runs))
}

/// The nodes of a function within a region that may give control to the loop.
pub(crate) fn suspensions_within(
    program: &Program,
    function: FunctionRef,
    region: RegionId,
) -> Vec<(treadle_program::facts::NodeId, NodeKind)> {
    let facts = program.facts(function.file);
    program
        .nodes(function)
        .filter(|(node, kind)| {
            facts.may_suspend(function.id, kind) && facts.region_within(facts.node(node.id).region, region)
        })
        .map(|(node, kind)| (node.id, *kind))
        .collect()
}

/// The expression a node is about, for pointing at it.
pub(crate) fn node_expr(facts: &FileFacts, kind: &NodeKind) -> Option<ExprId> {
    match *kind {
        NodeKind::Suspend(expr)
        | NodeKind::Yield(expr)
        | NodeKind::Call(expr)
        | NodeKind::Use(expr)
        | NodeKind::Test(expr) => Some(expr),
        NodeKind::Enter(region) | NodeKind::Leave(region) | NodeKind::LeaveRaising(region) => {
            match facts.region(region).kind {
                RegionKind::With { context, .. } => Some(context),
                _ => None,
            }
        }
        NodeKind::Iterate(region) => match facts.region(region).kind {
            RegionKind::Loop { control, .. } => Some(control),
            _ => None,
        },
        _ => None,
    }
}

/// Whether any of a method's versions further down the hierarchy is not the same kind of function.
pub(crate) fn overridden_differently(program: &Program, callee: &Ty, is_coroutine: bool) -> bool {
    let Ty::Method(function, receiver) = callee else { return false };
    let Ty::Instance(class) = **receiver else { return false };
    let facts = program.facts(function.file);
    let name = facts.name(program.function(*function).name);
    program.classes().subclasses(class).iter().any(|subclass| match program.own_member(*subclass, name) {
        None => false,
        Some(local) => match program.function_bound_to(subclass.with(local)) {
            Some(found) => program.is_coroutine_function(found) != Some(is_coroutine),
            None => true,
        },
    })
}

/// Whether an expression stands where the program asks which version or library it runs with.
pub(crate) fn is_version_guarded(program: &Program, expr: ExprRef) -> bool {
    let facts = program.facts(expr.file);
    let mut around = std::iter::successors(Some(expr.id), |id| facts.expr(*id).parent);
    let in_expression = around.any(|id| {
        matches!(facts.expr(id).kind, ExprKind::Bool2 { .. } | ExprKind::IfElse(_)) && asks_for_a_version(facts, id)
    });
    in_expression
        || facts.regions_around(facts.expr(expr.id).region).any(|(_, region)| match region.kind {
            RegionKind::Branch { test, .. } => asks_for_a_version(facts, test),
            RegionKind::Try(try_) => {
                let handlers = facts.try_(try_).handlers;
                facts.handlers[handlers.range()].iter().any(|handler| {
                    handler.caught.is_some_and(|caught| {
                        let names = exception_names(facts, caught);
                        names.iter().any(|name| {
                            matches!(
                                name.as_str(),
                                "ImportError" | "AttributeError" | "ModuleNotFoundError" | "RuntimeError"
                            )
                        })
                    })
                })
            }
            RegionKind::Handler(handler) => facts.handler(handler).caught.is_some_and(|caught| {
                let names = exception_names(facts, caught);
                names.iter().any(|name| {
                    matches!(name.as_str(), "ImportError" | "AttributeError" | "ModuleNotFoundError" | "RuntimeError")
                })
            }),
            _ => false,
        })
}

/// Whether `sys.version_info`, `hasattr` or a constant such as `PY314` stands in an expression.
fn asks_for_a_version(facts: &FileFacts, expr: ExprId) -> bool {
    let span = facts.expr(expr).span;
    facts.exprs_of(facts.function_of(expr)).any(|(_, inside)| {
        span.contains(inside.span)
            && match inside.kind {
                ExprKind::Attribute { name, .. } | ExprKind::Global(name) => {
                    matches!(facts.name(name), "version_info" | "hasattr" | "platform")
                }
                ExprKind::Local(local) => {
                    let name = facts.name(facts.local(local).name);
                    name.starts_with("PY") || name == "version_info" || name == "hasattr"
                }
                _ => false,
            }
    })
}

/// The last words of the exception types a handler names.
pub(crate) fn exception_names(facts: &FileFacts, caught: ExprId) -> Vec<String> {
    let parts = match facts.expr(caught).kind {
        ExprKind::Tuple(items) => facts.operands(items).to_vec(),
        _ => vec![caught],
    };
    let last = |part: &ExprId| facts.dotted(*part).map(|name| name.rsplit('.').next().unwrap_or_default().to_owned());
    parts.iter().filter_map(last).collect()
}

/// `parent` if the expression is awaited, else the expression itself.
pub(crate) fn awaited_or_self(facts: &FileFacts, expr: ExprId) -> ExprId {
    match (facts.expr(expr).usage, facts.expr(expr).parent) {
        (Usage::Awaited, Some(parent)) => parent,
        _ => expr,
    }
}

/// Whether an object made at an expression lives no longer than its function: entered there, handed straight to
/// `run_in_executor` or `to_executor`, or held by a variable that is neither returned, stored, yielded nor captured.
pub(crate) fn stays_local(program: &Program, at: ExprRef) -> bool {
    let facts = program.facts(at.file);
    match facts.expr(at.id).usage {
        Usage::Entered | Usage::AsyncEntered | Usage::AttributeBase => true,
        Usage::Argument => facts
            .expr(at.id)
            .parent
            .and_then(|parent| facts.as_call(parent))
            .is_some_and(|call| matches!(facts.last_name(call.callee), Some("run_in_executor" | "to_executor"))),
        Usage::Bound(binding) => {
            let local = facts.binding(binding).local;
            let entry = facts.local(local);
            entry.function == facts.function_of(at.id)
                && !entry.captured
                && !uses_of(facts, local).any(|id| escapes(facts, id))
        }
        _ => false,
    }
}

/// The expressions of its own function that read a variable.
pub(crate) fn uses_of(facts: &FileFacts, local: treadle_program::facts::LocalId) -> impl Iterator<Item = ExprId> + '_ {
    let function = facts.local(local).function;
    facts.exprs_of(function).filter(move |(_, expr)| expr.kind == ExprKind::Local(local)).map(|(id, _)| id)
}

/// Whether a use lets the value outlive the function.
fn escapes(facts: &FileFacts, id: ExprId) -> bool {
    let entry = facts.expr(id);
    match entry.usage {
        Usage::Returned
        | Usage::Yielded
        | Usage::Stored(_)
        | Usage::Bound(_)
        | Usage::Element
        | Usage::Result
        | Usage::Junction => true,
        Usage::Argument => entry.parent.and_then(|parent| facts.as_call(parent)).is_none_or(|call| {
            !facts.last_name(call.callee).is_some_and(|name| {
                matches!(name, "run_in_executor" | "to_executor" | "gather" | "fetch" | "request" | "print")
            })
        }),
        _ => false,
    }
}

/// Whether what a call would wait for is there already: `if future.done(): future.result()`, or a lock that was made in
/// the same function and that nobody else can hold.
pub(crate) fn is_ready(program: &Program, call: CallRef) -> bool {
    let facts = program.facts(call.file);
    let ExprKind::Attribute { base, name } = facts.expr(facts.call(call.id).callee).kind else { return false };
    let Some(receiver) = facts.dotted(base) else { return false };
    let at = program.call_expr(call);
    let looks = facts.calls_of(facts.function_of(at.id)).any(|(_, other)| {
        facts
            .dotted(other.callee)
            .is_some_and(|asked| asked == format!("{receiver}.empty") || asked == format!("{receiver}.qsize"))
    });
    if looks && facts.name(name) == "get" {
        return true;
    }
    let region = facts.expr(at.id).region;
    let asked = facts.regions_around(region).any(|(_, region)| match region.kind {
        RegionKind::Branch { test, .. } => facts.as_call(test).is_some_and(|test| {
            facts.dotted(test.callee).is_some_and(|asked| {
                asked == format!("{receiver}.done")
                    || asked == format!("{receiver}.is_set")
                    || asked == format!("{receiver}.is_alive")
            })
        }),
        _ => false,
    });
    let fresh = facts.name(name) == "acquire"
        && matches!(facts.expr(base).kind, ExprKind::Local(local)
        if facts.local(local).function == facts.function_of(base)
            && facts.bindings_of(local).any(|(_, binding)| match binding.kind {
                treadle_program::facts::BindingKind::Value { value, .. } => facts.as_call(value).is_some(),
                _ => false,
            }));
    asked || fresh
}

/// `@functools.cache` and its like: the body runs once for each argument.
pub(crate) fn is_cached(program: &Program, function: FunctionRef) -> bool {
    let facts = program.facts(function.file);
    facts.operands(program.function(function).decorators).iter().any(|decorator| {
        let name = facts.as_call(*decorator).map_or(*decorator, |call| call.callee);
        matches!(facts.last_name(name), Some("cache" | "lru_cache" | "cached_property"))
    })
}

/// `with patch("requests.get"):` or `@patch("requests.get")`: a test's stand-in is called, not the function.
pub(crate) fn is_replaced(program: &Program, function: FunctionRef, path: &str) -> bool {
    let facts = program.facts(function.file);
    let names_it = |id: ExprId| matches!(facts.expr(id).kind, ExprKind::String(text) if facts.name(text) == path);
    let inside = facts.exprs_of(function.id).any(|(id, expr)| expr.usage == Usage::Argument && names_it(id));
    let above = facts.operands(program.function(function).decorators).iter().any(|decorator| {
        facts
            .as_call(*decorator)
            .is_some_and(|call| facts.arguments(call).iter().any(|argument| names_it(argument.value)))
    });
    inside || above
}

/// Whether a call stops for a debugger: in a branch it is there on purpose, and a chain to it says nothing.
pub(crate) fn is_debugger(program: &Program, call: CallRef) -> bool {
    matches!(known_path(program, call), Some("pdb.set_trace" | "builtins.breakpoint" | "code.interact"))
}

/// Whether an expression stands in a branch of its function.
pub(crate) fn is_conditional(program: &Program, at: ExprRef) -> bool {
    let facts = program.facts(at.file);
    facts.regions_around(facts.expr(at.id).region).any(|(_, region)| matches!(region.kind, RegionKind::Branch { .. }))
}

/// Whether a file is a command line's: one command runs at a time there, and nobody waits beside it.
pub(crate) fn is_command_line(program: &Program, file: FileId) -> bool {
    let path = &program.file(file).path;
    let is_command =
        |name: &str| matches!(name, "cli" | "__main__" | "_scripts" | "scripts" | "commands" | "management");
    path.iter().filter_map(|part| part.to_str()).any(|part| is_command(part.trim_end_matches(".py")))
}

/// Whether a function looks on which thread, or under which loop, it runs: it has a way for both.
pub(crate) fn asks_for_its_thread(program: &Program, function: FunctionRef) -> bool {
    let facts = program.facts(function.file);
    facts.exprs_of(function.id).any(|(_, expr)| match expr.kind {
        ExprKind::Attribute { name, .. } | ExprKind::Global(name) => asks(facts.name(name)),
        ExprKind::Local(local) => expr.usage == Usage::Callee && asks(facts.name(facts.local(local).name)),
        _ => false,
    })
}

fn asks(name: &str) -> bool {
    matches!(
        name,
        "get_running_loop"
            | "_get_running_loop"
            | "is_running"
            | "get_ident"
            | "current_thread"
            | "main_thread"
            | "current_async_library"
            | "in_async_context"
            | "current_task"
            | "loop_thread_id"
    )
}
