//! Elements: displays, unpacking, subscripts, comprehensions.

use super::reveals;

#[test]
fn displays_hold_their_elements() {
    let text = "
class A: pass
reveal([A(), A()], {A()}, {'a': A()}, (A(), 1), [A(), *[A()]], [A(), unseen()], [])
";
    reveals(text, &["List[A]", "Set[A]", "Dict[A]", "(A, builtins.int)", "List[A]", "List[?]", "List[never]"]);
}

#[test]
fn a_subscript_gives_an_element_and_a_slice_the_list() {
    let text = "
class A: pass
many = [A()]
named = {'a': A()}
pair = (A(), 1)
def f(i):
    reveal(many[0], many[i], many[-i], many[1:], many[:], many[-i:], named['a'], named[-i], pair[1], pair[i])
";
    reveals(text, &["A", "A", "A", "List[A]", "List[A]", "List[A]", "A", "A", "builtins.int", "?"]);
}

#[test]
fn a_container_hands_out_its_elements() {
    let text = "
class A: pass
many = [A()]
named = {'a': A()}
def f(k, other):
    reveal(many.pop(), many.copy(), named.get(k), named.pop(k), named.get(k, other))
    for v in named.values(): reveal(v)
    for k, v in named.items(): reveal(k, v)
    for k in named: reveal(k)
";
    reveals(text, &["A", "List[A]", "A", "A", "?", "A", "?", "A", "?"]);
}

#[test]
fn unpacking_gives_each_name_its_part() {
    let text = "
class A: pass
a, b = A(), 1
c, (d, e) = A(), (1, 2)
f, *g, h = A(), 1, 2
for i, j in [(A(), 1)]: pass
k, l = [A(), A()]
m, n = unseen()
reveal(a, b, c, d, f, g, h, i, j, k, m)
";
    let int = "builtins.int";
    reveals(text, &["A", int, "A", "?", "A", "?", "?", "A", int, "A", "?"]);
}

#[test]
fn comprehensions_bind_their_targets_and_hold_their_elements() {
    let text = "
class A:
    def f(self): return 1
many = [A()]
async def stream(): yield A()
async def main():
    reveal([x.f() for x in many], {x for x in many}, {1: x for x in many}, (x for x in many))
    reveal([x async for x in stream()], (x async for x in stream()))
    reveal([y for x in [many] for y in x], [x for x in unseen])
";
    let expected =
        ["List[builtins.int]", "Set[A]", "Dict[A]", "Iter[A]", "List[A]", "AsyncIter[A]", "List[A]", "List[?]"];
    reveals(text, &expected);
}

#[test]
fn elements_go_through_built_in_functions() {
    let text = "
class A: pass
def make(text): return A()
for i, x in enumerate([A()]): reveal(x)
for x, y in zip([A()], 'ab'): reveal(x)
for x in sorted(list([A()])): reveal(x)
for x in filter(None, {A()}): reveal(x)
for x in map(make, 'ab'): reveal(x)
reveal(next(reversed([A()])))
for x in list(unknown): reveal(x)
";
    reveals(text, &["A", "A", "A", "A", "A", "A", "?"]);
}

#[test]
fn annotations_of_containers_say_what_is_in_them() {
    let text = "
from typing import Dict, List, Mapping, Iterable, Tuple
class A: pass
def f(a: list[A], b: List['A'], c: dict[str, A], d: Mapping[str, 'list[A]'], e: tuple[A, int], g: tuple[A, ...],
      h: Iterable[A], i: set[A] | None, j: list, k: type[A]):
    reveal(a, b, c, d, e, g, h, i, j, k)
";
    let expected = [
        "List[A]",
        "List[A]",
        "Dict[A]",
        "Dict[List[A]]",
        "(A, builtins.int)",
        "List[A]",
        "Iter[A]",
        "Set[A] | None",
        "List[?]",
        "type[A]",
    ];
    reveals(text, &expected);
}

#[test]
fn an_own_class_named_like_a_container_is_itself() {
    let text = "
class Task[T]: pass
class Set: pass
class Future[T]: pass
def f(a: Task[int], b: Set, c: Future[int], d: 'Task[int]'): reveal(a, b, c, d)
";
    reveals(text, &["Task", "Set", "Future", "Task"]);
}
