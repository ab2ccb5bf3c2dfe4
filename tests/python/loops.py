"""The loops a test of the loop runs on, and what tests need to look at a loop from outside.

The same test runs on asyncio, uvloop where it is installed, and treadle; if asyncio fails it, the test is wrong. A test
of what another loop cannot do says so: ``@not_on("uvloop", reason="…")``.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import importlib
import os
import types
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from treadle.loop import EventLoop

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator

Result = TypeVar("Result")


def factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Return what makes a loop, by the name of the loop."""
    found: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.SelectorEventLoop}
    with contextlib.suppress(ImportError):
        found["uvloop"] = importlib.import_module("uvloop").new_event_loop
    found["treadle"] = EventLoop
    return found


def not_on(*loops: str, reason: str) -> pytest.MarkDecorator:
    """Skip a test on these loops, and say why."""
    return pytest.mark.not_on(*loops, reason=reason)


def run(new_loop: Callable[[], asyncio.AbstractEventLoop], main: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine on a new loop and close that."""
    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(main)


def open_descriptors() -> set[int]:
    """Return the open descriptors of this process."""
    found = set()
    for descriptor in range(256):
        with contextlib.suppress(OSError):
            os.fstat(descriptor)
            found.add(descriptor)
    return found


def has_children() -> bool:
    """Return whether this process has children, alive or not yet reaped."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT | os.WNOHANG)
    except ChildProcessError:
        return False
    return True


async def until(condition: Callable[[], bool]) -> None:
    """Turn the loop until something holds, which it soon does."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 -- nothing tells us.
            await asyncio.sleep(0)


async def cancelled_at(coroutine: Coroutine[Any, Any, Result], *steps: int) -> Result:
    """Await a coroutine, and cancel the task when it suspends for the given times, counted from 0."""
    task = asyncio.current_task()
    assert task is not None

    def cancel(step: int) -> None:
        if step in steps:
            task.cancel()

    return await at_each_step(coroutine, cancel)


@types.coroutine
def at_each_step(coroutine: Coroutine[Any, Any, Result], act: Callable[[int], object]) -> Generator[Any, Any, Result]:
    """Await a coroutine, and do something each time it suspends, counted from 0."""
    step = 0
    resume = functools.partial(coroutine.send, None)
    while True:
        try:
            awaited = resume()
        except StopIteration as end:
            result: Result = end.value
            return result
        act(step)
        step += 1
        try:
            yield awaited
        except BaseException as exception:  # noqa: BLE001 -- the coroutine's business.
            resume = functools.partial(coroutine.throw, exception)
        else:
            resume = functools.partial(coroutine.send, None)
