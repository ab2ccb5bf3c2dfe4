"""The event loop."""

import asyncio  # noqa: F401 - where the doctor begins with it, that needs this package, and none of its modules half made

from treadle.loop.event_loop import EventLoop, new_event_loop

__all__ = ["EventLoop", "new_event_loop"]
