"""Cancelled at every await, nothing that waits loses a permit, an item, a worker, a resource, an error or a task."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import pytest
import treadle
from cancelling import Cut, at_every_await
from treadle.testing import virtual_event_loop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    NewLoop = Callable[[], asyncio.AbstractEventLoop]


def test_semaphore_loses_no_permit(new_loop: NewLoop) -> None:
    async def scene(cut: Cut) -> None:
        semaphore = treadle.Semaphore(2)
        order: list[int] = []

        async def use(number: int, n: int = 1) -> None:
            await semaphore.acquire(n)
            try:
                order.append(number)
                await asyncio.sleep(0)
            finally:
                semaphore.release(n)

        async with asyncio.TaskGroup() as group:
            for number in range(3):
                group.create_task(use(number))
            await asyncio.sleep(0)
            cut.start(use(3, 2))
            for number in range(4, 6):
                group.create_task(use(number))
            await cut.end()
        assert semaphore.stats()["in_use"] == semaphore.stats()["waiting"] == 0
        assert sorted(number for number in order if number != 3) == [0, 1, 2, 4, 5]

    at_every_await(new_loop, scene)


@pytest.mark.parametrize(
    "make", [lambda: treadle.TokenBucket(1000), lambda: treadle.SlidingWindow(1, 0.001)], ids=["bucket", "window"]
)
def test_limiters_give_what_a_cancelled_task_was_granted_to_the_next(
    new_loop: NewLoop, make: Callable[[], treadle.TokenBucket | treadle.SlidingWindow]
) -> None:
    async def scene(cut: Cut) -> None:
        limiter = make()
        await limiter.acquire()
        task = cut.start(limiter.acquire())
        await asyncio.sleep(0)
        other = asyncio.create_task(limiter.acquire())
        cancelled = await cut.end()
        await other
        assert limiter.stats()["waiting"] == 0
        assert limiter.stats()["calls"] == (2 if cancelled else 3), task

    at_every_await(new_loop, scene, waits=False)
    at_every_await(virtual_event_loop, scene)


def test_queue_keeps_an_item_whose_getter_is_cancelled(new_loop: NewLoop) -> None:
    async def scene(cut: Cut) -> None:
        queue: treadle.PriorityQueue[str] = treadle.PriorityQueue(4)
        task = cut.start(queue.get())
        await asyncio.sleep(0)
        for item, priority in (("b", 1), ("a", 0), ("c", 2)):
            await queue.put(item, priority=priority)
        cancelled = await cut.end()
        left = [queue.get_nowait() for _ in range(queue.qsize())]
        assert left == (["a", "b", "c"] if cancelled else ["a", "c"]), task
        assert queue.stats()["getters"] == 0

    at_every_await(new_loop, scene)


def test_queue_has_nothing_of_a_putter_that_is_cancelled(new_loop: NewLoop) -> None:
    async def scene(cut: Cut) -> None:
        queue: treadle.PriorityQueue[str] = treadle.PriorityQueue(1)
        await queue.put("first")
        cut.start(queue.put("victim"))
        await asyncio.sleep(0)
        other = asyncio.create_task(queue.put("other"))
        await asyncio.sleep(0)
        got = [await queue.get()]
        cancelled = await cut.end()
        while len(got) < (2 if cancelled else 3):
            got.append(await queue.get())
        await other
        assert got == (["first", "other"] if cancelled else ["first", "victim", "other"])
        assert queue.stats() | {"kind": "", "name": None} == {
            "kind": "", "name": None, "limit": 1, "in_use": 0, "waiting": 0, "unfinished": len(got), "getters": 0,
        }  # fmt: skip

    at_every_await(new_loop, scene)


def test_pool_of_workers_keeps_its_workers(new_loop: NewLoop) -> None:
    async def scene(cut: Cut) -> None:
        done: list[int] = []

        async def work(item: int) -> int:
            await asyncio.sleep(0)
            done.append(item)
            return -item

        async with treadle.WorkerPool(work, workers=1, maxsize=1) as pool:

            async def bring(item: int) -> int:
                return await (await pool.submit(item))

            first = asyncio.create_task(bring(1))
            await asyncio.sleep(0)
            cut.start(bring(2))
            last = asyncio.create_task(bring(3))
            assert await treadle.gather(first, last) == [-1, -3]
            await cut.end()
            assert pool.stats()["in_use"] == pool.stats()["waiting"] == 0
            assert await bring(4) == -4
        assert {1, 3, 4} <= set(done)

    at_every_await(new_loop, scene)


def test_leaving_a_pool_of_workers_ends_them(new_loop: NewLoop) -> None:
    async def scene(cut: Cut) -> None:
        running = 0
        futures: list[asyncio.Future[None]] = []

        async def work(_: int) -> None:
            nonlocal running
            running += 1
            try:
                await asyncio.sleep(0)
                await asyncio.sleep(0)
            finally:
                await asyncio.sleep(0)
                running -= 1

        async def victim() -> None:
            async with treadle.WorkerPool(work, workers=2, maxsize=4) as pool:
                futures.extend([await pool.submit(number) for number in range(4)])

        cut.start(victim())
        cancelled = await cut.end()
        assert running == 0
        assert all(future.done() for future in futures)
        assert cancelled or not any(future.cancelled() for future in futures)

    at_every_await(new_loop, scene)


class Resources:
    """Opens and closes, slowly, and counts."""

    def __init__(self) -> None:
        """Have none open."""
        self.open = self.opened = self.most = 0

    @contextlib.asynccontextmanager
    async def __call__(self) -> AsyncIterator[int]:
        """Open one."""
        await asyncio.sleep(0)
        self.opened += 1
        self.open += 1
        self.most = max(self.most, self.open)
        try:
            yield self.opened
        finally:
            await asyncio.sleep(0)
            self.open -= 1


@pytest.mark.parametrize("checked", [False, True], ids=["unchecked", "checked"])
def test_pool_loses_no_resource(new_loop: NewLoop, checked: bool) -> None:  # noqa: FBT001
    async def scene(cut: Cut) -> None:
        resources = Resources()

        async def check(number: int) -> bool:
            await asyncio.sleep(0)
            return number % 2 == 0

        async with treadle.Pool(resources, max_size=1, check=check if checked else None) as pool:

            async def use() -> None:
                async with pool.acquire():
                    await asyncio.sleep(0)

            async def use_twice() -> None:
                await use()
                await use()

            first = asyncio.create_task(use())
            await asyncio.sleep(0)
            cut.start(use_twice())
            await asyncio.sleep(0)
            others = [asyncio.create_task(use()) for _ in range(2)]
            await asyncio.gather(first, *others)
            await cut.end()
            await use()
            assert pool.stats()["in_use"] == pool.stats()["waiting"] == 0
        assert (resources.open, resources.most) == (0, 1)

    at_every_await(new_loop, scene)


def test_opening_and_leaving_a_pool_leaves_nothing_open(new_loop: NewLoop) -> None:
    async def scene(cut: Cut) -> None:
        resources = Resources()

        async def victim() -> None:
            async with treadle.Pool(resources, max_size=3, min_size=2) as pool, pool.acquire():
                await asyncio.sleep(0)

        cut.start(victim())
        await cut.end()
        assert resources.open == 0

    at_every_await(new_loop, scene)


@pytest.mark.parametrize("asynchronous", [False, True], ids=["iterable", "stream"])
@pytest.mark.parametrize("task_per_item", [False, True], ids=["shared", "own"])
def test_amap_ends_its_calls(new_loop: NewLoop, asynchronous: bool, task_per_item: bool) -> None:  # noqa: FBT001
    async def scene(cut: Cut) -> None:
        running = 0
        closed = False

        async def call(item: int) -> int:
            nonlocal running
            running += 1
            try:
                await asyncio.sleep(0)
                async with asyncio.timeout(60):
                    await asyncio.sleep(0)
                return -item
            finally:
                await asyncio.sleep(0)
                running -= 1

        async def source() -> AsyncIterator[int]:
            nonlocal closed
            try:
                for number in range(5):
                    await asyncio.sleep(0)
                    yield number
            finally:
                closed = True

        async def victim() -> list[int]:
            items: Any = source() if asynchronous else range(5)
            return await treadle.amap(call, items, limit=2, task_per_item=task_per_item)

        task = cut.start(victim())
        if not await cut.end():
            assert task.result() == [0, -1, -2, -3, -4]
        assert running == 0
        assert closed or not asynchronous or (cut.made and cut.step == 0)

    at_every_await(new_loop, scene)


@pytest.mark.parametrize("ordered", [False, True], ids=["as they come", "in order"])
def test_stream_of_results_ends_its_calls(new_loop: NewLoop, ordered: bool) -> None:  # noqa: FBT001
    async def scene(cut: Cut) -> None:
        running = 0
        got: list[int] = []

        async def call(item: int) -> int:
            nonlocal running
            running += 1
            try:
                for _ in range(3 - item % 3):
                    await asyncio.sleep(0)
                return item
            finally:
                running -= 1

        async def victim() -> None:
            async with treadle.amap(call, range(6), limit=2, ordered=ordered) as results:
                async for result in results:
                    await asyncio.sleep(0)
                    got.append(result)

        cut.start(victim())
        if not await cut.end():
            assert sorted(got) == list(range(6))
            assert not ordered or got == list(range(6))
        assert running == 0

    at_every_await(new_loop, scene)


def test_results_are_not_lost_with_whoever_waits_for_the_next(new_loop: NewLoop) -> None:
    async def scene(cut: Cut) -> None:
        async def call(item: int) -> int:
            await asyncio.sleep(0)
            return item

        async with treadle.amap(call, range(3), limit=2) as results:
            task = cut.start(anext(results))  # type: ignore[arg-type]
            got = [] if await cut.end() else [task.result()]
            got += [result async for result in results]
        assert got == [0, 1, 2]

    at_every_await(new_loop, scene)


@pytest.mark.parametrize("limit", [None, 2])
def test_gather_leaves_nothing_running(new_loop: NewLoop, limit: int | None) -> None:
    async def scene(cut: Cut) -> None:
        running = 0

        async def call(number: int) -> int:
            nonlocal running
            running += 1
            try:
                await asyncio.sleep(0)
                return number
            finally:
                await asyncio.sleep(0)
                running -= 1

        task = cut.start(treadle.gather(*map(call, range(4)), limit=limit))
        if not await cut.end():
            assert task.result() == [0, 1, 2, 3]
        assert running == 0

    at_every_await(new_loop, scene)


class Source:
    """Gives numbers, and does not mind if whoever asks is cancelled."""

    def __init__(self, count: int) -> None:
        """Give so many."""
        self.numbers = iter(range(count))

    def __aiter__(self) -> Source:
        """Return itself."""
        return self

    async def __anext__(self) -> int:
        """Return the next."""
        await asyncio.sleep(0)
        for number in self.numbers:
            return number
        raise StopAsyncIteration


@pytest.mark.parametrize("max_wait", [None, 5.0, 0.0])
def test_batches_have_all_items(new_loop: NewLoop, max_wait: float | None) -> None:
    async def scene(cut: Cut) -> None:
        got: list[int] = []
        async with treadle.batched(Source(5), 2, max_wait=max_wait) as batches:
            task = cut.start(anext(batches))
            if not await cut.end():
                got += task.result()
            async for batch in batches:
                assert len(batch) <= 2
                got += batch
        assert got == list(range(5))

    at_every_await(new_loop, scene)


def test_closing_batches_ends_the_task_that_reads(new_loop: NewLoop) -> None:
    async def scene(cut: Cut) -> None:
        closed = False

        async def source() -> AsyncIterator[int]:
            nonlocal closed
            try:
                for number in range(9):
                    await asyncio.sleep(0)
                    yield number
            finally:
                closed = True

        numbers = source()

        async def victim() -> None:
            async with treadle.batched(numbers, 2, max_wait=1) as batches:
                async for batch in batches:
                    if batch[-1] > 3:
                        return

        cut.start(victim())
        await cut.end()
        assert closed

    at_every_await(new_loop, scene)


def test_batcher_asks_for_everybody_else(new_loop: NewLoop) -> None:
    async def scene(cut: Cut) -> None:
        asked: list[int] = []

        async def double(items: list[int]) -> list[int]:
            await asyncio.sleep(0)
            asked.extend(items)
            return [item * 2 for item in items]

        batcher = treadle.Batcher(double, max_size=2, limit=1, max_wait=0.001)
        cut.start(batcher(1))
        await asyncio.sleep(0)
        assert await treadle.gather(batcher(2), batcher(3)) == [4, 6]
        await cut.end()
        assert batcher.stats()["waiting"] == batcher.stats()["in_use"] == 0
        assert {2, 3} <= set(asked)

    at_every_await(new_loop, scene)


def test_cleaning_up_comes_to_its_end(new_loop: NewLoop) -> None:
    async def scene(cut: Cut) -> None:
        cleaned = False

        async def clean() -> None:
            nonlocal cleaned
            for _ in range(3):
                await asyncio.sleep(0)
            cleaned = True

        cut.start(treadle.finalize(clean(), within=60))
        await cut.end()
        assert cleaned

    at_every_await(new_loop, scene)


def test_locks_are_all_free_again(new_loop: NewLoop) -> None:
    async def scene(cut: Cut) -> None:
        locks = [asyncio.Lock(), asyncio.Lock(), asyncio.Lock()]

        async def use(*some: asyncio.Lock) -> None:
            async with treadle.lock_all(*some):
                await asyncio.sleep(0)

        others = [asyncio.create_task(use(*reversed(locks))), asyncio.create_task(use(*locks[:2]))]
        await asyncio.sleep(0)
        cut.start(use(*locks, locks[0]))
        others.append(asyncio.create_task(use(locks[2], locks[0])))
        await asyncio.gather(*others)
        await cut.end()
        assert not any(lock.locked() for lock in locks)

    at_every_await(new_loop, scene)


def test_policy_gives_everything_back(new_loop: NewLoop) -> None:
    async def scene(cut: Cut) -> None:
        breaker = treadle.Breaker(min_calls=1, failure_ratio=1, open_for=0)
        policy = treadle.Policy(
            total_timeout=60,
            limit=1,
            retry=treadle.Retry(on=OSError, attempts=3, backoff=treadle.Backoff(0, jitter="none")),
            breaker=breaker,
            rate=treadle.TokenBucket(2000),
            timeout=50,
        )
        calls = 0

        async def flaky() -> str:
            nonlocal calls
            calls += 1
            failing = calls % 2
            await asyncio.sleep(0)
            if failing:
                raise OSError
            return "done"

        first = asyncio.create_task(policy.call(flaky))
        await asyncio.sleep(0)
        cut.start(policy.call(flaky))
        assert await first == "done"
        await cut.end()
        # Not even the one trial of a breaker that is half open.
        calls = 1
        assert await policy.call(flaky) == "done"
        stats = policy.stats()
        assert stats["parts"]["limit"]["in_use"] == stats["parts"]["rate"]["waiting"] == 0
        assert breaker.state == "closed"

    at_every_await(new_loop, scene)


def test_timeouts_leave_the_cancellation_alone(new_loop: NewLoop) -> None:
    async def scene(cut: Cut) -> None:
        async def victim() -> None:
            async with treadle.timeout(60), treadle.move_on_after(50):
                await asyncio.sleep(0)
                async with treadle.move_on_after(0) as scope:
                    await asyncio.get_running_loop().create_future()
                assert scope.expired()
                with contextlib.suppress(TimeoutError):
                    async with treadle.timeout(0):
                        await asyncio.sleep(60)
                await asyncio.sleep(0)

        cut.start(victim())
        await cut.end()

    at_every_await(new_loop, scene)


def test_supervisor_ends_its_tasks(new_loop: NewLoop) -> None:
    async def scene(cut: Cut) -> None:
        running = 0

        async def serve(stopping: asyncio.Event) -> None:
            nonlocal running
            running += 1
            try:
                await stopping.wait()
                await asyncio.sleep(0)
            finally:
                await asyncio.sleep(0)
                running -= 1

        async def victim() -> None:
            async with treadle.Supervisor(signals=(), drain=60, cleanup=60) as supervisor:
                supervisor.spawn(serve(supervisor.stopping))
                supervisor.spawn(lambda: serve(supervisor.stopping), restart=treadle.Retry(on=OSError))
                await asyncio.sleep(0)
                supervisor.stop()

        cut.start(victim())
        await cut.end()
        assert running == 0

    at_every_await(new_loop, scene)
