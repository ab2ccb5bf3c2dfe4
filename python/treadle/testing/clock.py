"""A loop whose clock is not the world's: it stands still, and jumps to the next timer when every task waits."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from treadle.loop import EventLoop

if TYPE_CHECKING:
    import asyncio

__all__ = ["VirtualEventLoop", "virtual_event_loop"]

# How long the clock waits for what happens outside, in seconds of the world, if something may: half-open sockets of
# the loopback and threads that have their result answer sooner.
PATIENCE = 0.02
# A job of an executor is work that is being done.
PATIENCE_FOR_JOBS = 5.0


class VirtualEventLoop(EventLoop):
    """treadle's event loop with a clock of its own.

    ``time()`` begins at 0 and goes on only when no callback is ready: then it jumps to the time of the next timer. So
    a test of ``asyncio.sleep(3600)`` takes no time, and what happens in which order is as in an hour. If sockets, pipes
    or children are waited for, the clock first waits for 20 ms whether something comes from there; a job of an executor
    has five seconds to end.
    """

    def __init__(self) -> None:
        """Make a loop; see :class:`treadle.EventLoop`."""
        super().__init__()
        self._jobs = 0
        self._jumps_after = 0.0
        # The loop's own descriptors are no reason to wait.
        self._own_sources = self._count_sources()

    def time(self) -> float:
        """Return the virtual time in seconds, from 0 on."""
        # A timer is set by who asks for the time; what has to be waited for may be another now.
        if self._jobs:
            self._jumps_after = PATIENCE_FOR_JOBS
        else:
            self._jumps_after = PATIENCE if self._count_sources() > self._own_sources else 0.0
        return self._virtual_time

    def run_in_executor(  # type: ignore[override]  # Its types are asyncio's, too long to repeat.
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> Any:
        """Run ``func(*args)`` in an executor, for whose result the clock waits."""
        future: asyncio.Future[Any] = super().run_in_executor(executor, func, *args)
        self._jobs += 1
        future.add_done_callback(self._job_done)
        return future

    def _job_done(self, _future: object) -> None:
        self._jobs -= 1


def virtual_event_loop() -> VirtualEventLoop:
    """Make a loop whose clock jumps: a factory for ``asyncio.Runner(loop_factory=…)`` and the like.

    Returns:
        A new loop, which is open, does not run, and is not the current one.

    Raises:
        OSError: the system has no more descriptors.

    """
    return VirtualEventLoop()
