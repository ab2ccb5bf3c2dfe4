//! Classes: where attributes come from and what they are.

use super::{reveals, reveals_in};

#[test]
fn a_method_is_found_along_the_order_of_the_class() {
    let text = "
class Root:
    def f(self): return 1
class Left(Root): pass
class Right(Root):
    def f(self): return ''
class Both(Left, Right): pass
reveal(Both().f(), Left().f())
";
    reveals(text, &["builtins.str", "builtins.int"]);
}

#[test]
fn a_mixin_comes_before_the_bases_after_it() {
    let text = "
class Mixin:
    async def get(self): return 1
class Base:
    def get(self): return ''
class A(Mixin, Base): pass
class B(Base, Mixin): pass
reveal(A().get(), B().get())
";
    reveals(text, &["Coroutine[builtins.int]", "builtins.str"]);
}

#[test]
fn what_stands_behind_an_unseen_base_is_unknown() {
    let text = "
from elsewhere import Unseen
class Base:
    def f(self): return 1
    def __enter__(self): return 1
    def __call__(self): return 1
class A(Unseen, Base):
    def own(self): return 1
with A() as x: pass
reveal(A().f(), A().own(), x, A()())
";
    reveals(text, &["?", "builtins.int", "?", "?"]);
}

#[test]
fn attributes_are_what_methods_store_on_self() {
    let text = "
class A: pass
class B:
    def __init__(self, given):
        self.a = A()
        self.given = given
        self.x = self.y = A()
        self.p, self.q = A(), 1
    def start(self):
        self.late = A()
        with open('') as self.file: pass
b = B(A())
reveal(b.a, b.given, b.y, b.q, b.late, b.nothing)
";
    reveals(text, &["A", "A", "A", "builtins.int", "A", "?"]);
}

#[test]
fn an_attribute_stored_twice_is_either() {
    let text = "
class A:
    def f(self): return 1
class B:
    def f(self): return ''
class C:
    def __init__(self):
        self.same = A()
        self.differs = A()
        self.unsure = A()
        self.later = None
    def g(self):
        self.same = A()
        self.differs = B()
        self.unsure = unseen()
        self.later = A()
reveal(C().same, C().differs, C().unsure, C().later, C().later.f())
";
    reveals(text, &["A", "A | B", "?", "None | A", "builtins.int"]);
}

#[test]
fn class_attributes_are_read_from_instances_and_classes() {
    let text = "
class A: pass
class B:
    a = A()
    later = None
    declared: A
    def f(self): self.later = A()
class C(B):
    a = 1
reveal(B.a, B().a, C().a, B().later, B().declared)
";
    reveals(text, &["A", "A", "builtins.int", "A", "A"]);
}

#[test]
fn a_store_in_a_subclass_says_nothing_about_the_base() {
    let text = "
class A:
    def __init__(self): self.x = 1
class B(A):
    def __init__(self): self.x = ''
reveal(A().x, B().x)
";
    reveals(text, &["builtins.int", "builtins.str"]);
}

#[test]
fn the_first_parameter_is_the_receiver_unless_it_takes_them_all() {
    let text = "
class A:
    def f(this): reveal(this)
    @classmethod
    def g(cls): reveal(cls)
    @staticmethod
    def h(x): reveal(x)
    def __new__(cls): reveal(cls)
    def star(*args): reveal(args)
";
    reveals(text, &["A", "type[A]", "?", "type[A]", "?"]);
}

#[test]
fn dataclass_fields_are_what_they_are_declared() {
    let text = "
from dataclasses import dataclass, field
class A: pass
@dataclass
class B:
    a: A
    b: 'A | None' = None
    c: list[A] = field(default_factory=list)
    d = field(default_factory=A)
x = B(A())
reveal(x.a, x.b, x.c, x.d)
";
    reveals(text, &["A", "A | None", "List[A]", "?"]);
}

#[test]
fn type_variables_are_unknown() {
    let text = "
from typing import Generic, TypeVar
T = TypeVar('T')
class Old(Generic[T]):
    def get(self) -> T: pass
    def it(self): return self
class New[T]:
    def get(self) -> T: pass
    def it[S](self, x: S) -> S: return x
class Sub(Old[int]): pass
reveal(Old[int]().get(), Old[int](), Sub().it(), New[int]().get(), New().it(1))
";
    reveals(text, &["?", "Old", "Sub", "?", "?"]);
}

#[test]
fn a_property_is_what_it_returns() {
    let text = "
from functools import cached_property
class A:
    @property
    def x(self): return 1
    @cached_property
    def y(self) -> str: ...
class B(A):
    @property
    def x(self): return ''
reveal(A().x, A().y, B().x, B().y)
";
    reveals(text, &["builtins.int", "builtins.str", "builtins.str", "builtins.str"]);
}

#[test]
fn a_property_with_a_setter_is_what_the_getter_returns() {
    let text = "
class A:
    @property
    def x(self): return 1
    @x.setter
    def x(self, value): self.value = value
    @x.deleter
    def x(self): pass
reveal(A().x)
";
    reveals(text, &["builtins.int"]);
}

#[test]
fn a_method_is_bound_to_what_it_is_read_from() {
    let text = "
class A:
    def f(self): pass
    @classmethod
    def g(cls): pass
    @staticmethod
    def h(): pass
class B(A): pass
reveal(B().f, B.f, B().g, B.g, B().h, B.h)
";
    let expected = ["def A.f of B", "def A.f", "def A.g of type[B]", "def A.g of type[B]", "def A.h", "def A.h"];
    reveals(text, &expected);
}

#[test]
fn what_returns_self_gives_the_class_it_is_called_on() {
    let text = "
from typing import Self
class A:
    def f(self): return self
    def g(self) -> Self: ...
    @classmethod
    def make(cls): return cls()
    @classmethod
    async def connect(cls) -> 'A': return cls()
    def __enter__(self): return self
    def other(self): return A()
class B(A): pass
with B() as entered: pass
reveal(B().f(), B().g(), B.make(), B.connect(), entered, B().other())
";
    reveals(text, &["B", "B", "B", "Coroutine[B]", "B", "A"]);
}

#[test]
fn super_means_the_next_class() {
    let text = "
class A:
    def f(self): return 1
class B(A):
    def f(self):
        reveal(super(), super().f())
        return ''
    @property
    def p(self): return super().f()
class C(B): pass
class Mixin:
    def f(self): reveal(super().f())
reveal(C().p, C().f())
";
    reveals(text, &["super of B", "builtins.int", "?", "builtins.int", "builtins.str"]);
}

#[test]
fn an_overloaded_or_redefined_method_is_the_last_definition() {
    let text = "
from typing import overload
class A:
    @overload
    def f(self, x: int) -> int: ...
    @overload
    def f(self, x: str) -> str: ...
    def f(self, x): return 1.5
reveal(A().f, A().f(1))
";
    reveals(text, &["def A.f of A", "builtins.float"]);
}

#[test]
fn a_conditional_method_is_any_of_its_definitions() {
    let text = "
import sys
class A:
    if sys.platform == 'win32':
        def f(self): return 1
    else:
        async def f(self): return 1
    def g(self): return 1
    if unseen:
        g = unseen
reveal(A().f, A().g)
";
    reveals(text, &["def A.f of A | def A.f of A", "?"]);
}

#[test]
fn a_method_that_is_also_stored_may_be_what_is_stored() {
    let text = "
class A:
    def __init__(self, f):
        self.f = unseen(self.f)
    def f(self): return 1
    def g(self): return 1
reveal(A(1).f, A(1).f())
";
    reveals(text, &["?", "?"]);
}

#[test]
fn what_is_stored_from_outside_counts() {
    let files = [
        (
            "state.py",
            "class A:\n  x = None\n  def __init__(self):\n    self.y = 1\n    self.z = 1\n  def f(self): return 1\nclient = None\nlimit = 1\ndef g(): return client, limit",
        ),
        (
            "start.py",
            "import state\ndef start(a: state.A):\n  state.client = state.A()\n  a.y = ''\n  a.x = 1\n  state.A.f = unseen\n  state.limit = unseen()",
        ),
        ("tests/test_it.py", "import state\na = state.A()\na.z = unseen()"),
        (
            "use.py",
            "import state\nreveal(state.client, state.g(), state.A().y, state.A().x, state.A().f, state.limit, state.A().z)",
        ),
    ];
    reveals_in(
        &files,
        &["None | A", "(None | A, ?)", "builtins.int | builtins.str", "builtins.int", "?", "?", "builtins.int"],
    );
}

#[test]
fn fields_of_a_named_tuple_are_what_they_are_declared() {
    let text = "
from typing import NamedTuple, TypedDict
class A: pass
class P(NamedTuple):
    a: A
class D(TypedDict):
    a: A
p = P(A())
d: D = {'a': A()}
reveal(p.a, p, d['a'])
";
    reveals(text, &["A", "P", "?"]);
}

#[test]
fn a_member_of_an_enumeration_is_not_its_value() {
    let text = "
import enum
from enum import Enum, StrEnum
class A: pass
class Plain(Enum):
    x = A()
    def f(self): return 1
class Text(StrEnum):
    x = 'a'
class Dotted(enum.IntFlag):
    x = 1
reveal(Plain.x, Text.x, Dotted.x, Plain.x.value, Plain['x'])
";
    reveals(text, &["?", "?", "?", "?", "?"]);
}

#[test]
fn an_instance_is_called_by_its_own_method() {
    let text = "
class A:
    async def __call__(self): return 1
class B:
    def __init__(self, f): self.f = f
reveal(A()(), B(1)())
";
    reveals(text, &["Coroutine[builtins.int]", "?"]);
}
