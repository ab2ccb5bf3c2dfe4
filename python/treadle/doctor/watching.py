"""Starting and ending the doctor."""

import asyncio
import atexit
import json
import os
from collections.abc import Callable
from contextvars import Context
from typing import Any

from treadle import _native
from treadle.doctor import puts, tales, waits

__all__ = ["findings", "finish", "snapshot", "watch"]

# asyncio's package and ours: what they do, they do for somebody else.
_INNER = [os.path.dirname(asyncio.__file__), os.path.dirname(os.path.dirname(__file__))]  # noqa: PTH120
_PYTHON = os.path.dirname(os.__file__)  # noqa: PTH120


class _Stage:
    """A loop that never runs: futures and a task are made on it to see what they look like inside."""

    def __init__(self) -> None:
        self.scheduled: list[Callable[..., Any]] = []

    def get_debug(self) -> bool:
        """Return False: no tracebacks are wanted."""
        return False

    def call_soon(self, callback: Callable[..., Any], *_arguments: object, context: Context | None = None) -> None:  # noqa: ARG002
        """Keep a callback."""
        self.scheduled.append(callback)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Say nothing."""


async def _nothing() -> None:
    pass


def _examples(stage: Any) -> list[Any]:
    """Return a pending, a cancelled and a finished future, a new task and the callback by which it begins."""
    pending, cancelled, finished = (asyncio.Future[None](loop=stage) for _ in range(3))
    cancelled.cancel()
    finished.set_result(None)
    task = asyncio.Task(_nothing(), loop=stage, name="example")
    first_step = stage.scheduled.pop()
    # It runs to its end, so that nobody complains of it. From Python 3.14 on only the running loop's tasks do.
    running = asyncio._get_running_loop()
    asyncio._set_running_loop(stage)
    try:
        first_step()
    finally:
        asyncio._set_running_loop(running)
    return [pending, cancelled, finished, task, first_step]


def watch(*, output: str = "text", file: int = 2, blocked: float = 0.1) -> None:
    """Begin to watch this process, until it ends.

    Args:
        output: ``"text"`` for people, ``"json"`` for programs (an object on a line for each finding, and one at the end),
            ``"silent"`` for those who ask :func:`findings`.
        file: the descriptor that is written to; standard error by default.
        blocked: from how many seconds on a callback blocks the loop; 0.1 as in asyncio's debug mode.

    Raises:
        RuntimeError: the process is watched already.
        ValueError: there is no such output.

    """
    stage, suspended = _Stage(), waits.Examples()
    try:
        known = waits.knowledge(stage, suspended)
        _native.watch(_examples(stage), known, _PYTHON, _INNER, output=output, out=file, blocked=blocked)
    finally:
        suspended.close()
    tales.listen()
    running = asyncio._get_running_loop()
    if hasattr(running, "_look_for_recorder"):
        running._look_for_recorder()
    atexit.register(finish)


def findings() -> list[dict[str, Any]]:
    """Return what was found up to now, in the order in which it was first seen, as ``output="json"`` writes it."""
    return [json.loads(found) for found in _native.found()]


def snapshot() -> dict[str, Any] | None:
    """Return what the tasks of this process are doing, and what they were last seen waiting for.

    A task is looked at when it has made no step for half a second. Nothing is returned if the process is not watched.
    """
    shown = _native.snapshot()
    return None if shown is None else json.loads(shown)


def finish() -> int:
    """Have the doctor say all there is to say and end; the program's end does this by itself.

    Returns:
        How many findings there are; 0 if nothing is watched.

    """
    atexit.unregister(finish)
    tales.stop_listening()
    puts.stop()
    return _native.finish()
