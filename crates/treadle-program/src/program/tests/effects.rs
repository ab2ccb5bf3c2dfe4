//! What functions do with what they are given.

use super::program;
use crate::program::ParamEffects;
use crate::testing::function;

const NAMES: [(&str, ParamEffects); 11] = [
    ("called", ParamEffects::CALLED),
    ("offloaded", ParamEffects::OFFLOADED),
    ("callback", ParamEffects::LOOP_CALLBACK),
    ("awaited", ParamEffects::AWAITED),
    ("scheduled", ParamEffects::SCHEDULED),
    ("kept", ParamEffects::KEPT),
    ("returned", ParamEffects::RETURNED),
    ("entered", ParamEffects::ENTERED),
    ("escapes", ParamEffects::ESCAPES),
    ("run", ParamEffects::RUN),
    ("used", ParamEffects::USED),
];

/// Asserts the effects of the first parameter of each function `f…` of a program.
fn effects(text: &str, expected: &[(&str, &str)]) {
    let program = program(&format!("import asyncio\n{text}"));
    for (name, words) in expected {
        let first = program.param_effects(function(&program, name))[0];
        let found: Vec<&str> = NAMES.iter().filter(|(_, effect)| first.has(*effect)).map(|(name, _)| *name).collect();
        assert_eq!(found.join(" "), *words, "{name}");
    }
}

#[test]
fn a_use_says_what_becomes_of_a_parameter() {
    let text = "
def call(x): x()
async def wait(x): await x
async def task(x): asyncio.create_task(x)
async def keyword_task(x): asyncio.create_task(coro=x)
async def offload(x): await asyncio.to_thread(x)
async def executor(x):
    await asyncio.get_running_loop().run_in_executor(None, x)
def soon(x): asyncio.get_running_loop().call_soon(x)
def start(x): asyncio.run(x)
class A:
    def __init__(self): self.y = None
def keep(x, a): a.y = x
def keep_in(x, a): a[0] = x
def append(x): [].append(x)
def give(x): return x
def give_in(x): return [x, 1]
def enter(x):
    with x: pass
def read(x): x.y
def decide(x):
    if x: pass
def iterate(x):
    for y in x: pass
def bind(x): y = x
def unseen_call(x): unseen(x)
def nothing(x): pass
";
    let expected = [
        ("call", "called"),
        ("wait", "awaited"),
        ("task", "scheduled"),
        ("keyword_task", "scheduled"),
        ("offload", "offloaded"),
        ("executor", "offloaded"),
        ("soon", "callback"),
        ("start", "run"),
        ("keep", "kept"),
        ("keep_in", "kept"),
        ("append", "kept"),
        ("give", "returned"),
        ("give_in", "returned"),
        ("enter", "entered"),
        ("read", "used"),
        ("decide", "used"),
        ("iterate", "used"),
        ("bind", "escapes"),
        ("unseen_call", "escapes"),
        ("nothing", ""),
    ];
    effects(text, &expected);
}

#[test]
fn effects_pass_through_helpers() {
    let text = "
def call(x): x()
def call2(x): call(x)
def call3(x): call2(x=x)
async def wait(x): await x
async def wait2(x): await wait(x)
async def task(x): asyncio.create_task(x)
async def task2(x): await task(x)
async def offload(x): await asyncio.to_thread(x)
async def offload2(x): await offload(x)
class A:
    def keep(self, x): self.x = x
    def keep2(self, x): self.keep(x)
    @staticmethod
    def static(x): x()
def method(x): A().keep2(x)
def static(x): A.static(x)
def both(x):
    call(x)
    A().keep(x)
";
    let expected = [
        ("call3", "called"),
        ("wait2", "awaited"),
        ("task2", "scheduled"),
        ("offload2", "offloaded"),
        ("method", "kept"),
        ("static", "called"),
        ("both", "called kept"),
    ];
    effects(text, &expected);
}

#[test]
fn what_a_nested_function_does_may_happen_at_any_time() {
    let text = "
def later(x):
    def inner(): x()
    return inner
def looks(x):
    def inner(): x.y
";
    effects(text, &[("later", "called escapes"), ("looks", "used")]);
}

#[test]
fn what_goes_through_a_star_escapes() {
    let text = "
def call(x): x()
def spread(x): call(*x)
def spread_keywords(x): call(**x)
def into_star(x): star(x)
def star(*x): x[0]()
";
    effects(text, &[("spread", "escapes"), ("spread_keywords", "escapes"), ("into_star", "escapes")]);
}

#[test]
fn helpers_that_call_each_other_settle() {
    effects("def a(x): b(x)\ndef b(x):\n  a(x)\n  x()", &[("a", "called"), ("b", "called")]);
}
