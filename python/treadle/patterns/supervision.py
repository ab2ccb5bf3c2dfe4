"""A program's long-lived tasks: started, watched, restarted, and stopped in an order that has an end."""

import asyncio
import inspect
import logging
import signal
import threading
import time
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from types import FrameType, TracebackType
from typing import Any, Literal, Self

from treadle.patterns.registry import register
from treadle.patterns.retries import Retry
from treadle.patterns.waiting import note, note_all

__all__ = ["Report", "Supervisor"]

LOG = logging.getLogger("treadle")

Handler = Callable[[int, FrameType | None], Any] | int | None


@dataclass(frozen=True)
class Report:
    """How a supervisor's tasks have ended.

    Attributes:
        reason: what stopped it: a signal's name, ``"stop"``, ``"error"``, ``"cancelled"``, or ``"done"``.
        drained: names of tasks that ended by themselves after that.
        cancelled: names of tasks that had to be cancelled, and ended.
        stuck: names of tasks that did not end, and where they wait.
        errors: what tasks have raised.
        seconds: from the stop to the end.

    """

    reason: str
    drained: tuple[str, ...]
    cancelled: tuple[str, ...]
    stuck: tuple[str, ...]
    errors: tuple[BaseException, ...]
    seconds: float


class Supervisor:
    """Owns tasks, and ends them: signal, draining, cancelling, report.

    ::

        async with treadle.Supervisor(drain=10, cleanup=5) as supervisor:
            supervisor.spawn(serve(supervisor.stopping), name="server")
            supervisor.spawn(refresh, name="cache", restart=treadle.Retry(on=OSError))

    The block ends when all tasks have. It begins to stop at a signal, by :meth:`stop`, at the first error, or when it
    is cancelled itself:

    1. ``stopping`` is set. Tasks that look at it have ``drain`` seconds to finish what they do. A second signal, or a
       cancellation, ends this at once.
    2. What still runs is cancelled, and has ``cleanup`` seconds.
    3. What runs even then is logged with the line where it waits, and left behind. ``report`` says who it was.

    The first error is raised bare, with further ones in its notes; so is the cancellation.
    """

    def __init__(
        self,
        *,
        signals: Iterable[signal.Signals] = (signal.SIGINT, signal.SIGTERM),
        drain: float = 10,
        cleanup: float = 5,
        on_error: Literal["stop", "log"] = "stop",
        name: str | None = None,
    ) -> None:
        """Make a supervisor, which begins in ``async with``.

        Args:
            signals: what stops it; taken while the block lasts, in the main thread only.
            drain: seconds for tasks to end by themselves.
            cleanup: seconds for cancelled tasks to end.
            on_error: whether the first error of a task stops the others and is raised, or is logged.
            name: what logs and statistics call it.

        Raises:
            ValueError: a number is negative, or ``on_error`` unknown.

        """
        if drain < 0 or cleanup < 0:
            raise ValueError("drain= and cleanup= are in seconds")
        if on_error not in ("stop", "log"):
            raise ValueError(f"on_error= is 'stop' or 'log', not {on_error!r}")
        self.name = name
        #: Set when the supervisor begins to stop.
        self.stopping: asyncio.Event = asyncio.Event()
        #: How it has ended; None before.
        self.report: Report | None = None
        self._signals = tuple(signals)
        self._drain, self._cleanup = drain, cleanup
        self._on_error = on_error
        self._state = "new"
        self._reason = "done"
        self._tasks: set[asyncio.Task[Any]] = set()
        self._errors: list[BaseException] = []
        self._handlers: dict[signal.Signals, Handler] = {}
        self._hurry = False
        self._waiter: asyncio.Future[None] | None = None
        self._spawned = self._restarts = 0
        register(self)
        self._stopped_at = 0.0

    def __repr__(self) -> str:
        """Return the kind, the name and the state."""
        return f"<Supervisor{'' if self.name is None else f' {self.name!r}'} {self._state}>"

    def stats(self) -> dict[str, Any]:
        """Return ``state``, the names of ``tasks`` that run; ``calls`` are those spawned, ``retries`` are restarts."""
        return {
            "kind": "Supervisor",
            "name": self.name,
            "state": self._state,
            "in_use": len(self._tasks),
            "tasks": sorted(task.get_name() for task in tuple(self._tasks)),
            "calls": self._spawned,
            "failed": len(self._errors),
            "retries": self._restarts,
        }

    def spawn(
        self,
        work: Coroutine[Any, Any, Any] | Callable[[], Coroutine[Any, Any, Any]],
        *,
        name: str | None = None,
        restart: Retry | None = None,
    ) -> "asyncio.Task[Any]":
        """Start a task, which the supervisor keeps and watches.

        Args:
            work: a coroutine; or a function that gives one, which a task that restarts needs.
            name: the task's name; by default the function's.
            restart: after which errors it is started anew, after what wait, and how often in a row: a run that was
                longer than ``backoff.max`` begins a new row. Returning is not restarted. Such an error that comes while
                the supervisor stops is logged, and is not raised.

        Returns:
            The task. Awaiting it gives its result or error, which the supervisor sees all the same.

        Raises:
            RuntimeError: the supervisor does not run, or stops already.
            TypeError: a coroutine is to be restarted.

        """
        is_coroutine = inspect.iscoroutine(work)
        if self._state != "running" or (restart is not None and is_coroutine):
            if inspect.iscoroutine(work):
                work.close()
            if self._state != "running":
                raise RuntimeError(f"{self!r} starts no tasks: it does so inside `async with`, until it stops")
            raise TypeError("a coroutine runs once; give spawn() the function, to be restarted")
        if callable(work):
            coroutine = work() if restart is None else self._restarting(work, restart, name)
            name = name or getattr(work, "__qualname__", None)
        else:
            coroutine = work
            name = name or getattr(work, "__qualname__", None)
        self._spawned += 1
        task = asyncio.get_running_loop().create_task(coroutine, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def stop(self) -> None:
        """Begin to stop. May be called again, and from tasks; does nothing then."""
        self._stop("stop")

    async def __aenter__(self) -> Self:
        """Take the signals.

        Raises:
            RuntimeError: it was used before.

        """
        if self._state != "new":
            raise RuntimeError(f"{self!r} cannot be used again")
        self._loop = asyncio.get_running_loop()
        self._state = "running"
        if threading.current_thread() is threading.main_thread():
            for number in self._signals:
                self._handlers[number] = signal.getsignal(number)
                self._loop.add_signal_handler(number, self._on_signal, number)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Wait until the tasks have ended, or until it is to stop; then end them."""
        cancelled: asyncio.CancelledError | None = None
        if kind is not None:
            self._hurry = issubclass(kind, asyncio.CancelledError)
            self._stop("cancelled" if self._hurry else "error")
        try:
            cancelled = await self._wait(lambda: self._state != "running", None)
            if self._state == "running":
                self._stop("cancelled" if cancelled is not None else "done")
            before = set(self._tasks)
            if cancelled is None and not self._hurry:
                cancelled = await self._wait(lambda: self._hurry, self._drain)
            drained = before - self._tasks
            ended = await self._cancel_all()
            cancelled = cancelled or ended
            self._tell(drained, before - drained)
        finally:
            self._give_back_signals()
            self._state = "stopped"
        self._raise(cancelled, error)

    def _raise(self, cancelled: asyncio.CancelledError | None, error: BaseException | None) -> None:
        if error is not None:
            note_all(error, self._errors, "a task failed")
        elif cancelled is not None:
            note_all(cancelled, self._errors, "a task failed")
            raise cancelled
        elif self._errors and self._on_error == "stop":
            first, *others = self._errors
            note_all(first, others, "another task failed too")
            raise first

    async def _wait(self, over: Callable[[], bool], seconds: float | None) -> asyncio.CancelledError | None:
        """Wait until no task is left, until something holds, or so long; and return a cancellation, which ends it."""
        until = None if seconds is None else self._loop.time() + seconds
        while self._tasks and not over() and (until is None or self._loop.time() < until):
            self._waiter = self._loop.create_future()
            timer = None if until is None else self._loop.call_at(until, self._wake)
            try:
                await self._waiter
            except asyncio.CancelledError as error:
                return error
            finally:
                if timer is not None:
                    timer.cancel()
        return None

    async def _cancel_all(self) -> asyncio.CancelledError | None:
        for task in self._tasks:
            task.cancel()
        cancelled = None
        until = self._loop.time() + self._cleanup
        while self._tasks and (left := until - self._loop.time()) > 0:
            cancelled = await self._wait(lambda: False, left) or cancelled
        return cancelled

    def _tell(self, drained: "set[asyncio.Task[Any]]", others: "set[asyncio.Task[Any]]") -> None:
        stuck = []
        for task in self._tasks:
            frames = task.get_stack(limit=1)
            where = f" at {frames[0].f_code.co_filename}:{frames[0].f_lineno}" if frames else ""
            stuck.append(f"{task.get_name()}{where}")
            LOG.error(
                "task %s does not end: cancelled %g s ago, it still waits%s", task.get_name(), self._cleanup, where
            )
        self.report = Report(
            self._reason,
            tuple(sorted(task.get_name() for task in drained)),
            tuple(sorted(task.get_name() for task in others - self._tasks)),
            tuple(sorted(stuck)),
            tuple(self._errors),
            time.monotonic() - self._stopped_at,
        )

    async def _restarting(self, work: Callable[[], Coroutine[Any, Any, Any]], restart: Retry, name: str | None) -> Any:
        """Run it, and again after errors that are worth it."""
        failures = 0
        while True:
            began = self._loop.time()
            if restart.budget is not None:
                restart.budget.deposit()
            try:
                return await work()
            except Exception as error:
                if self._loop.time() - began > restart.backoff.max:
                    failures = 0
                failures += 1
                answer = restart.delay_after(error, failures)
                if answer is None:
                    raise
                told = note(error, f"task {name or getattr(work, '__qualname__', 'task')} failed")
                if self._state != "running":
                    # What is worth another attempt is no reason to end with an error when it comes a moment too late.
                    LOG.warning("not restarted, for all stops: %s", told)
                    return None
                LOG.warning("restarting in %.3g s: %s", answer[0], told)
            # Nobody waits longer than until the end.
            if await self._nap(answer[0]):
                return None
            self._restarts += 1

    async def _nap(self, seconds: float) -> bool:
        """Sleep, and return whether the supervisor stops."""
        try:
            async with asyncio.timeout(seconds):
                await self.stopping.wait()
        except TimeoutError:
            return False
        return True

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._errors.append(error)
            if self._on_error == "log":
                LOG.error("task %s failed", task.get_name(), exc_info=error)
            else:
                self._stop("error")
        self._wake()

    def _on_signal(self, number: signal.Signals) -> None:
        if self._state == "stopping":
            self._hurry = True
            self._wake()
        self._stop(number.name)

    def _stop(self, reason: str) -> None:
        if self._state != "running":
            return
        self._state = "stopping"
        self._reason = reason
        self._stopped_at = time.monotonic()
        self.stopping.set()
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _give_back_signals(self) -> None:
        for number, handler in self._handlers.items():
            self._loop.remove_signal_handler(number)
            if handler is not None:
                signal.signal(number, handler)
        self._handlers.clear()
