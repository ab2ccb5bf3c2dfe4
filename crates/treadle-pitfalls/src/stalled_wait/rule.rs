//! A wait for something that nothing in the program ever does.

use treadle_finding::{Finding, Findings, Tier};
use treadle_program::Program;
use treadle_program::facts::{FileFacts, Usage};
use treadle_program::ids::{FileId, In};
use treadle_program::knowledge::claim::Primitive;
use treadle_program::program::{Operation, Place, PrimitiveUse};

use super::STALLED_WAIT;
use crate::lookup;

pub(super) fn check(program: &Program, file: FileId, findings: &mut Findings) {
    for (place, used) in program.primitives().of_file(file) {
        if used.escapes || used.created.iter().any(|call| program.file(call.file).installed) {
            continue;
        }
        if sleeps_for_ever(program, place, used) {
            continue;
        }
        if let Some((wait, words, help)) = stalled(program, used) {
            findings.push(finding(program, place, used, wait, &words, help));
        }
    }
}

/// An event or future of one function that only waits for it, under a name that says so, or in a function that runs for as long
/// as the program: how people write "until cancelled".
fn sleeps_for_ever(program: &Program, place: &Place, used: &PrimitiveUse) -> bool {
    let Place::Variable(local) = place else { return false };
    let facts = program.facts(local.file);
    let entry = facts.local(local.id);
    let owner = entry.function;
    if owner == FileFacts::MODULE || !matches!(used.primitive, Primitive::AsyncEvent | Primitive::AsyncFuture) {
        return false;
    }
    let words =
        ["forever", "ever", "stop", "shut", "exit", "quit", "sleep", "term", "block", "cancel", "clos", "hang", "idle"];
    let says_so = |name: &str| words.iter().any(|word| name.contains(word));
    let function = facts.name(facts.function(owner).name);
    let runs_on = ["run", "serve", "main", "start", "listen", "watch", "loop", "wait", "poll", "work"];
    says_so(facts.name(entry.name))
        || says_so(function)
        || runs_on.iter().any(|word| function.contains(word))
        || lookup::runs_once(program, In::new(local.file, owner))
}

/// The wait that cannot end, what is missing, and the cure.
fn stalled<'u>(program: &Program, used: &'u PrimitiveUse) -> Option<(&'u Operation, String, &'static str)> {
    let first = |names: &[&str]| {
        used.operations.iter().find(|operation| names.contains(&&*operation.name) && !has_a_limit(program, operation))
    };
    let none = |names: &[&str]| !used.operations.iter().any(|operation| names.contains(&&*operation.name));
    match used.primitive {
        Primitive::AsyncEvent => {
            let wait = first(&["wait"]).filter(|_| none(&["set"]))?;
            Some((wait, "nothing ever sets it".to_owned(), "call `set()` where the event happens"))
        }
        Primitive::AsyncCondition => {
            let wait = first(&["wait", "wait_for"]).filter(|_| none(&["notify", "notify_all"]))?;
            Some((wait, "nothing ever notifies it".to_owned(), "call `notify()` or `notify_all()` under the condition"))
        }
        Primitive::AsyncSemaphore => {
            let wait = first(&["acquire"]).filter(|_| none(&["release", "async with"]))?;
            Some((
                wait,
                "nothing ever releases it: it is used up and never refilled".to_owned(),
                "use `async with`, or a rate limiter if a rate is meant",
            ))
        }
        Primitive::AsyncQueue => {
            if let Some(wait) = first(&["get"]).filter(|_| none(&["put", "put_nowait"])) {
                return Some((
                    wait,
                    "nothing ever puts an item".to_owned(),
                    "put items, or give the queue to who does",
                ));
            }
            let wait = first(&["join"]).filter(|_| none(&["task_done"]) && !none(&["put", "put_nowait"]))?;
            Some((wait, "no item is ever marked with `task_done()`".to_owned(), "call `task_done()` after each item"))
        }
        Primitive::AsyncFuture => {
            let made_here = used.created.iter().all(|call| {
                program.callee(*call).item().is_some_and(|item| {
                    let path = program.knowledge().path(item);
                    path == "asyncio.Future" || path.ends_with(".create_future")
                })
            });
            let wait = first(&["await"]).filter(|_| made_here && none(&["set_result", "set_exception", "cancel"]))?;
            Some((wait, "nothing ever gives it a result".to_owned(), "call `set_result()` where the result is known"))
        }
        _ => None,
    }
}

/// `wait_for(event.wait(), 5)` ends.
fn has_a_limit(program: &Program, operation: &Operation) -> bool {
    let facts = program.facts(operation.at.file);
    let expr = facts.expr(operation.at.id);
    let outer = expr.parent.filter(|_| expr.usage == Usage::Argument).and_then(|parent| facts.as_call(parent));
    outer.is_some_and(|call| facts.last_name(call.callee) == Some("wait_for"))
}

fn finding(
    program: &Program,
    place: &Place,
    used: &PrimitiveUse,
    wait: &Operation,
    words: &str,
    help: &'static str,
) -> Finding {
    let name = program.place_name(place);
    let mut finding = Finding::new(
        &STALLED_WAIT.about,
        program.location_of(wait.at),
        format!("the wait for `{name}` cannot end: {words}"),
    )
    .label("waits here for ever")
    .help(help);
    for created in used.created.iter().take(1) {
        finding = finding.step(program.location_of(program.call_expr(*created)), "made here");
    }
    // A public event or queue may be somebody else's to set or fill; nobody refills another one's semaphore.
    let public = matches!(place, Place::Attribute(_, name) if !name.starts_with('_'));
    let is_semaphore = used.primitive == Primitive::AsyncSemaphore;
    if matches!(place, Place::Variable(local) if program.facts(local.file).local(local.id).function != FileFacts::MODULE)
    {
        return finding.at_tier(Tier::Likely);
    }
    if public && !is_semaphore { finding.at_tier(Tier::Advisory) } else { finding }
}
