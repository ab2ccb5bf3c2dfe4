"""Threads, processes and files beside others: the second half of ``python -m benches.patterns``.

All entries of a row take turns, round after round, and a figure is the median of the rounds: processor time for one, in
µs, of this process and its children. Wall time stands beside it, and of processes what of the first the child has used.
"""

from __future__ import annotations

import asyncio
import importlib
import math
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


async def answer(thing: object) -> object:
    """Do nothing, and not wait for it."""
    return thing


def from_thread(call: Callable[[Callable[..., Awaitable[object]]], Callable[..., object]]) -> Work:
    """Return what calls a coroutine function from a thread, one call after the other."""

    async def work(count: int) -> None:
        def calls() -> None:
            function = call(answer)
            for index in range(count):
                function(index)

        await asyncio.to_thread(calls)

    return work


def thread_rows() -> list[Row]:
    """Return the rows of threads."""
    ways: dict[str, Callable[..., Awaitable[object]]] = {
        "treadle": treadle.to_thread,
        "asyncio.to_thread": asyncio.to_thread,
    }
    back = {"treadle": from_thread(treadle.async_to_sync)}
    try:
        anyio: Any = importlib.import_module("anyio")
        asgiref: Any = importlib.import_module("asgiref.sync")
    except ImportError:
        print("anyio or asgiref is not installed: left out")
    else:
        ways["anyio"] = anyio.to_thread.run_sync
        ways["asgiref"] = asgiref.sync_to_async(identity, thread_sensitive=False)
        back["asgiref"] = from_thread(asgiref.async_to_sync)
    rows: list[Row] = []
    for number, aim, count in ((64, 4, 6400), (1, 30, 2000)):
        # What asgiref has made is the function already.
        works = {by: callers(way if by != "asgiref" else second(way), number) for by, way in ways.items()}
        rows.append((f"thread offload, {number} caller{'s'[: number > 1]}", aim, count, works))
    return [*rows, ("a call from a thread to the loop", math.nan, 500, back)]


def second(function: Callable[[object], Awaitable[object]]) -> Callable[..., Awaitable[object]]:
    """Return what leaves the first of two arguments out."""
    return lambda _, thing: function(thing)


def process_rows(ours: treadle.ProcessPool, theirs: ProcessPoolExecutor) -> list[Row]:
    """Return the rows of processes."""
    data = os.urandom(1 << 20)

    async def other() -> None:
        await asyncio.get_running_loop().run_in_executor(theirs, len, data)

    async def small() -> None:
        await asyncio.get_running_loop().run_in_executor(theirs, abs, -1)

    return [
        (
            "process offload, a small argument",
            math.nan,
            100,
            {"treadle": again(lambda: treadle.to_executor(ours, abs, -1)), "ProcessPoolExecutor": again(small)},
        ),
        (
            "process offload, 1 MiB argument",
            60,
            100,
            {
                "treadle": again(lambda: treadle.to_executor(ours, len, data)),
                "treadle, a view": again(lambda: treadle.to_executor(ours, len, memoryview(data))),
                "ProcessPoolExecutor": again(other),
            },
        ),
    ]


def file_rows(directory: Path) -> list[Row]:  # noqa: C901 - a table
    """Return the rows of files."""
    small, large = directory / "small", directory / "large"
    small.write_bytes(os.urandom(4096))
    text = directory / "text"
    text.write_text("four thousand characters of text; " * 120, encoding="ascii")
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
        "treadle, text": again(lambda: treadle.files.read_text(text, "utf-8")),
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
    """Return the seconds that processes have computed."""
    return sum(int(Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[0]) / 1e9 for pid in pids)


def run(factory: Callable[[], asyncio.AbstractEventLoop], work: Work, count: int, pids: list[int]) -> list[float]:
    """Return µs of processor, here and in children, and of wall time, for one."""

    async def main() -> list[float]:
        children, here, at = processor_time(pids), time.process_time(), time.perf_counter()
        await work(count)
        return [processor_time(pids) - children, time.process_time() - here, time.perf_counter() - at]

    with asyncio.Runner(loop_factory=factory) as runner:
        children, here, wall = (seconds / count * 1e6 for seconds in runner.run(main()))
    return [here + children, children, wall]


def table(factory: Callable[[], asyncio.AbstractEventLoop], repeat: int, only: str) -> None:
    """Measure and print the rows with these words."""
    context = multiprocessing.get_context("forkserver")
    with (
        tempfile.TemporaryDirectory(dir=Path(__file__).parent) as directory,
        treadle.ProcessPool(1) as ours,
        ProcessPoolExecutor(1, mp_context=context) as theirs,
    ):
        pids = [ours.submit(os.getpid).result(), theirs.submit(os.getpid).result()]
        print(f"{'µs for one':34}{'by':26}{'processor':>10}{'child':>10}{'wall':>10}{'aim':>8}")
        for title, aim, count, entries in (*thread_rows(), *process_rows(ours, theirs), *file_rows(Path(directory))):
            if only not in title:
                continue
            for by, figures in measure(factory, title, entries, count, repeat, pids).items():
                processor, child, wall = (statistics.median(column) for column in zip(*figures, strict=True))
                said = f"{aim:8g}" if by.startswith("treadle") and not math.isnan(aim) else ""
                print(f"{title:34}{by:26}{processor:10.2f}{child:10.2f}{wall:10.2f}{said}")


def measure(  # noqa: PLR0913, PLR0917 - called in one place
    factory: Callable[[], asyncio.AbstractEventLoop],
    title: str,
    entries: dict[str, Work],
    count: int,
    repeat: int,
    pids: list[int],
) -> dict[str, list[list[float]]]:
    """Return the figures of a row's entries, round by round."""
    taken: dict[str, list[list[float]]] = {by: [] for by in entries}
    for turn in range(repeat + 1):
        for by, work in entries.items():
            figure = run(factory, work, count, pids)
            if by == "aiofiles" and title.startswith("a line"):
                figure = [value * 10 for value in figure]
            # The first round warms up.
            if turn:
                taken[by].append(figure)
    return taken
