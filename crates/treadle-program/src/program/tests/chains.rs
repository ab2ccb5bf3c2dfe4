//! Ways from the loop to blocking calls, and the constants that close them.

use super::program;
use crate::Program;
use crate::program::{Chain, Edge};
use crate::testing::linked;

/// Each chain: the functions on its way, how many calls it ends at, and the functions that enter by other ways.
fn chains_of(program: &Program) -> Vec<String> {
    let blocking = |function| program.blocking_calls(function).iter().map(|(call, ..)| *call).collect();
    let names =
        |edges: &[Edge]| edges.iter().map(|edge| program.qualified_name(edge.caller)).collect::<Vec<_>>().join(" > ");
    let show = |chain: &Chain| {
        let others = if chain.others.is_empty() { String::new() } else { format!(", also {}", names(&chain.others)) };
        let function = program.qualified_name(chain.function);
        format!("{} > {function} ({}){others}", names(&chain.path), chain.leaves.len())
    };
    program.all_files().flat_map(|file| program.chains_in(file, blocking)).map(|chain| show(&chain)).collect()
}

/// Asserts the chains of a program of one file.
fn chains(text: &str, expected: &[&str]) {
    assert_eq!(chains_of(&program(&format!("import asyncio, time\n{text}"))), expected, "{text}");
}

#[test]
fn a_chain_goes_from_a_coroutine_through_plain_functions() {
    let text = "
def leaf():
    time.sleep(1)
    time.sleep(2)
def middle(): leaf()
async def main(): middle()
";
    chains(text, &["main > middle > leaf (2)"]);
}

#[test]
fn a_chain_crosses_files() {
    let program = linked(&[
        ("a.py", "import time\ndef leaf(): time.sleep(1)"),
        ("b.py", "from a import leaf\nasync def main(): leaf()"),
    ]);
    assert_eq!(chains_of(&program), ["main > leaf (1)"]);
}

#[test]
fn the_shortest_way_is_shown_and_all_others_are_counted() {
    let text = "
def leaf(): time.sleep(1)
def middle(): leaf()
async def far(): middle()
async def near():
    middle()
    leaf()
    leaf()
async def other(): leaf()
";
    chains(text, &["near > leaf (1), also near > other > far > near"]);
}

#[test]
fn a_callback_of_the_loop_begins_a_chain() {
    let text = "
def leaf(): time.sleep(1)
def soon(): leaf()
def start(loop: asyncio.AbstractEventLoop): loop.call_soon(soon)
";
    chains(text, &["soon > leaf (1)"]);
}

#[test]
fn nothing_off_the_loop_is_on_a_chain() {
    let text = "
def leaf(): time.sleep(1)
def threaded(): leaf()
def uncalled(): leaf()
async def awaits():
    await asyncio.to_thread(threaded)
    await asyncio.to_thread(leaf)
leaf()
";
    chains(text, &[]);
}

#[test]
fn what_a_thread_runs_elsewhere_still_blocks_where_it_is_called() {
    let text = "
def leaf(): time.sleep(1)
async def good(): await asyncio.to_thread(leaf)
async def bad(): leaf()
";
    chains(text, &["bad > leaf (1)"]);
}

#[test]
fn a_chain_through_recursion_ends() {
    let text = "
def leaf(n):
    time.sleep(1)
    other(n)
def other(n): leaf(n)
async def main(): other(1)
";
    chains(text, &["main > other > leaf (1)"]);
}

#[test]
fn arguments_that_take_blocking_back_leave_no_chain() {
    let text = "
import threading
lock = threading.Lock()
def f(): lock.acquire(blocking=False)
async def main(): f()
";
    chains(text, &[]);
}

/// Whether `call` in a coroutine reaches a `sleep` behind `test` in `def f(parameters)`.
fn reaches(parameters: &str, test: &str, call: &str) -> bool {
    let text =
        format!("import time\ndef f({parameters}):\n  if {test}: time.sleep(1)\nasync def main(x, k):\n  {call}");
    !chains_of(&program(&text)).is_empty()
}

#[test]
fn a_constant_argument_keeps_a_call_away() {
    for (parameters, test, call) in [
        ("wait=False", "wait", "f()"),
        ("wait", "wait", "f(False)"),
        ("wait", "wait", "f(wait=False)"),
        ("wait", "wait", "f(0)"),
        ("wait", "wait", "f('')"),
        ("wait", "not wait", "f(True)"),
        ("wait=None", "wait is not None", "f()"),
        ("wait", "wait is None", "f(1)"),
        ("a, b", "a and b", "f(x, False)"),
        ("a, b", "a or b", "f(None, False)"),
        ("*, wait=False", "wait", "f()"),
    ] {
        assert!(!reaches(parameters, test, call), "def f({parameters}): if {test} … {call}");
    }
}

#[test]
fn what_may_be_true_keeps_nothing_away() {
    for (parameters, test, call) in [
        ("wait=False", "wait", "f(True)"),
        ("wait=False", "wait", "f(x)"),
        ("wait=False", "wait", "f(*x)"),
        ("wait=False", "wait", "f(**k)"),
        ("wait", "not wait", "f(False)"),
        ("a, b", "a or b", "f(x, False)"),
        ("a, b", "a and b", "f(x, True)"),
        ("wait=x", "wait", "f()"),
        ("wait=False, **k", "k", "f()"),
        ("wait", "wait is not 'a'", "f('b')"),
        ("wait", "wait is 1", "f(1)"),
    ] {
        assert!(reaches(parameters, test, call), "def f({parameters}): if {test} … {call}");
    }
}

#[test]
fn a_parameter_that_is_bound_again_keeps_nothing_away() {
    chains(
        "def f(wait=False):\n  wait = wait or g()\n  if wait: time.sleep(1)\nasync def main(): f()",
        &["main > f (1)"],
    );
}

#[test]
fn one_site_that_is_reached_is_enough() {
    let text = "
def f(wait=False):
    if wait: time.sleep(1)
    else: time.sleep(2)
async def main(): f()
";
    chains(text, &["main > f (2)"]);
}

#[test]
fn a_constant_closes_a_way_in_the_middle_of_a_chain() {
    let text = "
def leaf(): time.sleep(1)
def f(wait):
    if wait: leaf()
async def closed(): f(False)
async def open(): f(True)
";
    chains(text, &["open > f > leaf (1)"]);
}

#[test]
fn a_constant_for_a_method_is_counted_from_its_second_parameter() {
    let text = "
class A:
    def __init__(self, wait=True):
        if wait: time.sleep(1)
    def f(self, wait):
        if wait: time.sleep(1)
async def main():
    A(False).f(False)
";
    chains(text, &[]);
    chains(
        &text.replace("A(False)", "A()").replace("f(False)", "f(True)"),
        &["main > A.__init__ (1)", "main > A.f (1)"],
    );
}
