"""The pool of processes that programs see."""

import multiprocessing
import os
import sys
from collections.abc import Callable
from typing import Any, Literal

from treadle.patterns.process_crew import ProcessCrew, RemoteTraceback, WorkerDied
from treadle.patterns.registry import register
from treadle.patterns.thread_pool import SHARED, ThreadPool, check_sizes

__all__ = ["ProcessPool", "RemoteTraceback", "WorkerDied", "the_pool"]


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
