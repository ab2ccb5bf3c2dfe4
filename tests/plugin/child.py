"""A suite of tests in a directory of its own, run by a pytest of its own, and the loops that its tests were on."""

import importlib.metadata
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

# Tests of a suite call `note` where they want it known which loop they run on.
WITNESS = """\
import asyncio
import os


def note(what: str = "") -> None:
    test = what or os.environ["PYTEST_CURRENT_TEST"].partition("::")[2].partition(" ")[0]
    loop = type(asyncio.get_running_loop()).__module__.partition(".")[0]
    with open(os.environ["WITNESS"], "a") as file:
        file.write(f"{test} {loop}\\n")
"""

PLUGINS = {point.name for point in importlib.metadata.entry_points(group="pytest11")}


@dataclass(frozen=True)
class Outcome:
    """What came of a suite."""

    status: int
    # Both outputs, without colours.
    text: str
    # Test and loop, in the order of events.
    notes: list[tuple[str, str]]

    def on(self, loop: str) -> set[str]:
        """Return the tests that were on a loop, and on no other."""
        return {test for test, ran in self.notes if ran == loop} - {test for test, ran in self.notes if ran != loop}


@dataclass(frozen=True)
class Suite:
    """A directory with tests in it."""

    path: Path

    @classmethod
    def of(cls, path: Path, tests: str, configuration: str = "", **files: str) -> "Suite":
        """Write a suite with one module of tests; the configuration is the content of its `[pytest]` section."""
        (path / "witness.py").write_text(WITNESS)
        (path / "pytest.ini").write_text(f"[pytest]\n{configuration}\n")
        (path / "test_suite.py").write_text(tests)
        for name, text in files.items():
            (path / f"{name}.py").write_text(text)
        return cls(path)

    def run(
        self,
        *arguments: str,
        status: int = 0,
        plugins: tuple[str, ...] = (),
        program: tuple[str, ...] = ("-m", "pytest"),
    ) -> Outcome:
        """Run it, which is to end with a status of pytest's. Of the plugins installed it has ours and those named."""
        witness = self.path / "witness.txt"
        witness.write_text("")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "PYTHON"))}
        environment |= {"WITNESS": str(witness), "PYTHONPATH": str(self.path), "COLUMNS": "200"}
        others = [f"-pno:{name}" for name in sorted(PLUGINS - {"treadle", *plugins})]
        command = [sys.executable, *program, "-pno:cacheprovider", *others, *arguments]
        done = subprocess.run(
            command,
            cwd=self.path,
            env=environment,
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
        )
        text = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout)
        assert done.returncode == status, text
        lines = [line.split() for line in witness.read_text().splitlines()]
        return Outcome(done.returncode, text, [(test, loop) for test, loop in lines])
