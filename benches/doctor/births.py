"""What the doctor costs where things are made: a task, a timer, a step of a task, a coroutine, a transport.

Both run in one process, one after the other, many times: the loop without a doctor, and with one that says nothing.
Printed are the median nanoseconds of processor time of the loop's thread, the difference, and the ratio. ::

    python benches/doctor/births.py [ROUNDS] [NAME…]
"""

import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable

import treadle
import treadle.doctor

COUNT = 20_000


async def nothing() -> None:
    """Do nothing."""


async def create_task() -> float:
    """Make tasks, and do not count what becomes of them."""
    begun = time.thread_time_ns()
    tasks = [asyncio.create_task(nothing()) for _ in range(COUNT)]
    took = time.thread_time_ns() - begun
    await asyncio.wait(tasks)
    return took / COUNT


async def task_life() -> float:
    """Make tasks and have them run to their end."""
    begun = time.thread_time_ns()
    for _ in range(COUNT // 100):
        await asyncio.gather(*(asyncio.create_task(nothing()) for _ in range(100)))
    return (time.thread_time_ns() - begun) / COUNT


async def call_later() -> float:
    """Set timers and cancel them."""
    event_loop = asyncio.get_running_loop()
    begun = time.thread_time_ns()
    for _ in range(COUNT):
        event_loop.call_later(60, print).cancel()
    return (time.thread_time_ns() - begun) / COUNT


async def call_later_among_many() -> float:
    """Set and cancel timers where two thousand others wait."""
    event_loop = asyncio.get_running_loop()
    others = [event_loop.call_later(3600, nothing) for _ in range(2_000)]
    took = await call_later()
    for other in others:
        other.cancel()
    return took


async def call_soon() -> float:
    """Schedule callbacks."""
    event_loop = asyncio.get_running_loop()
    begun = time.thread_time_ns()
    for _ in range(COUNT):
        event_loop.call_soon(int)
    took = time.thread_time_ns() - begun
    await asyncio.sleep(0)
    return took / COUNT


async def switch() -> float:
    """Go from task to task."""

    async def step() -> None:
        for _ in range(COUNT // 10):
            await asyncio.sleep(0)

    tasks = [asyncio.create_task(step()) for _ in range(10)]
    begun = time.thread_time_ns()
    await asyncio.wait(tasks)
    return (time.thread_time_ns() - begun) / COUNT


async def coroutine() -> float:
    """Make coroutines and await them."""
    begun = time.thread_time_ns()
    for _ in range(COUNT):
        await nothing()
    return (time.thread_time_ns() - begun) / COUNT


async def failure() -> float:
    """Have tasks fail."""

    async def fail() -> None:
        raise ValueError

    begun = time.thread_time_ns()
    for _ in range(COUNT // 1000):
        failures = await asyncio.gather(*(fail() for _ in range(100)), return_exceptions=True)
        failures.clear()
    return (time.thread_time_ns() - begun) / (COUNT // 10)


async def connection() -> float:
    """Open connections and close them."""
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    address = server.sockets[0].getsockname()
    begun = time.thread_time_ns()
    for _ in range(100):
        _, writer = await asyncio.open_connection(*address)
        writer.close()
        await writer.wait_closed()
    took = time.thread_time_ns() - begun
    server.close()
    return took / 100


WORK: list[Callable[[], Awaitable[float]]] = [
    create_task,
    task_life,
    call_later,
    call_later_among_many,
    call_soon,
    switch,
    coroutine,
    failure,
    connection,
]


def measure(work: Callable[[], Awaitable[float]], *, watched: bool) -> float:
    """Return the nanoseconds of one, in a new loop."""
    if watched:
        treadle.watch(output="silent", thresholds={"window": "60s"}, settings=False)
    try:
        return treadle.run(work())  # type: ignore[arg-type]
    finally:
        if watched:
            treadle.doctor.finish()


def main() -> None:
    """Print a table."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    print(f"{'':24}{'without':>10}{'watched':>10}{'more':>9}{'ratio':>8}")
    names = sys.argv[2:]
    for work in [work for work in WORK if not names or work.__name__ in names]:
        taken: dict[bool, list[float]] = {False: [], True: []}
        for number in range(2 * rounds):
            watched = bool((number + number // 2) % 2)
            taken[watched].append(measure(work, watched=watched))
        without, with_ = (statistics.median(taken[watched]) for watched in (False, True))
        row = f"{without:8.0f}ns{with_:8.0f}ns{with_ - without:+7.0f}ns{with_ / without - 1:+8.1%}"
        print(f"{work.__name__:24}{row}")


if __name__ == "__main__":
    main()
