"""Deadlines: blocks that end in time, how long is left, and cleaning up that further cancellations do not cut short."""

import asyncio
from collections.abc import Awaitable
from contextvars import ContextVar
from types import TracebackType
from typing import Self, TypeVar

from treadle.patterns.waiting import note, settle, task_of

__all__ = ["MoveOnAfter", "Timeout", "finalize", "move_on_after", "remaining", "timeout"]

T = TypeVar("T")

CREATED, ENTERED, EXPIRING, EXPIRED, EXITED = "created", "active", "expiring", "expired", "finished"


class Timeout:
    """A block that has to end in time; what :func:`timeout` returns. It behaves as :class:`asyncio.Timeout` does."""

    __slots__ = ("_cancelling", "_loop", "_outer", "_state", "_task", "_timer", "_when")

    def __init__(self, delay: float | None) -> None:
        """Begin to count; ``delay`` is in seconds."""
        loop = asyncio.get_running_loop()
        self._loop = loop
        self._when = None if delay is None else loop.time() + delay
        self._state = CREATED
        self._timer: asyncio.TimerHandle | asyncio.Handle | None = None

    def __repr__(self) -> str:
        """Return the state and the deadline."""
        when = "" if self._when is None else f" when={self._when:.3f}"
        return f"<{type(self).__name__} [{self._state}]{when}>"

    def when(self) -> float | None:
        """Return the deadline on the loop's clock, or None."""
        return self._when

    def expired(self) -> bool:
        """Return whether the deadline has passed before the block has ended."""
        return self._state is EXPIRING or self._state is EXPIRED

    def reschedule(self, when: float | None) -> None:
        """Set another deadline on the loop's clock, or none.

        Raises:
            RuntimeError: the block has not begun, has ended, or has expired.

        """
        if self._state is not ENTERED:
            what = "has not been entered" if self._state is CREATED else f"is {self._state}"
            raise RuntimeError(f"the deadline cannot be changed: the timeout {what}")
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._when = when
        if when is not None:
            self._arm(when)

    async def __aenter__(self) -> Self:
        """Begin the block.

        Raises:
            RuntimeError: there is no task, or the object has been used before.

        """
        if self._state is not CREATED:
            raise RuntimeError("a timeout is for one block; make another")
        task = asyncio.current_task()
        if task is None:
            task = task_of("a timeout")
        self._task = task
        self._cancelling = task.cancelling()
        self._outer = SCOPE.get()
        SCOPE.set(self)
        self._state = ENTERED
        when = self._when
        if when is not None:
            self._arm(when)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        """End the block.

        Raises:
            TimeoutError: the deadline has passed.

        """
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        # A generator may be closed in another context than it was begun in.
        if SCOPE.get() is self:
            SCOPE.set(self._outer)
        if self._state is not EXPIRING:
            self._state = EXITED
            return None
        self._state = EXPIRED
        # Whoever else has cancelled the task wants it to end: then the cancellation goes on.
        if self._task.uncancel() > self._cancelling or kind is None:
            return None
        return self._end(kind, error)

    def _end(self, kind: type[BaseException], error: BaseException | None) -> bool | None:
        """Say in time's own words why the block was cancelled."""
        if issubclass(kind, asyncio.CancelledError):
            raise TimeoutError from error
        if error is not None:
            explain(error)
            if isinstance(error, BaseExceptionGroup):
                for one in error.exceptions:
                    explain(one)
        return None

    def _arm(self, when: float) -> None:
        if when <= self._loop.time():
            self._timer = self._loop.call_soon(self._expire)
        else:
            self._timer = self._loop.call_at(when, self._expire)

    def _expire(self) -> None:
        self._timer = None
        self._state = EXPIRING
        self._task.cancel()


class MoveOnAfter(Timeout):
    """A block that is left when its time is over; what :func:`move_on_after` returns."""

    __slots__ = ()

    def _end(self, kind: type[BaseException], error: BaseException | None) -> bool | None:  # noqa: ARG002
        return issubclass(kind, asyncio.CancelledError)


# The innermost deadline of the code that runs; those around it hang on to it.
SCOPE: ContextVar[Timeout | None] = ContextVar("treadle deadline", default=None)


def explain(error: BaseException) -> None:
    """Put a TimeoutError between an error and the cancellation it came from."""
    while error.__context__ is not None:
        if isinstance(error.__context__, asyncio.CancelledError):
            cause = TimeoutError()
            cause.__context__ = cause.__cause__ = error.__context__
            error.__context__ = cause
            return
        error = error.__context__


def timeout(delay: float | None) -> Timeout:
    """Give a block so much time: ``async with treadle.timeout(5): …``.

    The same as :func:`asyncio.timeout`, with ``when()``, ``reschedule()`` and ``expired()``, and known to
    :func:`remaining`.

    Args:
        delay: seconds from now; None for no deadline, 0 or less to cancel at the first ``await`` that waits.

    Raises:
        TimeoutError: from the end of the block, if it has been cancelled because its time was over.
        RuntimeError: no loop or task runs, or the object is used twice.

    """
    return Timeout(delay)


def move_on_after(delay: float | None) -> MoveOnAfter:
    """Give a block so much time, and go on behind it when that is over: ``expired()`` says which it was.

    Args:
        delay: seconds from now; None for no deadline.

    Raises:
        RuntimeError: no loop or task runs, or the object is used twice.

    """
    return MoveOnAfter(delay)


def remaining() -> float | None:
    """Return the seconds until the tightest deadline around this code: 0 if it has passed, None without one.

    It sees :func:`timeout`, :func:`move_on_after` and :class:`treadle.Policy`, in this task and in those by which it was
    started; not :func:`asyncio.timeout`. Give it to libraries that take a ``timeout=``.
    """
    scope, tightest = SCOPE.get(), None
    while scope is not None:
        if scope._state is ENTERED or scope._state is EXPIRING:
            left = None if scope._when is None else max(0.0, scope._when - scope._loop.time())
            if left is not None and (tightest is None or left < tightest):
                tightest = left
        scope = scope._outer
    return tightest


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
