"""Prints the table: ``python -m benches.patterns [--loop treadle] [--count 20000] [--repeat 7] [--only WORDS]``.

All entries of a row take turns, round after round, and a figure is the median of the rounds: processor time of the
process for one, in µs. Memory is the growth of what Python has allocated, at its highest, for a hundred thousand items.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import importlib
import statistics
import sys
import time
import tracemalloc
from typing import TYPE_CHECKING, Any

import treadle

from benches.patterns import bridges, rows

if TYPE_CHECKING:
    from collections.abc import Callable

LOOPS: dict[str, Callable[[], Callable[[], asyncio.AbstractEventLoop]]] = {
    "asyncio": lambda: asyncio.SelectorEventLoop,
    "treadle": lambda: treadle.new_event_loop,
    "uvloop": lambda: importlib.import_module("uvloop").new_event_loop,
}
MEMORY = 100_000


def run(factory: Callable[[], asyncio.AbstractEventLoop], work: rows.Work, count: int) -> float:
    """Return the CPU µs for one."""

    async def main() -> float:
        await work(100)
        gc.collect()
        began = time.process_time()
        await work(count)
        return time.process_time() - began

    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(main()) / count * 1e6


def memory(factory: Callable[[], asyncio.AbstractEventLoop], work: rows.Work) -> float:
    """Return the MiB that a hundred thousand items take at most."""
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(limited(work, 100))
        gc.collect()
        tracemalloc.start()
        runner.run(limited(work, MEMORY))
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return highest / 2**20


async def limited(work: rows.Work, count: int) -> None:
    """Give the runner a coroutine."""
    await work(count)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benches.patterns")
    parser.add_argument("--loop", choices=LOOPS, default="asyncio")
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--only", default="", help="rows with these words")
    options = parser.parse_args()
    factory = LOOPS[options.loop]()
    print(f"Python {sys.version.split()[0]}, {options.loop}'s loop, CPU µs for one, median of {options.repeat}")
    for title, (aim, entries) in rows.ROWS.items():
        if options.only in title:
            print(line(title, aim, measure(factory, entries, options)))
    if options.only in rows.FAN_OUT:
        figures = {by: memory(factory, work) for by, work in rows.ROWS[rows.FAN_OUT][1].items()}
        print(line("fan-out of 100,000 items, MiB", 4, figures))
    bridges.table(factory, options.repeat, options.only)


def measure(factory: Any, entries: dict[str, rows.Work], options: argparse.Namespace) -> dict[str, float]:
    """Return the medians of a row's entries, those of libraries that are there."""
    taken: dict[str, list[float]] = {}
    for _ in range(options.repeat):
        for by, work in entries.items():
            try:
                taken.setdefault(by, []).append(run(factory, work, options.count))
            except ImportError as error:
                print(f"  {by}: {error}", file=sys.stderr)
    return {by: statistics.median(figures) for by, figures in taken.items() if figures}


def line(title: str, aim: float | None, figures: dict[str, float]) -> str:
    """Return one line of the table."""
    goal = "" if aim is None else f"aim {aim:g}"
    return f"{title:<44}{goal:>8}  " + "  ".join(f"{by} {figure:.2f}" for by, figure in figures.items())


if __name__ == "__main__":
    main()
