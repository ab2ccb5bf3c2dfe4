//! Calls: what functions return, what their parameters are, and what decorators make of them.

use super::reveals;

#[test]
fn a_function_returns_any_of_what_it_returns() {
    let text = "
class A: pass
def one(): return A()
def two(x):
    if x: return A()
    return 1
def maybe(x):
    if x: return A()
    return None
def unsure(x):
    if x: return A()
    return unseen()
def nothing(x): x.y = 1
def never(): raise ValueError
reveal(one(), two(1), maybe(1), unsure(1), nothing(1), never())
";
    reveals(text, &["A", "A | builtins.int", "A | None", "?", "None", "never"]);
}

#[test]
fn an_annotation_stands_before_what_the_body_returns() {
    let text = "
class A: pass
def f() -> A: return unseen()
def g() -> 'list[A]': return unseen()
def h() -> Unseen: return A()
def stub(): ...
reveal(f(), g(), h(), stub())
";
    reveals(text, &["A", "List[A]", "?", "?"]);
}

#[test]
fn what_a_recursive_function_returns_is_unknown() {
    let text = "
def f(n):
    if n: return f(n - 1)
    return 1
def odd(n): return even(n - 1)
def even(n): return n or odd(n - 1)
reveal(f(1), odd(1))
";
    reveals(text, &["?", "?"]);
}

#[test]
fn a_few_helpers_in_a_row_are_followed() {
    let text = "
def a(): return 1
def b(): return a()
def c(): return b()
reveal(c())
";
    reveals(text, &["builtins.int"]);
}

#[test]
fn a_coroutine_function_gives_a_coroutine_and_await_its_result() {
    let text = "
class A: pass
async def f(): return A()
async def g(): return f()
async def main():
    reveal(f(), await f(), await g(), await (await g()))
    task = f()
    reveal(await task)
";
    reveals(text, &["Coroutine[A]", "A", "Coroutine[A]", "A", "A"]);
}

#[test]
fn generators_give_what_they_yield() {
    let text = "
from collections.abc import AsyncIterator, Iterator
class A: pass
def f():
    yield A()
    yield from f2()
def f2(): yield A()
async def g(): yield A()
def h() -> Iterator[A]: yield unseen()
async def i() -> AsyncIterator[A]: yield unseen()
def empty(): yield
reveal(f(), g(), h(), i(), empty())
";
    reveals(text, &["Iter[A]", "AsyncIter[A]", "Iter[A]", "AsyncIter[A]", "Iter[None]"]);
}

#[test]
fn a_parameter_is_what_calls_pass() {
    let text = "
class A: pass
def one(x): reveal(x)
def two(x): reveal(x)
def named(*, x): reveal(x)
def default(x=None): reveal(x)
def star(*x): reveal(x)
def uncalled(x): reveal(x)
one(A())
two(A())
two(1)
named(x=A())
default()
default(A())
star(A())
";
    reveals(text, &["A", "A | builtins.int", "A", "A", "?", "?"]);
}

#[test]
fn a_default_counts_unless_a_call_gives_what_is_not_understood() {
    let text = "
class A: pass
class B: pass
def given(x=A): reveal(x)
def both(x=A): reveal(x)
def doubted(x=A): reveal(x)
given()
both(B)
doubted(unseen)
";
    reveals(text, &["type[A]", "type[B] | type[A]", "?"]);
}

#[test]
fn behind_a_star_only_keywords_say_what_they_are_for() {
    let text = "
class A: pass
def f(x, y, z, *, k): reveal(x, y, z, k)
f(A(), *unseen, A(), k=A())
";
    reveals(text, &["A", "?", "?", "A"]);
}

#[test]
fn a_parameter_is_what_its_annotation_says() {
    let text = "
from typing import Optional, Any
class A: pass
def f(a: A, b: 'A', c: Optional[A], d: 'A | None', e: Any, *f: A, **g: A):
    reveal(a, b, c, d, e, f, g)
f(1, 1, 1, 1, 1)
";
    reveals(text, &["A", "A", "A | None", "A | None", "?", "List[A]", "Dict[A]"]);
}

#[test]
fn arguments_handed_to_a_thread_or_a_partial_are_passed() {
    let text = "
import asyncio
from functools import partial
class A: pass
def f(x): reveal(x)
def g(x): reveal(x)
def h(): x = 1
async def main():
    await asyncio.to_thread(f, A())
partial(g, A())
reveal(partial(h, 1), partial(h, 1)())
";
    reveals(text, &["A", "A", "partial def h", "None"]);
}

#[test]
fn lambdas_and_closures_are_functions() {
    let text = "
class A: pass
make = lambda: A()
def outer():
    a = A()
    def inner():
        reveal(a)
        return a
    return inner
reveal(make(), outer(), outer()())
";
    reveals(text, &["A", "A", "def outer.inner", "A"]);
}

#[test]
fn a_wrapper_that_calls_and_awaits_changes_nothing() {
    let text = "
from functools import wraps, cache
def log(f):
    @wraps(f)
    def wrapper(*args): return f(*args)
    return wrapper
def alog(f):
    @wraps(f)
    async def wrapper(*args): return await f(*args)
    return wrapper
def same(f):
    registry.append(f)
    return f
def factory(name):
    def decorate(f):
        def wrapper(*args): return f(*args)
        return wrapper
    return decorate
@log
def a(): return 1
@alog
async def b(): return 1
@same
def c(): return 1
@factory('x')
def d(): return 1
@cache
def e(): return 1
reveal(a(), b(), c(), d(), e())
";
    let int = "builtins.int";
    reveals(text, &[int, "Coroutine[builtins.int]", int, int, int]);
}

#[test]
fn a_wrapper_that_is_a_coroutine_function_makes_one() {
    let text = "
import asyncio
from asgiref.sync import sync_to_async
def threaded(f):
    async def wrapper(*args): return await asyncio.to_thread(f, *args)
    return wrapper
def soon(f):
    async def wrapper(*args): return f(*args)
    return wrapper
@threaded
def a(): return 1
@soon
def b(): return 1
@sync_to_async
def c(): return 1
reveal(a(), b(), c())
";
    reveals(text, &["Coroutine[?]", "Coroutine[?]", "Coroutine[?]"]);
}

#[test]
fn an_unknown_decorator_makes_the_call_unknown() {
    let text = "
from elsewhere import decorator
def odd(f): return unseen(f)
def swallow(f):
    def wrapper(): return 1
    return wrapper
def ignore(f):
    def wrapper(): run(f)
    return wrapper
@decorator
def a(): return 1
@decorator(1)
async def b(): return 1
@odd
def c(): return 1
@swallow
async def d(): return ''
@ignore
async def e(): return ''
reveal(a(), b(), c(), d(), e())
";
    reveals(text, &["?", "?", "?", "?", "?"]);
}

#[test]
fn decorated_generators_are_context_managers() {
    let text = "
from contextlib import contextmanager, asynccontextmanager
class A:
    @asynccontextmanager
    async def session(self): yield A()
@contextmanager
def plain(): yield A()
@asynccontextmanager
async def typed() -> 'AsyncIterator[A]': yield unseen()
async def main():
    with plain() as x: pass
    async with typed() as y, A().session() as z: pass
    reveal(plain(), typed(), x, y, z)
";
    reveals(text, &["With[A]", "AsyncWith[A]", "A", "A", "A"]);
}

#[test]
fn calling_a_union_gives_any_result() {
    let text = "
class A:
    def f(self): return 1
class B:
    def f(self): return ''
class C: pass
def g(x: A | B, y: A | C, z: A | None): reveal(x.f(), y.f(), z.f())
";
    reveals(text, &["builtins.int | builtins.str", "?", "builtins.int"]);
}
