"""``treadle run`` beside ``python``: what the program sees, what its user sees, and which loop it gets.

Nearly every test runs a program both ways and holds status, standard output and standard error against each other. The
interpreter is the same file, so there is nothing to make up for: they are equal byte for byte.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest
import treadle

SCRIPTS = Path(sysconfig.get_path("scripts"))
PYTHON = [str(SCRIPTS / "python3")]
TREADLE = [str(SCRIPTS / "treadle"), "run"]
MODULE = [*PYTHON, "-m", "treadle", "run"]


@dataclass
class Done:
    """What came of a program."""

    status: int
    out: str
    err: str


def without_addresses(text: str) -> str:
    """Return a text with the same address for all objects."""
    return re.sub("0x[0-9a-f]{6,}", "0x…", text)


@dataclass
class Place:
    """A directory with programs in it."""

    path: Path

    def write(self, name: str, text: str) -> None:
        """Put a file here."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def run(self, command: list[str], *, text: str = "", **environment: str) -> Done:
        """Run a command here."""
        variables = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        done = subprocess.run(
            command,
            check=False,
            capture_output=True,
            text=True,
            input=text,
            cwd=self.path,
            env={**variables, **environment},
        )
        return Done(done.returncode, without_addresses(done.stdout), without_addresses(done.stderr))

    def same(self, *arguments: str, text: str = "", **environment: str) -> Done:
        """Run a program both ways, and return what came of it both times."""
        wanted = self.run([*PYTHON, *arguments], text=text, **environment)
        assert self.run([*TREADLE, *arguments], text=text, **environment) == wanted
        return wanted


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Return an empty directory."""
    return Place(tmp_path)


FACTS = """\
import os, sys
modules = sorted(sys.modules)
import gc, inspect, signal, warnings
main = sys.modules["__main__"]
names = sorted(vars(main))
print(__name__, main.__dict__ is globals(), names)
for name in names:
    if name.startswith("__") and name != "__builtins__":
        print(name, "=", vars(main)[name].__class__ if name == "__loader__" else vars(main)[name])
print(sys.argv, sys.orig_argv, sys.path, sys.executable, sys.prefix, sys.flags, sys._xoptions, sys.warnoptions)
print(modules, sorted(sys.path_importer_cache), sorted(os.environ.items()), os.getcwd())
print(len(inspect.stack()), sys.getrecursionlimit(), sys.excepthook, sys.gettrace(), gc.get_threshold())
print([signal.getsignal(number) for number in sorted(signal.valid_signals())], warnings.filters)
print(sys.stdin.encoding, sys.stdout.line_buffering, sys.stdout.write_through, sys.dont_write_bytecode)
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ["facts.py"],
        ["facts.py", "-m", "--help", "--python", "x", "--", "-I"],
        ["shop/facts.py", "a b", "", "ü"],
        ["./shop/../facts.py"],
        ["-m", "facts", "--help"],
        ["-mfacts", "-h"],
        ["-m", "shop.facts"],
        ["-m", "shop"],
        ["-c", FACTS, "-c"],
        ["-"],
        ["-", "facts.py"],
        ["shop"],
        ["shop.zip", "1"],
        ["-P", "facts.py"],
        ["-OO", "-X", "dev", "-W", "error", "-Wignore::ImportWarning", "-uB", "facts.py", "-S"],
        ["--check-hash-based-pycs", "always", "-sbb", "--", "facts.py"],
    ],
    ids=lambda arguments: " ".join(arguments).replace(FACTS, "code"),
)
def test_program_sees_what_it_sees_under_python(place: Place, arguments: list[str]) -> None:
    for name in ("facts.py", "shop/facts.py", "shop/__main__.py"):
        place.write(name, FACTS)
    place.write("shop/__init__.py", "")
    with zipfile.ZipFile(place.path / "shop.zip", "w") as archive:
        archive.writestr("__main__.py", FACTS)
    # Once before, so that neither finds what the other has compiled.
    place.run([*PYTHON, *arguments], text=FACTS)
    done = place.same(*arguments, text=FACTS)
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith("__main__ True")


@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONPATH": "lib"},
        {"PYTHONPATH": "lib:/absent"},
        {"PYTHONSAFEPATH": "1"},
        {"PYTHONUNBUFFERED": "x"},
    ],
    ids=str,
)
def test_environment_is_as_it_was(place: Place, environment: dict[str, str]) -> None:
    place.write("facts.py", FACTS)
    assert place.same("facts.py", **environment).status == 0


def test_empty_path_adds_nothing(place: Place) -> None:
    place.write("app.py", "import sys; print(sys.path)\n")
    place.same("app.py", PYTHONPATH="")


def test_sitecustomize_of_the_environment_runs_as_ever(place: Place) -> None:
    place.write("lib/sitecustomize.py", "import sys\nprint('first', __name__, __file__, sys.path[0])\n")
    place.write("app.py", "import sys\nprint(sys.modules['sitecustomize'].__spec__)\n")
    assert place.same("app.py", PYTHONPATH="lib").out.startswith("first sitecustomize")
    place.write("lib/sitecustomize.py", "1 / 0\n")
    assert "ZeroDivisionError" in place.same("-c", "", PYTHONPATH="lib").err
    place.write("lib/sitecustomize.py", "import nowhere\n")
    assert "nowhere" in place.same("-c", "", PYTHONPATH="lib").err


def named(text: str) -> dict[str, str]:
    """Split a text into programs; a line of `## name` begins one."""
    parts = (part.partition("\n") for part in text.split("## ")[1:])
    return {name: program for name, _, program in parts}


PROGRAMS = named("""
## an exception
def f():
    1 / 0
print("before")
f()
## a syntax error
print("never")
if True
    pass
## wrong indentation
if True:
pass
## bytes that are no text
# \udcff
## a cause
try:
    1 / 0
except ZeroDivisionError as error:
    raise ValueError("x") from error
## a context
try:
    1 / 0
except ZeroDivisionError:
    int("x")
## a group
raise ExceptionGroup("both", [ValueError(1), ExceptionGroup("in", [TypeError(2)])])
## a note
error = ValueError("x")
error.add_note("and this")
raise error
## a recursion
def f():
    f()
f()
## an imported module
import broken
## an imported syntax error
import wrong
## a missing module
import nowhere
## a hook
import sys
sys.excepthook = lambda *what: print("hook", what[:2], what[2].tb_lineno)
1 / 0
## a hook that fails
import sys
sys.excepthook = lambda *what: None[0]
1 / 0
## a hook for a group
import sys, traceback
sys.excepthook = traceback.print_exception
raise ExceptionGroup("g", [KeyError(1)])
## a look at the last exception
import atexit, sys
atexit.register(lambda: print(repr(sys.last_value), sys.last_traceback.tb_lineno))
1 / 0
## an exit code
raise SystemExit(3)
## a large exit code
raise SystemExit(259)
## a negative exit code
raise SystemExit(-1)
## an exit with words
import sys
sys.exit("gone")
## an exit with nothing
import sys
sys.exit()
## an exit with an object
raise SystemExit([1])
## an exit past everything
import os
print("lost")
os._exit(7)
## an interrupt
raise KeyboardInterrupt
## a base exception
class Odd(BaseException): pass
raise Odd
## an abort
import os
os.abort()
## a thread
import threading
def f():
    1 / 0
thread = threading.Thread(target=f, name="t")
thread.start()
thread.join()
## the order of the end
import atexit, threading
atexit.register(print, "atexit")
threading._register_atexit(print, "threads")
class Last:
    def __del__(self):
        print("modules")
last = Last()
print("end")
## an error at the end
import atexit
atexit.register(lambda: 1 / 0)
## a full disk
import os
os.dup2(os.open("/dev/full", os.O_WRONLY), 1)
print("x")
## a reader that left
import os
reader, writer = os.pipe()
os.close(reader)
os.dup2(writer, 1)
print("x")
## a warning
import warnings
warnings.warn("old", DeprecationWarning)
warnings.warn("deep", stacklevel=9)
## a coroutine that nobody awaits
async def f(): ...
f()
## a stack
import traceback
traceback.print_stack()
## the source
import inspect
def f():
    return 1
print(inspect.getsource(f), inspect.getfile(f), inspect.getmodule(f))
## a pickle
import pickle
class A: pass
print(pickle.dumps(A()), type(pickle.loads(pickle.dumps(A()))) is A)
""")


@pytest.mark.parametrize("name", [name for name in PROGRAMS if Path("/dev/full").exists() or name != "a full disk"])
def test_program_ends_as_under_python(place: Place, name: str) -> None:
    (place.path / "app.py").write_bytes(PROGRAMS[name].encode(errors="surrogateescape"))
    place.write("broken.py", "def f():\n    raise ValueError('x')\nf()\n")
    place.write("wrong.py", "f(:\n")
    place.same("app.py")


@pytest.mark.parametrize(
    "name", ["an exception", "a syntax error", "an imported module", "an exit code", "an interrupt"]
)
def test_module_and_code_end_as_under_python(place: Place, name: str) -> None:
    place.write("app.py", PROGRAMS[name])
    place.write("broken.py", "1 / 0\n")
    assert place.same("-m", "app").status != 0
    assert place.same("-c", PROGRAMS[name]).status != 0
    assert place.same("-", text=PROGRAMS[name]).status != 0


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["absent.py"], 2),
        (["empty"], 1),
        (["-m", "absent"], 1),
        (["-m", "absent.module"], 1),
        (["-m", "empty"], 1),
        (["-m", "app.inside"], 1),
        (["-P", "-m", "app"], 1),
        (["-m"], 2),
        (["-c"], 2),
        (["-Z", "app.py"], 2),
        (["-X", "frozen_modules=maybe", "app.py"], 1),
        (["--version"], 0),
        (["-VV"], 0),
    ],
    ids=str,
)
def test_what_cannot_be_started_is_said_in_the_words_of_python(place: Place, arguments: list[str], status: int) -> None:
    place.write("app.py", "")
    (place.path / "empty").mkdir()
    assert place.same(*arguments).status == status


def test_interpreter_goes_on_after_the_program_when_asked(place: Place) -> None:
    place.write("app.py", "x = 1\n1 / 0\n")
    assert (
        "ZeroDivisionError('division by zero')"
        in place.same("-i", "app.py", text="import sys; x, sys.last_value\n").out
    )


def test_processes_that_are_spawned_find_the_program(place: Place) -> None:
    program = """\
import multiprocessing

def work(queue):
    queue.put((__name__, __file__))

if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=work, args=(queue,))
    process.start()
    print(queue.get())
    process.join()
"""
    place.write("app.py", program)
    assert "__mp_main__" in place.same("app.py").out
    assert "__mp_main__" in place.same("-m", "app").out


def interrupted(place: Place, command: list[str], number: signal.Signals) -> tuple[Done, bool]:
    """Send a signal to a program that says when it is ready; also return whether it is the process that was started."""
    with subprocess.Popen(
        command, cwd=place.path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
        return Done(process.returncode, out, err), first == f"{process.pid}\n"


READY = """\
def ready():
    import os
    print(os.getpid(), flush=True)
"""

WAITING = named("""
## nothing
import signal
# It has to arrive at the same line both times.
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
ready()
while signal.SIGINT not in signal.sigpending():
    pass
signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
## a handler
import signal, sys, time
signal.signal(signal.SIGINT, lambda *_: sys.exit(5))
ready()
# Not one long sleep: a signal that comes just before it does not shorten it, in any Python.
for _ in range(3000):
    time.sleep(0.01)
## a catch
import time
try:
    ready()
    for _ in range(3000):
        time.sleep(0.01)
except KeyboardInterrupt:
    print("caught")
""")

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL]


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: str(number.name))
@pytest.mark.parametrize("name", WAITING)
def test_signals_do_what_they_do_under_python(place: Place, name: str, number: signal.Signals) -> None:
    place.write("app.py", READY + WAITING[name])
    done, is_started = interrupted(place, [*TREADLE, "app.py"], number)
    assert is_started
    assert done == interrupted(place, [*PYTHON, "app.py"], number)[0]


def test_ctrl_c_cancels_the_main_task(place: Place) -> None:
    program = """\
import asyncio

async def main():
    try:
        ready()
        await asyncio.sleep(30)
    finally:
        print("cleaned up")

asyncio.run(main())
"""
    place.write("app.py", READY + program)
    done, is_started = interrupted(place, [*TREADLE, "app.py"], signal.SIGINT)
    assert is_started
    assert (done.status, done.out) == (-signal.SIGINT, "cleaned up\n")
    assert done.err.endswith("\nKeyboardInterrupt\n")


def test_ignored_interrupt_stays_ignored(place: Place) -> None:
    program = "import signal; print(signal.getsignal(signal.SIGINT) is signal.SIG_IGN)"
    for command in (TREADLE, MODULE):
        shell = ["sh", "-c", 'trap "" INT; exec "$@"', "sh", *command, "-c", program]
        assert place.run(shell) == Done(0, "True\n", "")


LOOPS = """\
import asyncio

async def main():
    return type(asyncio.get_running_loop())

def show(loop):
    print(type(loop))
    loop.close()

print(asyncio.run(main()))
with asyncio.Runner() as runner:
    print(runner.run(main()))
show(asyncio.new_event_loop())
show(asyncio.events.new_event_loop())
"""

POLICIES = """\
import asyncio
def show(loop):
    print(type(loop))
    loop.close()
show(asyncio.get_event_loop_policy().new_event_loop())
show(asyncio.DefaultEventLoopPolicy().new_event_loop())
show(asyncio.get_event_loop())
asyncio.set_event_loop_policy(None)
show(asyncio.new_event_loop())
class Own(asyncio.DefaultEventLoopPolicy):
    pass
asyncio.set_event_loop_policy(Own())
show(asyncio.new_event_loop())
"""

OURS = f"{treadle.EventLoop}\n"


def test_every_default_way_gives_the_loop(place: Place) -> None:
    place.write("app.py", LOOPS)
    assert place.run([*TREADLE, "app.py"]) == Done(0, 4 * OURS, "")
    assert place.run([*TREADLE, "-m", "app"]) == Done(0, 4 * OURS, "")
    assert place.run([*MODULE, "app.py"]) == Done(0, 4 * OURS, "")


@pytest.mark.skipif(sys.version_info >= (3, 16), reason="Python 3.16 has no policies")
def test_default_policy_gives_the_loop(place: Place) -> None:
    place.write("app.py", POLICIES + LOOPS)
    # Python 3.14 no longer makes a loop for whoever asks for the current one.
    command = [*TREADLE, "-W", "ignore", "app.py"]
    if sys.version_info >= (3, 14):
        place.write("app.py", POLICIES.replace("show(asyncio.get_event_loop())", "") + LOOPS)
    done = place.run(command)
    assert (done.status, set(done.out.splitlines())) == (0, {OURS.strip()}), done.err


def test_what_the_program_chooses_itself_is_left_alone(place: Place) -> None:
    program = """\
import asyncio
class Own(asyncio.SelectorEventLoop): ...
class Policy(asyncio.DefaultEventLoopPolicy):
    def new_event_loop(self): return Own()
class Factory(asyncio.DefaultEventLoopPolicy):
    _loop_factory = Own
async def main(): print(type(asyncio.get_running_loop()))
with asyncio.Runner(loop_factory=Own) as runner:
    runner.run(main())
with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
    runner.run(main())
asyncio.set_event_loop_policy(Policy())
asyncio.run(main())
asyncio.set_event_loop_policy(Factory())
asyncio.run(main())
"""
    place.write("app.py", program)
    done = place.same("-W", "ignore", "app.py")
    assert done.out.count("Own") == 3


def test_asyncio_that_was_imported_before_gives_the_loop(place: Place) -> None:
    # The category of a warning is imported before anything else.
    place.write("early.py", "import asyncio\nclass EarlyWarning(UserWarning): ...\n")
    place.write("app.py", LOOPS)
    early = {"PYTHONPATH": str(place.path), "PYTHONWARNINGS": "ignore::early.EarlyWarning"}
    assert place.run([*TREADLE, "app.py"], **early) == Done(0, 4 * OURS, "")


def test_program_without_asyncio_does_not_get_it(place: Place) -> None:
    program = "import sys; print([name for name in sys.modules if name.startswith(('asyncio', 'treadle'))])"
    assert place.same("-c", program).out == "[]\n"


def test_only_a_finder_of_us_stays(place: Place) -> None:
    program = """\
import asyncio, sys
finders = [finder for finder in sys.meta_path if not hasattr(finder, "is_of_treadle")]
print(finders, vars(asyncio.unix_events.__loader__), sorted(sys.modules))
"""
    assert place.same("-c", program).status == 0


def test_module_of_the_same_name_is_the_programs(place: Place) -> None:
    place.write("treadle.py", "print('mine')\n")
    place.write("app.py", "import treadle\n")
    assert place.same("app.py").out == "mine\n"


def test_processes_of_the_program_are_on_the_loop_of_asyncio(place: Place) -> None:
    program = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {LOOPS!r}])"
    assert "treadle" not in place.same("-c", program).out


@pytest.mark.skipif(sys.version_info[:2] == (3, 12), reason="subinterpreters of Python 3.12.1 crash with asyncio")
def test_subinterpreters_are_on_the_loop_of_asyncio(place: Place) -> None:
    name = "_interpreters" if sys.version_info >= (3, 13) else "_xxsubinterpreters"
    inner = "import asyncio, sys; print(sys.path, type(asyncio.new_event_loop()))"
    place.write("app.py", f"import {name}\n{name}.run_string({name}.create(), {inner!r})\n")
    assert "unix_events" in place.same("app.py").out


@pytest.mark.parametrize("options", ["", "-X dev", "-P", "-OB -W error", "-u --check-hash-based-pycs never"])
def test_module_starts_the_program_with_its_own_interpreter(place: Place, options: str) -> None:
    place.write("facts.py", FACTS)
    for way, letters in {"-m treadle": "", "-mtreadle": "", "-qm treadle": "-q", "-Bmtreadle": "-B"}.items():
        wanted = place.run([*PYTHON, *options.split(), *letters.split(), "facts.py", "--help"])
        assert place.run([*PYTHON, *options.split(), *way.split(), "run", "facts.py", "--help"]) == wanted


def test_program_is_run_by_the_interpreter_beside_the_real_file(place: Place) -> None:
    link = place.path / "bin" / "treadle"
    link.parent.mkdir()
    link.symlink_to(TREADLE[0])
    program = "import sys; print(sys.executable)"
    assert place.run([str(link), "run", "-c", program]) == Done(0, f"{PYTHON[0]}\n", "")


def test_interpreter_can_be_named(place: Place) -> None:
    program = ["-c", "import sys; print(sys.executable)"]
    for name in (PYTHON[0], str(SCRIPTS.parent)):
        assert place.run([*TREADLE, "--python", name, *program]) == Done(0, f"{PYTHON[0]}\n", "")
    assert place.run([*MODULE, "--python", str(SCRIPTS / "python"), *program]).out == f"{SCRIPTS / 'python'}\n"
    on_path = place.run([*TREADLE, "--python", "python3", *program], PATH=str(SCRIPTS))
    assert on_path == Done(0, f"{PYTHON[0]}\n", "")
    done = place.run([*TREADLE, "--python", "absent", *program])
    assert (done.status, done.out) == (2, "")
    assert "`absent` is neither a Python interpreter nor an environment with one. Name a file such as" in done.err


def test_interpreter_that_is_named_and_here_is_not_looked_for_on_the_path(place: Place) -> None:
    place.write("python3", f'#!/bin/sh\nexec {PYTHON[0]} "$@" -- here\n')
    (place.path / "python3").chmod(0o755)
    program = ["-c", "import sys; print(sys.argv)"]
    inherited = {"PYTHONPATH": str(Path(treadle.__file__).parent.parent)}
    done = place.run([*TREADLE, "--python", "python3", *program], PATH=f"{SCRIPTS}:/usr/bin:/bin", **inherited)
    assert done == Done(0, "['-c', '--', 'here']\n", "")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("no program\n", "`./other` is no Python interpreter that starts. Name one with `--python`, or the"),
        ("#!/bin/sh\n", "`./other` is no Python interpreter that starts. Name one with `--python`, or the"),
        ("#!/bin/sh\nexit 3\n", "`./other` is no Python interpreter that starts. Name one with `--python`, or the"),
        (
            '#!/bin/sh\ntest "$1" = -P || echo Python 3.10\ntest "$1" != -P\n',
            "treadle's event loop needs Python 3.11 or newer, and `./other` is Python 3.10\n. Name another interpreter",
        ),
    ],
    ids=["text", "silence", "failure", "older"],
)
def test_what_is_named_and_cannot_have_the_loop_is_refused_in_two_sentences(
    place: Place, text: str, words: str
) -> None:
    place.write("other", text)
    (place.path / "other").chmod(0o755)
    done = place.run([*TREADLE, "--python", "other", "-c", ""])
    assert (done.status, done.out) == (2, "")
    assert words.replace("\n", "") in done.err.replace("\n", "")


def test_option_that_nobody_has_is_refused_in_two_sentences(place: Place) -> None:
    done = place.run([*TREADLE, "--watsh", "app.py"])
    assert (done.status, done.out) == (2, "")
    assert "neither `treadle run` nor Python has an option `--watsh`. Put the program's own options behind " in done.err


def test_program_that_stands_alone_takes_the_active_environment_and_then_the_path(place: Place) -> None:
    alone = str(place.path / "treadle")
    shutil.copy2(TREADLE[0], alone)
    program = [alone, "run", "-c", "import sys; print(sys.executable)"]
    active = {"VIRTUAL_ENV": str(SCRIPTS.parent), "PATH": "/absent"}
    assert place.run(program, **active) == Done(0, f"{PYTHON[0]}\n", "")
    assert place.run(program, VIRTUAL_ENV="/absent", PATH=f"/absent:{SCRIPTS}") == Done(0, f"{PYTHON[0]}\n", "")
    done = place.run(program, VIRTUAL_ENV="/absent", PATH="/absent")
    assert (done.status, done.out) == (2, "")
    assert "there is no Python" in done.err


def test_interpreter_without_the_package_is_refused(place: Place) -> None:
    base = Path(sys.base_prefix) / "bin" / "python3"
    if place.run([str(base), "-c", "import treadle"]).status == 0:
        pytest.skip("this Python has its own treadle")
    # A directory of the same name is not the package.
    place.write("treadle/__init__.py", "")
    done = place.run([*TREADLE, "--python", str(base), "-c", ""])
    assert (done.status, done.out) == (2, "")
    assert f"`{base}` has no treadle. Install it there with `{base} -m pip install treadle`" in done.err


def test_package_is_found_wherever_the_interpreter_has_it(place: Place) -> None:
    base = Path(sys.base_prefix) / "bin" / "python3"
    packages = sysconfig.get_path("purelib")
    program = "import asyncio; print(type(asyncio.new_event_loop()))"
    done = place.run([*TREADLE, "--python", str(base), "-c", program], PYTHONPATH=packages)
    assert done == Done(0, OURS, "")
