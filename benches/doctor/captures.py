"""Looks at the stack of a loop's thread thousands of times a second while everything in it changes, and counts.

    python benches/doctor/captures.py --seconds 60

A look that fails is counted; one that crashes ends the process, which is what this is for. What changes: recursion,
generators that are left in the middle, exceptions, tasks, threads that begin and end, code objects that are made and
thrown away, and the garbage collector.
"""

import argparse
import asyncio
import contextlib
import gc
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import treadle
from treadle import _native
from treadle.doctor import watching


def recurse(depth: int) -> int:
    """Go deep."""
    return depth if depth == 0 else recurse(depth - 1) + 1


def numbers(count: int) -> Iterator[int]:
    """Yield from generators in generators."""
    if count:
        yield count
        yield from numbers(count - 1)


def fail(depth: int) -> None:
    """Raise from below."""
    if depth == 0:
        raise LookupError
    try:
        fail(depth - 1)
    finally:
        depth += 1


def renew() -> Any:
    """Run code that is thrown away at once."""
    names: dict[str, Any] = {}
    exec(compile("def f(a):\n    return [g(a) for g in (abs, str)]\n\n\nb = f(1)", "<again>", "exec"), names)  # noqa: S102
    return names["b"]


async def steps(count: int) -> None:
    """Switch tasks."""
    for _ in range(count):
        await asyncio.sleep(0)


async def work(stop: threading.Event) -> None:
    """Do all of it, again and again."""
    while not stop.is_set():
        recurse(200)
        next(numbers(30), None)
        sum(numbers(30))
        with contextlib.suppress(LookupError):
            fail(20)
        renew()
        sorted(range(200), key=lambda number: -number)
        await asyncio.gather(*(steps(20) for _ in range(20)))
        gc.collect(1)
        await asyncio.to_thread(recurse, 50)
        thread = threading.Thread(target=recurse, args=(50,))
        thread.start()
        thread.join()


def look(arguments: argparse.Namespace, number: int, report: Callable[[tuple[int, int, int, int]], None]) -> None:
    """Capture, in a thread of its own."""
    paths = watching._PYTHON, watching._INNER
    report(_native.capture(*paths, number, arguments.rate, arguments.seconds))


async def main(arguments: argparse.Namespace) -> None:
    """Work while somebody looks, then say how often that was."""
    stop, reports = threading.Event(), list[tuple[int, int, int, int]]()
    number = threading.get_native_id()
    looking = threading.Thread(target=look, args=(arguments, number, reports.append))
    looking.start()
    working = asyncio.create_task(work(stop))
    while looking.is_alive():  # noqa: ASYNC110 - a thread has no event
        await asyncio.sleep(0.1)
    stop.set()
    await working
    seen, unseen, calls, took = reports[0]
    version = ".".join(map(str, sys.version_info[:3]))
    each = took / max(1, seen + unseen) / 1000
    depth = calls / max(1, seen)
    print(f"Python {version}: {seen:,} captures of {depth:.1f} calls, {each:.1f} µs each; {unseen:,} failed")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rate", type=float, default=10_000, help="captures a second")
    treadle.watch(output="silent", settings=False)
    treadle.run(main(parser.parse_args()))
