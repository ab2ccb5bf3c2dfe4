"""Programs under the doctor, each in a process of its own."""

import json
import os
import subprocess
import sys
import sysconfig
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# The same without a doctor.
PLAIN = """
import runpy, sys, treadle, warnings
with warnings.catch_warnings(action="ignore"):
    treadle.install()
sys.argv[:] = sys.argv[2:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""

# The doctor's words go to a file; what piles up does so within a second.
WATCHED = """
import runpy, sys, treadle.doctor, warnings
with warnings.catch_warnings(action="ignore"):
    treadle.install()
with open(sys.argv[1], "wb", 0) as words:
    treadle.doctor.watch(output="json", to=words.fileno(), thresholds={"window": "100ms"}, settings=False)
sys.argv[:] = sys.argv[2:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


TREADLE = str(Path(sysconfig.get_path("scripts")) / "treadle")


def start(*options: str) -> "subprocess.Popen[str]":
    """Start ``lasting.py``, which prints when it runs, under treadle, and return when it does."""
    process = subprocess.Popen(
        [TREADLE, "run", *options, "lasting.py"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "here\n"
    return process


def child_of(process: "subprocess.Popen[str]") -> int:
    """Return the number of the program that treadle waits for."""
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(process.pid)], check=True, capture_output=True, text=True)
    return int(found.stdout)


@dataclass(frozen=True)
class Watched:
    """What became of a program, and what the doctor has found in it."""

    found: list[dict[str, Any]]
    returncode: int
    out: str
    err: str

    def of(self, name: str) -> list[tuple[int, str]]:
        """Return the lines and messages of the findings of one pitfall."""
        return [(one["line"], one["message"]) for one in self.found if one["name"] == name]


def run(program: str, directory: Path, *options: str, watched: bool = True) -> Watched:
    """Run a program; `import asyncio` stands before it, so that its first line is the second."""
    (directory / "app.py").write_text("import asyncio\n" + textwrap.dedent(program).lstrip("\n"))
    command = [sys.executable, *options, "-c", WATCHED if watched else PLAIN, "words", "app.py"]
    environment = {**os.environ, "PYTHONWARNINGS": ""}
    ended = subprocess.run(
        command, cwd=directory, capture_output=True, text=True, timeout=60, check=False, env=environment
    )
    found: list[dict[str, Any]] = []
    if watched:
        found = json.loads((directory / "words").read_text().splitlines()[-1])["findings"]
    return Watched(found, ended.returncode, ended.stdout, ended.stderr)
