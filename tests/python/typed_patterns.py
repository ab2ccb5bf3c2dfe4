"""A use of every pattern, for type checkers: `make types` reads it, and nobody runs it."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, assert_type

import treadle

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


async def fetch(url: str) -> int:
    """Call something."""
    return len(url)


@contextlib.asynccontextmanager
async def connect() -> AsyncIterator[bytes]:
    """Open something."""
    yield b""


async def source() -> AsyncIterator[int]:
    """Yield something."""
    yield 1


async def load(ids: list[int]) -> list[str]:
    """Load some."""
    return [str(i) for i in ids]


async def main() -> None:
    """Use them all."""
    assert_type(await treadle.amap(fetch, ["a"], limit=2), list[int])
    async with treadle.amap(fetch, ["a"], limit=2) as results:
        async for r in results:
            assert_type(r, int)
    assert_type(await treadle.gather(fetch("a"), fetch("b")), list[int])
    async with treadle.batched(source(), 2) as batches:
        async for b in batches:
            assert_type(b, list[int])
    batcher = treadle.Batcher(load, max_size=2, limit=1)
    assert_type(await batcher(1), str)
    async with treadle.timeout(1) as t:
        assert_type(t.expired(), bool)
    assert_type(treadle.remaining(), float | None)
    assert_type(await treadle.finalize(fetch("a"), within=1), int)
    limiters: list[treadle.Limiter] = [treadle.Semaphore(1), treadle.TokenBucket(1), treadle.SlidingWindow(1, 1)]
    for limiter in limiters:
        async with limiter:
            pass
    keyed: treadle.Keyed[str] = treadle.Keyed(lambda: treadle.Semaphore(1))
    await keyed["a"].acquire()
    policy = treadle.Policy(retry=treadle.Retry(on=OSError), rate=treadle.TokenBucket(1))
    assert_type(await policy.call(fetch, "a"), int)
    assert_type(await policy.call(fetch, url="a"), int)
    decorated = policy(fetch)
    assert_type(await decorated("a"), int)
    queue: treadle.PriorityQueue[str] = treadle.PriorityQueue(3)
    await queue.put("a", priority=-1)
    async with treadle.WorkerPool(fetch, workers=1, maxsize=2) as pool:
        assert_type(await (await pool.submit("a")), int)
    async with treadle.lock_all(asyncio.Lock(), treadle.Semaphore(1)):
        pass
    async with treadle.Pool(connect, max_size=2) as connections, connections.acquire() as connection:
        assert_type(connection, bytes)
    async with treadle.Supervisor() as supervisor:
        supervisor.spawn(fetch("a"))
        supervisor.spawn(main, restart=treadle.Retry(on=(OSError, KeyError)))
