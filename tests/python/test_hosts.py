"""What makes its loops without asyncio, and what runs in children: all is on treadle's loop under ``treadle run``.

No server is needed here: small modules of the same names have the parts of uvicorn, granian and uvloop that make loops.
`tests/hosts` runs the real ones.
"""

import shutil
import sys
from pathlib import Path

import pytest
import treadle
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


SCRIPT = """\
import os, sys
print(os.path.basename(sys.argv[0]), sys.argv[1:], __name__)
asyncio.run(main())
"""


@pytest.fixture
def environment(place: Place) -> Path:
    """Return a directory with an interpreter, to put scripts beside."""
    scripts = place.path / "venv" / "bin"
    place.run([*PYTHON, "-m", "venv", "--without-pip", "--symlinks", str(scripts.parent)])
    [packages] = (place.path / "venv" / "lib").glob("python3*/site-packages")
    (packages / "treadle").symlink_to(Path(treadle.__file__).parent)
    return scripts


def add_script(directory: Path, name: str, first: str) -> None:
    """Put a program there."""
    directory.mkdir(exist_ok=True)
    (directory / name).write_text(f"{first}\n{SHOW}{SCRIPT}")
    (directory / name).chmod(0o755)


def test_console_script_beside_the_interpreter_is_run(place: Place, environment: Path) -> None:
    add_script(environment, "serve", f"#!{environment / 'python3'}")
    command = [*TREADLE, "--python", str(environment.parent)]
    wanted = Done(0, "serve ['app:app', '-m'] __main__\n" + OURS, "")
    assert place.run([*command, "serve", "app:app", "-m"]) == wanted
    assert place.run([*command, "-X", "dev", "-u", "--", "serve", "app:app", "-m"]) == wanted


def test_file_in_the_current_directory_comes_before_a_console_script(place: Place, environment: Path) -> None:
    add_script(environment, "serve", f"#!{environment / 'python3'}")
    place.write("serve", "print('here')\n")
    assert place.run([*TREADLE, "--python", str(environment.parent), "serve"]) == Done(0, "here\n", "")


def test_console_script_is_found_on_the_path(place: Place, environment: Path) -> None:
    elsewhere = place.path / "elsewhere"
    command = [*TREADLE, "--python", str(environment.parent), "serve"]
    add_script(elsewhere, "serve", "#!/usr/bin/env python3")
    assert place.run(command, PATH=str(elsewhere)).out == "serve [] __main__\n" + OURS
    add_script(elsewhere, "serve", f"#!{environment / 'python'}")
    assert place.run(command, PATH=str(elsewhere)).out == "serve [] __main__\n" + OURS


def test_what_is_no_console_script_is_refused(place: Place, environment: Path) -> None:
    elsewhere = place.path / "elsewhere"
    command = [*TREADLE, "--python", str(environment.parent), "serve"]
    done = place.run(command, PATH=str(elsewhere))
    assert (done.status, done.out) == (2, "")
    assert f"there is no `serve` here, beside `{environment / 'python3'}` or on `PATH`. Install " in done.err
    add_script(elsewhere, "serve", "#!/bin/sh")
    done = place.run(command, PATH=str(elsewhere))
    assert (done.status, done.out) == (2, "")
    assert (
        f"`{elsewhere / 'serve'}` is no Python script, and only those can be run on treadle's loop. Name " in done.err
    )
    add_script(elsewhere, "serve", f"#!{sys.base_prefix}/bin/python3")
    done = place.run(command, PATH=str(elsewhere))
    assert (done.status, done.out) == (2, "")
    assert f"`{elsewhere / 'serve'}` belongs to `{sys.base_prefix}/bin/python3`, and not to " in done.err


def test_uvloop_is_kept_for_those_who_want_it(place: Place) -> None:
    program = """\
import os, uvloop, uvicorn.config, granian._loops
assert "TREADLE_RUN" not in os.environ
show(uvloop.new_event_loop())
show(granian._loops.loops.get("auto"))
show(asyncio.new_event_loop())
show(uvicorn.config.make("asyncio"))
"""
    done = run(place, program, "--keep-uvloop")
    assert done.out == f"<class 'uvloop.Loop'>\n{type_of_asyncio()}\n" + 2 * OURS, done.err


def test_uvloop_that_is_to_be_kept_and_is_not_there_is_told_of_once(place: Place, environment: Path) -> None:
    program = """\
for _ in range(2):
    try:
        import uvloop
    except ModuleNotFoundError:
        show(asyncio.new_event_loop())
"""
    python = ["--python", str(environment.parent)]
    assert run(place, program, *python, "--keep-uvloop") == Done(0, "", "")
    shutil.rmtree(place.path / "uvloop")
    assert run(place, program, *python) == Done(0, 2 * OURS, "")
    done = run(place, program, *python, "--keep-uvloop")
    assert (done.status, done.out) == (0, 2 * OURS)
    [line] = done.err.splitlines()
    assert line.startswith(
        "treadle: the program asks for uvloop, which is to be kept and is not installed. Install it "
    )
    assert line.endswith(" -m pip install uvloop`, or leave out `--keep-uvloop`")


def type_of_asyncio() -> str:
    """Return how the class of asyncio's own loop is printed."""
    return "<class 'asyncio.unix_events._UnixSelectorEventLoop'>"


def test_verbose_run_says_what_is_changed_and_what_is_passed_over(place: Place) -> None:
    place.write("uvicorn/loops/asyncio.py", "")
    done = run(
        place, "import uvloop, uvicorn.config, uvicorn.loops.asyncio, granian._loops, multiprocessing.spawn", "-v"
    )
    assert (done.status, done.out) == (0, "")
    assert done.err.splitlines() == [
        "treadle: asyncio: new loops are treadle's",
        "treadle: uvloop: its loops are treadle's",
        "treadle: uvicorn: the loop `auto` is treadle's",
        "treadle: uvicorn: the loop `uvloop` is treadle's",
        "treadle: uvicorn.loops.asyncio: skipped, it has no `asyncio_loop_factory`",
        "treadle: granian: the loop `auto` is treadle's",
        "treadle: multiprocessing: processes that are spawned follow",
    ]


def test_verbose_child_says_so_too(place: Place) -> None:
    place.write("app.py", SHOW + CHILDREN)
    done = place.run([*TREADLE, "--verbose", "-W", "ignore", "app.py", "spawn"])
    assert (done.status, done.out) == (0, 3 * OURS)
    assert done.err.count("treadle: asyncio: new loops are treadle's\n") > 3


def test_check_tells_how_each_host_comes_to_the_loop(place: Place, environment: Path) -> None:
    [packages] = (place.path / "venv" / "lib").glob("python3*/site-packages")
    for name, version in {"uvloop": "0.1", "celery": "9", "granian": "2", "jupyter_client": "8"}.items():
        (packages / f"{name}-{version}.dist-info").mkdir()
        (packages / f"{name}-{version}.dist-info" / "METADATA").write_text(f"Name: {name}\nVersion: {version}\n")
    (packages / "uvloop.py").write_text(UVLOOP)
    done = place.run([*TREADLE, "--python", str(environment.parent), "--check"])
    assert (done.status, done.err) == (1, "")
    lines = done.out.splitlines()
    assert [line.split(":")[0].split() for line in lines[1:]] == [
        ["multiprocessing", "caught"],
        ["uvloop", "0.1", "caught"],
        ["granian", "2", "not", "caught"],
        ["celery", "9", "caught"],
        ["jupyter-client", "8", "not", "caught"],
    ]
    assert "not caught: it cannot be asked, ModuleNotFoundError: No module named 'granian'" in lines[3]
    kept = place.run([*TREADLE, "--python", str(environment.parent), "--keep-uvloop", "--check"])
    [line] = [line for line in kept.out.splitlines() if line.startswith("uvloop")]
    assert "not caught: it makes `uvloop.Loop`, as `--keep-uvloop` wants" in line


def test_check_of_an_environment_where_all_is_caught_ends_well(place: Place, environment: Path) -> None:
    done = place.run([*TREADLE, "--python", str(environment.parent), "--check"])
    assert (done.status, done.out.count(" caught: "), done.err) == (0, 2, "")
    kept = place.run([*TREADLE, "--check", "app.py"])
    assert (kept.status, kept.out) == (2, "")


def test_check_names_the_loop_of_an_environment_that_has_chosen_its_own(place: Place, environment: Path) -> None:
    place.write("sitecustomize.py", "import asyncio\nasyncio.new_event_loop = asyncio.SelectorEventLoop\n")
    done = place.run([*TREADLE, "--python", str(environment.parent), "--check"], PYTHONPATH=str(place.path))
    assert (done.status, done.err) == (1, "")
    assert "not caught: it makes `asyncio.unix_events._UnixSelectorEventLoop`" in done.out.splitlines()[0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            "sys.abiflags = 't'",
            "treadle's event loop does not support free-threaded builds of Python yet. Name another",
        ),
        ("sys.implementation.name = 'snake'", "treadle's event loop is for CPython, and this is snake. Name another"),
        (
            "sys.version_info = (3, 10, 1)",
            "treadle's event loop needs Python 3.11 or newer, and this is 3.10. Name another",
        ),
    ],
)
def test_interpreter_that_cannot_have_the_loop_is_refused_in_two_sentences(
    place: Place, environment: Path, change: str, words: str
) -> None:
    # A `.pth` file comes before the launch file.
    [packages] = (place.path / "venv" / "lib").glob("python3*/site-packages")
    (packages / "early.pth").write_text(f"import sys; {change}\n")
    done = place.run([*TREADLE, "--python", str(environment.parent), "-c", "print('never')"])
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith(f"treadle: {words} interpreter with `--python`, or run the program with `python`"), (
        done.err
    )


def test_worker_classes_are_imported_when_they_are_asked_for(place: Place) -> None:
    place.write("uvicorn/config.py", "class Config:\n    def get_loop_factory(self): ...\n")
    place.write("uvicorn_worker.py", "class UvicornWorker:\n    CONFIG_KWARGS = {'loop': 'auto', 'http': 'auto'}\n")
    program = """\
import sys, treadle.gunicorn
assert "uvicorn" not in sys.modules and "asyncio" not in sys.modules
print(treadle.gunicorn.TreadleWorker.CONFIG_KWARGS)
print(treadle.gunicorn.__all__ == [name for name in dir(treadle.gunicorn) if name.endswith('Worker')])
"""
    wanted = "{'loop': 'treadle:new_event_loop', 'http': 'auto'}\nTrue\n"
    assert place.run([*PYTHON, "-c", program]) == Done(0, wanted, "")


def test_worker_class_whose_package_is_missing_says_what_to_install(place: Place) -> None:
    place.write("uvicorn/config.py", "class Config: ...\n")
    done = place.run([*PYTHON, "-c", "from treadle.gunicorn import TreadleWorker"])
    words = "needs the module `uvicorn_worker`. Install it with `pip install gunicorn uvicorn-worker`"
    assert words in done.err
    place.write("uvicorn/workers.py", "class UvicornWorker: ...\n")
    done = place.run([*PYTHON, "-c", "from treadle.gunicorn import TreadleWorker"])
    assert "`treadle.gunicorn.TreadleWorker` needs uvicorn 0.36 or newer. Update it, or " in done.err


def test_aiohttp_worker_exchanges_the_loop_before_it_is_used(place: Place) -> None:
    worker = """\
import asyncio
class GunicornWebWorker:
    def init_process(self):
        self.loop = self.first = asyncio.new_event_loop()
        self.init_signals()
    def init_signals(self):
        print(type(self.loop))
"""
    place.write("aiohttp/__init__.py", "")
    place.write("aiohttp/worker.py", worker)
    program = """\
from treadle.gunicorn import TreadleWebWorker
worker = TreadleWebWorker()
worker.init_process()
assert worker.first.is_closed()
worker.loop.close()
"""
    assert place.run([*PYTHON, "-c", program]) == Done(0, OURS, "")
