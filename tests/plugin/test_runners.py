"""Each runner of asynchronous tests: on treadle's loop with the option, on asyncio's without, and with marked tests."""

import importlib.metadata
import sys
from pathlib import Path

import pytest
from child import Suite

# pytest-asyncio asks for the loops of a test.
ASKS = tuple(map(int, importlib.metadata.version("pytest-asyncio").split(".")[:2])) >= (1, 4)

UNITTEST = """\
import asyncio, unittest, pytest
from witness import note

class Plain(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        note()

    async def test_one(self):
        note()

    @pytest.mark.treadle(False)
    async def test_marked(self):
        note()

    async def test_two(self):
        note()

class Named(unittest.IsolatedAsyncioTestCase):
    # Of no consequence before Python 3.13.
    loop_factory = asyncio.SelectorEventLoop

    async def test_one(self):
        note()

    @pytest.mark.treadle(False)
    async def test_marked(self):
        note()

class Own(unittest.IsolatedAsyncioTestCase):
    def loop_factory(self):
        return asyncio.SelectorEventLoop()

    async def test_one(self):
        note()
"""

ASYNCIO = """\
import asyncio, pytest, pytest_asyncio
from witness import note

@pytest_asyncio.fixture
async def fixture(request):
    note("fixture:" + request.node.name)
    yield
    note("fixture:" + request.node.name)

@pytest.mark.asyncio
async def test_one(fixture):
    note()

@pytest.mark.asyncio
@pytest.mark.treadle(False)
async def test_marked(fixture):
    note()

@pytest.mark.asyncio
async def test_two(fixture):
    note()

def test_plain():
    async def main():
        note()
    asyncio.run(main())
"""

SHARED = """\
import asyncio, pytest, pytest_asyncio
from witness import note

pytestmark = pytest.mark.asyncio(loop_scope="module")

@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared():
    return asyncio.get_running_loop()

@pytest.mark.treadle(False)
async def test_first(shared):
    note()
    assert shared is asyncio.get_running_loop()

async def test_one(shared):
    note()
    assert shared is asyncio.get_running_loop()

@pytest.mark.treadle(False)
async def test_marked(shared):
    note()
    assert shared is asyncio.get_running_loop()

async def test_two(shared):
    note()
    assert shared is asyncio.get_running_loop()
"""

ANYIO = """\
import pytest
from witness import note

pytestmark = pytest.mark.anyio

@pytest.fixture
def anyio_backend():
    return "asyncio"

@pytest.fixture
async def fixture(request):
    note("fixture:" + request.node.name)
    yield
    note("fixture:" + request.node.name)

async def test_one(fixture):
    note()

@pytest.mark.treadle(False)
async def test_marked(fixture):
    note()

async def test_two(fixture):
    note()
"""

AIOHTTP = """\
import pytest
from aiohttp import web
from witness import note

def application():
    async def answer(request):
        note("server:" + request.path[1:])
        return web.Response(text="yes")

    app = web.Application()
    app.router.add_get("/{name}", answer)
    return app

async def test_one(aiohttp_client):
    client = await aiohttp_client(application())
    assert await (await client.get("/one")).text() == "yes"
    note()

@pytest.mark.treadle(False)
async def test_marked(aiohttp_client):
    client = await aiohttp_client(application())
    assert await (await client.get("/marked")).text() == "yes"
    note()
"""

TORNADO = """\
import pytest
from tornado.testing import AsyncTestCase, AsyncHTTPTestCase, gen_test
from tornado.web import Application, RequestHandler
from witness import note

class Answer(RequestHandler):
    async def get(self):
        note("server")

class TestCoroutine(AsyncTestCase):
    @gen_test
    async def test_one(self):
        note()

    @pytest.mark.treadle(False)
    @gen_test
    async def test_marked(self):
        note()

class TestServer(AsyncHTTPTestCase):
    def get_app(self):
        return Application([("/", Answer)])

    def test_one(self):
        assert self.fetch("/").code == 200
"""


def check(suite: Suite, ours: set[str], marked: set[str], *arguments: str, plugins: tuple[str, ...] = ()) -> None:
    """Hold against each other what tests ran on with the option and without."""
    ran = suite.run("--treadle", *arguments, plugins=plugins)
    assert (ran.on("treadle"), ran.on("asyncio")) == (ours, marked), ran.text
    assert suite.run(*arguments, plugins=plugins).on("asyncio") == ours | marked


def test_unittest(tmp_path: Path) -> None:
    ours = {"Plain::test_one", "Plain::test_two", "Named::test_one"}
    marked = {"Plain::test_marked", "Named::test_marked"}
    (marked if sys.version_info >= (3, 13) else ours).add("Own::test_one")
    check(Suite.of(tmp_path, UNITTEST), ours, marked)


def test_pytest_asyncio(tmp_path: Path) -> None:
    names = {"test_one", "test_two", "fixture:test_one", "fixture:test_two", "test_plain"}
    check(Suite.of(tmp_path, ASYNCIO), names, {"test_marked", "fixture:test_marked"}, plugins=("asyncio",))


def test_pytest_asyncio_keeps_names_and_order(tmp_path: Path) -> None:
    suite = Suite.of(tmp_path, ASYNCIO)
    listed = [suite.run("--collect-only", "-q", *option, plugins=("asyncio",)).text for option in ([], ["--treadle"])]
    assert listed[0].splitlines()[:4] == listed[1].splitlines()[:4]
    assert "test_suite.py::test_marked" in listed[0].splitlines()


@pytest.mark.skipif(not ASKS, reason="pytest-asyncio has no loops for more than one test, or does not ask for them")
def test_marked_test_does_not_share_the_loop_of_pytest_asyncio(tmp_path: Path) -> None:
    suite = Suite.of(tmp_path, SHARED)
    check(suite, {"test_one", "test_two"}, {"test_first", "test_marked"}, plugins=("asyncio",))


@pytest.mark.skipif(not ASKS, reason="pytest-asyncio does not ask for loops")
def test_loops_that_a_suite_gives_pytest_asyncio_are_kept(tmp_path: Path) -> None:
    conftest = """\
import asyncio

def pytest_asyncio_loop_factories(config, item):
    return {"mine": asyncio.SelectorEventLoop}
"""
    suite = Suite.of(tmp_path, ASYNCIO, conftest=conftest)
    ran = suite.run("--treadle", plugins=("asyncio",))
    assert ran.on("treadle") == {"test_plain"}
    assert {"test_one", "test_two", "test_marked"} < ran.on("asyncio")


@pytest.mark.skipif(not ASKS, reason="pytest-asyncio has no such fixture, or not yet in this way")
@pytest.mark.skipif(sys.version_info >= (3, 14), reason="policies are deprecated")
def test_policy_of_a_fixture_is_kept(tmp_path: Path) -> None:
    conftest = """\
import asyncio, pytest

class Loop(asyncio.SelectorEventLoop):
    pass

class Policy(asyncio.DefaultEventLoopPolicy):
    _loop_factory = Loop

@pytest.fixture(scope="session")
def event_loop_policy():
    return Policy()
"""
    suite = Suite.of(tmp_path, ASYNCIO.replace("async def test_", "async def test_of_"), conftest=conftest)
    ran = suite.run("--treadle", plugins=("asyncio",))
    assert {"test_of_one", "test_of_two", "test_of_marked"} < ran.on("conftest")


def test_anyio(tmp_path: Path) -> None:
    names = {"test_one", "test_two", "fixture:test_one", "fixture:test_two"}
    check(Suite.of(tmp_path, ANYIO), names, {"test_marked", "fixture:test_marked"}, plugins=("anyio",))


def test_pytest_aiohttp(tmp_path: Path) -> None:
    suite = Suite.of(tmp_path, AIOHTTP, "asyncio_mode = auto")
    check(suite, {"test_one", "server:one"}, {"test_marked", "server:marked"}, plugins=("asyncio", "aiohttp"))


def test_plugin_of_aiohttp(tmp_path: Path) -> None:
    ours, marked = {"test_one[pyloop]", "server:one"}, {"test_marked[pyloop]", "server:marked"}
    check(Suite.of(tmp_path, AIOHTTP), ours, marked, "-paiohttp.pytest_plugin")


def test_tornado(tmp_path: Path) -> None:
    check(Suite.of(tmp_path, TORNADO), {"TestCoroutine::test_one", "server"}, {"TestCoroutine::test_marked"})


@pytest.mark.parametrize("configuration", ["", "treadle = true"])
def test_workers_of_xdist_follow(tmp_path: Path, configuration: str) -> None:
    suite = Suite.of(tmp_path, UNITTEST, configuration)
    arguments = ["-n2"] if configuration else ["-n2", "--treadle"]
    ran = suite.run(*arguments, plugins=("xdist", "xdist.looponfail"))
    assert {"Plain::test_one", "Plain::test_two", "Named::test_one"} <= ran.on("treadle")
    assert {"Plain::test_marked", "Named::test_marked"} <= ran.on("asyncio")
    again = suite.run("-n2", "--no-treadle", plugins=("xdist", "xdist.looponfail"))
    assert not again.on("treadle")
