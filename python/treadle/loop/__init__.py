"""The event loop."""

from treadle.loop.event_loop import EventLoop, new_event_loop

__all__ = ["EventLoop", "new_event_loop"]
