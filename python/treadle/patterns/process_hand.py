"""A process of a pool, as the pool sees it: how it is started, watched, and ended.

A process has one call at a time. A lock guards which one: nobody is killed for a call that is over.
"""

import contextlib
import os
import socket
import threading
from asyncio import _get_running_loop as get_running_loop
from collections.abc import Callable
from multiprocessing.context import BaseContext
from typing import TYPE_CHECKING, Any

from treadle.patterns.process_worker import main
from treadle.patterns.wire import Line

if TYPE_CHECKING:
    import asyncio
    from multiprocessing.process import BaseProcess

    from treadle.patterns.process_crew import ProcessCrew
    from treadle.patterns.thread_pool import Drain, Job

__all__ = ["GRACE", "Hand", "Watch"]

# So long may a process take to end by itself, in seconds.
GRACE = 5.0
# What goes over a line has to fit in what the system keeps of it, so that sending never waits.
BUFFER = 1 << 17
# Starting one takes long, and is not meant to be done by several threads at once.
STARTING = threading.Lock()


class Hand:
    """A process and the line to it."""

    def __init__(
        self, context: BaseContext, initializer: Callable[..., object] | None, initargs: tuple[Any, ...], name: str
    ) -> None:
        """Start a process."""
        near, far = socket.socketpair()
        try:
            near.settimeout(None)
            far.settimeout(None)
            near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
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
        self.calls = 0
        # Something else may have inherited its end of the line, so that nobody sees from there that it has ended.
        self.death, self._is_own = process.sentinel, False
        if context.get_start_method() == "spawn" and hasattr(os, "pidfd_open"):
            # A kernel or a sandbox may not have it. What the process starts may then hide its end, as said above.
            with contextlib.suppress(OSError):
                self.death, self._is_own = os.pidfd_open(process.pid), True
        # What guards the rest: the call that it makes, the one that a loop was told to send, and the loop that looks.
        self.lock = threading.Lock()
        self.job: Job | None = None
        self.coming: Job | None = None
        self.watch: Watch | None = None
        # It was told to end, or has ended, and gets no more calls; it is made to end at the limit.
        self.is_ending = False
        self.limit: asyncio.TimerHandle | None = None

    def kill(self) -> None:
        """End the process now; the lock is held, or it is known that nobody buries it meanwhile."""
        self.is_ending = True
        self.process.kill()

    def bury(self) -> int | None:
        """Wait for the process, which is dying, and return its exit code."""
        if self._is_own:
            os.close(self.death)
        self.process.join(GRACE)
        if self.process.exitcode is None:
            self.process.kill()
            self.process.join()
        code = self.process.exitcode
        self.process.close()
        return code


class Watch:
    """A loop's look at the line to a process.

    It has a descriptor of its own. So a loop that has no time can let go of it later, and neither the process nor other
    loops have to wait for that.
    """

    __slots__ = ("_crew", "_fd", "_hand", "drain")

    def __init__(self, crew: "ProcessCrew", hand: Hand, drain: "Drain", loop: "asyncio.AbstractEventLoop") -> None:
        """Begin to look, on the loop's thread."""
        self._crew = crew
        self._hand = hand
        self.drain = drain
        self._fd = os.dup(hand.line.socket.fileno())
        try:
            loop.add_reader(self._fd, self._look)
        except BaseException:
            self._close()
            raise

    def __del__(self) -> None:
        """Let go with the loop."""
        self._close()

    def end(self) -> None:
        """Look no longer, from any thread."""
        loop = self.drain.loop()
        if loop is not None and not loop.is_closed():
            if get_running_loop() is loop:
                self._stop()
                return
            try:
                loop.call_soon_threadsafe(self._stop)
            except RuntimeError:
                # It has been closed meanwhile.
                pass
            else:
                return
        self._close()

    def _look(self) -> None:
        """Take the answer, if it has come."""
        hand = self._hand
        job = parcel = None
        with hand.lock:
            is_over = hand.watch is not self
            if not is_over:
                try:
                    parcel = hand.line.receive_nowait()
                except (EOFError, ConnectionResetError):
                    # The keeper sees what becomes of it and of its call.
                    is_over, hand.is_ending, hand.watch = True, True, None
                    self._crew.call(self._crew.give_up, hand)
                if parcel is not None:
                    job, hand.job = hand.job, None
        if is_over:
            self._stop()
        elif job is not None and parcel is not None:
            self._crew.answered(hand, job, parcel, self.drain)

    def _stop(self) -> None:
        loop = self.drain.loop()
        if self._fd >= 0 and loop is not None and not loop.is_closed():
            loop.remove_reader(self._fd)
        self._close()

    def _close(self) -> None:
        fd, self._fd = getattr(self, "_fd", -1), -1
        if fd >= 0:
            os.close(fd)
