"""A pool of anything that is opened and closed: clients without a pool of their own, devices, models, browsers."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, Generic, TypeVar

from treadle.patterns.deadlines import timeout
from treadle.patterns.limits import Semaphore
from treadle.patterns.registry import part
from treadle.patterns.waiting import Bound, clock_of, note_all, settle

__all__ = ["Pool"]

R = TypeVar("R")


class Slot(Generic[R]):
    """A resource, what closes it, when it was opened, and since when nobody uses it."""

    __slots__ = ("manager", "opened", "resource", "since")

    def __init__(self, manager: AbstractAsyncContextManager[R], resource: R, now: float) -> None:
        """Keep what is needed to close it."""
        self.manager = manager
        self.resource = resource
        self.opened = self.since = now


class Pool(Bound, Generic[R]):
    """At most ``max_size`` resources, opened when they are needed and used again.

    ::

        async with treadle.Pool(lambda: connect(host), max_size=10) as pool:
            async with pool.acquire() as connection:
                ...

    Who waits is served in the order of coming, by priority. A resource whose block was cancelled is closed, since
    nobody knows what it is in the middle of; after another exception it is used again, if ``check`` likes it. Giving
    back never waits: what has to be closed is closed in tasks that the end of the pool awaits.
    """

    def __init__(  # noqa: PLR0913 - what can be said by name
        self,
        open: Callable[[], AbstractAsyncContextManager[R]],  # noqa: A002 - what it does
        *,
        max_size: int,
        min_size: int = 0,
        timeout: float | None = 30,
        max_idle: float | None = 300,
        max_lifetime: float | None = None,
        check: Callable[[R], Awaitable[bool]] | None = None,
        name: str | None = None,
    ) -> None:
        """Make a pool, which works in ``async with``.

        Args:
            open: gives an asynchronous context manager of one resource. It is entered and left in different tasks.
            max_size: resources at the same time, 1 or more.
            min_size: resources that are opened at once, and kept when they are idle.
            timeout: seconds that :meth:`acquire` waits, for a resource and for its opening; None for ever.
            max_idle: seconds after which a resource that nobody uses is closed; None for never.
            max_lifetime: seconds after which a resource is not used again; None for no end.
            check: asked before a resource is used again; if it gives False or raises, another is opened.
            name: what messages, tasks and statistics call it.

        Raises:
            ValueError: a number makes no sense.

        """
        if max_size < 1 or not 0 <= min_size <= max_size:
            raise ValueError("a pool has max_size= of 1 or more, and min_size= between 0 and that")
        super().__init__(name)
        self._open = open
        self._max_size, self._min_size = max_size, min_size
        self._timeout, self._max_idle, self._max_lifetime = timeout, max_idle, max_lifetime
        self._check = check
        self._state = "new"
        # The one that was used last is used first: so the others become idle.
        self._idle: deque[Slot[R]] = deque()
        # One permit for each resource that is used, opened, checked or closed. A resource is opened only when none is
        # idle, so there are never more of them than permits.
        self._permits = part(Semaphore(max_size, name=name))
        self._in_use = 0
        self._closing: set[asyncio.Task[None]] = set()
        self._errors: list[BaseException] = []
        self._reaper: asyncio.TimerHandle | None = None
        self._returned: asyncio.Future[None] | None = None
        self._opened = self._timeouts = 0

    def stats(self) -> dict[str, Any]:
        """Return ``limit``, ``size``, ``in_use``, ``idle``, ``closing``, ``waiting``, ``opened``, ``timeouts``."""
        return {
            "kind": "Pool",
            "name": self.name,
            "limit": self._max_size,
            "size": self._in_use + len(self._idle) + len(self._closing),
            "in_use": self._in_use,
            "idle": len(self._idle),
            "closing": len(self._closing),
            "waiting": self._permits.stats()["waiting"],
            "opened": self._opened,
            "timeouts": self._timeouts,
        }

    def acquire(self, *, priority: int = 0) -> "Lease[R]":
        """Have a resource in a block: ``async with pool.acquire() as connection: …``.

        The block's beginning raises :class:`TimeoutError` if none could be had in time, :class:`RuntimeError` if the
        pool is not open, and whatever opening one raises.

        Args:
            priority: lower ones go first, equal ones in the order of coming.

        """
        return Lease(self, priority)

    async def __aenter__(self) -> "Pool[R]":
        """Open the first resources.

        Raises:
            RuntimeError: the pool was open before.
            Exception: what opening one raises; those that were opened are closed.

        """
        if self._state != "new":
            raise RuntimeError(f"{self!r} cannot be opened again")
        self._clock = clock_of(self._bind())
        self._state = "open"
        try:
            for _ in range(self._min_size):
                self._idle.append(await self._open_one())
        except BaseException:
            await self._end()
            raise
        self._watch()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Wait until all resources are back, and close them. Who waits for one gets a :class:`RuntimeError`."""
        cancelled = await self._end()
        if cancelled is not None and error is None:
            note_all(cancelled, self._errors, "closing failed")
            raise cancelled
        if error is not None:
            note_all(error, self._errors, "closing failed")
        elif self._errors:
            first = self._errors.pop(0)
            note_all(first, self._errors, "closing failed too")
            raise first

    async def _end(self) -> asyncio.CancelledError | None:
        self._state = "closed"
        if self._reaper is not None:
            self._reaper.cancel()
        self._permits._refuse(RuntimeError(f"{self!r} is closed"))
        cancelled = None
        while self._in_use and cancelled is None:
            self._returned = asyncio.get_running_loop().create_future()
            try:
                await self._returned
            except asyncio.CancelledError as error:
                # What is not back yet is closed when it comes.
                cancelled = error
        while self._idle:
            self._close(self._idle.popleft())
        return await settle(list(self._closing)) or cancelled

    async def _take(self, priority: int) -> Slot[R]:
        """Return a resource that is good, and that nobody else has."""
        if self._state != "open":
            raise RuntimeError(f"{self!r} is {'closed' if self._state == 'closed' else 'not open: use `async with`'}")
        self._bind()
        if self._check is None and self._idle and not self._is_old(self._idle[-1]) and self._permits.try_acquire():
            self._in_use += 1
            return self._idle.pop()
        deadline = timeout(self._timeout)
        try:
            async with deadline:
                await self._permits.acquire(priority=priority)
                self._in_use += 1
                try:
                    return await self._find()
                except BaseException:
                    self._leave()
                    raise
        except TimeoutError:
            if deadline.expired():
                self._timeouts += 1
            raise

    async def _find(self) -> Slot[R]:
        while self._idle:
            # The one that was used last.
            slot = self._idle.pop()
            try:
                if not self._is_old(slot) and (self._check is None or await self._check(slot.resource)):
                    return slot
            except Exception:  # noqa: BLE001, S110 - says that it is no good
                pass
            except BaseException:
                self._close(slot)
                raise
            await asyncio.wait([self._close(slot)])
        return await self._open_one()

    async def _open_one(self) -> Slot[R]:
        manager = self._open()
        resource = await manager.__aenter__()
        self._opened += 1
        return Slot(manager, resource, self._clock())

    def _is_old(self, slot: Slot[R]) -> bool:
        return self._max_lifetime is not None and self._clock() - slot.opened >= self._max_lifetime

    def _give_back(self, slot: Slot[R], *, good: bool) -> None:
        """Have a resource back; waits for nothing."""
        slot.since = self._clock()
        if good and self._state == "open" and not self._is_old(slot):
            self._idle.append(slot)
            self._watch()
            self._leave()
        else:
            # Its permit is given back when it is closed.
            self._close(slot).add_done_callback(lambda _: self._leave())

    def _leave(self) -> None:
        self._in_use -= 1
        self._permits.release()
        if not self._in_use and self._returned is not None and not self._returned.done():
            self._returned.set_result(None)

    def _close(self, slot: Slot[R]) -> "asyncio.Task[None]":
        """Close a resource in a task, which the end of the pool awaits."""

        async def close() -> None:
            await slot.manager.__aexit__(None, None, None)

        task = asyncio.get_running_loop().create_task(close(), name=f"close {self.name or 'pool'}")
        self._closing.add(task)
        task.add_done_callback(self._closed)
        return task

    def _closed(self, task: "asyncio.Task[None]") -> None:
        self._closing.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is None:
            return
        if self._state == "closed":
            self._errors.append(error)
        else:
            context = {"message": f"closing a resource of {self!r} failed", "exception": error, "task": task}
            task.get_loop().call_exception_handler(context)

    def _watch(self) -> None:
        """Look again when the resource that is idle longest has been so for too long."""
        if self._max_idle is None or self._reaper is not None or len(self._idle) <= self._min_size:
            return
        loop = self._bind()
        self._reaper = loop.call_later(max(0.0, self._idle[0].since + self._max_idle - self._clock()), self._reap)

    def _reap(self) -> None:
        self._reaper = None
        assert self._max_idle is not None
        while len(self._idle) > self._min_size and self._clock() - self._idle[0].since >= self._max_idle:
            # Whoever has a permit takes from the other end, and would open one more than there may be.
            if not self._permits.try_acquire():
                break
            self._in_use += 1
            self._close(self._idle.popleft()).add_done_callback(lambda _: self._leave())
        self._watch()


class Lease(AbstractAsyncContextManager[R]):
    """A block that has a resource; what :meth:`Pool.acquire` returns. For one use."""

    def __init__(self, pool: Pool[R], priority: int) -> None:
        """Take nothing yet."""
        self._pool = pool
        self._priority = priority
        self._slot: Slot[R] | None = None

    async def __aenter__(self) -> R:
        """Wait for a resource."""
        if self._slot is not None:
            raise RuntimeError("a resource is acquired for one block; call acquire() again")
        self._slot = await self._pool._take(self._priority)
        return self._slot.resource

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Give it back, without waiting."""
        assert self._slot is not None
        self._pool._give_back(self._slot, good=kind is None or issubclass(kind, Exception))
