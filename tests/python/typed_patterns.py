"""A use of every public name, for type checkers: `make types` has mypy and pyright read it, and nobody runs it."""

# pyright: strict

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import signal
from typing import TYPE_CHECKING, Any, assert_type

import treadle

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncIterator, Callable, Coroutine
    from types import TracebackType


async def fetch(url: str) -> int:
    """Call something."""
    return len(url)


def render(page: str, *, width: int = 80) -> bytes:
    """Compute something."""
    return page.encode() * width


class Connecting:
    """Open something."""

    async def __aenter__(self) -> bytes:
        """Open it."""
        return b""

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close it."""


async def good(connection: bytes) -> bool:
    """Look at something."""
    return not connection


async def source() -> AsyncIterator[int]:
    """Yield something."""
    yield 1


async def load(ids: list[int]) -> list[str]:
    """Load some."""
    return [str(i) for i in ids]


class Anything:
    """A limiter of somebody's."""

    async def acquire(self, n: float = 1, *, priority: int = 0) -> None:
        """Wait for nothing."""

    def try_acquire(self, n: float = 1) -> bool:
        """Take what is asked for."""
        return n > 0

    async def __aenter__(self) -> None:
        """Wait for nothing."""

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Give nothing back."""


async def fanning_out() -> None:
    """Make many calls."""
    results = treadle.amap(fetch, ["a"], limit=2, name="pages")
    assert_type(results, treadle.Results[int])
    assert_type(await results, list[int])
    assert_type(await treadle.amap(load, [[1]], limit=1, ordered=False, policy=treadle.Policy()), list[list[str]])
    async with treadle.amap(fetch, ["a"], limit=2) as stream:
        async for r in stream:
            assert_type(r, int)
    assert_type(await treadle.amap(good, aiter_of_bytes(), limit=1), list[bool])
    assert_type(await treadle.gather(fetch("a"), fetch("b"), limit=1), list[int])
    assert_type(await treadle.gather(asyncio.create_task(fetch("a"))), list[int])
    async with treadle.batched(source(), 2, max_wait=0.1) as batches:
        async for b in batches:
            assert_type(b, list[int])
    batcher = treadle.Batcher(load, max_size=2, limit=1, name="users")
    assert_type(await batcher(1), str)
    assert_type(batcher.name, str | None)
    assert_type(batcher.stats(), dict[str, Any])


async def aiter_of_bytes() -> AsyncIterator[bytes]:
    """Yield something."""
    yield b""


async def time() -> None:
    """Have deadlines."""
    async with treadle.timeout(1) as t:
        assert_type(t.expired(), bool)
        assert_type(t.when(), float | None)
        t.reschedule(None)
    async with treadle.move_on_after(None) as scope:
        assert_type(scope.expired(), bool)
    assert_type(treadle.remaining(), float | None)
    assert_type(await treadle.finalize(fetch("a"), within=1), int)


async def limits() -> None:
    """Wait for permits."""
    semaphore, bucket = treadle.Semaphore(1, name="s"), treadle.TokenBucket(1, per=2, burst=3)
    window = treadle.SlidingWindow(1, 1)
    limiters: list[treadle.Limiter] = [semaphore, bucket, window, Anything()]
    for limiter in limiters:
        async with limiter:
            pass
        await limiter.acquire(1, priority=-1)
        assert_type(limiter.try_acquire(), bool)
    semaphore.release()
    assert_type(semaphore.value, int)
    assert_type(bucket.delay(2), float)
    window.hold(1.5)
    keyed: treadle.Keyed[str] = treadle.Keyed(lambda: treadle.Semaphore(1), max_keys=3)
    assert_type(keyed["a"], treadle.Limiter)
    assert_type(len(keyed), int)
    assert_type(semaphore.name, str | None)
    assert_type(keyed.name, str | None)


def seconds(error: Exception) -> float:
    """Say how long to wait."""
    return float(str(error))


async def policies() -> None:
    """Call another system."""
    budget = treadle.RetryBudget(0.1, reserve=5, name="budget")
    backoff = treadle.Backoff(0.1, factor=2, max=5, jitter="equal")
    retry = treadle.Retry(on=(OSError, KeyError), attempts=3, backoff=backoff, budget=budget)
    assert_type(retry.budget, treadle.RetryBudget | None)
    assert_type(backoff.delay(1), float)
    breaker = treadle.Breaker(on=OSError)
    assert_type(breaker.state, str)
    policy = treadle.Policy(
        total_timeout=3, limit=treadle.Semaphore(2), shed=True, retry=retry, breaker=breaker, rate=Anything(), timeout=1
    )
    try:
        assert_type(await policy.call(fetch, "a"), int)
        assert_type(await policy.call(fetch, url="a"), int)
    except treadle.BreakerOpen as error:
        assert_type(error.retry_after, float)
    except treadle.Overloaded:
        pass
    decorated: Callable[[str], Coroutine[Any, Any, int]] = policy(fetch)
    assert_type(await decorated("a"), int)
    treadle.Policy(retry=treadle.Retry(on=seconds, budget=None), limit=2)


async def queues() -> None:
    """Work one after the other."""
    queue: treadle.PriorityQueue[str] = treadle.PriorityQueue(3)
    try:
        await queue.put("a", priority=-1)
        queue.put_nowait("b")
        assert_type(await queue.get(), str)
        assert_type(queue.get_nowait(), str)
    except treadle.QueueShutDown:
        pass
    async with treadle.WorkerPool(fetch, workers=1, maxsize=2) as pool:
        assert_type(await pool.submit("a", priority=1), asyncio.Future[int])
        assert_type(await (await pool.submit("a")), int)


async def elsewhere() -> None:
    """Call what blocks."""
    assert_type(await treadle.to_thread(render, "a", width=3), bytes)
    with contextlib.suppress(treadle.WorkerDied):
        assert_type(await treadle.to_process(render, "a"), bytes)
    assert_type(await treadle.to_interpreter(render, "a"), bytes)
    with treadle.ThreadPool(2, name="two") as threads, treadle.ProcessPool(2, start="spawn") as processes:
        executors: list[concurrent.futures.Executor] = [threads, processes]
        for executor in executors:
            assert_type(await treadle.to_executor(executor, render, "a"), bytes)
        assert_type(threads.submit(render, "a"), concurrent.futures.Future[bytes])
        page = treadle.sync_to_async(render, to=processes)
        assert_type(await page("a", width=2), bytes)
    await treadle.sync_to_async(render)("a")
    await treadle.sync_to_async(render, to="process")("a")


def blocking() -> None:
    """Call what is asynchronous."""
    assert_type(treadle.async_to_sync(fetch)("a"), int)
    with treadle.Portal(name="portal") as portal:
        assert_type(portal.run(fetch, "a"), int)
        assert_type(portal.run(render, "a"), bytes)
        assert_type(portal.submit(fetch, "a"), concurrent.futures.Future[int])


async def files(path: str | os.PathLike[str]) -> None:
    """Read and write."""
    async with treadle.files.open(path) as file:
        assert_type(await file.read(), str)
        async for line in file:
            assert_type(line, str)
    async with treadle.files.open(path, "rb") as binary:
        assert_type(await binary.readline(), bytes)
    assert_type(await treadle.files.read_bytes(path), bytes)
    assert_type(await treadle.files.read_text(path, "utf-8"), str)
    await treadle.files.write_bytes(path, b"", atomic=True)
    await treadle.files.write_text(path, "", "utf-8")
    async for line in treadle.files.lines(path, "utf-8"):
        assert_type(line, str)


async def resources() -> None:
    """Hold things, and end."""
    async with treadle.lock_all(asyncio.Lock(), treadle.Semaphore(1)):
        pass
    async with (
        treadle.Pool(Connecting, max_size=2, check=good) as connections,
        connections.acquire(priority=1) as connection,
    ):
        assert_type(connection, bytes)
    async with treadle.Supervisor(signals=[signal.SIGTERM], on_error="log") as supervisor:
        assert_type(supervisor.stopping, asyncio.Event)
        supervisor.spawn(fetch("a"))
        supervisor.spawn(resources, restart=treadle.Retry(on=(OSError, KeyError)))
        supervisor.stop()
    assert_type(supervisor.report, treadle.Report | None)
    with contextlib.suppress(AttributeError):
        assert supervisor.report is not None
        assert_type(supervisor.report.stuck, tuple[str, ...])


def main() -> None:
    """Run it."""
    assert_type(treadle.run(fetch("a"), debug=False), int)
    assert_type(treadle.new_event_loop(), treadle.EventLoop)
    loops: Callable[[], asyncio.AbstractEventLoop] = treadle.new_event_loop
    with asyncio.Runner(loop_factory=loops) as runner:
        assert_type(runner.run(fetch("a")), int)
    treadle.install()
    treadle.watch(output="json", ignore=["blocked-loop"])
    assert_type(treadle.__version__, str)
