"""Many calls, only so many at once: :func:`amap` and :func:`gather`.

``limit`` worker tasks take items from one iterator, when they are ready for the next. So a million items cost the
memory of their results, and whoever streams them that of ``2 * limit``.
"""

import asyncio
import operator
import warnings
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Generator, Iterable
from contextvars import copy_context
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from treadle.patterns.driving import drive
from treadle.patterns.registry import register
from treadle.patterns.waiting import note_all

if TYPE_CHECKING:
    from treadle.patterns.policies import Policy

__all__ = ["Results", "amap", "gather"]

T = TypeVar("T")
R = TypeVar("R")

WORDS = "another call failed too"


def amap(  # noqa: PLR0913 - what can be said by name
    fn: Callable[[T], Awaitable[R]],
    items: Iterable[T] | AsyncIterable[T],
    /,
    *,
    limit: int,
    ordered: bool = True,
    return_exceptions: bool = False,
    policy: "Policy | None" = None,
    task_per_item: bool = False,
    name: str | None = None,
) -> "Results[R]":
    """Call ``fn`` with each item, at most ``limit`` calls at once.

    Await it for the list of results, or stream them::

        pages = await treadle.amap(fetch, urls, limit=10)

        async with treadle.amap(fetch, urls, limit=10) as pages:
            async for page in pages:
                ...

    Items are taken when a call can begin. An asynchronous generator is closed at the end. If a call fails, no other
    begins, those that run are cancelled and awaited, and its exception is raised as it is; what fails after it stands
    in its notes. In a stream, results that were ready come before it.

    Args:
        fn: called with one item; what it returns is awaited.
        items: an iterable or an asynchronous one; it may be endless if the results are streamed.
        limit: calls that run at the same time, 1 or more.
        ordered: give results in the order of the items; otherwise as they come.
        return_exceptions: give exceptions as results, in the place of the item's, instead of stopping at the first.
        policy: what each call goes through.
        task_per_item: give each call a task of its own, for code that uses ``current_task()`` as a key. Without it, a
            call has a context of its own, as in a task, but shares its task with the calls before it. With it, an item
            costs three times as much.
        name: what tasks and statistics are called.

    Raises:
        ValueError: ``limit`` is less than 1.

    """
    if limit < 1:
        raise ValueError(f"1 call or more runs at once, not {limit!r}")
    if policy is not None:
        fn = policy(fn)
    return Results(fn, items, limit, (ordered, return_exceptions, task_per_item), name)


async def gather(*aws: Awaitable[T], limit: int | None = None, return_exceptions: bool = False) -> list[T]:
    """Await all, and return their results in order: :func:`asyncio.gather` that leaves nothing running.

    If one fails, or the caller is cancelled, the others are cancelled and awaited. Coroutines that never began are
    closed.

    Args:
        aws: coroutines, tasks, futures. One that is given twice is awaited once.
        limit: how many of them are awaited at the same time; None for all. Tasks run anyway.
        return_exceptions: return exceptions as results instead of stopping at the first.

    Raises:
        ValueError: ``limit`` is less than 1.
        Exception: what the first that fails has raised.

    """
    if limit is not None and limit < 1:
        raise ValueError(f"1 or more is awaited at once, not {limit!r}")
    distinct = {id(aw): aw for aw in aws}
    begun: set[int] = set()

    def begin(aw: Awaitable[T]) -> Awaitable[T]:
        begun.add(id(aw))
        return aw

    if not distinct:
        return []
    results: Results[T] = Results(
        begin, list(distinct.values()), limit or len(distinct), (True, return_exceptions, False), None
    )
    try:
        found = dict(zip(distinct, await results, strict=True))
    finally:
        left = [aw for key, aw in distinct.items() if key not in begun]
        if left:
            await abandon(left)
    return [found[id(aw)] for aw in aws]


async def abandon(left: list[Any]) -> None:
    """Close coroutines that have not begun, and cancel what runs already."""
    for aw in left:
        if asyncio.isfuture(aw):
            aw.cancel()
        elif hasattr(aw, "close"):
            aw.close()
    futures = [aw for aw in left if asyncio.isfuture(aw)]
    if futures:
        await asyncio.wait(futures)


class Results(Generic[R]):
    """What :func:`amap` returns: await it for a list, or ``async with`` it for a stream. Either once."""

    def __init__(
        self,
        fn: Callable[[Any], Awaitable[R]],
        items: Iterable[Any] | AsyncIterable[Any],
        limit: int,
        choices: tuple[bool, bool, bool],
        name: str | None,
    ) -> None:
        """Begin nothing yet; see :func:`amap`."""
        self.name = name
        self._fn = fn
        self._items: Any = items
        self._limit = limit
        self._ordered, self._return_exceptions, self._task_per_item = choices
        self._begun = False
        self._stopped = False
        self._error: BaseException | None = None
        self._more: list[BaseException] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._workers = 0
        # Who waits for workers, for results, or for their end.
        self._waiter: asyncio.Future[None] | None = None
        self._list: list[Any] = []
        self._stream: Stream[R] | None = None
        self._started = 0
        self._finished = 0
        register(self)

    def __repr__(self) -> str:
        """Return what is called, and how far it is."""
        return f"<{type(self).__name__} {self._name()} started={self._started} finished={self._finished}>"

    def __del__(self) -> None:
        """Complain if it was never awaited, as coroutines do."""
        if not self._begun:
            warnings.warn(f"amap of {self._name()} was never awaited", RuntimeWarning, source=self, stacklevel=2)

    def __await__(self) -> Generator[Any, None, list[R]]:
        """Call it with all items, and give the list of results."""
        return self._collect().__await__()

    async def __aenter__(self) -> AsyncIterator[R]:
        """Begin, and give what iterates over the results."""
        self._begin()
        self._stream = Stream(self, ordered=self._ordered, room=2 * self._limit)
        self._hire()
        return self._stream

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Cancel and await what still runs; raise what nobody has seen."""
        self._stop()
        cancelled = await self._end()
        unseen = [one for one in (self._error, *self._more) if one is not None]
        told = self._stream is not None and self._stream.told
        if cancelled is not None and error is None:
            note_all(cancelled, unseen, "a call failed")
            raise cancelled
        if error is not None:
            if not told:
                note_all(error, unseen, "a call failed")
        elif unseen and not told:
            raise self._first()

    def stats(self) -> dict[str, Any]:
        """Return ``limit`` of calls, those ``in_use``, ``calls`` begun in all, and results that are ``ready``."""
        ready = 0 if self._stream is None else len(self._stream)
        return {
            "kind": "amap",
            "name": self._name(),
            "limit": self._limit,
            "in_use": self._started - self._finished,
            "calls": self._started,
            "ready": ready,
        }

    async def _collect(self) -> list[R]:
        self._begin()
        self._hire()
        cancelled = await self._end()
        if cancelled is not None:
            note_all(cancelled, [one for one in (self._error, *self._more) if one is not None], "a call failed")
            raise cancelled
        if self._error is not None:
            raise self._first()
        found, self._list = self._list, []
        return cast("list[R]", found)

    def _begin(self) -> None:
        if self._begun:
            raise RuntimeError(f"{self!r} is awaited for the second time")
        self._loop = asyncio.get_running_loop()
        self._begun = True
        if hasattr(self._items, "__aiter__"):
            self._iterator = aiter(self._items)
            self._turn = asyncio.Lock()
            self._expected = 1
        else:
            self._iterator = iter(self._items)
            self._expected = operator.length_hint(self._items, 1)
        self._asynchronous = hasattr(self._items, "__aiter__")

    def _hire(self) -> None:
        """Start as many workers as are known to be of use; where that is unknown, each worker hires one."""
        for _ in range(min(self._limit, max(1, self._expected))):
            self._hire_one()

    def _hire_one(self) -> None:
        self._workers += 1
        plain = not self._asynchronous and self._stream is None and not self._task_per_item and self._ordered
        work = self._work_plainly() if plain else self._work()
        task = self._loop.create_task(work, name=f"amap {self._name()} {self._workers}")
        self._tasks.add(task)
        task.add_done_callback(self._gone)

    async def _work_plainly(self) -> None:
        """Call it with items of an iterable, for a list in their order: what is asked for most, without detours."""
        fn, iterator, found = self._fn, self._iterator, self._list
        try:
            while not self._stopped:
                try:
                    item = next(iterator)
                except StopIteration:
                    return
                index = len(found)
                found.append(None)
                if self._workers < self._limit and self._expected <= 1:
                    self._hire_one()
                self._started += 1
                try:
                    found[index] = await drive(fn(item), copy_context())
                except Exception as error:
                    if not self._return_exceptions or self._stopped:
                        raise
                    found[index] = error
                except asyncio.CancelledError as error:
                    if not self._survive(error):
                        raise
                    found[index] = error
                self._finished += 1
        except BaseException as error:
            self._fail(error)
            if not isinstance(error, (Exception, asyncio.CancelledError)):
                raise

    async def _work(self) -> None:  # noqa: C901 - a loop with its ways out
        """Call it with items of any kind, for a list or a stream."""
        try:
            while not self._stopped:
                if self._stream is not None:
                    await self._stream.wait_for_room()
                try:
                    index, item = await self._take()
                except StopAsyncIteration:
                    return
                if self._workers < self._limit and self._expected <= 1:
                    self._hire_one()
                try:
                    result: Any = await self._call(item)
                except Exception as error:
                    if not self._return_exceptions or self._stopped:
                        raise
                    result = error
                except asyncio.CancelledError as error:
                    if not self._survive(error):
                        raise
                    result = error
                self._finished += 1
                self._put(index, result)
        except BaseException as error:
            self._fail(error)
            if not isinstance(error, (Exception, asyncio.CancelledError)):
                raise

    async def _take(self) -> tuple[int, Any]:
        if self._asynchronous:
            async with self._turn:
                if self._stopped:
                    raise StopAsyncIteration
                item = await anext(self._iterator)
        else:
            try:
                item = next(self._iterator)
            except StopIteration:
                raise StopAsyncIteration from None
        index = self._started
        self._started += 1
        if self._stream is None and self._ordered:
            self._list.append(None)
        return index, item

    async def _call(self, item: Any) -> R:
        if not self._task_per_item:
            return await drive(self._fn(item), copy_context())

        async def call() -> R:
            return await self._fn(item)

        # To cancel a task that awaits another is to cancel the other, and to wait for it.
        return await self._loop.create_task(call(), name=f"amap {self._name()} item {self._started}")

    def _put(self, index: int, result: Any) -> None:
        if self._stream is not None:
            self._stream.put(index, result)
        elif self._ordered:
            self._list[index] = result
        else:
            self._list.append(result)

    def _survive(self, error: asyncio.CancelledError) -> bool:  # noqa: ARG002 - says what it is about
        """Return whether a call was cancelled, and not the worker; its worker then goes on."""
        if self._stopped or not self._return_exceptions:
            return False
        task = asyncio.current_task()
        while task is not None and task.cancelling():
            task.uncancel()
        return True

    def _fail(self, error: BaseException) -> None:
        if self._stopped:
            if not isinstance(error, asyncio.CancelledError):
                self._more.append(error)
            return
        self._error = error
        self._stop()

    def _stop(self) -> None:
        self._stopped = True
        current = asyncio.current_task()
        for task in self._tasks:
            if task is not current:
                task.cancel()

    def _gone(self, task: "asyncio.Task[None]") -> None:
        """Note that a worker has ended."""
        self._tasks.discard(task)
        if task.cancelled() and not self._stopped:
            # It was cancelled before it ran.
            self._error = asyncio.CancelledError()
            self._stop()
        elif not task.cancelled():
            # The loop has raised it already where it ends the program.
            task.exception()
        if not self._tasks:
            self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def _end(self) -> asyncio.CancelledError | None:
        """Wait until no worker is left, also if cancelled, and return that cancellation."""
        cancelled = None
        while self._tasks:
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            except asyncio.CancelledError as error:
                cancelled = error
                self._stop()
        if self._asynchronous and hasattr(self._iterator, "aclose"):
            closing = self._loop.create_task(close(self._iterator))
            while not closing.done():
                try:
                    await asyncio.wait([closing])
                except asyncio.CancelledError as error:
                    cancelled = error
            failure = closing.exception()
            if failure is not None:
                self._fail(failure)
        return cancelled

    def _first(self) -> BaseException:
        error = self._error
        if error is None:
            error = self._more.pop(0)
        note_all(error, self._more, WORDS)
        self._error, self._more = None, []
        return error

    def _name(self) -> str:
        if self.name is not None:
            return self.name
        name: str = getattr(self._fn, "__qualname__", type(self._fn).__name__)
        return name


async def close(iterator: Any) -> None:
    """Close an asynchronous generator."""
    await iterator.aclose()


class Stream(Generic[R]):
    """Results as they come or in order, of which only so many wait."""

    def __init__(self, results: Results[R], *, ordered: bool, room: int) -> None:
        """Make a stream of what the workers of ``results`` put into it."""
        self.told = False
        self._results = results
        self._ordered = ordered
        # Items that have been taken for calls and whose results have not been taken.
        self._room = room
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._ready: dict[int, Any] = {}
        self._next = 0
        self._reading = False

    def __aiter__(self) -> AsyncIterator[R]:
        """Return itself."""
        return self

    def __len__(self) -> int:
        """Return how many results are ready."""
        return len(self._ready)

    async def __anext__(self) -> R:
        """Return the next result. Whoever is cancelled here loses none."""
        results = self._results
        if self._reading:
            raise RuntimeError("two tasks iterate over one stream of results")
        self._reading = True
        try:
            while True:
                key = self._next if self._ordered else next(iter(self._ready), None)
                if key is not None and key in self._ready:
                    self._next += 1
                    self._leave_room(1)
                    return cast("R", self._ready.pop(key))
                if not results._tasks:
                    self.told = True
                    if results._error is not None:
                        raise results._first()
                    raise StopAsyncIteration
                results._waiter = results._loop.create_future()
                await results._waiter
        finally:
            self._reading = False

    def put(self, index: int, result: Any) -> None:
        """Have a result."""
        self._ready[index] = result
        self._results._wake()

    async def wait_for_room(self) -> None:
        """Wait until another call may begin, and reserve its place."""
        if self._room > 0:
            self._room -= 1
            return
        waiter = self._results._loop.create_future()
        self._waiting.append(waiter)
        await waiter

    def _leave_room(self, places: int) -> None:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
        self._room += places
