"""What everything that waits is made of: a loop to be bound to, a clock, a line to stand in, ends to be waited for."""

import asyncio
import heapq
import time
import traceback
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from treadle.patterns.registry import register

__all__ = ["Bound", "Line", "clock_of", "note", "note_all", "settle"]

Ticket = TypeVar("Ticket")

# So many further errors are told in full; of more, only how many.
NOTES = 10


class Bound:
    """An object of one loop, the first that it waits on."""

    if not TYPE_CHECKING:
        # Some of those that derive from it are native and have their own place for what follows.
        __slots__ = ()

    _loop: asyncio.AbstractEventLoop | None
    name: str | None

    def __init__(self, name: str | None) -> None:
        """Make an object that has no loop yet."""
        self._loop = None
        self.name = name
        register(self)

    def __repr__(self) -> str:
        """Return the kind and the name."""
        return f"<{type(self).__name__}{'' if self.name is None else f' {self.name!r}'}>"

    def _bind(self) -> asyncio.AbstractEventLoop:
        """Return the running loop, which is this object's."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            # A loop that is closed has nobody left who could wait: programs that run one loop after the other are fine.
            if self._loop is not None and not self._loop.is_closed():
                raise RuntimeError(f"{self!r} is bound to another event loop; make one for each loop")
            self._loop = loop
            self._bound(loop)
        return loop

    def _bound(self, loop: asyncio.AbstractEventLoop) -> None:
        """Forget what belonged to a loop that is closed."""


class Line(Generic[Ticket]):
    """Who waits, by priority (lower goes first) and then in the order of coming. Leaving costs the same for all."""

    __slots__ = ("_lanes", "_priorities", "count")

    def __init__(self) -> None:
        """Make an empty line."""
        # How many stand in it.
        self.count = 0
        self._lanes: dict[float, OrderedDict[asyncio.Future[Any], Ticket]] = {}
        self._priorities: list[float] = []

    def join(self, waiter: "asyncio.Future[Any]", ticket: Ticket, priority: float = 0) -> None:
        """Stand at the end of those with this priority."""
        lane = self._lanes.get(priority)
        if lane is None:
            lane = self._lanes[priority] = OrderedDict()
            heapq.heappush(self._priorities, priority)
        lane[waiter] = ticket
        self.count += 1

    def leave(self, waiter: "asyncio.Future[Any]", priority: float = 0) -> None:
        """Stand in it no longer; nothing happens if the waiter does not."""
        lane = self._lanes.get(priority)
        if lane is not None and waiter in lane:
            del lane[waiter]
            self.count -= 1
            if not self.count:
                self.clear()

    def first(self) -> "tuple[asyncio.Future[Any], Ticket] | None":
        """Return who is next of those that still wait, and what for."""
        while self._priorities:
            lane = self._lanes[self._priorities[0]]
            while lane:
                waiter = next(iter(lane))
                if not waiter.done():
                    return waiter, lane[waiter]
                del lane[waiter]
                self.count -= 1
            del self._lanes[heapq.heappop(self._priorities)]
        return None

    def pop(self) -> None:
        """Take away who is next, as :meth:`first` has said."""
        self._lanes[self._priorities[0]].popitem(last=False)
        self.count -= 1

    def waiters(self) -> "list[asyncio.Future[Any]]":
        """Return all, in no order that matters."""
        return [waiter for lane in self._lanes.values() for waiter in lane]

    def clear(self) -> None:
        """Let nobody stand in it."""
        self._lanes.clear()
        self._priorities.clear()
        self.count = 0


def clock_of(loop: asyncio.AbstractEventLoop) -> Callable[[], float]:
    """Return what tells the time in seconds for a loop: its own clock, unless that stands still while callbacks run."""
    if type(loop).__module__.partition(".")[0] == "uvloop":
        return time.monotonic
    return loop.time


async def settle(tasks: "Collection[asyncio.Future[Any]]") -> asyncio.CancelledError | None:
    """Wait until all are done, also if the waiting task is cancelled meanwhile, and return that cancellation."""
    cancelled = None
    while pending := [task for task in tasks if not task.done()]:
        try:
            await asyncio.wait(pending)
        except asyncio.CancelledError as error:
            cancelled = error
    return cancelled


def note(error: BaseException, words: str) -> str:
    """Return one line about an error: what, where."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({frames[-1].filename}:{frames[-1].lineno} in {frames[-1].name})" if frames else ""
    return f"{words}: {traceback.format_exception_only(error)[-1].strip()}{where}"


def note_all(error: BaseException, others: Iterable[BaseException], words: str) -> None:
    """Let further errors ride along on the one that is raised."""
    told = [other for other in others if other is not error]
    for other in told[:NOTES]:
        error.add_note(note(other, words))
    if len(told) > NOTES:
        error.add_note(f"{words}: {len(told) - NOTES} more")
