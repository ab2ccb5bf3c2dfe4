"""Loads that need nothing but the loop: each does a batch of operations, and batches are timed."""

import asyncio
import time
from collections.abc import Awaitable, Callable

BATCH = 1000
# The part of the time in which nothing is counted yet.
WARM = 0.1

Load = Callable[[], Awaitable[None]]


async def measure(load: Load, seconds: float) -> dict[str, float]:
    """Repeat batches for so long; return the rate, the processor time of one operation, and what one took."""
    end = time.perf_counter() + seconds * WARM
    while time.perf_counter() < end:
        await load()
    took: list[float] = []
    begun, cpu = time.perf_counter(), time.process_time()
    before = begun
    while before - begun < seconds:
        await load()
        now = time.perf_counter()
        took.append(now - before)
        before = now
    cpu = time.process_time() - cpu
    operations = len(took) * BATCH
    took.sort()
    return {
        "operations": operations,
        "seconds": before - begun,
        "cpu": cpu,
        "p50": took[len(took) // 2] / BATCH,
        "p99": took[len(took) * 99 // 100] / BATCH,
    }


async def call_soon() -> None:
    """Schedule callbacks in one turn, which run in the next."""
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    for _ in range(BATCH - 1):
        loop.call_soon(nothing)
    loop.call_soon(done.set_result, None)
    await done


async def timers() -> None:
    """Set timers and cancel them, as deadlines do."""
    loop = asyncio.get_running_loop()
    for _ in range(BATCH):
        loop.call_later(10, nothing).cancel()
    await asyncio.sleep(0)


async def sleep() -> None:
    """Give the turn to others and back."""
    for _ in range(BATCH):
        await asyncio.sleep(0)


async def tasks() -> None:
    """Start a task and wait for it."""
    for _ in range(BATCH):
        await asyncio.create_task(nothing_asynchronous())


async def queue() -> None:
    """Hand an item to another task, which hands it back."""
    there: asyncio.Queue[int] = asyncio.Queue()
    back: asyncio.Queue[int] = asyncio.Queue()

    async def other() -> None:
        for _ in range(BATCH):
            back.put_nowait(await there.get())

    peer = asyncio.create_task(other())
    for number in range(BATCH):
        there.put_nowait(number)
        await back.get()
    await peer


def nothing() -> None:
    """Be called."""


async def nothing_asynchronous() -> None:
    """Be run."""


CALLS: dict[str, Load] = {
    "call-soon": call_soon,
    "timers": timers,
    "sleep": sleep,
    "tasks": tasks,
    "queue": queue,
}
