"""Workers that live long: items come one by one, with priorities, and whoever brings too many waits."""

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import Context, copy_context
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from treadle.patterns.driving import drive
from treadle.patterns.queues import PriorityQueue, QueueShutDown
from treadle.patterns.registry import part, register
from treadle.patterns.waiting import settle

if TYPE_CHECKING:
    from treadle.patterns.policies import Policy

__all__ = ["WorkerPool"]

T = TypeVar("T")
R = TypeVar("R")


class Job(Generic[T, R]):
    """An item, whoever waits for its result, and the context it came from."""

    __slots__ = ("context", "future", "interrupted", "item")

    def __init__(self, item: T, future: "asyncio.Future[R]", context: Context) -> None:
        """Keep what is needed to do it."""
        self.item = item
        self.future = future
        self.context = context
        # Its future was cancelled while a worker was at it.
        self.interrupted = False


class WorkerPool(Generic[T, R]):
    """So many tasks that call ``fn`` with the items they are given, by priority.

    ::

        async with treadle.WorkerPool(resize, workers=8, maxsize=100) as pool:
            thumbnail = await pool.submit(picture, priority=-1)
            print(await thumbnail)

    Leaving the block waits for all items; leaving it by an exception cancels them. To cancel a future that ``submit``
    has given cancels the call, never the worker. Each call runs in a copy of its submitter's context.
    """

    def __init__(
        self,
        fn: Callable[[T], Awaitable[R]],
        *,
        workers: int,
        maxsize: int,
        policy: "Policy | None" = None,
        name: str | None = None,
    ) -> None:
        """Make a pool, which begins to work in ``async with``.

        Args:
            fn: called with one item; what it returns is awaited.
            workers: calls at the same time, 1 or more.
            maxsize: items that wait for a worker, 1 or more; then :meth:`submit` waits.
            policy: what each call goes through.
            name: what tasks and statistics call it.

        Raises:
            ValueError: a number is less than 1.

        """
        if workers < 1:
            raise ValueError(f"a pool has 1 worker or more, not {workers!r}")
        self.name = name
        self._fn = fn if policy is None else policy(fn)
        self._workers = workers
        self._queue: PriorityQueue[Job[T, R]] = part(PriorityQueue(maxsize, name=name))
        self._tasks: set[asyncio.Task[None]] = set()
        self._running: set[Job[T, R]] = set()
        self._state = "new"
        self._done = self._failed = 0
        register(self)

    def __repr__(self) -> str:
        """Return the kind, the name and the state."""
        return f"<WorkerPool{'' if self.name is None else f' {self.name!r}'} {self._state}>"

    def stats(self) -> dict[str, Any]:
        """Return ``limit`` of workers, those ``in_use``, items ``waiting``, ``submitters``; ``calls``, ``failed``."""
        return {
            "kind": "WorkerPool",
            "name": self.name,
            "limit": self._workers,
            "in_use": len(self._running),
            "waiting": self._queue.qsize(),
            "submitters": self._queue.stats()["waiting"],
            "calls": self._done + self._failed,
            "failed": self._failed,
        }

    async def submit(self, item: T, *, priority: int = 0) -> "asyncio.Future[R]":
        """Bring an item, and wait until there is a place for it.

        Args:
            item: what ``fn`` is called with.
            priority: lower ones go first, equal ones in the order of coming.

        Returns:
            A future of the result. An exception that nobody asks it for is logged, as those of tasks are.

        Raises:
            RuntimeError: the pool is not open.

        """
        if self._state != "open":
            raise RuntimeError(f"{self!r} takes no items: it works inside `async with`")
        job = Job[T, R](item, asyncio.get_running_loop().create_future(), copy_context())
        try:
            await self._queue.put(job, priority=priority)
        except QueueShutDown:
            raise RuntimeError(f"{self!r} takes no items any more") from None
        return job.future

    async def __aenter__(self) -> "WorkerPool[T, R]":
        """Start the workers.

        Raises:
            RuntimeError: they were started before.

        """
        if self._state != "new":
            raise RuntimeError(f"{self!r} cannot be opened again")
        self._state = "open"
        loop = asyncio.get_running_loop()
        for number in range(1, self._workers + 1):
            name = self.name or getattr(self._fn, "__qualname__", "worker")
            task = loop.create_task(self._work(), name=f"{name} {number}")
            self._tasks.add(task)
            task.add_done_callback(self._gone)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Wait until all is done; cancel what is not, if there was an exception or one comes."""
        self._state = "closing"
        tasks = list(self._tasks)
        self._queue.shutdown()
        cancelled = None
        if kind is None:
            try:
                if tasks:
                    await asyncio.wait(tasks)
            except asyncio.CancelledError as now:
                cancelled = now
        self._state = "cancelling"
        self._abandon()
        for task in tasks:
            task.cancel()
        cancelled = await settle(tasks) or cancelled
        self._state = "closed"
        if cancelled is not None and error is None:
            raise cancelled

    async def _work(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        while True:
            try:
                job = await self._queue.get()
            except QueueShutDown:
                return
            future = job.future
            if not future.done():
                self._running.add(job)

                def interrupt(future: "asyncio.Future[R]", job: Job[T, R] = job) -> None:
                    if future.cancelled() and job in self._running:
                        job.interrupted = True
                        task.cancel()

                future.add_done_callback(interrupt)
                await self._do(job, task)

    async def _do(self, job: Job[T, R], task: "asyncio.Task[None]") -> None:
        future = job.future
        try:
            result = await drive(self._fn(job.item), job.context)
        except asyncio.CancelledError:
            future.cancel()
            if self._state == "cancelling" or task.cancelling() > job.interrupted:
                # It is the worker who is to end.
                raise
        except Exception as error:  # noqa: BLE001 - it is the submitter's
            self._failed += 1
            if not future.done():
                future.set_exception(error)
        except BaseException as error:
            if not future.done():
                future.set_exception(error)
            raise
        else:
            self._done += 1
            if not future.done():
                future.set_result(result)
        finally:
            self._running.discard(job)
        while task.cancelling():
            task.uncancel()

    def _abandon(self) -> None:
        """Cancel the items that nobody works on."""
        while not self._queue.empty():
            self._queue.get_nowait().future.cancel()

    def _gone(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            # The loop has raised it already where it ends the program.
            task.exception()
        if not self._tasks and self._state == "open":
            # All workers were cancelled from outside, with the program.
            self._state = "closed"
            self._queue.shutdown()
            self._abandon()
