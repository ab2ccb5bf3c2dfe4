"""Deadlines: blocks that end in time, how long is left, and cleaning up that further cancellations do not cut short."""

import asyncio
import contextlib
import heapq
import math
from collections.abc import Awaitable
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Self, TypeVar

from treadle.patterns.waiting import note, settle, task_of

__all__ = ["MoveOnAfter", "Timeout", "finalize", "move_on_after", "remaining", "timeout"]

# Under which name a loop has its deadlines.
ATTRIBUTE = "_treadle_deadlines"

T = TypeVar("T")

# So many entries of blocks that have ended may lie among the others, or as many as those that run.
LEFT_OVER = 256

CREATED, ENTERED, EXPIRING, EXPIRED, EXITED = "created", "active", "expiring", "expired", "finished"


class Deadlines:
    """The deadlines of a loop, under one timer of the loop's, which is set for the first of them.

    Nearly all blocks end in time, so a deadline costs an entry in a heap, and leaving it costs nothing: its entry stays
    until its time has come or until there are too many. A third of what a timer for each costs on asyncio's loop.
    """

    __slots__ = ("_armed", "_count", "_handle", "_heap", "_loop", "running", "time")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Have none."""
        self._loop = loop
        self.time = loop.time
        self._heap: list[tuple[float, int, Timeout]] = []
        self._count = 0
        # When the timer fires; after all times if there is none.
        self._armed = math.inf
        self._handle: asyncio.TimerHandle | None = None
        # Blocks with a deadline that have not ended.
        self.running = 0

    def add(self, when: float, scope: "Timeout") -> None:
        """Call ``scope._expire`` when it is time, unless its deadline is another by then."""
        heap = self._heap
        self._count += 1
        heapq.heappush(heap, (when, self._count, scope))
        if when < self._armed:
            self._arm(when)
        elif len(heap) > LEFT_OVER and len(heap) > 2 * self.running:
            self._heap = [entry for entry in heap if entry[2]._state is ENTERED and entry[2]._when == entry[0]]
            heapq.heapify(self._heap)

    def _arm(self, when: float) -> None:
        if self._handle is not None:
            self._handle.cancel()
        self._armed = when
        self._handle = self._loop.call_at(when, self._ring)

    def _ring(self) -> None:
        now = max(self.time(), self._armed)
        self._armed, self._handle = math.inf, None
        heap = self._heap
        while heap and (heap[0][0] <= now or not heap[0][2]._waits_for(heap[0][0])):
            when, _, scope = heapq.heappop(heap)
            if scope._waits_for(when):
                scope._expire()
        if heap:
            self._arm(heap[0][0])


class Apart(Deadlines):
    """Deadlines that have a timer each, which is gone with the block: where a timer left over would be seen."""

    __slots__ = ()

    def add(self, when: float, scope: "Timeout") -> None:
        """Set a timer."""

        def expire() -> None:
            if scope._waits_for(when):
                scope._expire()

        scope._timer = self._loop.call_at(when, expire)


def deadlines_of(loop: asyncio.AbstractEventLoop) -> Deadlines:
    """Return the deadlines of a loop that has none yet."""
    # A virtual clock jumps to every timer that is left.
    kind = Apart if type(loop).__module__.startswith("treadle.testing") else Deadlines
    deadlines = kind(loop)
    with contextlib.suppress(AttributeError):
        # A loop without a dictionary gets new ones every time, which is right and slow.
        setattr(loop, ATTRIBUTE, deadlines)
    return deadlines


class Timeout:
    """A block that has to end in time; what :func:`timeout` returns. It behaves as :class:`asyncio.Timeout` does."""

    __slots__ = ("_cancelling", "_deadlines", "_outer", "_state", "_task", "_timer", "_when")

    def __init__(self, delay: float | None) -> None:
        """Begin to count; ``delay`` is in seconds."""
        loop = asyncio.get_running_loop()
        try:
            deadlines: Deadlines = loop._treadle_deadlines  # type: ignore[attr-defined]
        except AttributeError:
            deadlines = deadlines_of(loop)
        self._deadlines = deadlines
        self._when = None if delay is None else deadlines.time() + delay
        self._state = CREATED
        # A timer of its own, if it has one.
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
        self._disarm()
        self._when = when
        if when is not None:
            self._deadlines.running += 1
            self._deadlines.add(when, self)

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
        self._task: asyncio.Task[Any] | None = task
        self._cancelling = task.cancelling()
        self._outer = SCOPE.get()
        SCOPE.set(self)
        self._state = ENTERED
        when = self._when
        if when is not None:
            deadlines = self._deadlines
            deadlines.running += 1
            deadlines.add(when, self)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        """End the block.

        Raises:
            TimeoutError: the deadline has passed.

        """
        if self._when is not None:
            self._deadlines.running -= 1
            if self._timer is not None:
                self._timer.cancel()
        # A generator may be closed in another context than it was begun in.
        if SCOPE.get() is self:
            SCOPE.set(self._outer)
        # Its entry may lie around for some time, and is to keep nothing.
        task, self._task = self._task, None
        if self._state is not EXPIRING:
            self._state = EXITED
            return None
        self._state = EXPIRED
        # Whoever else has cancelled the task wants it to end: then the cancellation goes on.
        if task is None or task.uncancel() > self._cancelling or kind is None:
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

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._when is not None:
            self._deadlines.running -= 1

    def _waits_for(self, when: float) -> bool:
        """Return whether this is still the deadline."""
        return self._state is ENTERED and self._when == when

    def _expire(self) -> None:
        self._state = EXPIRING
        if self._task is not None:
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

    It sees :func:`timeout`, :func:`move_on_after` and :class:`treadle.Policy`, in this task and in the tasks that have
    started it; not :func:`asyncio.timeout`. Give it to libraries that take a ``timeout=``.
    """
    scope, tightest = SCOPE.get(), None
    while scope is not None:
        if scope._state is ENTERED or scope._state is EXPIRING:
            left = None if scope._when is None else max(0.0, scope._when - scope._deadlines.time())
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
