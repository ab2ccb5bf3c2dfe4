"""The warm parent: imports all of ``test.test_asyncio`` once, then forks a child for each test.

Started by ``run.py`` with the loop's name; prints one JSON line about itself, then one for each test as it ends. The
parent has no thread and no loop, so that a child starts as a fresh interpreter would, without the 0.3 s of one. A child
has its own directory (``TMPDIR`` and the current one, where ``test.support`` writes), its own process group, and ends
as interpreters end, so that a crash or a hang after the test is seen as well.
"""

import argparse
import contextlib
import faulthandler
import gc
import importlib
import json
import os
import pkgutil
import platform
import resource
import shutil
import signal
import sys
import tempfile
import threading
import time
import unittest
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from fnmatch import fnmatch
from pathlib import Path

import doors
from outcome import Outcome

PACKAGE = "test.test_asyncio"
# Variants that differ in the selector alone are one test for a loop without selectors: the first that is there stands.
SELECTORS = ("EPollEventLoopTests", "KqueueEventLoopTests", "PollEventLoopTests", "SelectEventLoopTests")
# How long a child may take to print its stack when it is told to end.
GRACE = 2.0


class Forked(Exception):  # noqa: N818 (it is no error)
    """Carries the child out of the parent's frames."""


@dataclass
class Child:
    """A test that runs."""

    id: str
    slot: int
    directory: Path
    started: float
    deadline: float
    pid: int = 0
    hung: bool = False

    @property
    def output(self) -> Path:
        """Where what it prints goes."""
        return self.directory / "output"

    @property
    def result(self) -> Path:
        """Where it says how the test ended."""
        return self.directory / "result"


class Server:
    """Forks children, watches their time and tells how they ended."""

    def __init__(self, board: doors.Board, jobs: int, timeout: float, scratch: Path) -> None:
        """Nothing runs yet."""
        self.board = board
        self.timeout = timeout
        self.scratch = scratch
        self.free = list(range(jobs))
        self.running: list[Child] = []
        # Exit statuses of children that ended and were not told yet.
        self.statuses: dict[int, int] = {}
        self.count = 0

    def serve(self, ids: Iterable[str]) -> Iterator[Outcome]:
        """Run the tests; their outcomes come as they end.

        Raises:
            Forked: this is a child now; its first argument is the `Child`.
        """
        waiting = list(reversed(list(ids)))
        while waiting or self.running:
            while waiting and self.free:
                self.start(waiting.pop())
            ended = [child for child in self.running if self.has_ended(child)]
            if not ended:
                time.sleep(0.002)
            yield from (self.outcome(child) for child in ended)

    def start(self, test: str) -> None:
        """Fork a child for a test."""
        slot = self.free.pop()
        self.board.wipe(slot)
        self.count += 1
        directory = self.scratch / str(self.count)
        directory.mkdir()
        now = time.monotonic()
        child = Child(test, slot, directory, now, now + self.timeout)
        sys.stdout.flush()
        child.pid = os.fork()
        if not child.pid:
            os.setpgid(0, 0)
            raise Forked(child)
        self.running.append(child)

    def has_ended(self, child: Child) -> bool:
        """Look after a child without waiting; one that is late is asked for its stack, then killed."""
        pid, status = os.waitpid(child.pid, os.WNOHANG)
        if pid:
            self.statuses[child.pid] = status
            kill_group(child.pid)
            return True
        if time.monotonic() > child.deadline:
            if child.hung:
                kill_group(child.pid)
            else:
                os.kill(child.pid, signal.SIGABRT)
            child.hung = True
            child.deadline = time.monotonic() + GRACE
        return False

    def outcome(self, child: Child) -> Outcome:
        """Read how a child ended and clear up after it."""
        self.running.remove(child)
        self.free.append(child.slot)
        code = os.waitstatus_to_exitcode(self.statuses.pop(child.pid))
        output = child.output.read_text(errors="replace") if child.output.exists() else ""
        said = json.loads(child.result.read_text()) if child.result.exists() else {}
        shutil.rmtree(child.directory, ignore_errors=True)
        after = f", after the test {said['status']}" if said else ""
        outcome = Outcome(
            child.id,
            said.get("status", "errored"),
            self.board[child.slot].name.lower(),
            round(time.monotonic() - child.started, 3),
            said.get("reason", f"exit status {code} without a result"),
            said.get("details", ""),
        )
        if child.hung:
            outcome.status, outcome.reason = "hung", f"no end after {self.timeout:.0f} s{after}"
        elif code < 0:
            outcome.status, outcome.reason = "crashed", f"{signal.Signals(-code).name}{after}"
        elif code and said:
            outcome.status, outcome.reason = "errored", f"exit status {code}{after}"
        if outcome.bad:
            outcome.details = tail(outcome.details, 40) + "\n" + tail(output, 40)
        return outcome


def kill_group(pid: int) -> None:
    """Kill a child and what it started."""
    # All have ended; macOS says the latter about those that are not waited for.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def tail(text: str, lines: int) -> str:
    """Return the last lines of a text."""
    return "\n".join(text.rstrip().splitlines()[-lines:])


class Result(unittest.TestResult):
    """Knows the one thing that unittest's own does not keep."""

    succeeded = False

    def addSuccess(self, test: unittest.TestCase) -> None:  # noqa: N802 (unittest's name)
        """Note that it was so."""
        super().addSuccess(test)
        self.succeeded = True

    def told(self) -> dict[str, str]:
        """Return the outcome's fields."""
        for status, problems in (("errored", self.errors), ("failed", self.failures)):
            if problems:
                details = "\n".join(text for _, text in problems)
                return {"status": status, "reason": details.rstrip().rsplit("\n", 1)[-1][:300], "details": details}
        if self.unexpectedSuccesses:
            return {"status": "failed", "reason": "unexpected success"}
        if self.succeeded or self.expectedFailures:
            return {"status": "passed", "reason": ""}
        if self.skipped:
            return {"status": "skipped", "reason": self.skipped[-1][1]}
        return {"status": "errored", "reason": "no result"}


def run_test(child: Child, case: unittest.TestCase) -> None:
    """Run one test in the child's process."""
    # The parent's pipes are not the test's business: it may count descriptors, and what it starts may outlive it.
    output = os.open(child.output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(source, target)
    os.close(output)
    os.close(nothing)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    faulthandler.enable(2)
    home = child.directory / "tmp"
    home.mkdir()
    os.chdir(home)
    os.environ["TMPDIR"] = str(home)
    tempfile.tempdir = None
    warnings.simplefilter("default")
    result = Result()
    unittest.TestSuite([case]).run(result)
    child.result.write_text(json.dumps(result.told()))


def collect(modules: list[str]) -> tuple[dict[str, unittest.TestCase], list[str], list[Outcome]]:
    """Load the tests of the modules: those to run, the duplicates, and the modules that skip themselves."""
    package = importlib.import_module(PACKAGE)
    found: dict[str, unittest.TestCase] = {}
    skipped = []
    for module in sorted(entry.name for entry in pkgutil.iter_modules(package.__path__)):
        if not module.startswith("test_") or (modules and not any(fnmatch(module, wanted) for wanted in modules)):
            continue
        try:
            loaded = importlib.import_module(f"{PACKAGE}.{module}")
        except unittest.SkipTest as skip:
            skipped.append(Outcome(module, "skipped", "not", 0.0, str(skip)))
            continue
        found.update((short(case.id()), case) for case in flat(unittest.defaultTestLoader.loadTestsFromModule(loaded)))
    duplicates = [test for test in found if is_duplicate(test, found)]
    return {test: case for test, case in found.items() if test not in duplicates}, duplicates, skipped


def flat(suite: unittest.TestSuite) -> Iterator[unittest.TestCase]:
    """Yield the tests of a suite and of those in it."""
    for entry in suite:
        if isinstance(entry, unittest.TestSuite):
            yield from flat(entry)
        else:
            yield entry


def short(test: str) -> str:
    """Leave out what all ids begin with."""
    return test.removeprefix(f"{PACKAGE}.")


def is_duplicate(test: str, found: dict[str, unittest.TestCase]) -> bool:
    """Whether the same test is there with a selector that comes first."""
    module, _, rest = test.partition(".")
    name, _, method = rest.partition(".")
    if name not in SELECTORS:
        return False
    return any(f"{module}.{earlier}.{method}" in found for earlier in SELECTORS[: SELECTORS.index(name)])


def threads_of_this_process() -> int:
    """Count threads, also those that Python did not start where the system tells."""
    tasks = Path("/proc/self/task")
    return len(list(tasks.iterdir())) if tasks.is_dir() else threading.active_count()


def options_of_command_line() -> argparse.Namespace:
    """Read what `run.py` wants."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--loop", required=True)
    parser.add_argument("--jobs", type=int, required=True)
    parser.add_argument("--timeout", type=float, required=True)
    parser.add_argument("--scratch", type=Path, required=True)
    parser.add_argument("--module", action="append", default=[])
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument("--ids", type=Path, help="run exactly the tests named in this file")
    return parser.parse_args()


def main() -> int:
    """Serve, or be a child."""
    options = options_of_command_line()
    board = doors.Board(options.jobs)
    try:
        chosen = doors.replace(options.loop, board)
    except doors.NoSuchLoop as missing:
        print(missing, file=sys.stderr)
        return 2
    cases, duplicates, skipped = collect(options.module)
    doors.replace_in_tests()
    ids = options.ids.read_text().split("\n") if options.ids else list(cases)
    ids = [test for test in ids if not options.only or any(fnmatch(test, only) for only in options.only)]
    if threads_of_this_process() != 1:
        print("the parent has threads, so that its children would not be fresh", file=sys.stderr)
        return 2
    system = f"{platform.system()} {platform.machine()}"
    about = {"loop": options.loop, "loop_version": chosen.version, "python": platform.python_version()}
    print(json.dumps({**about, "platform": system, "duplicates": duplicates, "tests": len(ids)}), flush=True)
    for outcome in skipped if not options.only and not options.ids else []:
        print(json.dumps(asdict(outcome)), flush=True)
    gc.collect()
    gc.freeze()
    server = Server(board, options.jobs, options.timeout, options.scratch)
    child: Child | None = None
    try:
        for outcome in server.serve(ids):
            print(json.dumps(asdict(outcome)), flush=True)
    except Forked as forked:
        child = forked.args[0]
    except BaseException:
        for running in server.running:
            kill_group(running.pid)
        raise
    # Not in the handler above: the tests look at `sys.exception()`.
    if child:
        run_test(child, cases[child.id])
    return 0


if __name__ == "__main__":
    sys.exit(main())
