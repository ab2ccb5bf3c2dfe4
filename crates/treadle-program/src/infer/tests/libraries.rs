//! What claims about libraries say, reached in all ways.

use super::{reveals, reveals_in};

#[test]
fn a_library_is_known_by_all_its_names() {
    let text = "
import asyncio, asyncio.locks, time as t, os.path
from time import sleep
from asyncio import Lock as L
from concurrent import futures
reveal(asyncio.sleep, t.sleep, sleep, L, asyncio.locks.Lock, L(), os.path.exists, futures.ThreadPoolExecutor)
";
    let expected = [
        "known asyncio.sleep",
        "known time.sleep",
        "known time.sleep",
        "known asyncio.Lock",
        "known asyncio.Lock",
        "asyncio.Lock",
        "known os.path.exists",
        "known concurrent.futures.ThreadPoolExecutor",
    ];
    reveals(text, &expected);
}

#[test]
fn a_method_of_a_known_class_is_found_through_subclasses() {
    let text = "
import requests
class Client(requests.Session):
    def mine(self): reveal(self.get, super().post, self.mine)
class Strict(Client):
    def get(self, url): pass
reveal(Client().get, Strict().get, Client().get('').json)
";
    let expected = [
        "known requests.Session.get of Client",
        "known requests.Session.post of Client",
        "def Client.mine of Client",
        "known requests.Session.get of Client",
        "def Strict.get of Strict",
        "known requests.Response.json of requests.Response",
    ];
    reveals(text, &expected);
}

#[test]
fn an_own_module_hides_a_library_of_the_same_name() {
    let files = [("requests.py", "def get(): return 1"), ("main.py", "import requests\nreveal(requests.get())")];
    reveals_in(&files, &["builtins.int"]);
}

#[test]
fn a_known_class_is_followed_through_an_attribute_and_a_module_variable() {
    let files = [
        ("state.py", "import requests\nsession = requests.Session()\nclass A:\n  def __init__(self): self.s = session"),
        ("main.py", "from state import A, session\nreveal(session.get, A().s.get)"),
    ];
    let method = "known requests.Session.get of requests.Session";
    reveals_in(&files, &[method, method]);
}

#[test]
fn a_cast_is_what_it_says() {
    let text = "
from typing import cast
import typing
class A: pass
reveal(cast(A, unseen()), typing.cast(list[A], 1))
";
    reveals(text, &["A", "List[A]"]);
}

#[test]
fn what_no_claim_speaks_of_is_unknown() {
    let text = "
import asyncio, requests, unseen
reveal(unseen, unseen.x, asyncio.no_such, requests.Session().no_such, requests.Session().no_such())
";
    reveals(text, &["?", "?", "?", "?", "?"]);
}
