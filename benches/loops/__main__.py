"""Compares event loops, interleaved, in one table.

Each row is measured on one loop after the other, each time in fresh processes, and then again; a ratio is the median of
the ratios to uvloop within each round, larger is better. CPU is that of the process under test. "limit" is a server on
bare epoll in the loop's place.
"""

import argparse
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from benches.loops import backends
from benches.loops.processes import ROOT, FailedError
from benches.loops.processors import Processors, placed
from benches.loops.rows import ROWS, Row, chosen
from benches.loops.sample import Bench, Sample
from benches.loops.table import Result, Table

LOAD = ROOT / "target" / "release" / "treadle-load"


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benches.loops", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="one short round: under a minute, good to a tenth or two")
    parser.add_argument("--only", nargs="+", default=[], metavar="ROW", help="rows whose name contains one of these")
    parser.add_argument("--loops", default=",".join(backends.NAMES), help="which loops, with commas between")
    parser.add_argument("--repeat", type=int, help="rounds (5, quick 1)")
    parser.add_argument("--seconds", type=float, help="for each measurement (0.5, quick 0.1)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every single figure there")
    parser.add_argument("--markdown", action="store_true", help="print the table for a page")
    parser.add_argument("--list", action="store_true", help="print the names of the rows")
    options = parser.parse_args()
    options.repeat = options.repeat or (1 if options.quick else 5)
    options.seconds = options.seconds or (0.1 if options.quick else 0.5)
    return options


def main() -> int:
    """Measure and print."""
    options = arguments()
    if options.list:
        print("\n".join(f"{row.name:<18}{row.title}" for row in ROWS))
        return 0
    try:
        rows = chosen(options.only)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    if not sys.platform.startswith("linux"):
        print("these benchmarks read clocks and memory as Linux gives them", file=sys.stderr)
        return 2
    if not LOAD.exists():
        subprocess.run(["cargo", "build", "--release", "--quiet", "--package", "treadle-load"], cwd=ROOT, check=True)
    loops = present(options.loops.split(","))
    processors = Processors.here()
    with tempfile.TemporaryDirectory(prefix="treadle-benches-") as folder, placed(processors.others):
        warm = min(0.1, options.seconds / 3)
        bench = Bench(str(LOAD), options.seconds, warm, processors, Path(folder))
        results = compare(bench, rows, loops, options)
    if options.json:
        options.json.write_text(json.dumps(report(results, loops), indent=1) + "\n", encoding="utf-8")
    return 0


def present(names: list[str]) -> list[str]:
    """Return the loops that can be made, and say which cannot."""
    probed = [backends.probe(name) for name in names]
    here = ", ".join(f"{loop.name} {loop.version}" for loop in probed if not loop.absent)
    print(f"Python {platform.python_version()}, {os.cpu_count()} processors; {here}")
    for loop in probed:
        if loop.absent:
            print(f"without {loop.name}: {loop.absent}")
    return [loop.name for loop in probed if not loop.absent]


def compare(bench: Bench, rows: list[Row], loops: list[str], options: argparse.Namespace) -> list[Result]:
    """Measure row by row and print each as soon as it is complete."""
    table = Table(loops, markdown=options.markdown)
    print(f"medians of {options.repeat} interleaved rounds of {options.seconds:g} s\n\n{table.head()}")
    began = time.perf_counter()
    results: list[Result] = []
    failures: list[str] = []
    for row in rows:
        if missing := lacking(row):
            failures.append(f"{row.name}: {missing} is not installed")
            continue
        result = measured(bench, row, [*loops, backends.LIMIT], options.repeat, failures)
        results.append(result)
        print(table.row(result), flush=True)
    print(f"\n{time.perf_counter() - began:.0f} s")
    print("\n".join(failures))
    return results


def measured(bench: Bench, row: Row, loops: list[str], repeat: int, failures: list[str]) -> Result:
    """Go round the loops; who fails once is left out, so that rounds stay pairs."""
    samples: dict[str, list[Sample]] = {loop: [] for loop in loops}
    for _ in range(repeat):
        for loop in list(samples):
            try:
                sample = bench.sample(row, loop)
            except FailedError as error:
                failures.append(f"{row.name}, {loop}: {error}")
                sample = None
            if sample is None:
                del samples[loop]
            else:
                samples[loop].append(sample)
    return Result(row, samples)


def lacking(row: Row) -> str | None:
    """Return the package that a row needs and that is not here."""
    needed: tuple[str, ...] = ()
    if row.name == "uvicorn":
        needed = ("uvicorn", "httptools")
    elif row.name.startswith("aiohttp"):
        needed = ("aiohttp",)
    for package in needed:
        try:
            importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            return package
    return None


def report(results: list[Result], loops: list[str]) -> dict[str, object]:
    """Return everything that was measured."""
    return {
        "python": platform.python_version(),
        "loops": {name: backends.probe(name).version for name in loops},
        "rows": [
            {
                "name": result.row.name,
                "unit": result.row.unit,
                "floor": result.row.floor,
                "ratio": {loop: result.ratio(loop) for loop in result.samples},
                "ratio_by_cpu": {loop: result.ratio_by_cpu(loop) for loop in result.samples},
                "samples": {loop: [asdict(sample) for sample in runs] for loop, runs in result.samples.items()},
            }
            for result in results
        ],
    }


if __name__ == "__main__":
    sys.exit(main())
