"""Items in lists: :func:`batched` cuts a stream into them, :class:`Batcher` makes one call out of many."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Sequence
from contextvars import copy_context
from types import TracebackType
from typing import Any, Generic, TypeVar

from treadle.patterns.driving import drive
from treadle.patterns.waiting import Bound, settle

__all__ = ["Batched", "Batcher", "batched"]

T = TypeVar("T")
R = TypeVar("R")


def batched(source: AsyncIterable[T], size: int, *, max_wait: float | None = None) -> "Batched[T]":
    """Cut a stream into lists of ``size`` items; the last may be shorter.

    Iterate over it, best inside ``async with``, which closes the source::

        async with treadle.batched(rows, 100, max_wait=0.5) as batches:
            async for batch in batches:
                await insert(batch)

    An error of the source comes after the items before it. Whoever is cancelled while waiting for a list can ask again,
    and gets all items.

    Args:
        source: an asynchronous iterable.
        size: items in a list, 1 or more.
        max_wait: seconds after the first item until a list is given that is not full; None to wait for all. With it,
            the source runs in a task of its own, up to ``size`` items ahead.

    Raises:
        ValueError: ``size`` is less than 1, or ``max_wait`` negative.

    """
    if size < 1:
        raise ValueError(f"a batch has 1 item or more, not {size!r}")
    if max_wait is not None and max_wait < 0:
        raise ValueError(f"max_wait= is in seconds, not {max_wait!r}")
    return Batched(source, size, max_wait)


class Batched(Generic[T]):
    """Lists of items; what :func:`batched` returns."""

    def __init__(self, source: AsyncIterable[T], size: int, max_wait: float | None) -> None:
        """Begin nothing yet; see :func:`batched`."""
        self._pump = Pump(aiter(source), size)
        self._size = size
        self._max_wait = max_wait
        self._reading = False

    def __aiter__(self) -> "Batched[T]":
        """Return itself."""
        return self

    async def __aenter__(self) -> "Batched[T]":
        """Return itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the source."""
        await self.aclose()

    def __del__(self) -> None:
        """Stop the task that reads the source, if there is one and nobody has closed this."""
        task = self._pump.task
        if task is not None and not task.done():
            # The loop may be closed, or run in another thread.
            with contextlib.suppress(RuntimeError):
                task.get_loop().call_soon_threadsafe(task.cancel)

    async def __anext__(self) -> list[T]:
        """Return the next list."""
        if self._reading:
            raise RuntimeError("two tasks iterate over one stream of batches")
        self._reading = True
        try:
            if self._max_wait is None:
                await self._pump.fill()
            else:
                await self._pump.fill_within(self._max_wait)
        finally:
            self._reading = False
        return self._pump.take()

    async def aclose(self) -> None:
        """Stop, and close the source if it can be closed. Nothing is lost that anybody has got."""
        await self._pump.close()


class Pump(Generic[T]):
    """Reads a source ahead. Knows nothing of who asks, so that it does not keep them."""

    def __init__(self, source: AsyncIterator[T], size: int) -> None:
        """Read nothing yet."""
        self.task: asyncio.Task[None] | None = None
        self._source = source
        self._size = size
        self._items: list[T] = []
        self._error: BaseException | None = None
        self._ended = False
        # Wakes whoever waits for items, or the pump, which waits for room.
        self._news: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None

    async def fill(self) -> None:
        """Read until a list is full, in the caller's task."""
        while not self._ended and len(self._items) < self._size:
            await self._read()

    async def fill_within(self, max_wait: float) -> None:
        """Wait until a list is full, or has something and its time is over."""
        loop = asyncio.get_running_loop()
        if self.task is None and not self._ended:
            self.task = loop.create_task(self._run(), name="batched")
        until: float | None = None
        while not self._ended and len(self._items) < self._size:
            if self._items and until is None:
                until = loop.time() + max_wait
            if until is not None and until <= loop.time():
                return
            news = self._news = loop.create_future()
            timer = None if until is None else loop.call_at(until, wake, news)
            try:
                await news
            finally:
                if timer is not None:
                    timer.cancel()

    def take(self) -> list[T]:
        """Return what there is: a list, the end, or the error at the end."""
        batch, self._items = self._items[: self._size], self._items[self._size :]
        wake(self._room)
        if batch:
            return batch
        error, self._error = self._error, None
        if error is not None:
            raise error
        raise StopAsyncIteration

    async def close(self) -> None:
        """End the task, and close the source."""
        self._ended = True
        cancelled = None
        if self.task is not None:
            self.task.cancel()
            cancelled = await settle([self.task])
        # Does nothing if the task has done it.
        await self._close_source()
        if cancelled is not None:
            raise cancelled
        if self.task is not None and not self.task.cancelled():
            self.task.result()

    async def _close_source(self) -> None:
        source: Any = self._source
        if hasattr(source, "aclose"):
            await source.aclose()

    async def _run(self) -> None:
        try:
            while not self._ended:
                await self._read()
                wake(self._news)
                while len(self._items) >= self._size:
                    self._room = asyncio.get_running_loop().create_future()
                    await self._room
        finally:
            self._ended = True
            wake(self._news)
            # In the task that has read it, whose context it knows.
            await self._close_source()

    async def _read(self) -> None:
        try:
            item = await anext(self._source)
            self._items.append(item)
        except StopAsyncIteration:
            self._ended = True
        except asyncio.CancelledError:
            # A source that is no generator can be asked again.
            raise
        except BaseException as error:
            self._ended, self._error = True, error
            if not isinstance(error, Exception):
                raise


def wake(waiter: "asyncio.Future[None] | None") -> None:
    """Wake who waits, if somebody does."""
    if waiter is not None and not waiter.done():
        waiter.set_result(None)


class Batcher(Bound, Generic[T, R]):
    """One call for the items of many callers: what GraphQL servers call a data loader.

    ::

        async def load(ids: list[int]) -> list[User]: ...  # one query

        users = treadle.Batcher(load, max_size=100, limit=2)
        user = await users(17)  # in many tasks

    A call begins when ``max_size`` items are there, or ``max_wait`` after the first. A caller that is cancelled before
    takes its item along; a call that nobody waits for any more is cancelled.
    """

    def __init__(
        self,
        fn: Callable[[list[T]], Awaitable[Sequence[R]]],
        *,
        max_size: int,
        limit: int,
        max_wait: float = 0.002,
        name: str | None = None,
    ) -> None:
        """Make a batcher.

        Args:
            fn: called with a list of items; gives as many results, in their order. It runs in a task of its own, in a
                copy of the context in which the batcher was made.
            max_size: items in a call, 1 or more.
            limit: calls that run at the same time, 1 or more; further items wait and fill the next ones.
            max_wait: seconds that the first item waits for others.
            name: what messages, tasks and statistics call it.

        Raises:
            ValueError: a number is too small.

        """
        if max_size < 1 or limit < 1 or max_wait < 0:
            raise ValueError("max_size= and limit= are 1 or more, max_wait= is in seconds")
        super().__init__(name)
        self._fn = fn
        self._max_size = max_size
        self._max_wait = max_wait
        self._limit = limit
        self._context = copy_context()
        self._waiting: deque[tuple[T, asyncio.Future[R]]] = deque()
        self._due = False
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._calls = self._items = 0

    def stats(self) -> dict[str, Any]:
        """Return ``limit`` of calls, those ``in_use``, items ``waiting``; ``calls`` and their ``items`` in all."""
        return {
            "kind": "Batcher",
            "name": self.name,
            "limit": self._limit,
            "in_use": len(self._tasks),
            "waiting": len(self._waiting),
            "calls": self._calls,
            "items": self._items,
            "max_size": self._max_size,
        }

    async def __call__(self, item: T) -> R:
        """Return the result for one item.

        Raises:
            Exception: what the call with this item has raised; every caller of that call gets it.
            ValueError: the call has given another number of results than it was given items.
            RuntimeError: the batcher is bound to another event loop.

        """
        loop = self._bind()
        waiter: asyncio.Future[R] = loop.create_future()
        self._waiting.append((item, waiter))
        self._look()
        return await waiter

    def _bound(self, loop: asyncio.AbstractEventLoop) -> None:  # noqa: ARG002 - all loops alike
        self._waiting.clear()
        self._tasks.clear()
        self._due, self._timer = False, None

    def _look(self) -> None:
        """Begin the calls that are due, and set the timer for the next."""
        while self._waiting and (self._due or len(self._waiting) >= self._max_size):
            if len(self._tasks) >= self._limit:
                return
            self._begin()
        if self._waiting and self._timer is None and self._loop is not None:
            self._timer = self._loop.call_later(self._max_wait, self._ring)

    def _ring(self) -> None:
        self._timer = None
        self._due = True
        self._look()

    def _begin(self) -> None:
        batch: list[tuple[T, asyncio.Future[R]]] = []
        while self._waiting and len(batch) < self._max_size:
            entry = self._waiting.popleft()
            if not entry[1].done():
                batch.append(entry)
        self._due = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not batch or self._loop is None:
            return
        self._calls += 1
        self._items += len(batch)
        task = self._loop.create_task(self._call(batch), name=f"{self.name or 'batch'} {self._calls}")
        self._tasks.add(task)
        interested = len(batch)

        def lose_interest(waiter: "asyncio.Future[R]") -> None:
            nonlocal interested
            interested -= 1
            if not interested and waiter.cancelled():
                task.cancel()

        def end(task: "asyncio.Task[None]") -> None:
            self._tasks.discard(task)
            for _, waiter in batch:
                # The task was cancelled from outside, perhaps before it ran.
                waiter.cancel()
            self._look()

        for _, waiter in batch:
            waiter.add_done_callback(lose_interest)
        task.add_done_callback(end)

    async def _call(self, batch: "list[tuple[T, asyncio.Future[R]]]") -> None:
        items = [item for item, _ in batch]
        try:
            results = await drive(self._fn(items), self._context.copy())
            if len(results) != len(items):
                raise ValueError(f"{self!r} has got {len(results)} results for {len(items)} items")  # noqa: TRY301
        except Exception as error:  # noqa: BLE001 - it is the callers'
            for _, waiter in batch:
                if not waiter.done():
                    waiter.set_exception(error)
        else:
            for (_, waiter), result in zip(batch, results, strict=True):
                if not waiter.done():
                    waiter.set_result(result)
