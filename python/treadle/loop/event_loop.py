"""The event loop, put together."""

from treadle.loop.pipes import Pipes
from treadle.loop.subprocess import Subprocesses


class EventLoop(Subprocesses, Pipes):
    """asyncio's event loop, written in Rust.

    Every method has the arguments, defaults and errors of the one of the same name that the running Python's
    ``asyncio.AbstractEventLoop`` describes. Times are seconds, as floats; ``time()`` is that of :func:`time.monotonic`.

    Raises:
        OSError: the system has no more descriptors.
    """


def new_event_loop() -> EventLoop:
    """Make an event loop; ``asyncio.Runner(loop_factory=treadle.new_event_loop)`` and the like take this.

    Returns:
        A new loop, which is open, does not run, and is not the current one. Whoever makes it closes it.

    Raises:
        OSError: the system has no more descriptors.
    """
    return EventLoop()
