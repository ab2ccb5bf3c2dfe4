"""The event loop, put together."""

from asyncio import selector_events, unix_events
from typing import Any

from treadle.loop.subprocess import Subprocesses
from treadle.loop.unix import Unix


class EventLoop(Subprocesses, Unix):
    """asyncio's event loop, written in Rust. ``asyncio.AbstractEventLoop`` describes what it does."""

    def _make_datagram_transport(
        self, sock: Any, protocol: Any, address: Any = None, waiter: Any = None, extra: Any = None
    ) -> Any:
        return selector_events._SelectorDatagramTransport(self, sock, protocol, address, waiter, extra)

    def _make_read_pipe_transport(self, pipe: Any, protocol: Any, waiter: Any = None, extra: Any = None) -> Any:
        return unix_events._UnixReadPipeTransport(self, pipe, protocol, waiter, extra)

    def _make_write_pipe_transport(self, pipe: Any, protocol: Any, waiter: Any = None, extra: Any = None) -> Any:
        return unix_events._UnixWritePipeTransport(self, pipe, protocol, waiter, extra)


def new_event_loop() -> EventLoop:
    """Make an event loop; ``asyncio.Runner(loop_factory=treadle.new_event_loop)`` and the like take this.

    Raises:
        OSError: the system has no more descriptors.
    """
    return EventLoop()
