"""What makes its loops without asyncio, and what runs in children: all is on treadle's loop under ``treadle run``.

No server is needed here: small modules of the same names have the parts of uvicorn, granian and uvloop that make loops.
`tests/hosts` runs the real ones.
"""

import sys
from pathlib import Path

import pytest
from test_run import OURS, PYTHON, TREADLE, Done, Place

UVLOOP = """\
import asyncio
class Loop(asyncio.SelectorEventLoop): ...
def new_event_loop():
    return Loop()
def run(main, *, loop_factory=new_event_loop):
    async def wrapper():
        assert isinstance(asyncio.get_running_loop(), Loop)
        return await main
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        return runner.run(wrapper())
class EventLoopPolicy(asyncio.DefaultEventLoopPolicy):
    def _loop_factory(self):
        return new_event_loop()
def install():
    asyncio.set_event_loop_policy(EventLoopPolicy())
"""

UVICORN = """\
LOOP_FACTORIES = {
    "none": None,
    "auto": "uvicorn.loops.auto:auto_loop_factory",
    "asyncio": "uvicorn.loops.asyncio:asyncio_loop_factory",
    "uvloop": "uvicorn.loops.uvloop:uvloop_loop_factory",
    "other": "uvicorn.loops.asyncio:other_loop_factory",
}
def make(name):
    import importlib
    module, _, factory = LOOP_FACTORIES[name].partition(":")
    return getattr(importlib.import_module(module), factory)(use_subprocess=False)()
"""

UVICORN_ASYNCIO = """\
import asyncio
def asyncio_loop_factory(use_subprocess=False):
    return asyncio.SelectorEventLoop
def other_loop_factory(use_subprocess=False):
    return asyncio.SelectorEventLoop
"""

UVICORN_AUTO = """\
def auto_loop_factory(use_subprocess=False):
    from uvicorn.loops.asyncio import asyncio_loop_factory
    return asyncio_loop_factory()
"""

GRANIAN = """\
import asyncio
class Registry:
    def __init__(self):
        self.builders = {}
    def register(self, name):
        def wrap(builder):
            self.builders[name] = builder
            return builder
        return wrap
    def get(self, name):
        return self.builders[name]()
loops = Registry()
@loops.register("asyncio")
def build():
    return asyncio.new_event_loop()
@loops.register("auto")
def build():
    return asyncio.SelectorEventLoop()
"""

SHOW = """\
import asyncio
def show(loop):
    print(type(loop))
    loop.close()
async def main():
    print(type(asyncio.get_running_loop()))
"""


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Return a directory with small hosts."""
    place = Place(tmp_path)
    place.write("uvloop/__init__.py", UVLOOP)
    place.write("uvicorn/__init__.py", "")
    place.write("uvicorn/config.py", UVICORN)
    place.write("uvicorn/loops/__init__.py", "")
    place.write("uvicorn/loops/asyncio.py", UVICORN_ASYNCIO)
    place.write("uvicorn/loops/auto.py", UVICORN_AUTO)
    place.write("granian/__init__.py", "")
    place.write("granian/_loops.py", GRANIAN)
    return place


def run(place: Place, program: str, *options: str) -> Done:
    """Run a program under `treadle run`."""
    place.write("app.py", SHOW + program)
    return place.run([*TREADLE, *options, "app.py"])


WITH_UVLOOP = {
    "run": "uvloop.run(main())",
    "Loop": "asyncio.Runner(loop_factory=uvloop.Loop).run(main())",
    "new_event_loop": "asyncio.Runner(loop_factory=uvloop.new_event_loop).run(main())",
    "install": "uvloop.install(); asyncio.run(main())",
    "EventLoopPolicy": "asyncio.set_event_loop_policy(uvloop.EventLoopPolicy()); asyncio.run(main())",
}
POLICIES = ("install", "EventLoopPolicy")


@pytest.mark.parametrize("way", [way for way in WITH_UVLOOP if sys.version_info < (3, 16) or way not in POLICIES])
def test_every_way_to_a_loop_of_uvloop_gives_ours(place: Place, way: str) -> None:
    assert run(place, f"import uvloop\n{WITH_UVLOOP[way]}", "-W", "ignore") == Done(0, OURS, "")
    assert run(place, f"from uvloop import *; import uvloop\n{WITH_UVLOOP[way]}", "-W", "ignore") == Done(0, OURS, "")


def test_looking_for_a_module_does_not_lose_its_hook(place: Place) -> None:
    program = """\
import importlib.util
assert importlib.util.find_spec("uvloop") and importlib.util.find_spec("uvloop")
import uvloop
show(uvloop.new_event_loop())
importlib.reload(uvloop)
show(uvloop.new_event_loop())
"""
    assert run(place, program) == Done(0, 2 * OURS, "")


@pytest.mark.parametrize("name", ["auto", "uvloop", "asyncio"])
def test_table_of_uvicorn_gives_our_loop(place: Place, name: str) -> None:
    assert run(place, f"import uvicorn.config\nshow(uvicorn.config.make({name!r}))") == Done(0, OURS, "")


def test_other_loops_of_uvicorn_stay(place: Place) -> None:
    place.write("app.py", SHOW + "import uvicorn.config\nshow(uvicorn.config.make('other'))")
    assert "Selector" in place.same("app.py").out


@pytest.mark.parametrize("name", ["auto", "asyncio"])
def test_registry_of_granian_gives_our_loop(place: Place, name: str) -> None:
    assert run(place, f"from granian._loops import loops\nshow(loops.get({name!r}))") == Done(0, OURS, "")


def test_what_another_version_does_not_have_is_passed_over(place: Place) -> None:
    for name in ("uvloop/__init__.py", "uvicorn/config.py", "uvicorn/loops/asyncio.py", "granian/_loops.py"):
        place.write(name, "")
    place.write("app.py", "import uvloop, uvicorn.config, uvicorn.loops.asyncio, granian._loops; print('there')")
    assert place.same("app.py").out == "there\n"


def test_module_that_fails_fails_as_under_python(place: Place) -> None:
    place.write("uvloop/__init__.py", "1 / 0\n")
    place.write("app.py", "import uvloop\n")
    assert "ZeroDivisionError" in place.same("app.py").err
    place.write("uvloop/__init__.py", "import nowhere\n")
    assert "nowhere" in place.same("app.py").err
    place.write("uvloop/__init__.py", "if\n")
    assert "SyntaxError" in place.same("app.py").err


def test_hosts_are_not_imported_for_a_program_that_does_not(place: Place) -> None:
    program = (
        "import asyncio, sys; asyncio.run(asyncio.sleep(0)); print({'uvloop', 'uvicorn', 'granian'} & {*sys.modules})"
    )
    assert place.run([*TREADLE, "-c", program]) == Done(0, "set()\n", "")


CHILDREN = """\
import concurrent.futures, multiprocessing, os, sys

def child():
    loop = asyncio.new_event_loop()
    loop.close()
    return str(type(loop))

def grandchild(method):
    with multiprocessing.get_context(method).Pool(1) as pool:
        return pool.apply(child)

def put(pipe, function, *arguments):
    pipe.send(function(*arguments))

if __name__ == "__main__":
    before = dict(os.environ), sys.path[:]
    for method in sys.argv[1:]:
        context = multiprocessing.get_context(method)
        reader, writer = context.Pipe(duplex=False)
        process = context.Process(target=put, args=(writer, child))
        process.start()
        print(reader.recv())
        process.join()
        process = context.Process(target=put, args=(writer, grandchild, method))
        process.start()
        print(reader.recv())
        process.join()
        with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
            print(pool.submit(child).result())
    assert (dict(os.environ), sys.path) == before
"""

METHODS = ["fork", "spawn", "forkserver"] if sys.platform == "linux" else ["spawn", "forkserver"]


@pytest.mark.parametrize("method", METHODS)
def test_children_and_their_children_follow(place: Place, method: str) -> None:
    place.write("app.py", SHOW + CHILDREN)
    assert place.run([*TREADLE, "-W", "ignore", "app.py", method]) == Done(0, 3 * OURS, "")


def test_forked_process_makes_our_loops(place: Place) -> None:
    program = """\
import os, sys
asyncio.run(main())
sys.stdout.flush()
pid = os.fork()
asyncio.run(main())
if pid:
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    sys.exit(status)
"""
    assert run(place, program, "-W", "ignore") == Done(0, 3 * OURS, "")


def test_child_with_a_hooked_module_that_the_server_has_preloaded_follows(place: Place) -> None:
    program = CHILDREN.replace(
        "    before =", "    multiprocessing.set_forkserver_preload(['asyncio', 'uvloop'])\n    before ="
    )
    place.write("app.py", SHOW + program.replace("asyncio.new", "__import__('uvloop').new"))
    assert place.run([*TREADLE, "-W", "ignore", "app.py", "forkserver"]) == Done(0, 3 * OURS, "")


def test_child_without_treadle_starts_all_the_same(place: Place) -> None:
    place.write(
        "app.py", SHOW + CHILDREN.replace("    before =", "    multiprocessing.set_executable('./plain')\n    before =")
    )
    place.write("plain", f'#!/bin/sh\nexec {PYTHON[0]} -S "$@"\n')
    (place.path / "plain").chmod(0o755)
    done = place.run([*TREADLE, "-W", "ignore", "app.py", "spawn"])
    assert (done.status, done.out.count("unix_events")) == (0, 3), done.err


def test_without_treadle_children_are_as_ever(place: Place) -> None:
    place.write("app.py", SHOW + CHILDREN)
    assert "treadle" not in place.run([*PYTHON, "-W", "ignore", "app.py", *METHODS]).out
