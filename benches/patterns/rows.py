"""The rows: the same work by treadle and by others. Each is a coroutine function of how often to do it."""

from __future__ import annotations

import asyncio
import importlib
from typing import TYPE_CHECKING, Any, Self

import treadle

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Work = Callable[[int], Awaitable[None]]

# By title: what is aimed at, in CPU µs for one, and who does it how.
ROWS: dict[str, tuple[float | None, dict[str, Work]]] = {}
# Never reached.
FAST = 1e9


def library(name: str) -> Any:
    """Return a library, which need not be there and need not have types."""
    return importlib.import_module(name)


def row(title: str, by: str, aim: float | None = None) -> Callable[[Work], Work]:
    """Enter a function as a row's entry for a library."""

    def enter(work: Work) -> Work:
        known, entries = ROWS.setdefault(title, (aim, {}))
        ROWS[title] = (known if aim is None else aim, entries)
        entries[by] = work
        return work

    return enter


async def answer(number: int) -> int:
    """Do what a call does that need not wait."""
    return number


async def turn(number: int) -> int:
    """Wait for one turn of the loop."""
    await asyncio.sleep(0)
    return number


FAN_OUT = "fan-out, limit 10, per item"


@row(FAN_OUT, "treadle", 2)
async def _(count: int) -> None:
    await treadle.amap(turn, range(count), limit=10)


@row(FAN_OUT, "semaphore + gather")
async def _(count: int) -> None:
    semaphore = asyncio.Semaphore(10)

    async def limited(number: int) -> int:
        async with semaphore:
            return await turn(number)

    await asyncio.gather(*(limited(number) for number in range(count)))


@row(FAN_OUT, "aiometer")
async def _(count: int) -> None:
    await library("aiometer").run_on_each(turn, list(range(count)), max_at_once=10)


@row(FAN_OUT, "anyio")
async def _(count: int) -> None:
    anyio = library("anyio")
    limiter = anyio.CapacityLimiter(10)

    async def limited(number: int) -> None:
        async with limiter:
            await turn(number)

    async with anyio.create_task_group() as group:
        for number in range(count):
            group.start_soon(limited, number)


NOTHING = "fan-out of calls that need not wait"


@row(NOTHING, "treadle", 2)
async def _(count: int) -> None:
    await treadle.amap(answer, range(count), limit=10)


@row(NOTHING, "semaphore + gather")
async def _(count: int) -> None:
    semaphore = asyncio.Semaphore(10)

    async def limited(number: int) -> int:
        async with semaphore:
            return await answer(number)

    await asyncio.gather(*(limited(number) for number in range(count)))


OWN = "fan-out with a task for each item"


@row(OWN, "treadle")
async def _(count: int) -> None:
    await treadle.amap(turn, range(count), limit=10, task_per_item=True)


TIMEOUT = "a block with a deadline"


@row(TIMEOUT, "treadle", 0.7)
async def _(count: int) -> None:
    for _ in range(count):
        async with treadle.timeout(5):
            pass


@row(TIMEOUT, "asyncio")
async def _(count: int) -> None:
    for _ in range(count):
        async with asyncio.timeout(5):  # noqa: ASYNC100 - it is what is measured
            pass


@row(TIMEOUT, "anyio")
async def _(count: int) -> None:
    fail_after = library("anyio").fail_after
    for _ in range(count):
        with fail_after(5):
            pass


SEMAPHORE = "a semaphore, uncontended"


@row(SEMAPHORE, "treadle", 0.3)
async def _(count: int) -> None:
    semaphore = treadle.Semaphore(5)
    for _ in range(count):
        async with semaphore:
            pass


@row(SEMAPHORE, "asyncio")
async def _(count: int) -> None:
    semaphore = asyncio.Semaphore(5)
    for _ in range(count):
        async with semaphore:
            pass


@row(SEMAPHORE, "anyio")
async def _(count: int) -> None:
    limiter = library("anyio").CapacityLimiter(5)
    for _ in range(count):
        async with limiter:
            pass


RATE = "a rate, uncontended"


@row(RATE, "treadle", 0.3)
async def _(count: int) -> None:
    bucket = treadle.TokenBucket(FAST, burst=FAST)
    for _ in range(count):
        async with bucket:
            pass


@row(RATE, "acquired")
async def _(count: int) -> None:
    bucket = treadle.TokenBucket(FAST, burst=FAST)
    for _ in range(count):
        await bucket.acquire()


@row(RATE, "treadle's window")
async def _(count: int) -> None:
    window = treadle.SlidingWindow(count + 1, 1)
    for _ in range(count):
        async with window:
            pass


@row(RATE, "aiolimiter")
async def _(count: int) -> None:
    limiter = library("aiolimiter").AsyncLimiter(FAST, 1)
    for _ in range(count):
        async with limiter:
            pass


STACK = "semaphore, rate, timeout, retry, breaker"


@row(STACK, "treadle", 3)
async def _(count: int) -> None:
    policy = treadle.Policy(
        limit=10,
        retry=treadle.Retry(on=OSError),
        breaker=treadle.Breaker(),
        rate=treadle.TokenBucket(FAST, burst=FAST),
        timeout=5,
    )
    call = policy(answer)
    for number in range(count):
        await call(number)


def usual(retrying: Callable[[Any], Any]) -> Work:
    """Return the stack of five libraries, with one of two for the retries."""

    async def work(count: int) -> None:
        semaphore = asyncio.Semaphore(10)
        limiter = library("aiolimiter").AsyncLimiter(FAST, 1)
        circuit = library("circuitbreaker").circuit

        async def once(number: int) -> int:
            async with limiter, asyncio.timeout(5):
                return await answer(number)

        call = retrying(circuit(expected_exception=OSError)(once))
        for number in range(count):
            async with semaphore:
                await call(number)

    return work


def by_tenacity(fn: Any) -> Any:
    """Retry with tenacity."""
    tenacity = library("tenacity")
    return tenacity.retry(
        retry=tenacity.retry_if_exception_type(OSError),
        stop=tenacity.stop_after_attempt(3),
        wait=tenacity.wait_random(),
    )(fn)


def by_stamina(fn: Any) -> Any:
    """Retry with stamina."""
    return library("stamina").retry(on=OSError, attempts=3)(fn)


row(STACK, "with tenacity")(usual(by_tenacity))
row(STACK, "with stamina")(usual(by_stamina))

ALL = "… and a deadline for everything"


@row(ALL, "treadle")
async def _(count: int) -> None:
    policy = treadle.Policy(
        total_timeout=10,
        limit=10,
        retry=treadle.Retry(on=OSError),
        breaker=treadle.Breaker(),
        rate=treadle.TokenBucket(FAST, burst=FAST),
        timeout=5,
    )
    call = policy(answer)
    for number in range(count):
        await call(number)


QUEUE = "a queue, put and got by two tasks"


def through(make: Callable[[], Any]) -> Work:
    """Return what sends so many items through a queue."""

    async def work(count: int) -> None:
        queue = make()

        async def put() -> None:
            for number in range(count):
                await queue.put(number)

        async def get() -> None:
            for _ in range(count):
                await queue.get()

        await asyncio.gather(put(), get())

    return work


row(QUEUE, "treadle")(through(lambda: treadle.PriorityQueue(10)))
row(QUEUE, "asyncio without priorities")(through(lambda: asyncio.Queue(10)))
row(QUEUE, "asyncio with")(through(lambda: asyncio.PriorityQueue(10)))

POOL = "a resource of a pool"


class Resource:
    """Opens and closes at once."""

    async def __aenter__(self) -> Self:
        """Open."""
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Close."""


@row(POOL, "treadle")
async def _(count: int) -> None:
    async with treadle.Pool(Resource, max_size=1) as pool:
        for _ in range(count):
            async with pool.acquire():
                pass
