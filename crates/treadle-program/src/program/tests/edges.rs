//! The call graph: one line for each edge, `caller -> callee kind`.

use super::program;
use crate::Program;
use crate::testing::linked;

fn edges_of(program: &Program) -> Vec<String> {
    let show = |edge: &crate::program::Edge| {
        let (caller, callee) = (program.qualified_name(edge.caller), program.qualified_name(edge.callee));
        format!("{caller} -> {callee} {:?}", edge.kind)
    };
    program.graph().edges().map(show).collect()
}

/// Asserts the edges of a program of one file.
fn edges(text: &str, expected: &[&str]) {
    let mut found = edges_of(&program(text));
    found.retain(|edge| !edge.starts_with("<module>"));
    assert_eq!(found, expected, "{text}");
}

#[test]
fn a_call_leads_to_the_function_it_calls() {
    let text = "
def plain(): pass
async def coroutine(): pass
async def stream(): yield
async def main():
    plain()
    await coroutine()
    coroutine()
    async for x in stream(): pass
    unseen()
";
    let expected = [
        "main -> plain Sync",
        "main -> coroutine Coroutine",
        "main -> coroutine Coroutine",
        "main -> stream Coroutine",
    ];
    edges(text, &expected);
}

#[test]
fn a_call_leads_into_other_files() {
    let program = linked(&[
        ("p/__init__.py", "from .a import f as g"),
        ("p/a.py", "def f(): pass"),
        ("main.py", "import p\ndef main(): p.g()"),
    ]);
    assert_eq!(edges_of(&program), ["main -> f Sync"]);
}

#[test]
fn making_an_instance_runs_its_init() {
    let text = "
class Base:
    def __init__(self): pass
class A(Base):
    def __post_init__(self): pass
def main(): A()
";
    edges(text, &["main -> Base.__init__ Sync", "main -> A.__post_init__ Sync"]);
}

#[test]
fn a_call_that_never_happens_is_no_edge() {
    edges("def f(): pass\ndef main(x: f()): pass", &[]);
}

#[test]
fn a_callable_handed_to_a_library_leads_where_the_claim_says() {
    let text = "
import asyncio, threading
from functools import partial
def f(): pass
async def g(): pass
async def main(loop: asyncio.AbstractEventLoop):
    await asyncio.to_thread(f)
    await loop.run_in_executor(None, partial(f, 1))
    threading.Thread(target=f)
    loop.call_soon(f)
    sorted([], key=f)
    unseen(f)
    asyncio.create_task(g())
";
    let expected = [
        "main -> f Offloaded",
        "main -> f Offloaded",
        "main -> f Offloaded",
        "main -> f LoopCallback",
        "main -> f Sync",
        "main -> g Coroutine",
    ];
    edges(text, &expected);
}

#[test]
fn a_callable_handed_to_an_own_function_leads_where_its_body_says() {
    let text = "
import asyncio
def f(): pass
async def g(): pass
def call(job): job()
async def acall(job): await job()
async def thread(job): await asyncio.to_thread(job)
async def deeper(job): await thread(job)
def keep(job): registry.append(job)
def late(job): return lambda: job()
async def main():
    call(f)
    await acall(g)
    await thread(f)
    await deeper(f)
    keep(f)
    late(f)
";
    let found = edges_of(&program(text));
    let from_main: Vec<&str> = found.iter().map(String::as_str).filter(|edge| edge.starts_with("main")).collect();
    let expected = [
        "main -> call Sync",
        "main -> f Sync",
        "main -> acall Coroutine",
        "main -> g Coroutine",
        "main -> thread Coroutine",
        "main -> f Offloaded",
        "main -> deeper Coroutine",
        "main -> f Offloaded",
        "main -> keep Sync",
        "main -> late Sync",
    ];
    let mut sorted = from_main.clone();
    sorted.sort_unstable();
    let mut wanted = expected.to_vec();
    wanted.sort_unstable();
    assert_eq!(sorted, wanted);
}

#[test]
fn a_method_and_a_lambda_are_callables_too() {
    let text = "
import asyncio
class A:
    def f(self): return 1
    async def start(self):
        await asyncio.to_thread(self.f)
        await asyncio.to_thread(lambda: self.f())
";
    let expected =
        ["A.start -> A.f Offloaded", "A.start -> A.start.<lambda> Offloaded", "A.start.<lambda> -> A.f Sync"];
    edges(text, &expected);
}

#[test]
fn a_decorator_that_runs_the_function_in_a_thread_makes_calls_offloaded() {
    let text = "
import asyncio
def threaded(function):
    async def wrapper(): return await asyncio.to_thread(function)
    return wrapper
@threaded
def f(): pass
async def main(): await f()
";
    edges(text, &["main -> f Offloaded"]);
}

#[test]
fn a_decorator_that_calls_the_function_runs_its_wrapper_as_well() {
    let text = "
def log(function):
    def wrapper(): return function()
    return wrapper
@log
def f(): pass
def main(): f()
";
    edges(text, &["main -> f Sync", "main -> log.wrapper Sync"]);
}

#[test]
fn an_unknown_decorator_cuts_the_edge() {
    edges("from elsewhere import decorator\n@decorator\ndef f(): pass\ndef main(): f()", &[]);
}

#[test]
fn reading_a_property_runs_its_getter() {
    let text = "
class A:
    @property
    def x(self): pass
    @x.setter
    def x(self, value): unseen()
    def f(self): pass
def main(a: A):
    a.x
    a.f
";
    let program = program(text);
    assert_eq!(edges_of(&program), ["main -> A.x Sync"]);
    let callee = program.function(program.graph().edges().next().unwrap().callee);
    assert_eq!(callee.params.len(), 1, "the getter has one parameter");
}

#[test]
fn with_runs_what_enters_and_leaves() {
    let text = "
from contextlib import contextmanager
class A:
    def __enter__(self): pass
    def __exit__(self, *error): pass
    async def __aenter__(self): pass
    async def __aexit__(self, *error): pass
@contextmanager
def manager(): yield
async def main(a: A):
    with a: pass
    async with a: pass
    with manager(): pass
";
    let expected = [
        "main -> A.__enter__ Sync",
        "main -> A.__exit__ Sync",
        "main -> A.__aenter__ Coroutine",
        "main -> A.__aexit__ Coroutine",
        "main -> manager Sync",
    ];
    edges(text, &expected);
}

#[test]
fn a_generator_runs_where_it_is_iterated() {
    for iterated in
        ["for x in f(): pass", "list(f())", "g = f()\n  for x in g: pass", "[*f()]", "h(*f())", "yield from f()"]
    {
        edges(&format!("def f(): yield\ndef main():\n  {iterated}"), &["main -> f Sync"]);
    }
    for held in ["f()", "g = f()", "return f()", "unseen(f())", "[f()]", "unseen(k=f())"] {
        edges(&format!("def f(): yield\ndef main():\n  {held}"), &[]);
    }
}

#[test]
fn a_stub_leads_to_what_subclasses_do() {
    let text = "
class Base:
    def f(self): raise NotImplementedError
    def g(self): return 1
class A(Base):
    def f(self): return 1
    def g(self): return 2
class B(A): pass
def main(x: Base):
    x.f()
    x.g()
";
    edges(text, &["main -> A.f Sync", "main -> Base.g Sync"]);
}

#[test]
fn a_stub_of_many_implementations_leads_to_none() {
    let subclasses: String = (0..4).map(|n| format!("class A{n}(Base):\n  def f(self): return {n}\n")).collect();
    edges(&format!("class Base:\n  def f(self): ...\n{subclasses}def main(x: Base): x.f()"), &[]);
}

#[test]
fn a_union_leads_to_all_its_members_that_are_of_one_kind() {
    let text = "
class A:
    def f(self): return 1
    def g(self): return 1
class B:
    def f(self): return 1
    async def g(self): return 1
def main(x: A | B):
    x.f()
    x.g()
";
    edges(text, &["main -> A.f Sync", "main -> B.f Sync"]);
}

#[test]
fn awaiting_what_a_plain_function_gives_shows_that_it_is_another() {
    edges("def f(): return 1\nasync def main():\n  await f()", &[]);
    edges("def f(): return unseen()\nasync def main():\n  await f()", &["main -> f Sync"]);
}

#[test]
fn an_instance_leads_to_its_call_method() {
    edges("class A:\n  def __call__(self): pass\ndef main(a: A): a()", &["main -> A.__call__ Sync"]);
}

#[test]
fn a_method_behind_an_unseen_base_is_not_led_to() {
    let text = "
from elsewhere import Unseen
class Base:
    def __init__(self): self.x = 1
    def f(self): return 1
    def __enter__(self): return 1
    @property
    def p(self): return 1
class A(Unseen, Base): pass
def main():
    a = A()
    a.f()
    a.p
    with a: pass
";
    edges(text, &[]);
}
