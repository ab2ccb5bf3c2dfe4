//! Claims say what blocks; contexts say what runs on the loop.

use treadle_finding::{Edit, Finding, Findings, Fix, Tier};
use treadle_program::Program;
use treadle_program::facts::{ExprKind, Usage};
use treadle_program::ids::{CallRef, ExprRef, FileId, FunctionRef, In};
use treadle_program::knowledge::ItemId;
use treadle_program::knowledge::claim::Blocking;
use treadle_program::program::{Context, Edge, EdgeKind};

use super::BLOCKING_CALL;
use crate::{cure, lookup};

pub(super) fn check(program: &Program, file: FileId, findings: &mut Findings) {
    for function in lookup::loop_functions(program, file) {
        for (call, blocking, item) in program.blocking_calls(function) {
            let is_another_rules = matches!(blocking, Blocking::File | Blocking::Cpu);
            // Other threads hold a lock for moments; holding it over an `await` is what `sync-lock-await` is about.
            if lookup::known_path(program, call).is_some_and(|path| path.ends_with("Lock.acquire")) {
                continue;
            }
            // `await time.sleep(1)` is first of all an `await` on nothing.
            let at = program.call_expr(call);
            if program.facts(at.file).expr(at.id).usage == Usage::Awaited {
                continue;
            }
            if lookup::is_replaced(program, function, program.knowledge().path(item)) {
                continue;
            }
            if lookup::is_debugger(program, call) && lookup::is_conditional(program, program.call_expr(call)) {
                continue;
            }
            if !is_another_rules && !lookup::is_ready(program, call) && !follows_another(program, call) {
                findings.push(finding(program, function, call, blocking, item));
            }
        }
    }
}

/// `urlopen(url).read()` is one thing to move to a thread, not two.
fn follows_another(program: &Program, call: CallRef) -> bool {
    let facts = program.facts(call.file);
    let ExprKind::Attribute { base, .. } = facts.expr(facts.call(call.id).callee).kind else { return false };
    program.call_of(In::new(call.file, base)).is_some_and(|before| program.blocking(before).is_some())
}

fn finding(program: &Program, function: FunctionRef, call: CallRef, blocking: Blocking, item: ItemId) -> Finding {
    let knowledge = program.knowledge();
    let path = knowledge.path(item);
    let at = program.call_expr(call);
    let claim = knowledge.claim(item).map(|known| &known.claim);
    let mut finding = Finding::new(
        &BLOCKING_CALL.about,
        program.location_of(at),
        format!("`{}` blocks the event loop", shown(program, call, path)),
    )
    .label(waits_for(blocking));
    // Starting a process is over in a moment on most machines; waiting for it is not.
    // As a statement `future.result()` often only brings up the exception of one that is done.
    let facts = program.facts(call.file);
    let only_asks = path == "concurrent.futures.Future.result" && facts.expr(at.id).usage == Usage::Discarded;
    if only_asks {
        finding = finding.at_tier(Tier::Advisory);
    } else if path == "subprocess.Popen" || lookup::is_command_line(program, call.file) {
        finding = finding.at_tier(Tier::Likely);
    }
    let exact = claim.filter(|claim| claim.twin_is_exact).and_then(|claim| claim.twin.as_deref());
    finding = match (exact, claim.and_then(|claim| claim.cure.as_deref())) {
        (Some(twin), _) => finding.help(format!("write `await {twin}(…)`")),
        (None, Some(cure)) => finding.help(cure),
        (None, None) => finding.help(cure::thread_words(program, call)),
    };
    if !program.function(function).is_async {
        finding = called_by_the_loop(program, function, finding);
    }
    if let Some(why) = claim.map(|claim| &claim.why).filter(|_| blocking == Blocking::Wait) {
        finding = finding.note(why.trim_end_matches('.').to_owned());
    }
    match exact {
        Some(twin) if lookup::may_await(program, at) => finding.fix(twin_fix(program, call, twin)),
        _ => match cure::in_thread(program, call) {
            Some(fix) if program.function(function).is_async => finding.fix(fix),
            _ => finding,
        },
    }
}

/// In a callback nothing can be awaited; and who else calls it on the loop waits as well.
fn called_by_the_loop(program: &Program, function: FunctionRef, finding: Finding) -> Finding {
    let mut finding = finding
        .note(format!("{} is plain, and the loop calls it", lookup::name_of(program, function)))
        .help("start a task that waits instead, or hand the call to `loop.run_in_executor(None, …)`");
    let on_loop = |edge: &&Edge| edge.kind == EdgeKind::Sync && program.context(edge.caller) == Context::Loop;
    let callers = program.graph().to(function).filter(on_loop);
    finding.also = callers.map(|edge| program.location_of(ExprRef::of_edge(edge))).collect();
    finding
}

/// `time.sleep(1)` becomes `await asyncio.sleep(1)`.
fn twin_fix(program: &Program, call: CallRef, twin: &str) -> Fix {
    let facts = program.facts(call.file);
    let callee = facts.expr(facts.call(call.id).callee).span;
    let mut edits = cure::await_it(program, program.call_expr(call));
    // The first edit inserts at the callee's first byte, which the replacement also starts with.
    let prefix = edits.remove(0).content;
    edits.insert(0, Edit::replace(callee, format!("{prefix}{twin}")));
    Fix::safe(format!("use `{twin}`"), edits).importing("asyncio")
}

/// What the reader wrote, or the claim's name where that says more.
fn shown(program: &Program, call: CallRef, path: &str) -> String {
    let spelled = lookup::spelled(program, call);
    let is_method = matches!(program.callee(call), treadle_program::ty::Ty::KnownMethod(..));
    if is_method { spelled } else { path.trim_start_matches("builtins.").to_owned() }
}

fn waits_for(blocking: Blocking) -> &'static str {
    match blocking {
        Blocking::Sleep => "every task of the loop sleeps here",
        Blocking::Network => "every task of the loop waits here for the network",
        Blocking::Database => "every task of the loop waits here for the database",
        Blocking::Subprocess => "every task of the loop waits here for the process",
        Blocking::Wait => "every task of the loop waits here for another thread",
        Blocking::Input => "every task of the loop waits here for a person",
        Blocking::File => "every task of the loop waits here for the file system",
        Blocking::Cpu => "every task of the loop waits while this computes",
    }
}
