"""Cancelled at every await, nothing that waits loses a permit, an item, a worker, a resource, an error or a task."""

from __future__ import annotations

import ast
import asyncio
import concurrent.futures
import contextlib
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import treadle
from cancelling import Cut, at_every_await
from treadle.patterns.thread_pool import SHARED
from treadle.testing import virtual_event_loop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

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
        # It waits, also if there is something around it that takes a turn.
        await asyncio.sleep(0)
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

        # Whoever still has it closes it no sooner.
        items: Any = source() if asynchronous else range(5)

        async def victim() -> list[int]:
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


def test_whoever_joins_a_queue_leaves_the_others(new_loop: NewLoop) -> None:
    async def scene(cut: Cut) -> None:
        queue: treadle.PriorityQueue[int] = treadle.PriorityQueue(1)
        await queue.put(1)
        cut.start(queue.join())
        other = asyncio.create_task(queue.join())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        queue.task_done()
        await other
        await cut.end()

    at_every_await(new_loop, scene)


def test_limiters_by_key_lose_no_permit(new_loop: NewLoop) -> None:
    async def scene(cut: Cut) -> None:
        limits: treadle.Keyed[str] = treadle.Keyed(lambda: treadle.Semaphore(1))

        async def use(key: str) -> None:
            async with limits[key]:
                await asyncio.sleep(0)

        first = asyncio.create_task(use("a"))
        cut.start(use("a"))
        await treadle.gather(first, use("a"), use("b"))
        await cut.end()
        assert limits["a"].try_acquire()

    at_every_await(new_loop, scene)


async def turns() -> None:
    """Let the victim begin, be cancelled early, and let those be told who work for it."""
    for _ in range(8):
        await asyncio.sleep(0)


def test_threads_are_there_for_the_others(new_loop: NewLoop) -> None:
    async def scene(cut: Cut) -> None:
        gate = threading.Event()
        made: list[str] = []
        with treadle.ThreadPool(1) as pool:
            first = asyncio.create_task(treadle.to_executor(pool, gate.wait))
            await asyncio.sleep(0)
            cut.start(treadle.sync_to_async(made.append, to=pool)("victim"))
            await turns()
            other = asyncio.create_task(treadle.to_executor(pool, made.append, "other"))
            await asyncio.sleep(0)
            gate.set()
            await treadle.gather(first, other)
            await cut.end()
            # Who is cancelled when it is done has had it made.
            assert made == (["other"] if cut.made and not cut.late else ["victim", "other"])
            assert pool.stats()["waiting"] == 0

    at_every_await(new_loop, scene)


def test_executors_of_others_forget_who_is_cancelled(new_loop: NewLoop) -> None:
    async def scene(cut: Cut) -> None:
        gate = threading.Event()
        made: list[str] = []
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            first = asyncio.create_task(treadle.to_executor(pool, gate.wait))
            await asyncio.sleep(0)
            cut.start(treadle.to_executor(pool, made.append, "victim"))
            await turns()
            gate.set()
            await first
            await treadle.to_executor(pool, made.append, "other")
            await cut.end()
        assert made == (["other"] if cut.made and not cut.late else ["victim", "other"])

    at_every_await(new_loop, scene)


@pytest.fixture(scope="module")
def processes() -> Iterator[treadle.ProcessPool]:
    """Return a pool that lasts for all scenes."""
    with treadle.ProcessPool(1) as pool:
        yield pool


def test_processes_are_there_for_the_others(new_loop: NewLoop, processes: treadle.ProcessPool) -> None:
    async def scene(cut: Cut) -> None:
        first = asyncio.create_task(treadle.to_executor(processes, abs, -1))
        cut.start(treadle.to_executor(processes, abs, -2))
        await asyncio.sleep(0)
        assert await treadle.gather(first, treadle.to_executor(processes, abs, -3)) == [1, 3]
        await cut.end()
        assert processes.stats()["waiting"] == 0

    at_every_await(new_loop, scene)


def test_shared_threads_and_processes_go_on(new_loop: NewLoop) -> None:
    async def scene(cut: Cut) -> None:
        async def victim() -> None:
            assert await treadle.to_thread(abs, -1) == 1
            assert await treadle.to_process(abs, -2) == 2

        cut.start(victim())
        await cut.end()
        assert await treadle.gather(treadle.to_thread(abs, -3), treadle.to_process(abs, -4)) == [3, 4]

    try:
        at_every_await(new_loop, scene)
    finally:
        # Nobody else here needs its processes.
        SHARED.pop("to_process").shutdown()


def test_a_call_from_a_thread_ends_with_it(new_loop: NewLoop) -> None:
    async def scene(cut: Cut) -> None:
        running = 0
        ended = asyncio.Event()

        async def fetch() -> str:
            nonlocal running
            running += 1
            try:
                await asyncio.sleep(0)
                return "done"
            finally:
                running -= 1

        loop = asyncio.get_running_loop()

        def plugin() -> str:
            try:
                return treadle.async_to_sync(fetch)()
            finally:
                loop.call_soon_threadsafe(ended.set)

        # A call that has not begun is never made.
        task = cut.start(treadle.to_thread(plugin))
        if not await cut.end():
            assert task.result() == "done"
        assert await treadle.to_thread(treadle.async_to_sync(fetch)) == "done"
        if running:
            await ended.wait()
        assert running == 0

    at_every_await(new_loop, scene)


def test_a_portal_does_what_others_want(new_loop: NewLoop) -> None:
    with treadle.Portal(loop_factory=new_loop) as portal:

        async def scene(cut: Cut) -> None:
            async def ask(word: str) -> str:
                return await asyncio.wrap_future(portal.submit(asyncio.sleep, 0.01, word))

            cut.start(ask("victim"))
            assert await ask("other") == "other"
            await cut.end()

        at_every_await(new_loop, scene)


def test_lines_of_a_file_are_all_read(new_loop: NewLoop, tmp_path: Path) -> None:
    lines = [f"{number}\n" for number in range(5)]
    (tmp_path / "lines").write_text("".join(lines))

    async def scene(cut: Cut) -> None:
        async with treadle.files.open(tmp_path / "lines") as file:
            task = cut.start(file.readline())
            got = [] if await cut.end() else [task.result()]
            got += [line async for line in file]
        assert got == lines

    at_every_await(new_loop, scene)


def test_a_file_is_the_old_or_the_new_one(new_loop: NewLoop, tmp_path: Path) -> None:
    async def scene(cut: Cut) -> None:
        (tmp_path / "file").write_text("old")
        cut.start(treadle.files.write_text(tmp_path / "file", "new", atomic=True))
        cancelled = await cut.end()
        # One file at a time: what still runs in a thread is done then.
        text = await treadle.files.read_text(tmp_path / "file")
        assert text == "new" or (cancelled and text == "old")

    at_every_await(new_loop, scene)


# What never waits for anything, or only begins to run loops.
QUICK = {
    "BreakerOpen", "EventLoop", "Limiter", "Overloaded", "QueueShutDown", "Report", "Results", "RetryBudget",
    "WorkerDied", "__version__", "install", "new_event_loop", "remaining", "run", "to_interpreter", "watch",
}  # fmt: skip


def test_all_that_waits_is_cancelled_here() -> None:
    source = ast.walk(ast.parse(Path(__file__).read_text()))
    played = {node.attr for node in source if isinstance(node, ast.Attribute)}
    assert set(treadle.__all__) - played == QUICK
