"""What the tests of errors share: exceptions of either kind, and all the ways to be called."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

from connections import sockets

if TYPE_CHECKING:
    import asyncio
    import contextlib
    import socket
    from collections.abc import Callable


class Odd(BaseException):
    """Derived from the base of all exceptions, and still not one that ends programs."""


ORDINARY = [ValueError, Odd]
ENDING = [KeyboardInterrupt, SystemExit]


def raiser(error: type[BaseException]) -> Callable[..., Any]:
    """Return what raises the error whatever it is called with."""

    def fail(*_: object, **__: object) -> None:
        raise error("on purpose")

    return fail


def readable() -> tuple[socket.socket, socket.socket]:
    """Return two sockets, of which the first has something to read and room to write."""
    near, far = sockets()
    far.send(b"x")
    return near, far


def once(
    loop: asyncio.AbstractEventLoop, kind: str, callback: Callable[[], object], undo: contextlib.ExitStack
) -> None:
    """Have the loop call something once, in one of the ways there are."""
    if kind == "call_soon":
        loop.call_soon(callback)
    elif kind == "call_soon_threadsafe":
        loop.call_soon_threadsafe(callback)
    elif kind == "timer":
        loop.call_later(0.001, callback)
    elif kind == "signal":
        loop.add_signal_handler(signal.SIGUSR1, callback)
        undo.callback(loop.remove_signal_handler, signal.SIGUSR1)
        os.kill(os.getpid(), signal.SIGUSR1)
    elif kind == "future":
        future = loop.create_future()
        future.add_done_callback(lambda _: callback())
        future.set_result(None)
    else:
        near, far = readable()
        undo.callback(near.close)
        undo.callback(far.close)
        add, remove = (
            (loop.add_reader, loop.remove_reader) if kind == "reader" else (loop.add_writer, loop.remove_writer)
        )

        def call() -> None:
            remove(near)
            callback()

        add(near, call)


KINDS = ["call_soon", "call_soon_threadsafe", "timer", "signal", "future", "reader", "writer"]
