"""Calls in threads. Who takes a job out of the queue has it; what is done goes back to a loop with one wake-up for all.

At most one worker is on its way to the queue at a time: it wakes the next one if it leaves jobs behind. Short jobs are
so done by one worker that stays awake, and long ones get as many workers as there may be.
"""

import asyncio
import atexit
import functools
import logging
import os
import threading
import weakref
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future
from contextvars import Context, copy_context
from typing import Any, ParamSpec, TypeVar

from treadle.patterns.registry import register

__all__ = [
    "Crew",
    "Drain",
    "Errand",
    "Interrupted",
    "Job",
    "Seat",
    "ThreadCrew",
    "ThreadPool",
    "drain_of",
    "here",
    "the_threads",
]

P = ParamSpec("P")
R = TypeVar("R")

LOGGER = logging.getLogger("treadle")


class Interrupted(CancelledError):  # noqa: N818 - nobody sees it
    """A job that was ended because nobody waits for it any longer."""


class Job:
    """A call on its way through a pool, for somebody who awaits it."""

    # What most jobs never set costs them nothing.
    result: Any = None
    error: BaseException | None = None
    is_abandoned = False
    # Who does it, and what it has the loop do meanwhile.
    place: object = None
    inner: "asyncio.Task[Any] | None" = None

    def __init__(  # noqa: PLR0913, PLR0917 - made at every call
        self,
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        keywords: Mapping[str, Any],
        context: Context,
        future: "asyncio.Future[Any] | Future[Any]",
        drain: "Drain | None",
    ) -> None:
        """Make a job that nobody does yet."""
        self.fn = fn
        self.args = args
        self.keywords = keywords
        self.context = context
        self.future = future
        self.drain = drain

    def perform(self, seat: "Seat") -> "Drain | None":
        """Do it, in a worker's thread, and return what has to be woken for it."""
        self.work(seat)
        drain = self.drain
        return drain if drain.add(self) else None  # type: ignore[union-attr]

    def drop(self) -> None:
        """End it before it has begun, because the pool is shut down."""
        assert self.drain is not None
        self.error = Interrupted("the pool has been shut down")
        if self.drain.add(self):
            self.drain.wake()

    def work(self, seat: "Seat") -> None:
        """Do it."""
        try:
            if seat.begin is not None:
                seat.begin()
            self.result = self.context.run(self.fn, *self.args, **self.keywords)
        except BaseException as error:  # noqa: BLE001 - it is the caller's
            self.error = error
        # What the call was made with is not kept until the loop has time.
        self.fn = self.args = self.keywords = None  # type: ignore[assignment]

    def settle(self) -> None:
        """Tell who awaits it, on the loop."""
        future, error = self.future, self.error
        if error is not None:
            self.error = None
        if future.done():
            self.give_up(error)
        elif error is None:
            future.set_result(self.result)
        elif isinstance(error, StopIteration):
            wrapped = RuntimeError("the call in a worker raised StopIteration")
            wrapped.__cause__ = error
            future.set_exception(wrapped)
        else:
            future.set_exception(error)

    def give_up(self, error: BaseException | None) -> None:
        """End with nobody who waits for it: a result is dropped, an error is told."""
        if error is None or isinstance(error, (Interrupted, asyncio.CancelledError)):
            return
        loop = None if self.drain is None else self.drain.loop()
        words = "a call in a worker failed after its caller was cancelled"
        if loop is not None and not loop.is_closed():
            loop.call_exception_handler({"message": words, "exception": error, "future": self.future})
        else:
            LOGGER.error(words, exc_info=error)


class Errand(Job):
    """A call on its way through a pool, for somebody who has a :class:`concurrent.futures.Future`."""

    def perform(self, seat: "Seat") -> None:
        """Do it, in a worker's thread, and tell the future."""
        if self.begin():
            self.work(seat)
            self.end()

    def begin(self) -> bool:
        """Return whether anybody wants it to be done; ask once more if what was to do it has ended."""
        return self.future.running() or self.future.set_running_or_notify_cancel()  # type: ignore[union-attr]

    def end(self) -> None:
        """Tell the future."""
        future = self.future
        error, self.error = self.error, None
        try:
            if error is None:
                future.set_result(self.result)
            else:
                future.set_exception(error)
        finally:
            self.result = None
            del error, future

    def drop(self) -> None:
        """End it before it has begun, because the pool is shut down."""
        self.future.cancel()


class Promise(Future[R]):
    """What :meth:`ThreadPool.submit` returns; cancelling takes the job out of the queue."""

    def __init__(self, crew: "Crew") -> None:
        """Make a promise of nothing yet."""
        super().__init__()
        self._crew = crew
        self._job: Job | None = None

    def cancel(self) -> bool:
        """Cancel the call, if it has not begun or its worker can be ended."""
        job = self._job
        if super().cancel():
            if job is not None:
                self._crew.queue.pop(job, None)
            return True
        return job is not None and not self.done() and self._crew.interrupt(job)


class Seat:
    """A worker: a thread, and what it waits at."""

    __slots__ = ("begin", "calls", "crew", "gate", "job", "thread")

    def __init__(self, crew: "ThreadCrew") -> None:
        """Make a worker whose thread has not begun."""
        self.crew = crew
        # What is to be done before the next job.
        self.begin: Callable[[], object] | None = None
        self.calls = 0
        self.gate = threading.Lock()
        self.gate.acquire()
        self.job: Job | None = None
        self.thread: threading.Thread | None = None


# The seat of this thread, if it is a worker's, and the drain of the loop that ran in it last.
place = threading.local()


def here() -> Seat | None:
    """Return this thread's seat, or None if it is no worker's."""
    return getattr(place, "seat", None)


class Crew:
    """Workers of a pool, and the queue before them."""

    def __init__(self, workers: int, max_calls: int | None, name: str) -> None:
        """Make a crew of nobody."""
        self.workers = workers
        self.name = name
        self.queue: OrderedDict[Job, None] = OrderedDict()
        self.is_closed = False
        self._max_calls = max_calls

    def put(self, job: Job) -> None:
        """Let a job be done; never waits for anything but a thread to begin."""
        raise NotImplementedError

    def abandon(self, job: Job) -> bool:
        """Nobody waits for the job any longer; return whether it has not begun and never will."""
        if self.queue.pop(job, self) is None:
            return True
        self.interrupt(job)
        return False

    def interrupt(self, job: Job) -> bool:
        """Try to end a job that has begun, and return whether that is possible."""
        raise NotImplementedError

    def close(self, *, wait: bool, cancel: bool = False) -> None:
        """Take no more jobs, and let the workers go when the queue is empty."""
        raise NotImplementedError

    def stats(self) -> dict[str, Any]:
        """Return numbers for :meth:`ThreadPool.stats`."""
        raise NotImplementedError


class ThreadCrew(Crew):
    """Threads, which hold it; the pool itself may be forgotten."""

    def __init__(
        self, workers: int, max_calls: int | None, initializer: Callable[[], object] | None, name: str, *, daemon: bool
    ) -> None:
        """Make a crew of nobody; threads begin when there is work."""
        super().__init__(workers, max_calls, name)
        self.idle: list[Seat] = []
        self.seats: dict[Seat, None] = {}
        self.calls_before = 0
        self._initializer = initializer
        self._daemon = daemon
        self._number = 0
        self._lock = threading.Lock()
        # Somebody is on the way to the queue, and will look whether more are needed.
        self._is_searched = False
        if not daemon:
            CREWS.add(self)

    def put(self, job: Job) -> None:
        """Let a job be done; never waits for anything but a thread to begin."""
        if self.is_closed:
            raise RuntimeError(f"{self.name} has been shut down")
        self.queue[job] = None
        if not self._is_searched:
            self.wake()

    def wake(self) -> None:
        """Send one worker more to the queue, if there is one."""
        self._is_searched = True
        try:
            seat = self.idle.pop()
        except IndexError:
            self._begin()
        else:
            seat.gate.release()

    def interrupt(self, job: Job) -> bool:
        """Try to end a job that has begun, and return whether that is possible."""
        job.is_abandoned = True
        # What it has the loop do can be ended; a thread cannot.
        inner = job.inner
        if inner is not None:
            inner.get_loop().call_soon_threadsafe(inner.cancel)
        return False

    def lend(self) -> None:
        """Let another worker do what this one, which now waits for a loop, does not."""
        with self._lock:
            self.workers += 1
        if self.queue and not self._is_searched:
            self.wake()

    def take_back(self) -> None:
        """Have one worker less again."""
        with self._lock:
            self.workers -= 1

    def close(self, *, wait: bool, cancel: bool = False) -> None:
        """Take no more jobs, and let the workers go when the queue is empty."""
        self.is_closed = True
        while cancel and self.queue:
            self.queue.popitem(last=False)[0].drop()
        while self.idle:
            self.idle.pop().gate.release()
        if wait:
            for seat in list(self.seats):
                if seat.thread is not None and seat.thread is not threading.current_thread():
                    seat.thread.join()

    def stats(self) -> dict[str, Any]:
        """Return numbers for :meth:`ThreadPool.stats`."""
        seats = list(self.seats)
        return {
            "limit": self.workers,
            "workers": len(seats),
            "in_use": sum(seat.job is not None for seat in seats),
            "waiting": len(self.queue),
            "calls": self.calls_before + sum(seat.calls for seat in seats),
        }

    def _initialize(self, seat: Seat) -> None:
        """Call the initializer before the first job of a worker, and again if it has failed."""
        assert self._initializer is not None
        try:
            self._initializer()
        except BaseException as error:
            raise BrokenExecutor(f"a worker of {self.name} could not be initialized") from error
        seat.begin = None

    def _begin(self) -> None:
        """Begin a thread, unless there are as many as there may be."""
        with self._lock:
            if len(self.seats) >= self.workers:
                self._is_searched = False
                return
            seat = Seat(self)
            if self._initializer is not None:
                seat.begin = functools.partial(self._initialize, seat)
            self.seats[seat] = None
            self._number += 1
            thread = threading.Thread(
                target=self._work, args=(seat,), name=f"{self.name}-{self._number}", daemon=self._daemon
            )
            seat.thread = thread
        try:
            thread.start()
        except RuntimeError:
            # No thread can be had: those that are there will do it, if there are any.
            del self.seats[seat]
            self._is_searched = False
            if not self.seats:
                raise

    def _work(self, seat: Seat) -> None:  # noqa: C901, PLR0912 - the loop of a worker is one thing
        """Do jobs until there is no need for this worker."""
        place.seat = seat
        queue, idle, limit = self.queue, self.idle, self._max_calls
        is_searching = True
        # A loop that does not know yet what is done.
        drain: Drain | None = None
        while True:
            while queue:
                try:
                    job = queue.popitem(last=False)[0]
                except KeyError:
                    break
                seat.job = job
                if is_searching:
                    is_searching = self._is_searched = False
                    if queue:
                        self.wake()
                seat.calls += 1
                drain = job.perform(seat)
                seat.job = None
                del job
                is_over = limit is not None and seat.calls >= limit
                if drain is not None and (queue or is_over):
                    drain.wake()
                    drain = None
                if is_over:
                    self._leave(seat)
                    return
            if is_searching:
                is_searching = self._is_searched = False
            if len(self.seats) > self.workers:
                if drain is not None:
                    drain.wake()
                self._leave(seat)
                return
            idle.append(seat)
            # Only now: what the loop wants next is for this worker, which is awake.
            if drain is not None:
                drain.wake()
                drain = None
            # What was put, or closed, before this worker could be seen to be idle.
            if queue or self.is_closed:
                try:
                    idle.remove(seat)
                except ValueError:
                    pass
                else:
                    if queue:
                        continue
                    self._leave(seat)
                    return
            seat.gate.acquire()
            is_searching = True

    def _leave(self, seat: Seat) -> None:
        """Be no worker any longer."""
        with self._lock:
            self.calls_before += seat.calls
            del self.seats[seat]
        if self.queue and not self._is_searched:
            self.wake()


class Drain:
    """Takes what is done in other threads back to one loop."""

    __slots__ = ("__weakref__", "_done", "_is_scheduled", "can_watch", "is_ours", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Make the drain of a loop, which it does not keep."""
        self.loop = weakref.ref(loop)
        self._done: deque[Job] = deque()
        self._is_scheduled = False
        # Whether it can watch descriptors, as far as is known, and whether it is one that the doctor can watch.
        self.can_watch = True
        self.is_ours = hasattr(loop, "_is_recorded")

    def add(self, job: Job) -> bool:
        """Take a job that is done, from any thread, and return whether the loop has to be woken."""
        self._done.append(job)
        if self._is_scheduled:
            return False
        self._is_scheduled = True
        return True

    def wake(self) -> None:
        """Wake the loop."""
        loop = self.loop()
        if loop is not None:
            try:
                loop.call_soon_threadsafe(self._run)
            except RuntimeError:
                # The loop is closed.
                pass
            else:
                return
        # Nobody awaits anything any longer, but errors are told.
        while self._done:
            job = self._done.popleft()
            job.give_up(job.error)
        self._is_scheduled = False

    def _run(self) -> None:
        """Settle what is done by now."""
        self._is_scheduled = False
        done = self._done
        for _ in range(len(done)):
            job = done.popleft()
            future = job.future
            # As nearly all end.
            if job.error is None and not future.done():
                future.set_result(job.result)
            else:
                job.settle()


DRAINS: "weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Drain]" = weakref.WeakKeyDictionary()


def drain_of(loop: asyncio.AbstractEventLoop) -> Drain:
    """Return the drain of a loop."""
    known: Drain | None = getattr(place, "drain", None)
    if known is not None and known.loop() is loop:
        return known
    place.drain = drain = DRAINS.setdefault(loop, Drain(loop))
    return drain


class ThreadPool(Executor):
    """Threads for calls that block, for :func:`treadle.to_executor`, ``loop.run_in_executor`` and :meth:`submit`.

    Threads begin when there is work for them. Calls carry the caller's context variables. Only callers that wait make
    the queue longer: bound *them* (:func:`treadle.amap`, :class:`treadle.Semaphore`) and it is bounded.
    """

    _crew: Crew

    def __init__(
        self,
        workers: int | None = None,
        *,
        max_calls: int | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        name: str | None = None,
    ) -> None:
        """Make a pool.

        Args:
            workers: threads at most; by default four more than there are processors, at most 32.
            max_calls: a thread ends after so many calls, and another takes its place; None for never.
            initializer: called in each thread before its first call. If it raises, that call gets
                :class:`concurrent.futures.BrokenExecutor`, and the next call tries again.
            initargs: what the initializer is called with.
            name: what threads, messages and statistics call it.

        Raises:
            ValueError: ``workers`` or ``max_calls`` is less than 1.

        """
        workers = min(32, (os.cpu_count() or 1) + 4) if workers is None else workers
        check_sizes(workers, max_calls)
        self.name = name
        begin = None if initializer is None else lambda: initializer(*initargs)
        self._crew = ThreadCrew(workers, max_calls, begin, name or "treadle-threads", daemon=False)
        register(self)

    def __repr__(self) -> str:
        """Return the kind and the name."""
        return f"<{type(self).__name__}{'' if self.name is None else f' {self.name!r}'}>"

    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Let a thread call ``fn``, and return a future of what it returns.

        Raises:
            RuntimeError: the pool has been shut down.

        """
        promise: Promise[R] = Promise(self._crew)
        loop = asyncio._get_running_loop()
        drain = None if loop is None else drain_of(loop)
        promise._job = Errand(fn, args, kwargs, copy_context(), promise, drain)
        self._crew.put(promise._job)
        return promise

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002
        """Take no more calls.

        Args:
            wait: return when all calls have been made; never do that on a loop's thread while they run.
            cancel_futures: drop calls that have not begun.

        """
        self._crew.close(wait=wait, cancel=cancel_futures)

    def stats(self) -> dict[str, Any]:
        """Return ``limit``, ``workers`` there are, how many are ``in_use``, calls ``waiting``, and ``calls`` begun."""
        return {"kind": type(self).__name__, "name": self.name, **self._crew.stats()}

    def __del__(self) -> None:
        """Let the threads go."""
        crew = getattr(self, "_crew", None)
        if crew is not None:
            crew.close(wait=False)


def check_sizes(workers: int, max_calls: int | None) -> None:
    """Raise ValueError if a pool cannot be as big as that."""
    if workers < 1:
        raise ValueError(f"a pool needs 1 worker or more, not {workers!r}")
    if max_calls is not None and max_calls < 1:
        raise ValueError(f"max_calls= is 1 or more, not {max_calls!r}")


CREWS: "weakref.WeakSet[Crew]" = weakref.WeakSet()
SHARED: dict[str, ThreadPool] = {}


def the_threads(name: str = "treadle-to-thread") -> ThreadPool:
    """Return a pool of this process that all share."""
    pool = SHARED.get(name)
    if pool is None:
        pool = SHARED.setdefault(name, ThreadPool(name=name))
    return pool


def finish() -> None:
    """Let all calls end before the interpreter does, as :mod:`concurrent.futures` does."""
    for crew in list(CREWS):
        crew.close(wait=False)
    for crew in list(CREWS):
        crew.close(wait=True)


# Threads are joined before `atexit` has its turn.
getattr(threading, "_register_atexit", atexit.register)(finish)
# A child that was forked has none of the threads.
os.register_at_fork(after_in_child=SHARED.clear)
