"""The coroutines of a task, from the outermost to the one that waits."""

import asyncio
import gc
from collections.abc import Iterator
from types import AsyncGeneratorType, CoroutineType, FrameType, GeneratorType
from typing import Any

from treadle.doctor import places

DEPTH = 200


def suspended(task: "asyncio.Task[Any]") -> Iterator[Any]:
    """Yield what a task is suspended in, from its own coroutine to the innermost."""
    inner: Any = task.get_coro()
    for _ in range(DEPTH):
        if isinstance(inner, CoroutineType):
            yield inner
            inner = inner.cr_await
        elif isinstance(inner, GeneratorType):
            yield inner
            inner = inner.gi_yieldfrom
        elif isinstance(inner, AsyncGeneratorType):
            yield inner
            inner = inner.ag_await
        elif type(inner).__name__ in {"async_generator_asend", "async_generator_athrow"}:
            inner = next((other for other in gc.get_referents(inner) if isinstance(other, AsyncGeneratorType)), None)
        else:
            return


def frame_of(inner: Any) -> FrameType | None:
    """Return the frame of one of them."""
    if isinstance(inner, CoroutineType):
        return inner.cr_frame
    if isinstance(inner, GeneratorType):
        return inner.gi_frame
    return inner.ag_frame  # type: ignore[no-any-return]


def is_handling_cancel(task: "asyncio.Task[Any]") -> bool:
    """Return whether a task has a cancellation in hand: it is in a handler or ``finally``, or has put it aside."""
    return any(
        isinstance(other, asyncio.CancelledError) for inner in suspended(task) for other in gc.get_referents(inner)
    )


def parked(task: "asyncio.Task[Any]") -> places.Place | None:
    """Return the innermost line of the program in which a task waits."""
    found = None
    for inner in suspended(task):
        frame = frame_of(inner)
        if frame is not None and places.owner(frame.f_code.co_filename) is None:
            found = places.of_code(frame.f_code, frame.f_lineno or 0)
    return found


def is_held_by_frames(thing: object, tasks: "set[asyncio.Task[Any]]", most: int = 1000) -> bool:
    """Return whether a task that waits has an object in a variable, or in a list in one; also if they are too many."""
    if len(tasks) > most:
        return True
    for task in tasks:
        for inner in suspended(task):
            for local in gc.get_referents(inner):
                if local is thing:
                    return True
                if isinstance(local, (list, tuple, set, frozenset, dict)) and len(local) <= most:
                    held = local.values() if isinstance(local, dict) else local
                    if any(one is thing for one in held):
                        return True
    return False
