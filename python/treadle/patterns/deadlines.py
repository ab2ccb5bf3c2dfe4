"""Deadlines: blocks that end in time, how long is left, and cleaning up that further cancellations do not cut short.

The blocks are native; what becomes of the exception of one whose time is over is told here.
"""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from treadle.patterns.native import MoveOnAfter, Timeout, move_on_after, remaining, timeout
from treadle.patterns.waiting import note, settle

__all__ = ["MoveOnAfter", "Timeout", "finalize", "move_on_after", "over", "remaining", "timeout"]

T = TypeVar("T")


def over(moves_on: bool, kind: type[BaseException], error: BaseException | None) -> bool | None:  # noqa: FBT001
    """Say in time's own words why a block was cancelled; called natively at the end of one whose deadline has passed.

    Args:
        moves_on: whether the program goes on behind the block.
        kind: the class of the exception that ends the block.
        error: the exception.

    Returns:
        Whether the exception is dealt with.

    Raises:
        TimeoutError: it is the cancellation.

    """
    if moves_on:
        return issubclass(kind, asyncio.CancelledError)
    if issubclass(kind, asyncio.CancelledError):
        raise TimeoutError from error
    if error is not None:
        explain(error)
        if isinstance(error, BaseExceptionGroup):
            for one in error.exceptions:
                explain(one)
    return None


def explain(error: BaseException) -> None:
    """Put a TimeoutError between an error and the cancellation it came from."""
    while error.__context__ is not None:
        if isinstance(error.__context__, asyncio.CancelledError):
            cause = TimeoutError()
            cause.__context__ = cause.__cause__ = error.__context__
            error.__context__ = cause
            return
        error = error.__context__


async def finalize(aw: Awaitable[T], *, within: float) -> T:
    """Await what cleans up, to its end, however often the calling task is cancelled meanwhile.

    It runs in a task of its own. A cancellation that came meanwhile is raised when it is over, never lost; what the
    cleaning up has raised then stands in its notes and is its cause.

    Args:
        aw: what to await, ``connection.close()`` for one.
        within: seconds until it is cancelled all the same.

    Returns:
        What ``aw`` returns.

    Raises:
        TimeoutError: it was not done in time, and has been cancelled.
        asyncio.CancelledError: the calling task was cancelled meanwhile.

    """
    task = asyncio.ensure_future(aw)
    if task.get_loop() is not asyncio.get_running_loop():
        raise RuntimeError("what is to be finalized belongs to another event loop")
    late = False

    def expire() -> None:
        nonlocal late
        late = task.cancel()

    timer = asyncio.get_running_loop().call_later(within, expire)
    try:
        cancelled = await settle([task])
    finally:
        timer.cancel()
        # Only what closes this coroutine itself gets here before the task is done.
        task.cancel()
    error: BaseException | None
    if task.cancelled():
        error = TimeoutError(f"not done within {within:g} s") if late else asyncio.CancelledError()
    else:
        error = task.exception()
    if cancelled is not None:
        if error is not None:
            cancelled.add_note(note(error, "cleaning up failed"))
        raise cancelled from error
    if error is not None:
        raise error
    return task.result()
