"""A queue with priorities, whose items are never compared and never lost."""

import asyncio
import heapq
import sys
from typing import Any, Generic, TypeVar

from treadle.patterns.waiting import Bound, Line

__all__ = ["PriorityQueue", "QueueShutDown"]

T = TypeVar("T")

if sys.version_info >= (3, 13):
    QueueShutDown = asyncio.QueueShutDown
else:

    class QueueShutDown(Exception):  # noqa: N818 - asyncio's name, from 3.13 on
        """The queue has been shut down."""


class PriorityQueue(Bound, Generic[T]):
    """A queue with the methods of :class:`asyncio.Queue`, and a priority for each item.

    Lower priorities come out first, equal ones in the order in which they were put. Who waits is served in the order of
    coming, putters by their priority. A getter that is cancelled when it has been given an item puts that back where it
    was; a putter that is cancelled has not put.
    """

    def __init__(self, maxsize: int, *, name: str | None = None) -> None:
        """Make an empty queue.

        Args:
            maxsize: items that it holds, 1 or more.
            name: what messages and statistics call it.

        Raises:
            ValueError: ``maxsize`` is less than 1: a queue without a bound hides that nobody keeps up.

        """
        if maxsize < 1:
            raise ValueError(f"a queue holds 1 item or more, not {maxsize!r}")
        super().__init__(name)
        self._maxsize = maxsize
        self._heap: list[tuple[float, int, T]] = []
        self._count = 0
        # Places that were given to putters which do not run yet.
        self._reserved = 0
        self._getters: Line[None] = Line()
        self._putters: Line[None] = Line()
        self._unfinished = 0
        self._joiners: set[asyncio.Future[None]] = set()
        self._shut = False

    @property
    def maxsize(self) -> int:
        """How many items it holds."""
        return self._maxsize

    def qsize(self) -> int:
        """Return how many items there are."""
        return len(self._heap)

    def empty(self) -> bool:
        """Return whether there is none."""
        return not self._heap

    def full(self) -> bool:
        """Return whether there is no place for another."""
        return len(self._heap) + self._reserved >= self._maxsize

    def stats(self) -> dict[str, Any]:
        """Return ``limit`` of items, those ``in_use`` and ``unfinished``, putters ``waiting``, and ``getters``."""
        return {
            "kind": "PriorityQueue",
            "name": self.name,
            "limit": self._maxsize,
            "in_use": len(self._heap),
            "waiting": self._putters.count,
            "unfinished": self._unfinished,
            "getters": self._getters.count,
        }

    async def put(self, item: T, *, priority: int = 0) -> None:
        """Put an item, and wait for a place if there is none.

        Raises:
            QueueShutDown: the queue is shut down.
            RuntimeError: the queue is bound to another event loop.

        """
        if self._shut:
            raise QueueShutDown
        # The order is that of asking, also for who has to wait.
        self._count = count = self._count + 1
        if len(self._heap) + self._reserved >= self._maxsize or self._putters.count:
            waiter = self._bind().create_future()
            self._putters.join(waiter, None, priority)
            try:
                await waiter
            except BaseException:
                if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                    self._reserved -= 1
                else:
                    self._putters.leave(waiter, priority)
                self._serve()
                raise
            self._reserved -= 1
            if self._shut:
                self._serve()
                raise QueueShutDown
        self._insert(item, priority, count)

    def put_nowait(self, item: T, *, priority: int = 0) -> None:
        """Put an item if there is a place for it.

        Raises:
            asyncio.QueueFull: there is none, or others wait for it.
            QueueShutDown: the queue is shut down.

        """
        if self._shut:
            raise QueueShutDown
        if self.full() or self._putters.count:
            raise asyncio.QueueFull
        self._count += 1
        self._insert(item, priority, self._count)

    async def get(self) -> T:
        """Take the first item, and wait for one if there is none.

        Raises:
            QueueShutDown: the queue is shut down and empty.
            RuntimeError: the queue is bound to another event loop.

        """
        if self._heap and not self._getters.count:
            return self.get_nowait()
        if self._shut:
            raise QueueShutDown
        waiter: asyncio.Future[tuple[float, int, T]] = self._bind().create_future()
        self._getters.join(waiter, None)
        try:
            return (await waiter)[2]
        except BaseException:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                # It goes where it was; the queue may hold one too many until the next is taken.
                heapq.heappush(self._heap, waiter.result())
            else:
                self._getters.leave(waiter)
            self._serve()
            raise

    def get_nowait(self) -> T:
        """Take the first item if there is one.

        Raises:
            asyncio.QueueEmpty: there is none.
            QueueShutDown: the queue is shut down and empty.

        """
        if not self._heap:
            raise QueueShutDown if self._shut else asyncio.QueueEmpty
        item = heapq.heappop(self._heap)[2]
        if self._putters.count or self._getters.count:
            self._serve()
        return item

    def task_done(self) -> None:
        """Say that an item that was taken has been worked on.

        Raises:
            ValueError: said more often than items were put.

        """
        if not self._unfinished:
            raise ValueError("task_done() was called more often than items were put")
        self._finish(1)

    async def join(self) -> None:
        """Wait until all items that were put have been worked on.

        Raises:
            RuntimeError: the queue is bound to another event loop.

        """
        while self._unfinished:
            waiter = self._bind().create_future()
            self._joiners.add(waiter)
            try:
                await waiter
            finally:
                self._joiners.discard(waiter)

    def shutdown(self, immediate: bool = False) -> None:  # noqa: FBT001, FBT002 - as asyncio's
        """Take no more items: putters that wait get :class:`QueueShutDown`, getters when the queue is empty.

        Args:
            immediate: drop the items that are there.

        """
        self._shut = True
        if immediate:
            dropped, self._heap = len(self._heap), []
            self._finish(dropped)
        self._serve()

    def _insert(self, item: T, priority: int, count: int) -> None:
        heapq.heappush(self._heap, (priority, count, item))
        self._unfinished += 1
        if self._getters.count:
            self._serve()

    def _serve(self) -> None:
        """Give items to getters, and places to putters."""
        while self._heap and (entry := self._getters.first()) is not None:
            self._getters.pop()
            entry[0].set_result(heapq.heappop(self._heap))
        while (entry := self._putters.first()) is not None:
            if self._shut:
                self._putters.pop()
                entry[0].set_exception(QueueShutDown())
            elif self.full():
                break
            else:
                self._putters.pop()
                self._reserved += 1
                entry[0].set_result(None)
        # An item may still come back, from a getter that is cancelled; then somebody asks again.
        while self._shut and not self._heap and (entry := self._getters.first()) is not None:
            self._getters.pop()
            entry[0].set_exception(QueueShutDown())

    def _finish(self, items: int) -> None:
        self._unfinished -= items
        if not self._unfinished:
            for waiter in self._joiners:
                if not waiter.done():
                    waiter.set_result(None)

    def _bound(self, loop: asyncio.AbstractEventLoop) -> None:  # noqa: ARG002 - all loops alike
        self._getters.clear()
        self._putters.clear()
        self._joiners.clear()
        self._reserved = 0
