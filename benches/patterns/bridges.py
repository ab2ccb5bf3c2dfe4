"""Threads, processes and files beside others: ``python -m benches.patterns.bridges [--loop treadle] [--repeat 7]``.

All entries of a row take turns, round after round, and a figure is the median of the rounds: processor time for one, in
µs, of this process and its children. Wall time stands beside it.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import multiprocessing
import os
import statistics
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import treadle

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Work = Callable[[int], Awaitable[None]]
    # Title, what is aimed at, how often in a round, and who does it how.
    Row = tuple[str, float, int, dict[str, Work]]

LOOPS: dict[str, Callable[[], Callable[[], asyncio.AbstractEventLoop]]] = {
    "asyncio": lambda: asyncio.SelectorEventLoop,
    "treadle": lambda: treadle.new_event_loop,
    "uvloop": lambda: importlib.import_module("uvloop").new_event_loop,
}


def identity(thing: object) -> object:
    """Do nothing."""
    return thing


def callers(offload: Callable[..., Awaitable[object]], number: int) -> Work:
    """Return so many callers that call one after the other."""

    async def work(count: int) -> None:
        async def call() -> None:
            for index in range(count // number):
                await offload(identity, index)

        await asyncio.gather(*(call() for _ in range(number)))

    return work


def again(call: Callable[[], Awaitable[object]]) -> Work:
    """Return what calls one after the other."""

    async def work(count: int) -> None:
        for _ in range(count):
            await call()

    return work


def thread_rows() -> list[Row]:
    """Return the rows of threads."""
    return [
        (
            f"thread offload, {number} caller{'s'[: number > 1]}",
            aim,
            count,
            {"treadle": callers(treadle.to_thread, number), "asyncio.to_thread": callers(asyncio.to_thread, number)},
        )
        for number, aim, count in ((64, 4, 6400), (1, 30, 2000))
    ]


def process_rows(ours: treadle.ProcessPool, theirs: ProcessPoolExecutor) -> list[Row]:
    """Return the rows of processes."""
    data = os.urandom(1 << 20)

    async def other() -> None:
        await asyncio.get_running_loop().run_in_executor(theirs, len, data)

    return [
        (
            "process offload, 1 MiB argument",
            60,
            100,
            {
                "treadle": again(lambda: treadle.to_executor(ours, len, data)),
                "treadle, a view": again(lambda: treadle.to_executor(ours, len, memoryview(data))),
                "ProcessPoolExecutor": again(other),
            },
        )
    ]


def file_rows(directory: Path) -> list[Row]:  # noqa: C901 - a table
    """Return the rows of files."""
    small, large = directory / "small", directory / "large"
    small.write_bytes(os.urandom(4096))
    lines = 20_000
    large.write_text("".join(f"line {number} has a few words in it\n" for number in range(lines)), encoding="ascii")

    async def iterate(count: int) -> None:
        for _ in range(count // lines):
            async for _line in treadle.files.lines(large):
                pass

    async def iterate_open(count: int) -> None:
        for _ in range(count // lines):
            async with treadle.files.open(large, "rb") as file:
                async for _line in file:
                    pass

    reads: dict[str, Work] = {
        "treadle": again(lambda: treadle.files.read_bytes(small)),
        "to_thread(read_bytes)": again(lambda: asyncio.to_thread(small.read_bytes)),
    }
    iterations: dict[str, Work] = {"treadle lines()": iterate, "treadle open(), bytes": iterate_open}
    try:
        aiofiles: Any = importlib.import_module("aiofiles")
    except ImportError:
        print("aiofiles is not installed: left out")
    else:

        async def read() -> None:
            async with aiofiles.open(small, "rb") as file:
                await file.read()

        async def iterate_theirs(count: int) -> None:
            # A tenth of them, for it takes long.
            async with aiofiles.open(large) as file:
                for _ in range(count // 10):
                    await file.readline()

        reads["aiofiles"] = again(read)
        iterations["aiofiles"] = iterate_theirs
    return [
        ("a line of a file", 0.3, lines, iterations),
        ("read a cached file of 4 KiB", 6, 500, reads),
    ]


def processor_time(pids: list[int]) -> float:
    """Return the seconds that this process and its children have computed."""
    children = 0.0
    for pid in pids:
        children += int(Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[0]) / 1e9
    return time.process_time() + children


def run(factory: Callable[[], asyncio.AbstractEventLoop], work: Work, count: int, pids: list[int]) -> list[float]:
    """Return µs of processor and of wall time for one."""

    async def main() -> list[float]:
        began, at = processor_time(pids), time.perf_counter()
        await work(count)
        return [processor_time(pids) - began, time.perf_counter() - at]

    with asyncio.Runner(loop_factory=factory) as runner:
        return [seconds / count * 1e6 for seconds in runner.run(main())]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--loop", choices=LOOPS, default="treadle")
    parser.add_argument("--repeat", type=int, default=7)
    options = parser.parse_args()
    factory = LOOPS[options.loop]()
    context = multiprocessing.get_context("forkserver")
    with (
        tempfile.TemporaryDirectory(dir=Path(__file__).parent) as directory,
        treadle.ProcessPool(1) as ours,
        ProcessPoolExecutor(1, mp_context=context) as theirs,
    ):
        pids = [ours.submit(os.getpid).result(), theirs.submit(os.getpid).result()]
        print(f"{'µs for one':34}{'by':26}{'processor':>10}{'wall':>10}{'aim':>8}")
        for title, aim, count, entries in (
            *thread_rows(),
            *process_rows(ours, theirs),
            *file_rows(Path(directory)),
        ):
            figures: dict[str, list[list[float]]] = {by: [] for by in entries}
            for turn in range(options.repeat + 1):
                for by, work in entries.items():
                    figure = run(factory, work, count, pids)
                    if by == "aiofiles" and title.startswith("a line"):
                        figure = [value * 10 for value in figure]
                    # The first round warms up.
                    if turn:
                        figures[by].append(figure)
            for by, found in figures.items():
                processor, wall = (statistics.median(column) for column in zip(*found, strict=True))
                said = f"{aim:8g}" if by.startswith("treadle") else ""
                print(f"{title:34}{by:26}{processor:10.2f}{wall:10.2f}{said}")


if __name__ == "__main__":
    main()
