//! What `with`, `for` and `await` make of values.

use super::reveals;

#[test]
fn with_binds_what_entering_gives() {
    let text = "
class A: pass
class B:
    def __enter__(self): return A()
    async def __aenter__(self): return 1
class Odd:
    def __enter__(self): return unseen()
class Neither: pass
async def main():
    with B() as x: pass
    async with B() as y: pass
    with Odd() as z: pass
    with Neither() as w: pass
    reveal(x, y, z, w)
";
    reveals(text, &["A", "builtins.int", "?", "?"]);
}

#[test]
fn an_entered_method_of_a_base_class_gives_the_subclass() {
    let text = "
class Base:
    async def __aenter__(self): return self
class A(Base): pass
async def main():
    async with A() as a: reveal(a)
";
    reveals(text, &["A"]);
}

#[test]
fn what_a_library_class_enters_its_subclass_enters() {
    let text = "
import requests, tempfile
class S(requests.Session): pass
with S() as s, requests.Session() as t: reveal(s, t)
";
    reveals(text, &["S", "requests.Session"]);
}

#[test]
fn for_binds_what_iterating_gives() {
    let text = "
class A: pass
class Items:
    def __iter__(self): yield A()
class Cursor:
    def __iter__(self): return self
    def __next__(self): return A()
class Stream:
    def __aiter__(self): return self
    async def __anext__(self): return A()
class Feed:
    async def __aiter__(self): yield A()
async def main(n: 'Iterable[A]'):
    for a in Items(): pass
    for b in Cursor(): pass
    for c in (A(), A()): pass
    for d in n: pass
    async for e in Stream(): pass
    async for f in Feed(): pass
    for g in Stream(): pass
    reveal(a, b, c, d, e, f, g)
";
    reveals(text, &["A", "A", "A", "A", "A", "A", "?"]);
}

#[test]
fn await_gives_the_result_of_coroutines_tasks_and_futures() {
    let text = "
import asyncio
class A: pass
async def f(): return A()
class Box:
    def __await__(self): yield
async def main(x: 'asyncio.Task[A]', y: asyncio.Future, z: 'Awaitable[A]'):
    task = asyncio.create_task(f())
    reveal(task, await task, await asyncio.wait_for(f(), 1), await x, await y, await z, await Box())
    reveal(await asyncio.shield(f()), await asyncio.to_thread(A))
";
    reveals(text, &["Task[A]", "A", "A", "A", "?", "?", "?", "A", "A"]);
}

#[test]
fn an_exception_handler_binds_an_instance_but_of_a_group() {
    let text = "
class E(Exception): pass
try: pass
except E as e: reveal(e)
try: pass
except (E, ValueError) as e: reveal(e)
try: pass
except* E as e: reveal(e)
";
    reveals(text, &["E", "?", "?"]);
}
