"""Runs a suite on a loop: pytest in a process of its own, watched from here, and another when that ends early.

A test that takes too long gets SIGABRT, on which the interpreter prints all its stacks; it counts as hung, and the
tests after it run in a new process. One in which the process ends otherwise has crashed.
"""

import contextlib
import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import servers
from environment import Environment
from outcome import Outcome
from suites import Suite, expression

# Seconds to collect the tests, to end when they have run, and to print the stacks when told to.
COLLECTION = 120.0
ENDING = 30.0
GRACE = 3.0
# A suite that takes the interpreter down with it all the time is given up.
MOST_PROCESSES = 60
# The processes that run, each with a group of its own.
GROUPS: set[int] = set()


@dataclass
class Run:
    """What came of a suite on a loop."""

    outcomes: list[Outcome] = field(default_factory=list)
    # Loops made, by kind.
    made: dict[str, int] = field(default_factory=dict)


class Session:
    """One suite on one loop."""

    def __init__(self, suite: Suite, environment: Environment, loop: str, *, quick: bool) -> None:
        """Nothing runs yet."""
        self.suite = suite
        self.environment = environment
        self.loop = loop
        self.quick = quick

    def run(self, only: list[str] | None = None) -> Run:
        """Run all tests, or those that are named.

        Raises:
            servers.Missing: the suite's server is not installed.

        """
        # Short, because the paths of Unix sockets are.
        with tempfile.TemporaryDirectory(prefix="tf", ignore_cleanup_errors=True) as directory:
            scratch = Path(directory)
            with servers.running(self.suite.server, scratch) as filling:
                return self.processes(scratch, filling, only)

    def processes(self, scratch: Path, filling: dict[str, str], only: list[str] | None) -> Run:
        """Start pytest until every test has run."""
        run = Run()
        tally = scratch / "tally"
        tally.mkdir(mode=0o777)
        for count in range(MOST_PROCESSES):
            place = scratch / str(count)
            place.mkdir()
            process = Process(self, place, self.settings(place, tally, filling, run.outcomes, only), filling)
            run.outcomes += process.outcomes()
            if process.finished or not process.test:
                break
        run.made = {file.name: file.stat().st_size for file in sorted(tally.iterdir())}
        return run

    def settings(
        self, place: Path, tally: Path, filling: dict[str, str], done: list[Outcome], only: list[str] | None
    ) -> dict[str, str]:
        """Return the environment of a process."""
        settings = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PG"))}
        settings |= {name: value.format(**filling) for name, value in self.suite.environment}
        temporary = place / "t"
        temporary.mkdir(mode=0o777)
        temporary.chmod(0o777)
        (place / "done").write_text("\n".join(outcome.id for outcome in done))
        (place / "without").write_text("\n".join(expression(pattern) for pattern, _ in self.suite.without))
        settings |= {
            "TMPDIR": str(temporary),
            "PYTHONFAULTHANDLER": "1",
            "TREADLE_FOREIGN_LOOP": self.loop,
            "TREADLE_FOREIGN_PATH": str(self.environment.loops.get(self.loop, "")),
            "TREADLE_FOREIGN_DOORS": self.suite.doors,
            "TREADLE_FOREIGN_TALLY": str(tally),
            "TREADLE_FOREIGN_RECORD": str(place / "record"),
            "TREADLE_FOREIGN_DONE": str(place / "done"),
            "TREADLE_FOREIGN_WITHOUT": str(place / "without"),
        }
        if only is not None:
            (place / "only").write_text("\n".join(only))
            settings["TREADLE_FOREIGN_ONLY"] = str(place / "only")
        return settings


class Process:
    """One process of pytest."""

    def __init__(self, session: Session, place: Path, settings: dict[str, str], filling: dict[str, str]) -> None:
        """Nothing runs yet."""
        self.session = session
        self.place = place
        # Kept, for whoever looks for the cause of something.
        outputs = session.environment.source.parent / "outputs"
        outputs.mkdir(exist_ok=True)
        again = "-again" if "TREADLE_FOREIGN_ONLY" in settings else ""
        self.output = outputs / f"{session.loop}{again}-{place.name}.txt"
        self.settings = settings
        self.filling = filling
        self.finished = False
        self.test = ""
        self.deadline = time.monotonic() + COLLECTION

    def outcomes(self) -> Iterator[Outcome]:
        """Run it; the outcomes come as the tests end."""
        suite = self.session.suite
        chosen = suite.quick if self.session.quick else suite.arguments
        command = [str(self.session.environment.python), "-m", "pytest", "-q", "--rootdir", "."]
        command += ["-p", "foreign_record", "-p", "no:cacheprovider", "--continue-on-collection-errors"]
        command += [argument.format(**self.filling) for argument in chosen]
        with self.output.open("wb") as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=self.settings,
                cwd=self.session.environment.source,
                start_new_session=True,
            )
            GROUPS.add(process.pid)
            try:
                yield from self.watched(process)
            finally:
                kill_group(process.pid)
                process.wait()
                GROUPS.discard(process.pid)

    def watched(self, process: subprocess.Popen[bytes]) -> Iterator[Outcome]:
        """Follow the record while the process runs."""
        record = self.place / "record"
        record.touch()
        with record.open() as lines:
            hung = False
            begun = ""
            while True:
                code = process.poll()
                *whole, begun = (begun + lines.read()).split("\n")
                yield from (outcome for line in whole for outcome in self.read(json.loads(line)))
                if code is not None:
                    break
                if time.monotonic() > self.deadline:
                    hung = True
                    stop(process)
                time.sleep(0.02)
        if self.test or not self.finished:
            yield self.interrupted(code, hung=hung)
        elif hung:
            yield Outcome("the end of the session", "hung", "not", ENDING, "no end after the last test", self.tail())

    def read(self, said: dict[str, Any]) -> Iterator[Outcome]:
        """Take in one line of the record."""
        event = said.pop("event")
        self.deadline = time.monotonic() + self.session.suite.timeout
        if event == "start":
            self.test = said["id"]
        elif event == "end":
            self.test = ""
            yield Outcome(**{"loop": "not", "seconds": 0.0, **said})
        elif event == "finished":
            self.finished = True
            self.deadline = time.monotonic() + ENDING

    def interrupted(self, code: int, *, hung: bool) -> Outcome:
        """Return what is to be said of the test that the process did not survive."""
        seconds = self.session.suite.timeout if hung else 0.0
        test = self.test or "the session"
        if hung:
            return Outcome(test, "hung", "made", seconds, f"no end after {seconds:.0f} s", self.tail())
        reason = signal.Signals(-code).name if code < 0 else f"exit status {code}"
        return Outcome(test, "crashed", "made", seconds, reason, self.tail())

    def tail(self) -> str:
        """Return the end of what the process printed."""
        lines = self.output.read_text(errors="replace").rstrip().splitlines()
        return "\n".join(lines[-120:])


def stop(process: subprocess.Popen[bytes]) -> None:
    """Have a process print its stacks and end."""
    process.send_signal(signal.SIGABRT)
    try:
        process.wait(GRACE)
    except subprocess.TimeoutExpired:
        kill_group(process.pid)
        process.wait()


def kill_group(pid: int) -> None:
    """Kill a process and what it started."""
    # All have ended; macOS says the latter about those that are not waited for.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def give_up(number: int, _frame: object) -> None:
    """Handle a signal that ends the runner: what it has started ends too."""
    for pid in [*GROUPS, *servers.PROCESSES]:
        kill_group(pid)
    os._exit(128 + number)
