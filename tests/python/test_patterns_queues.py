"""Queues, workers, pools and locks: order, back-pressure, and ends."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from typing import TYPE_CHECKING, Any

import loops
import pytest
import treadle
from treadle.testing import virtual_event_loop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    NewLoop = Callable[[], asyncio.AbstractEventLoop]


class Opaque:
    """Cannot be compared."""

    __lt__ = None


def test_items_come_by_priority_and_then_in_order(new_loop: NewLoop) -> None:
    async def main() -> None:
        queue: treadle.PriorityQueue[Opaque] = treadle.PriorityQueue(10)
        items = [Opaque() for _ in range(6)]
        for item, priority in zip(items, (1, 0, 1, 0, -1, 1), strict=True):
            queue.put_nowait(item, priority=priority)
        assert [items.index(await queue.get()) for _ in items] == [4, 1, 3, 0, 2, 5]

    loops.run(new_loop, main())


def test_who_puts_into_a_full_queue_waits_in_line(new_loop: NewLoop) -> None:
    async def main() -> None:
        queue: treadle.PriorityQueue[int] = treadle.PriorityQueue(1)
        queue.put_nowait(0)
        tasks = [asyncio.create_task(queue.put(number, priority=-number // 3)) for number in range(1, 4)]
        await asyncio.sleep(0)
        with pytest.raises(asyncio.QueueFull):
            queue.put_nowait(9)
        assert (queue.full(), queue.qsize(), queue.stats()["waiting"]) == (True, 1, 3)
        got = []
        for _ in range(4):
            got.append(await queue.get())
            await asyncio.sleep(0)
            # Nobody overtakes a putter that has been given the place.
            assert queue.qsize() <= 1
        assert got == [0, 1, 2, 3]
        await asyncio.gather(*tasks)
        with pytest.raises(asyncio.QueueEmpty):
            queue.get_nowait()
        with pytest.raises(ValueError, match="1 item or more"):
            treadle.PriorityQueue(0)

    loops.run(new_loop, main())


def test_getters_are_served_in_order_and_joining_waits(new_loop: NewLoop) -> None:
    async def main() -> None:
        queue: treadle.PriorityQueue[int] = treadle.PriorityQueue(5)
        got: list[tuple[int, int]] = []

        async def get(number: int) -> None:
            got.append((number, await queue.get()))
            queue.task_done()

        tasks = [asyncio.create_task(get(number)) for number in range(3)]
        await asyncio.sleep(0)
        for item in range(3):
            await queue.put(item)
        await asyncio.wait_for(queue.join(), 5)
        assert got == [(0, 0), (1, 1), (2, 2)]
        with pytest.raises(ValueError, match="more often"):
            queue.task_done()
        await asyncio.gather(*tasks)

    loops.run(new_loop, main())


def test_what_a_cancelled_getter_gives_back_is_the_next_ones(new_loop: NewLoop) -> None:
    async def main() -> None:
        queue: treadle.PriorityQueue[str] = treadle.PriorityQueue(1)
        first, second = (asyncio.create_task(queue.get()) for _ in range(2))
        await asyncio.sleep(0)
        await queue.put("item")
        # It has been given the item, and does not run yet.
        first.cancel()
        async with asyncio.timeout(10):
            assert await second == "item"

    loops.run(new_loop, main())


def test_a_queue_forgets_who_has_joined(new_loop: NewLoop) -> None:
    async def main() -> None:
        queue: treadle.PriorityQueue[str] = treadle.PriorityQueue(1)
        for _ in range(3):
            await queue.put(await asyncio.sleep(0, "item"))
            joiners = [asyncio.create_task(queue.join()) for _ in range(2)]
            await asyncio.sleep(0)
            joiners[0].cancel()
            await queue.get()
            queue.task_done()
            await asyncio.wait(joiners)
        assert not queue._joiners

    loops.run(new_loop, main())


def test_a_queue_that_is_shut_down_is_emptied_first(new_loop: NewLoop) -> None:
    async def main() -> None:
        queue: treadle.PriorityQueue[int] = treadle.PriorityQueue(1)
        await queue.put(1)
        putter = asyncio.create_task(queue.put(2))
        await asyncio.sleep(0)
        queue.shutdown()
        with pytest.raises(treadle.QueueShutDown):
            await putter
        with pytest.raises(treadle.QueueShutDown):
            queue.put_nowait(3)
        assert await queue.get() == 1
        with pytest.raises(treadle.QueueShutDown):
            await queue.get()
        waiting: treadle.PriorityQueue[int] = treadle.PriorityQueue(2)
        getter = asyncio.create_task(waiting.get())
        await asyncio.sleep(0)
        waiting.shutdown(immediate=True)
        with pytest.raises(treadle.QueueShutDown):
            await getter
        full: treadle.PriorityQueue[int] = treadle.PriorityQueue(2)
        await full.put(1)
        full.shutdown(immediate=True)
        await asyncio.wait_for(full.join(), 5)

    loops.run(new_loop, main())


def test_workers_take_by_priority_and_submitters_wait(new_loop: NewLoop) -> None:
    async def main() -> None:
        order: list[int] = []
        gate = asyncio.Event()

        async def work(item: int) -> int:
            await gate.wait()
            order.append(item)
            return -item

        async with treadle.WorkerPool(work, workers=1, maxsize=3, name="resize") as pool:
            futures = [await pool.submit(0)]
            await asyncio.sleep(0)
            futures += [await pool.submit(item, priority=priority) for item, priority in ((1, 1), (2, 0), (3, -1))]
            late = asyncio.create_task(pool.submit(4))
            await asyncio.sleep(0)
            assert not late.done()
            assert pool.stats() == {
                "kind": "WorkerPool", "name": "resize", "limit": 1, "in_use": 1, "waiting": 3, "submitters": 1,
                "calls": 0, "failed": 0,
            }  # fmt: skip
            gate.set()
            futures.append(await late)
            assert await asyncio.gather(*futures) == [0, -1, -2, -3, -4]
        # The fourth was given a place when the third was taken, and the worker was faster.
        assert order == [0, 3, 2, 1, 4]
        with pytest.raises(RuntimeError, match="takes no items"):
            await pool.submit(5)

    loops.run(new_loop, main())


def test_errors_of_a_call_are_its_submitters(new_loop: NewLoop) -> None:
    variable = contextvars.ContextVar("variable", default=0)

    async def main() -> None:
        async def work(item: int) -> int:
            await asyncio.sleep(0)
            if item == 1:
                raise KeyError(item)
            if item == 2:
                task = asyncio.current_task()
                assert task is not None
                # It means itself.
                await cancelled
            return item + variable.get()

        cancelled = asyncio.get_running_loop().create_future()
        cancelled.cancel()
        async with treadle.WorkerPool(work, workers=1, maxsize=9) as pool:
            futures = []
            for item in range(4):
                variable.set(10 * item)
                futures.append(await pool.submit(item))
            got = await asyncio.gather(*futures, return_exceptions=True)
            assert [type(one) for one in got] == [int, KeyError, asyncio.CancelledError, int]
            assert got[3] == 33
            assert (pool.stats()["calls"], pool.stats()["failed"]) == (3, 1)

    loops.run(new_loop, main())


def test_cancelling_a_future_cancels_its_call_and_no_worker(new_loop: NewLoop) -> None:
    async def main() -> None:
        ended: list[int] = []

        async def work(item: int) -> int:
            task = asyncio.current_task()
            assert task is not None
            # Nothing is left of the cancellation of another call.
            assert not task.cancelling()
            try:
                if item < 2:
                    await asyncio.sleep(60)
                return item
            finally:
                ended.append(item)

        async with treadle.WorkerPool(work, workers=1, maxsize=9) as pool:
            futures = [await pool.submit(item) for item in range(5)]
            await asyncio.sleep(0)
            futures[3].cancel()
            futures[0].cancel()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            futures[1].cancel()
            assert await futures[4] == 4
        # What waited when it was cancelled never began.
        assert ended == [0, 1, 2, 4]

    loops.run(new_loop, main())


def test_a_worker_that_is_cancelled_itself_ends(new_loop: NewLoop) -> None:
    async def main() -> None:
        begun = asyncio.Event()

        async def work(_: int) -> None:
            begun.set()
            await asyncio.Event().wait()

        async with treadle.WorkerPool(work, workers=1, maxsize=1, name="worked") as pool:
            future = await pool.submit(1)
            await begun.wait()
            # As at the end of a program.
            (worker,) = (task for task in asyncio.all_tasks() if task.get_name().startswith("worked"))
            worker.cancel()
            async with asyncio.timeout(10):
                await asyncio.wait([worker])
            assert worker.cancelled()
            assert future.cancelled()
            with pytest.raises(RuntimeError, match="takes no items"):
                await pool.submit(2)

    loops.run(new_loop, main())


def test_cancelled_while_the_pool_is_left_the_rest_is_still_done(new_loop: NewLoop) -> None:
    async def main() -> None:
        async def work(item: int) -> int:
            await asyncio.sleep(0.001 if item else 60)
            return item

        async with treadle.WorkerPool(work, workers=1, maxsize=9) as pool:
            futures = [await pool.submit(item) for item in range(3)]
            asyncio.get_running_loop().call_later(0.005, futures[0].cancel)
        assert [future.result() for future in futures[1:]] == [1, 2]

    loops.run(new_loop, main())


def test_leaving_by_an_exception_cancels_what_is_not_done(new_loop: NewLoop) -> None:
    async def main() -> None:
        async def work(_: int) -> None:
            await asyncio.sleep(60)

        futures: list[asyncio.Future[None]] = []
        with pytest.raises(KeyError):  # noqa: PT012 - what happens before is part of it
            async with treadle.WorkerPool(work, workers=1, maxsize=9) as pool:
                futures += [await pool.submit(item) for item in range(3)]
                await asyncio.sleep(0)
                raise KeyError
        assert all(future.cancelled() for future in futures)

    loops.run(new_loop, main())


class Connections:
    """Opens numbered things, and knows which are open."""

    def __init__(self, delay: float = 0) -> None:
        """Take so long to open one."""
        self.delay = delay
        self.count = 0
        self.open: set[int] = set()

    @contextlib.asynccontextmanager
    async def __call__(self) -> AsyncIterator[int]:
        """Open one."""
        await asyncio.sleep(self.delay)
        self.count += 1
        number = self.count
        self.open.add(number)
        try:
            yield number
        finally:
            await asyncio.sleep(0)
            self.open.discard(number)


def test_resources_are_used_again_by_who_waits_longest(new_loop: NewLoop) -> None:
    async def main() -> None:
        connections = Connections()
        order: list[int] = []
        async with treadle.Pool(connections, max_size=2, min_size=1, name="db") as pool:
            assert connections.open == {1}

            async def use(number: int, priority: int) -> None:
                async with pool.acquire(priority=priority) as connection:
                    assert connection in connections.open
                    order.append(number)
                    await asyncio.sleep(0)
                    await asyncio.sleep(0)

            await asyncio.gather(*(use(number, -1 if number == 7 else 0) for number in range(8)))
            assert order in ([0, 7, 1, 2, 3, 4, 5, 6], [0, 1, 7, 2, 3, 4, 5, 6])
            assert connections.open == {1, 2}
            assert pool.stats() == {
                "kind": "Pool", "name": "db", "limit": 2, "size": 2, "in_use": 0, "idle": 2, "closing": 0,
                "waiting": 0, "opened": 2, "timeouts": 0,
            }  # fmt: skip
        assert not connections.open
        with pytest.raises(RuntimeError, match="<Pool 'db'> is closed"):
            async with pool.acquire():
                pass

    loops.run(new_loop, main())


def test_waiting_for_a_resource_ends_in_time() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        connections = Connections(delay=2)
        async with treadle.Pool(connections, max_size=1, timeout=5) as pool:
            async with pool.acquire():
                assert loop.time() == 2
                with pytest.raises(TimeoutError):
                    async with pool.acquire():
                        pass
                assert loop.time() == 7
            async with pool.acquire() as connection:
                assert connection == 1
            assert pool.stats()["timeouts"] == 1
        slow = treadle.Pool(Connections(delay=9), max_size=1, timeout=5)
        async with slow as pool:
            with pytest.raises(TimeoutError):
                async with pool.acquire():
                    pass
            assert pool.stats()["in_use"] == 0

    loops.run(virtual_event_loop, main())


def test_what_was_cancelled_in_use_is_not_used_again(new_loop: NewLoop) -> None:
    async def main() -> None:
        connections = Connections()
        async with treadle.Pool(connections, max_size=1) as pool:

            async def use() -> None:
                async with pool.acquire():
                    await asyncio.sleep(60)

            task = asyncio.create_task(use())
            await loops.until(lambda: pool.stats()["in_use"] == 1 and connections.count == 1)
            await asyncio.sleep(0)
            task.cancel()
            async with pool.acquire() as connection:
                assert connection == 2
                # Never one more than allowed, not even one that is being closed.
                assert connections.open == {2}
            with pytest.raises(KeyError):
                async with pool.acquire() as connection:
                    raise KeyError
            async with pool.acquire() as again:
                assert again == connection

    loops.run(new_loop, main())


def test_what_fails_its_check_or_is_old_is_replaced() -> None:
    async def main() -> None:
        connections = Connections()
        bad = {1}

        async def check(connection: int) -> bool:
            if connection == 2:
                raise OSError
            return connection not in bad

        async with treadle.Pool(connections, max_size=1, check=check, max_lifetime=100, max_idle=None) as pool:

            async def use() -> int:
                async with pool.acquire() as connection:
                    return connection

            assert [await use() for _ in range(4)] == [1, 2, 3, 3]
            await asyncio.sleep(101)
            assert await use() == 4
            assert connections.open == {4}
            async with pool.acquire():
                await asyncio.sleep(101)
            await asyncio.sleep(1)
            assert not connections.open

    loops.run(virtual_event_loop, main())


def test_what_nobody_uses_is_closed() -> None:
    async def main() -> None:
        connections = Connections()
        async with treadle.Pool(connections, max_size=4, min_size=1, max_idle=60) as pool:

            async def use() -> None:
                async with pool.acquire():
                    await asyncio.sleep(1)

            await asyncio.gather(*(use() for _ in range(4)))
            assert len(connections.open) == 4
            await asyncio.sleep(30)
            await use()
            await asyncio.sleep(40)
            assert len(connections.open) == 1
            await asyncio.sleep(600)
            assert len(connections.open) == 1
            assert pool.stats()["in_use"] == 0

    loops.run(virtual_event_loop, main())


def test_what_is_being_closed_still_counts() -> None:
    async def main() -> None:
        running = most = 0

        @contextlib.asynccontextmanager
        async def connect() -> AsyncIterator[None]:
            nonlocal running, most
            running += 1
            most = max(most, running)
            yield
            await asyncio.sleep(1)
            running -= 1

        async with treadle.Pool(connect, max_size=1, max_idle=5) as pool:
            for _ in range(3):
                async with pool.acquire():
                    pass
                # It has been idle for long enough, and is in the middle of its end.
                await asyncio.sleep(5.5)
                assert pool.stats()["closing"] == 1
        assert most == 1

    loops.run(virtual_event_loop, main())


def test_the_one_used_last_is_used_first_so_that_others_can_go() -> None:
    async def main() -> None:
        numbers = iter(range(9))

        @contextlib.asynccontextmanager
        async def connect() -> AsyncIterator[int]:
            yield next(numbers)

        async def check(_: int) -> bool:
            return True

        async with treadle.Pool(connect, max_size=2, max_idle=5, check=check) as pool:
            async with pool.acquire() as first, pool.acquire() as second:
                assert (first, second) == (0, 1)
            used = set()
            for _ in range(8):
                async with pool.acquire() as resource:
                    used.add(resource)
                await asyncio.sleep(1)
            assert len(used) == 1
            assert pool.stats()["idle"] == 1

    loops.run(virtual_event_loop, main())


def test_a_closed_pool_says_so_to_those_that_wait_and_waits_for_users(new_loop: NewLoop) -> None:
    async def main() -> None:
        connections = Connections()
        pool = treadle.Pool(connections, max_size=1)
        used = asyncio.Event()

        async def use() -> None:
            async with pool.acquire():
                used.set()
                await asyncio.sleep(0.01)

        async with pool:
            user = asyncio.create_task(use())
            await used.wait()
            waiter = asyncio.create_task(use())
            await asyncio.sleep(0)
        assert user.done()
        assert not connections.open
        with pytest.raises(RuntimeError, match="is closed"):
            await waiter

    loops.run(new_loop, main())


def test_resources_that_cannot_be_opened_or_closed(new_loop: NewLoop) -> None:
    async def main() -> None:
        @contextlib.asynccontextmanager
        async def stubborn() -> AsyncIterator[int]:
            yield 1
            raise OSError("cannot close")

        @contextlib.asynccontextmanager
        async def refused() -> AsyncIterator[int]:
            if refusing:
                raise ConnectionRefusedError
            yield 1

        with pytest.raises(OSError, match="cannot close"):
            async with treadle.Pool(stubborn, max_size=1) as pool, pool.acquire():
                pass
        refusing = True
        async with treadle.Pool(refused, max_size=1) as pool:
            for _ in range(3):
                with pytest.raises(ConnectionRefusedError):
                    async with pool.acquire():
                        pass
            refusing = False
            async with pool.acquire() as one:
                assert one == 1

    loops.run(new_loop, main())


def test_locks_in_two_orders_do_not_stop_the_program(new_loop: NewLoop) -> None:
    async def main() -> None:
        first, second, third = asyncio.Lock(), treadle.Semaphore(1), asyncio.Semaphore(1)
        inside = 0

        async def use(*locks: Any) -> None:
            nonlocal inside
            for _ in range(10):
                async with treadle.lock_all(*locks):
                    inside += 1
                    assert inside == 1
                    await asyncio.sleep(0)
                    inside -= 1

        orders: list[tuple[Any, ...]] = [(first, second, third), (third, second, first), (second, first, second, third)]
        async with asyncio.timeout(10):
            await asyncio.gather(*(use(*order) for order in orders * 3))
        assert not first.locked()
        assert not second.locked()
        async with treadle.lock_all():
            pass

    loops.run(new_loop, main())
