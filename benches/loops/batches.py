"""Operations that need nothing but the loop: callbacks, timers, tasks and asyncio's own locks and queues.

Each function does so many operations and returns when the last is done. Objects that live longer than a batch are made
in the batch, since they cost little beside thousands of operations.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable

Batch = Callable[[int], Awaitable[None]]

PER_TURN = 1000
"""Callbacks scheduled before the loop takes its turn."""
LEAST = {"timer_fire": 50_000}
"""Operations that a batch must have, so that scheduling them takes longer than their delay."""


def nothing(*_arguments: object) -> None:
    """Stand for a callback that does its work in no time."""


async def call_soon(count: int) -> None:
    """Schedule callbacks, a thousand for each turn."""
    soon = asyncio.get_running_loop().call_soon
    for _ in range(0, count, PER_TURN):
        for _ in range(PER_TURN):
            soon(nothing)
        await asyncio.sleep(0)


async def call_soon_arguments(count: int) -> None:
    """Schedule callbacks with two arguments."""
    soon = asyncio.get_running_loop().call_soon
    for _ in range(0, count, PER_TURN):
        for _ in range(PER_TURN):
            soon(nothing, 1, 2)
        await asyncio.sleep(0)


async def chain(count: int) -> None:
    """Let each callback schedule the next, so that every one needs a turn."""
    loop = asyncio.get_running_loop()
    done = loop.create_future()

    def step(left: int) -> None:
        if left:
            loop.call_soon(step, left - 1)
        else:
            done.set_result(None)

    loop.call_soon(step, count - 1)
    await done


async def timer_cancel(count: int) -> None:
    """Schedule timers as timeouts do, and cancel each at once."""
    later = asyncio.get_running_loop().call_later
    for _ in range(0, count, PER_TURN):
        for delay in range(PER_TURN):
            later(10 + delay % 7, nothing).cancel()
        await asyncio.sleep(0)


async def timer_fire(count: int) -> None:
    """Schedule timers of which most are due before the last is scheduled, and await them all.

    Their delays are whole milliseconds, the finest that uvloop has: a shorter one would be no timer there.
    """
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    for index in range(count - 1):
        loop.call_later(0.001 + index % 3 / 1000, nothing)
    loop.call_later(0.003, done.set_result, None)
    await done


async def threadsafe(count: int) -> None:
    """Schedule callbacks the way threads do, from the loop's own thread: the call's cost without the thread's."""
    soon = asyncio.get_running_loop().call_soon_threadsafe
    for _ in range(0, count, PER_TURN):
        for _ in range(PER_TURN):
            soon(nothing)
        await asyncio.sleep(0)


async def threadsafe_wake(count: int) -> None:
    """Wake the sleeping loop from a thread that waits for its answer."""
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    answered = threading.Semaphore(0)

    def ask() -> None:
        for _ in range(count):
            loop.call_soon_threadsafe(answered.release)
            answered.acquire()
        loop.call_soon_threadsafe(done.set_result, None)

    thread = threading.Thread(target=ask)
    thread.start()
    await done
    thread.join()


async def sleep_zero(count: int) -> None:
    """Give way again and again."""
    for _ in range(count):
        await asyncio.sleep(0)


async def _return() -> None:
    """Stand for the shortest task."""


async def spawn(count: int) -> None:
    """Make a task and await it."""
    create_task = asyncio.get_running_loop().create_task
    for _ in range(count):
        await create_task(_return())


async def future(count: int) -> None:
    """Await a future that the next turn resolves."""
    loop = asyncio.get_running_loop()
    for _ in range(count):
        waited = loop.create_future()
        loop.call_soon(waited.set_result, None)
        await waited


async def queue(count: int) -> None:
    """Send one item there and back between two tasks."""
    there: asyncio.Queue[int] = asyncio.Queue()
    back: asyncio.Queue[int] = asyncio.Queue()

    async def answer() -> None:
        for _ in range(count):
            await back.put(await there.get())

    answering = asyncio.create_task(answer())
    for index in range(count):
        await there.put(index)
        await back.get()
    await answering


async def lock(count: int) -> None:
    """Hand a lock round among ten tasks that all want it."""
    contended = asyncio.Lock()

    async def work() -> None:
        for _ in range(count // 10):
            async with contended:
                await asyncio.sleep(0)

    await asyncio.gather(*(work() for _ in range(10)))


async def wait_for(count: int) -> None:
    """Await with a deadline what takes one turn."""
    for _ in range(count):
        await asyncio.wait_for(asyncio.sleep(0), 10)


async def gather(count: int) -> None:
    """Await ten short coroutines at once."""
    for _ in range(count):
        await asyncio.gather(*(_return() for _ in range(10)))


BATCHES: dict[str, Batch] = {
    function.__name__: function
    for function in (
        call_soon, call_soon_arguments, chain, timer_cancel, timer_fire, threadsafe, threadsafe_wake, sleep_zero,
        spawn, future, queue, lock, wait_for, gather,
    )
}  # fmt: skip
