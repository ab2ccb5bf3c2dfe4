"""Calls in processes: a thread for each process sends it calls and waits for answers, so any loop will do.

A process has one call at a time. A lock on each seat guards which one: nobody is killed for a call that is over.
"""

import functools
import multiprocessing
import os
import select
import socket
import sys
import threading
from collections.abc import Callable
from concurrent.futures import BrokenExecutor
from multiprocessing.context import BaseContext
from typing import TYPE_CHECKING, Any, Literal

from treadle.patterns.process_worker import BROKEN, CALL, ERROR, main
from treadle.patterns.registry import register
from treadle.patterns.thread_pool import SHARED, Crew, Interrupted, Job, Seat, ThreadPool, check_sizes
from treadle.patterns.wire import Line, dump

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

__all__ = ["ProcessPool", "RemoteTraceback", "WorkerDied", "the_pool"]

# So long may a process take to end by itself.
GRACE = 5.0
GUARD = 'a script that starts processes has to be a file, and to guard its start with `if __name__ == "__main__":`'


class WorkerDied(BrokenExecutor):
    """A process has died while it ran a call. Other calls and later ones are not touched."""


class RemoteTraceback(Exception):  # noqa: N818 - it is no error, but the cause that is shown
    """Where an exception came from in the other process."""

    def __init__(self, words: str) -> None:
        """Take a traceback in words."""
        super().__init__(words)

    def __str__(self) -> str:
        """Return the traceback, on lines of its own."""
        return f"\n{self.args[0]}"


class Hand:
    """A process and the line to it."""

    def __init__(
        self, context: BaseContext, initializer: Callable[..., object] | None, initargs: tuple[Any, ...], name: str
    ) -> None:
        """Start a process."""
        near, far = socket.socketpair()
        try:
            with STARTING:
                process = context.Process(  # type: ignore[attr-defined]
                    target=main, args=(far, initializer, initargs), name=name
                )
                process.start()
        except BaseException:
            near.close()
            raise
        finally:
            far.close()
        self.process: BaseProcess = process
        self.line = Line(near)
        self.has_answered = False
        self.is_killed = False
        self._poll = select.poll()
        self._poll.register(near, select.POLLIN)
        self._poll.register(process.sentinel, select.POLLIN)

    def ask(self, pieces: Any) -> tuple[int, Any]:
        """Send a call and wait for the answer.

        Raises:
            EOFError: the process has died.

        """
        line = self.line
        try:
            line.send(CALL, pieces)
        except (BrokenPipeError, ConnectionResetError):
            raise EOFError from None
        fd = line.socket.fileno()
        if all(ready != fd for ready, _ in self._poll.poll()):
            # Something else may have inherited its end of the line.
            raise EOFError
        try:
            kind, parcel = line.receive()
        except ConnectionResetError:
            raise EOFError from None
        line.reclaim()
        self.has_answered = True
        return kind, parcel.open()

    def kill(self) -> None:
        """End the process now, from any thread."""
        self.is_killed = True
        self.process.kill()

    def bury(self) -> int | None:
        """Wait for the process, which is dying, and return its exit code."""
        self.line.close()
        self.process.join(GRACE)
        if self.process.exitcode is None:
            self.process.kill()
            self.process.join()
        code = self.process.exitcode
        self.process.close()
        return code


# Starting one takes long, and is not meant to be done by several threads at once.
STARTING = threading.Lock()


class ProcessCrew(Crew):
    """Workers that have a process each."""

    def __init__(  # noqa: PLR0913, PLR0917 - made in one place
        self,
        workers: int,
        max_calls: int | None,
        initializer: Callable[..., object] | None,
        initargs: tuple[Any, ...],
        name: str,
        context: BaseContext,
    ) -> None:
        """Make a crew of nobody."""
        super().__init__(workers, max_calls, None, name, daemon=False)
        self._context = context
        self._begin_with = (initializer, initargs)
        self.died = self.killed = 0

    def executor(self, seat: Seat) -> Callable[[Job], Any]:
        """Return what does a job on a seat."""
        return functools.partial(self._execute, seat)

    def interrupt(self, job: Job) -> bool:
        """Kill the process that does the job, if it still does it."""
        job.is_abandoned = True
        seat = job.seat
        if seat is not None:
            with seat.lock:
                hand: Hand | None = seat.extra
                if seat.job is job and hand is not None:
                    hand.kill()
        return True

    def stand_up(self, seat: Seat) -> None:
        """Let the process end."""
        hand, seat.extra = seat.extra, None
        if hand is not None:
            hand.bury()

    def stats(self) -> dict[str, Any]:
        """Return numbers for :meth:`ProcessPool.stats`."""
        hands = [seat.extra for seat in list(self.seats)]
        pids = [hand.process.pid for hand in hands if hand is not None]
        return {**super().stats(), "died": self.died, "killed": self.killed, "pids": pids}

    def _execute(self, seat: Seat, job: Job) -> Any:
        """Let the seat's process do a job."""
        pieces = dump((job.fn, job.args, job.keywords))
        hand: Hand | None = seat.extra
        if hand is None:
            try:
                hand = Hand(self._context, *self._begin_with, f"{self.name}-{self._number}")
            except (OSError, EOFError) as error:
                raise WorkerDied(f"a process of {self.name} could not be started; {GUARD}") from error
        with seat.lock:
            seat.extra = hand
            if job.is_abandoned:
                raise Interrupted
            seat.job = job
        try:
            kind, content = hand.ask(pieces)
        except EOFError:
            raise self._mourn(seat, hand, job) from None
        finally:
            del pieces
            with seat.lock:
                seat.job = None
        if hand.is_killed:
            # It had just answered. The next call is not to find out that it is gone.
            seat.extra = None
            hand.bury()
            self.killed += 1
            raise Interrupted
        if kind == BROKEN:
            seat.extra = None
            hand.bury()
            raise BrokenExecutor(f"a process of {self.name} could not be initialized") from with_words(*content)
        if kind == ERROR:
            raise with_words(*content)
        return content

    def _mourn(self, seat: Seat, hand: Hand, job: Job) -> Exception:
        """Return what to say of a process that has died."""
        with seat.lock:
            seat.extra = seat.job = None
        code = hand.bury()
        if job.is_abandoned:
            self.killed += 1
            return Interrupted()
        self.died += 1
        how = f"exit code {code}" if code is None or code >= 0 else f"signal {-code}"
        name = getattr(job.fn, "__qualname__", repr(type(job.fn)))
        words = f"a process of {self.name} died in a call of `{name}`: {how}"
        if code == 1 and not hand.has_answered:
            words += f"; {GUARD}"
        return WorkerDied(words)


def with_words(error: BaseException, words: str) -> BaseException:
    """Let an exception tell where it came from."""
    error.__cause__ = RemoteTraceback(words)
    return error


class ProcessPool(ThreadPool):
    """Processes for calls that compute, for :func:`treadle.to_executor`, ``loop.run_in_executor`` and :meth:`submit`.

    Functions, arguments and results are pickled, so functions are known by module and name. What is big goes by shared
    memory: bytes are copied in and out of it, buffers of pickle's protocol 5 (arrays of NumPy) and views lie there for
    the function that gets them. If a caller is cancelled, the process that works for it is killed, and another one
    takes its place with the next call. The start of a script has to be guarded: ``if __name__ == "__main__":``.
    """

    def __init__(  # noqa: PLR0913
        self,
        workers: int | None = None,
        *,
        max_calls: int | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        name: str | None = None,
        start: Literal["spawn", "forkserver"] | None = None,
    ) -> None:
        """Make a pool; processes start when there is work.

        Args:
            workers: processes at most; by default as many as there are processors.
            max_calls: a process ends after so many calls, and another takes its place; None for never.
            initializer: called in each process before its first call. If it raises, that call gets
                :class:`concurrent.futures.BrokenExecutor`, and the next call tries again.
            initargs: what the initializer is called with.
            name: what processes, messages and statistics call it.
            start: how processes start; by default with a server that forks, where there is one. Never by a fork of
                this process, which has threads.

        Raises:
            ValueError: ``workers`` or ``max_calls`` is less than 1, or there is no such way to start.

        """
        if start not in (None, "spawn", "forkserver"):
            raise ValueError(f"start= is 'spawn' or 'forkserver', not {start!r}")
        workers = (os.cpu_count() or 1) if workers is None else workers
        check_sizes(workers, max_calls)
        if start is None:
            start = "forkserver" if sys.platform == "linux" else "spawn"
        self.name = name
        self._crew = ProcessCrew(
            workers,
            max_calls,
            initializer,
            initargs,
            name or "treadle-processes",
            multiprocessing.get_context(start),
        )
        register(self)


def the_pool() -> ProcessPool:
    """Return the pool of this process that all share."""
    pool = SHARED.get("to_process")
    if pool is None:
        pool = SHARED.setdefault("to_process", ProcessPool(name="treadle-to-process"))
    assert isinstance(pool, ProcessPool)
    return pool
