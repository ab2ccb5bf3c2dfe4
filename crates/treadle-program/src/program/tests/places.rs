//! Where locks and the like are kept, and what is done with them there.

use crate::testing::linked;

/// Asserts one line for each place: its name, how often it is made, what is done, and whether it escapes.
fn places(files: &[(&str, &str)], expected: &[&str]) {
    let program = linked(files);
    let show = |(place, used): (&crate::program::Place, &crate::program::PrimitiveUse)| {
        let mut done: Vec<&str> = used.operations.iter().map(|operation| &*operation.name).collect();
        done.sort_unstable();
        let escapes = if used.escapes { ", escapes" } else { "" };
        format!("{} made {}: {}{escapes}", program.place_name(place), used.created.len(), done.join("+"))
    };
    let mut all: Vec<_> = program.all_files().flat_map(|file| program.primitives().in_file(file)).collect();
    all.sort_by(|left, right| left.0.cmp(&right.0));
    assert_eq!(all.into_iter().map(|(place, used)| show((place, used))).collect::<Vec<_>>(), expected, "{files:#?}");
}

#[test]
fn a_lock_of_a_module_is_one_place_for_all_who_import_it() {
    let files = [
        ("state.py", "import asyncio\nLOCK = asyncio.Lock()\nasync def f(): await LOCK.acquire()"),
        ("a.py", "from state import LOCK as L\nasync def f():\n  async with L: pass"),
        ("b.py", "import state\ndef f():\n  state.LOCK.release()"),
    ];
    places(&files, &["LOCK made 1: acquire+async with+release"]);
}

#[test]
fn a_lock_of_a_base_class_is_one_place_for_its_subclasses() {
    let files = [
        ("base.py", "import asyncio\nclass Base:\n  def __init__(self):\n    self.lock = asyncio.Lock()"),
        ("a.py", "from base import Base\nclass A(Base):\n  async def f(self):\n    async with self.lock: pass"),
        ("b.py", "from a import A\nasync def f(a: A):\n  await a.lock.acquire()"),
    ];
    places(&files, &["Base.lock made 1: acquire+async with"]);
}

#[test]
fn a_lock_in_a_class_body_is_the_lock_of_its_instances() {
    let text = "
import threading
class A:
    lock = threading.Lock()
    def f(self):
        with self.lock: pass
    @classmethod
    def g(cls): cls.lock.acquire()
";
    places(&[("main.py", text)], &["A.lock made 1: acquire+with"]);
}

#[test]
fn a_lock_of_a_function_is_a_place_of_its_own() {
    let text = "
import asyncio
async def f():
    lock = asyncio.Lock()
    async with lock: pass
async def g():
    lock = asyncio.Lock()
    lock.locked()
";
    places(&[("main.py", text)], &["lock made 1: async with", "lock made 1: locked"]);
}

#[test]
fn a_lock_that_is_handed_on_escapes() {
    for handed in ["unseen(lock)", "return lock", "other = lock", "x.y = lock", "[lock]"] {
        let text = format!("import asyncio\ndef f(x):\n  lock = asyncio.Lock()\n  {handed}");
        places(&[("main.py", &text)], &["lock made 1: , escapes"]);
    }
    for looked_at in ["if lock: pass", "print(f'{lock}')", "lock is x"] {
        let text = format!("import asyncio\ndef f(x):\n  lock = asyncio.Lock()\n  {looked_at}");
        places(&[("main.py", &text)], &["lock made 1: "]);
    }
}

#[test]
fn an_attribute_of_an_unknown_object_may_be_any_place_of_its_name() {
    let text = "
import asyncio
class A:
    def __init__(self): self.lock = asyncio.Lock()
class B:
    def __init__(self): self.gate = asyncio.Lock()
def f(x): x.lock.release()
";
    places(&[("main.py", text)], &["A.lock made 1: , escapes", "B.gate made 1: "]);
}

#[test]
fn a_place_that_holds_two_kinds_escapes() {
    let text = "import asyncio, threading\nif unseen: lock = asyncio.Lock()\nelse: lock = threading.Lock()";
    places(&[("main.py", text)], &["lock made 2: , escapes"]);
}

#[test]
fn a_bound_method_that_is_handed_on_counts_as_called() {
    let text =
        "import asyncio\nclass A:\n  def __init__(self): self.e = asyncio.Event()\n  def f(self, on): on(self.e.set)";
    places(&[("main.py", text)], &["A.e made 1: set"]);
}
