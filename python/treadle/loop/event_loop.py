"""The event loop, put together."""

from treadle.loop.pipes import Pipes
from treadle.loop.subprocess import Subprocesses


class EventLoop(Subprocesses, Pipes):
    """asyncio's event loop, written in Rust. ``asyncio.AbstractEventLoop`` describes what it does."""


def new_event_loop() -> EventLoop:
    """Make an event loop; ``asyncio.Runner(loop_factory=treadle.new_event_loop)`` and the like take this.

    Raises:
        OSError: the system has no more descriptors.
    """
    return EventLoop()
