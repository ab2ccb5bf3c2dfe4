"""The checker's speed beside ruff's rules for asyncio, and its time against size.

Prints two tables. The first has medians of interleaved runs: ruff's ``ASYNC`` rules and ``RUF006`` look at one file at
a time, treadle at the whole program, so the ratio says what reading everything costs. The second has time and memory
against the number of lines; a column of microseconds per line that does not grow with size is a checker without a
quadratic step.

Both programs run without a cache but for the last two columns, on two processors where the system allows it. Those say
what a run takes after one file has got another function: a file somewhere (``warm``), and the one that most others
import (``hub``).
"""

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests" / "packages"))

import packages  # noqa: E402

PROCESSORS = 2


@dataclass(frozen=True)
class Measure:
    """One run of a command."""

    wall: float
    """Seconds from start to end."""
    cpu: float
    """Processor seconds, user and system."""
    memory: int
    """Largest resident set, in MB."""


@dataclass(frozen=True)
class Row:
    """A package and what was measured on it."""

    name: str
    files: int
    lines: int
    ruff: Measure
    treadle: Measure
    warm: Measure
    hub: Measure


def pin() -> None:
    """Restrict this process and those it starts to as many processors as the figures are for."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:PROCESSORS])


def measured(command: list[str], directory: Path) -> Measure:
    """Run a command and return what it took.

    Raises:
        RuntimeError: the command could not work.
    """
    started = time.perf_counter()
    child = subprocess.Popen(command, cwd=directory, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    errors = child.stderr.read() if child.stderr else ""
    _, status, usage = os.wait4(child.pid, 0)
    wall = time.perf_counter() - started
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode not in {0, 1}:
        raise RuntimeError(f"{' '.join(command)}: {errors}")
    unit = 1 if sys.platform == "darwin" else 1024
    return Measure(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * unit // 1_000_000)


def median(runs: list[Measure]) -> Measure:
    """Return the median of each figure."""
    return Measure(
        statistics.median(run.wall for run in runs),
        statistics.median(run.cpu for run in runs),
        int(statistics.median(run.memory for run in runs)),
    )


def size(directory: Path) -> tuple[int, int]:
    """Return how many Python files and lines a directory has."""
    files = list(directory.rglob("*.py"))
    return len(files), sum(path.read_bytes().count(b"\n") for path in files)


CHANGE = "\n\nasync def added_by_the_benchmark():\n    import time\n    time.sleep(1)\n"


def most_imported(files: list[Path], root: Path) -> Path:
    """Return the module that most files import by its full name, or the largest file where none do."""
    counts: Counter[str] = Counter()
    for path in files:
        text = path.read_text(errors="replace")
        counts.update({match[1] for match in re.finditer(r"^\s*(?:from|import)\s+([\w.]+)", text, re.MULTILINE)})
    by_size = sorted(files, key=lambda path: path.stat().st_size)

    def rank(path: Path) -> int:
        parts = path.relative_to(root).with_suffix("").parts
        return counts[".".join(parts[:-1] if parts[-1] == "__init__" else parts)]

    return max(reversed(by_size), key=rank)


def warm(treadle: str, directory: Path, rounds: int) -> tuple[Measure, Measure]:
    """Return what a run takes with a cache when one file has got a new function since the run before.

    First the median over files from all over the program, then that of the file most others import.
    """
    with tempfile.TemporaryDirectory() as temporary:
        copy = Path(temporary) / "program"
        shutil.copytree(directory, copy)
        command = [treadle, "check", ".", "--isolated", "--exit-zero", "--quiet", "--cache-dir", f"{temporary}/cache"]
        measured(command, copy)
        files = sorted(copy.rglob("*.py"))
        saved = Path(temporary) / "saved"
        shutil.copytree(f"{temporary}/cache", saved)

        def changed(path: Path) -> Measure:
            # Every run goes on from the same snapshot, and finds one file changed.
            shutil.rmtree(f"{temporary}/cache")
            shutil.copytree(saved, f"{temporary}/cache")
            before = path.stat()
            text = path.read_bytes()
            path.write_bytes(text + CHANGE.encode())
            taken = measured(command, copy)
            path.write_bytes(text)
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
            return taken

        spread = [files[len(files) * (2 * number + 1) // (4 * rounds)] for number in range(2 * rounds)]
        hub = most_imported(files, copy)
        return median([changed(path) for path in spread]), median([changed(hub) for _ in range(rounds)])


def beside_ruff(rows: list[Row]) -> None:
    """Print time and memory beside ruff's."""
    columns = ("lines", "ruff s", "cpu s", "treadle s", "cpu s", "ratio", "MB", "warm s", "hub s")
    print(f"{'package':<20}" + "".join(f"{column:>10}" for column in columns))
    for row in rows:
        ruff, treadle = row.ruff, row.treadle
        seconds = (ruff.wall, ruff.cpu, treadle.wall, treadle.cpu)
        print(
            f"{row.name:<20}{row.lines:>10}"
            + "".join(f"{figure:>10.2f}" for figure in seconds)
            + f"{treadle.wall / ruff.wall:>10.1f}{treadle.memory:>10}{row.warm.wall:>10.2f}{row.hub.wall:>10.2f}"
        )


def against_size(rows: list[Row]) -> None:
    """Print what a line costs, by the size of the program."""
    print(
        f"{'package':<20}{'files':>7}{'lines':>9}{'treadle s':>11}{'µs/line':>9}{'cpu µs/line':>13}{'bytes/line':>12}"
    )
    for row in sorted(rows, key=lambda row: row.lines):
        treadle = row.treadle
        wall, cpu = treadle.wall / row.lines * 1e6, treadle.cpu / row.lines * 1e6
        memory = treadle.memory * 1_000_000 // row.lines
        print(f"{row.name:<20}{row.files:>7}{row.lines:>9}{treadle.wall:>11.2f}{wall:>9.2f}{cpu:>13.2f}{memory:>12}")


def main() -> int:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--treadle", default="treadle", help="the program to measure")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each command (default 5)")
    parser.add_argument("names", nargs="*", default=list(packages.PACKAGES), help="packages; all when none is given")
    options = parser.parse_args()
    pin()
    treadle = str(Path(options.treadle).resolve()) if Path(options.treadle).exists() else options.treadle
    ruff = str(Path(sys.executable).parent / "ruff")
    check = [treadle, "check", ".", "--isolated", "--exit-zero", "--quiet", "--no-cache"]
    lint = [
        ruff,
        "check",
        ".",
        "--isolated",
        "--exit-zero",
        "--quiet",
        "--no-cache",
        "--preview",
        "--select",
        "ASYNC,RUF006",
    ]
    rows: list[Row] = []
    for name in options.names:
        directory = packages.source_of(name)
        files, lines = size(directory)
        ours: list[Measure] = []
        theirs: list[Measure] = []
        for _ in range(options.rounds):
            theirs.append(measured(lint, directory))
            ours.append(measured(check, directory))
        rows.append(Row(name, files, lines, median(theirs), median(ours), *warm(treadle, directory, options.rounds)))
    print(f"{PROCESSORS} processors, medians of {options.rounds} interleaved runs\n")
    beside_ruff(rows)
    print()
    against_size(rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
