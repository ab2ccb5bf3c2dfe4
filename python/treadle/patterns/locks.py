"""Several locks at once, without a deadlock."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any, Protocol

__all__ = ["Lock", "lock_all"]


class Lock(Protocol):
    """What can be acquired and released: asyncio's locks, semaphores and conditions, and treadle's semaphores."""

    async def acquire(self) -> Any:
        """Wait for it."""

    def release(self) -> None:
        """Give it back."""


@contextlib.asynccontextmanager
async def lock_all(*locks: Lock) -> AsyncIterator[None]:
    """Hold all locks in a block: ``async with treadle.lock_all(payer.lock, payee.lock): …``.

    They are acquired one after the other, in an order that is the same everywhere in the program, whatever the order of
    the arguments: two tasks never wait for each other. That holds among blocks of this kind; a task that holds one of
    the locks by other means when it comes here can still be part of a deadlock. A lock that is given twice is acquired
    once. Who is cancelled while it waits holds none.

    Args:
        locks: of one kind or several.

    """
    held: list[Lock] = []
    try:
        # The address of an object that lives is its own, and stays.
        for lock in sorted({id(lock): lock for lock in locks}.values(), key=id):
            await lock.acquire()
            held.append(lock)
        yield
    finally:
        for lock in reversed(held):
            lock.release()
