"""Processes that talk in lines, and what can be read of them from outside."""

import json
import os
import resource
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benches.loops.processors import placed

ROOT = Path(__file__).resolve().parent.parent.parent
PATIENCE = 30.0
"""Seconds after which a process that should have answered is killed."""


class FailedError(Exception):
    """The loop, or something that the row needs, cannot do it; the reason in one line."""


class Process:
    """A started process whose lines are awaited."""

    def __init__(self, command: list[str]) -> None:
        """Start it."""
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=os.environ | {"RUST_BACKTRACE": "0"},
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        # Whoever waits for a line wakes up when this has killed the process.
        self._patience = threading.Timer(PATIENCE, self.process.kill)
        self._patience.daemon = True
        self._patience.start()

    def text(self) -> str:
        """Return the next line.

        Raises:
            FailedError: there is none; the last line of what was complained of says why.
        """
        assert self.process.stdout
        line = self.process.stdout.readline()
        if line:
            return line.strip()
        # A timer that still waits has not been the end of the process.
        if not self._patience.is_alive():
            raise FailedError(f"no answer within {PATIENCE:.0f} s")
        assert self.process.stderr
        complaint = self.process.stderr.read().strip().splitlines()
        raise FailedError(complaint[-1] if complaint else f"ended with {self.process.wait()} and said nothing")

    def line(self) -> Any:
        """Return the next line's JSON."""
        return json.loads(self.text())

    def expect(self, word: str) -> None:
        """Wait for a line that is this word."""
        found = self.text()
        if found != word:
            raise FailedError(f"`{found}` where `{word}` was due")

    def tell(self) -> None:
        """Send an empty line, for which it waits."""
        assert self.process.stdin
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def processor_seconds(self) -> float:
        """Return its processor time until now, all threads, to the nanosecond."""
        # What `clock_getcpuclockid` computes: the process in the upper bits, its scheduler's clock in the lower.
        return time.clock_gettime((~self.process.pid << 3) | 2)

    def resident(self) -> int:
        """Return its resident memory in bytes."""
        statm = Path(f"/proc/{self.process.pid}/statm").read_text(encoding="ascii")
        return int(statm.split()[1]) * resource.getpagesize()

    def end(self) -> None:
        """Kill it, which is how servers and idle clients end here."""
        self._patience.cancel()
        self.process.kill()
        self.process.communicate()


@contextmanager
def running(command: list[str], processors: frozenset[int]) -> Iterator[Process]:
    """Start a process on these processors, and end it."""
    with placed(processors):
        process = Process(command)
    try:
        yield process
    finally:
        process.end()
