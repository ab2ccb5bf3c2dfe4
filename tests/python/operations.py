"""What the tests of the ``sock_*`` operations share: sockets that do not block, and tasks that wait for one."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING, Any

from loops import not_on

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    NewLoop = Callable[[], asyncio.AbstractEventLoop]

HELD = not_on("uvloop", reason="it takes what is received and loses it with the task")


@contextlib.contextmanager
def pair(kind: int = socket.SOCK_STREAM, family: int = socket.AF_UNIX) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Make two sockets that are connected and do not block."""
    near, far = socket.socketpair(family, kind)
    with near, far:
        near.settimeout(0)
        far.settimeout(0)
        yield near, far


@contextlib.contextmanager
def listening(backlog: int = 10) -> Iterator[socket.socket]:
    """Make a listening socket that does not block."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(backlog)
        listener.settimeout(0)
        yield listener


@contextlib.contextmanager
def opened(family: int = socket.AF_INET, kind: int = socket.SOCK_STREAM) -> Iterator[socket.socket]:
    """Make a socket that does not block."""
    with socket.socket(family, kind) as sock:
        sock.settimeout(0)
        yield sock


def fill(sock: socket.socket) -> int:
    """Write until no more goes in; return how much that was."""
    sent = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            sent += sock.send(bytes(1 << 16))
    return sent


async def begun(operation: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    """Have an operation begin, and wait."""
    task = asyncio.get_running_loop().create_task(operation)
    for _ in range(3):
        await asyncio.sleep(0)
    assert not task.done()
    return task


async def cancelled(task: asyncio.Task[Any]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert task.cancelled()
