"""The event loop: a stand-in until the one written in Rust is here."""

import asyncio

__all__ = ["EventLoop", "new_event_loop"]


class EventLoop(asyncio.SelectorEventLoop):
    """An asyncio event loop."""


def new_event_loop() -> EventLoop:
    """Return a new event loop."""
    return EventLoop()
