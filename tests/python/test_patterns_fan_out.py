"""Many calls at once: limits, order, errors, contexts, back-pressure."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import itertools
from typing import TYPE_CHECKING, Any

import loops
import pytest
import treadle
from treadle.testing import virtual_event_loop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    NewLoop = Callable[[], asyncio.AbstractEventLoop]


class Calls:
    """Counts how many run at once."""

    def __init__(self, naps: int = 2) -> None:
        """Nap so often in each."""
        self.naps = naps
        self.running = self.most = self.begun = 0

    async def __call__(self, item: int) -> int:
        """Return the negative."""
        self.begun += 1
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            for _ in range(self.naps + item % 3):
                await asyncio.sleep(0)
        finally:
            self.running -= 1
        return -item


async def stream(numbers: Any) -> AsyncIterator[int]:
    """Yield them."""
    for number in numbers:
        await asyncio.sleep(0)
        yield number


@pytest.mark.parametrize("make", [list, iter, stream], ids=["list", "iterator", "stream"])
@pytest.mark.parametrize("task_per_item", [False, True], ids=["shared", "own"])
def test_results_are_in_order_and_calls_limited(
    new_loop: NewLoop, make: Callable[[Any], Any], task_per_item: bool  # noqa: FBT001
) -> None:  # fmt: skip
    async def main() -> None:
        calls = Calls(9)
        got = await treadle.amap(calls, make(range(20)), limit=4, task_per_item=task_per_item)
        assert got == [-number for number in range(20)]
        assert (calls.most, calls.running) == (4, 0)
        assert await treadle.amap(calls, make([]), limit=4) == []

    loops.run(new_loop, main())


def test_results_come_as_they_are_ready_where_order_does_not_matter(new_loop: NewLoop) -> None:
    async def main() -> None:
        async def nap(turns: int) -> int:
            for _ in range(turns):
                await asyncio.sleep(0)
            return turns

        assert await treadle.amap(nap, [9, 1, 5], limit=3, ordered=False) == [1, 5, 9]
        async with treadle.amap(nap, [9, 1, 5], limit=3, ordered=False) as results:
            assert [result async for result in results] == [1, 5, 9]
        async with treadle.amap(nap, [9, 1, 5], limit=3) as results:
            assert [result async for result in results] == [9, 1, 5]

    loops.run(new_loop, main())


def test_an_endless_stream_is_read_no_further_than_its_results_are(new_loop: NewLoop) -> None:
    async def main() -> None:
        calls = Calls()
        async with treadle.amap(calls, itertools.count(), limit=3) as results:
            for expected in range(10):
                for _ in range(20):
                    await asyncio.sleep(0)
                assert calls.begun <= expected + 2 * 3
                assert await anext(results) == -expected
        assert calls.running == 0

    loops.run(new_loop, main())


def test_a_generator_of_items_is_closed_with_the_stream(new_loop: NewLoop) -> None:
    async def main() -> None:
        closed = False

        async def items() -> AsyncIterator[int]:
            nonlocal closed
            try:
                while True:
                    yield 1
            finally:
                await asyncio.sleep(0)
                closed = True

        async def work(item: int) -> int:
            return await asyncio.sleep(0, item)

        # Somebody still has it, so that nobody else closes it.
        source = items()
        async with treadle.amap(work, source, limit=1) as results:
            await anext(results)
        assert closed
        with pytest.raises(StopAsyncIteration):
            await anext(source)

    loops.run(new_loop, main())


@pytest.mark.parametrize("task_per_item", [False, True], ids=["shared", "own"])
def test_first_error_is_raised_bare_with_the_others_in_its_notes(
    new_loop: NewLoop, task_per_item: bool  # noqa: FBT001
) -> None:  # fmt: skip
    async def main() -> None:
        ended = []

        async def call(item: int) -> None:
            try:
                await asyncio.sleep(0)
                if item == 1:
                    raise KeyError(item)
                await asyncio.sleep(60)
            finally:
                await asyncio.sleep(0)
                ended.append(item)
                if item == 2:
                    raise LookupError("while cleaning up")

        with pytest.raises(KeyError) as caught:
            await treadle.amap(call, range(100), limit=3, task_per_item=task_per_item)
        assert sorted(ended) == [0, 1, 2]
        (words,) = caught.value.__notes__
        assert "another call failed too: LookupError: while cleaning up (" in words

    loops.run(new_loop, main())


def test_a_stream_gives_what_was_ready_before_the_error(new_loop: NewLoop) -> None:
    async def main() -> None:
        async def call(item: int) -> int:
            if item == 2:
                raise ValueError(item)
            return item

        got = []
        with pytest.raises(ValueError, match="2"):  # noqa: PT012 - what happens before is part of it
            async with treadle.amap(call, range(9), limit=2) as results:
                async for result in results:
                    got.append(result)  # noqa: PERF401 - what came before the error
        assert got == [0, 1]
        # Who leaves before it is told learns it at the end.
        with pytest.raises(ValueError, match="2"):
            async with treadle.amap(call, range(9), limit=2) as results:
                await anext(results)

    loops.run(new_loop, main())


def test_exceptions_are_results_if_asked_for(new_loop: NewLoop) -> None:
    async def main() -> None:
        async def call(item: int) -> int:
            await asyncio.sleep(0)
            if item == 1:
                raise ValueError(item)
            if item == 2:
                task = asyncio.current_task()
                assert task is not None
                task.cancel()
                await asyncio.sleep(60)
            if item == 3:
                async with asyncio.TaskGroup() as group:
                    group.create_task(asyncio.sleep(0))
            return item

        for source in (range(5), stream(range(5))):
            items: Any = source
            got: list[Any] = await treadle.amap(call, items, limit=1, return_exceptions=True)
            assert [type(one) for one in got] == [int, ValueError, asyncio.CancelledError, int, int]

    loops.run(new_loop, main())


def test_a_call_that_cancels_itself_leaves_no_mark_on_the_next(new_loop: NewLoop) -> None:
    async def main() -> None:
        async def call(item: int) -> int:
            task = asyncio.current_task()
            assert task is not None
            assert not task.cancelling()
            if item == 0:
                task.cancel()
                await asyncio.sleep(0)
            return item

        for ordered in (True, False):
            found = await treadle.amap(call, range(3), limit=1, return_exceptions=True, ordered=ordered)
            assert isinstance(found[0], asyncio.CancelledError)
            assert found[1:] == [1, 2]

    loops.run(new_loop, main())


def test_each_call_has_a_context_of_its_own(new_loop: NewLoop) -> None:
    variable = contextvars.ContextVar("variable", default=0)

    async def main() -> None:
        variable.set(7)

        async def call(item: int) -> tuple[int, int]:
            before = variable.get()
            variable.set(item)
            await asyncio.sleep(0)
            return before, variable.get()

        assert await treadle.amap(call, range(4), limit=2) == [(7, item) for item in range(4)]
        assert variable.get() == 7

    loops.run(new_loop, main())


def test_functions_may_return_any_awaitable(new_loop: NewLoop) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()

        def later(item: int) -> asyncio.Future[int]:
            future = loop.create_future()
            loop.call_soon(future.set_result, -item)
            return future

        assert await treadle.amap(later, range(5), limit=2) == [0, -1, -2, -3, -4]
        with pytest.raises(TypeError, match="cannot be awaited"):
            await treadle.amap(lambda item: item, [1], limit=1)  # type: ignore[arg-type,return-value]

    loops.run(new_loop, main())


def test_an_iterable_that_fails_is_an_error_like_others(new_loop: NewLoop) -> None:
    async def main() -> None:
        calls = Calls()

        def broken() -> Iterator[int]:
            yield 1
            yield 2
            raise OSError("cannot read on")

        for source in (broken(), stream(broken())):
            items: Any = source
            with pytest.raises(OSError, match="read on"):
                await treadle.amap(calls, items, limit=2)
            assert calls.running == 0

    loops.run(new_loop, main())


def test_whoever_is_cancelled_ends_calls_that_would_not_end(new_loop: NewLoop) -> None:
    async def main() -> None:
        ended = []

        async def call(item: int) -> None:
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                ended.append(item)

        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await treadle.amap(call, range(9), limit=2)
        assert sorted(ended) == [0, 1]

    loops.run(new_loop, main())


def test_amap_says_that_nobody_has_awaited_it() -> None:
    async def call(item: int) -> int:
        return item

    with pytest.warns(RuntimeWarning, match=r"amap of .*call was never awaited"):
        treadle.amap(call, [1], limit=1)
    with pytest.raises(ValueError, match="not 0"):
        treadle.amap(call, [1], limit=0)


def test_results_are_awaited_once(new_loop: NewLoop) -> None:
    async def main() -> None:
        results = treadle.amap(Calls(), [1], limit=1, name="once")
        assert await results == [-1]
        assert results.stats() == {
            "kind": "amap", "name": "once", "limit": 1, "in_use": 0, "calls": 1, "ready": 0,
        }  # fmt: skip
        with pytest.raises(RuntimeError, match="second time"):
            await results

    loops.run(new_loop, main())


def test_calls_go_through_a_policy(new_loop: NewLoop) -> None:
    async def main() -> None:
        seen: list[int] = []

        async def call(item: int) -> int:
            seen.append(item)
            if seen.count(item) == 1:
                raise OSError
            return item

        policy = treadle.Policy(retry=treadle.Retry(on=OSError, backoff=treadle.Backoff(0)))
        assert await treadle.amap(call, range(3), limit=2, policy=policy) == [0, 1, 2]
        assert policy.stats()["retries"] == 3

    loops.run(new_loop, main())


def test_gather_closes_what_it_has_not_begun(new_loop: NewLoop) -> None:
    async def main() -> None:
        async def fail() -> int:
            raise ValueError("first")

        calls = Calls()
        task = asyncio.create_task(asyncio.sleep(60, 1))
        # Not one "was never awaited".
        with pytest.raises(ValueError, match="first"):
            await treadle.gather(fail(), calls(1), task, calls(2), limit=1)
        assert task.cancelled()
        assert calls.begun == 0
        one = calls(3)
        assert await treadle.gather(one, calls(4), one) == [-3, -4, -3]
        assert await treadle.gather() == []
        failed, fine = await treadle.gather(fail(), calls(5), return_exceptions=True)
        assert isinstance(failed, ValueError)
        assert fine == -5

    loops.run(new_loop, main())


def test_batches_are_full_or_late() -> None:
    async def main() -> None:
        async def source() -> AsyncIterator[int]:
            for number in range(7):
                if number in {3, 4}:
                    await asyncio.sleep(10)
                yield number

        async with treadle.batched(source(), 2) as batches:
            assert [batch async for batch in batches] == [[0, 1], [2, 3], [4, 5], [6]]
        async with treadle.batched(source(), 2, max_wait=5) as batches:
            assert [batch async for batch in batches] == [[0, 1], [2], [3], [4, 5], [6]]

    loops.run(virtual_event_loop, main())


def test_a_batch_comes_before_the_error_that_ended_it(new_loop: NewLoop) -> None:
    async def main() -> None:
        async def source() -> AsyncIterator[int]:
            yield 1
            raise OSError("gone")

        for max_wait in (None, 1.0):
            async with treadle.batched(source(), 2, max_wait=max_wait) as batches:
                assert await anext(batches) == [1]
                with pytest.raises(OSError, match="gone"):
                    await anext(batches)
                with pytest.raises(StopAsyncIteration):
                    await anext(batches)

    loops.run(new_loop, main())


def test_batcher_makes_one_call_out_of_many() -> None:
    async def main() -> None:
        calls: list[list[int]] = []

        async def double(items: list[int]) -> list[int]:
            calls.append(items)
            await asyncio.sleep(1)
            return [item * 2 for item in items]

        batcher = treadle.Batcher(double, max_size=3, limit=1, max_wait=0.5)
        loop = asyncio.get_running_loop()
        got = await asyncio.gather(*(batcher(number) for number in range(7)))
        assert got == [number * 2 for number in range(7)]
        # The last has not waited for others: its time was over while it waited for its turn.
        assert calls == [[0, 1, 2], [3, 4, 5], [6]]
        assert loop.time() == 3
        assert await batcher(7) == 14
        assert loop.time() == 4.5

    loops.run(virtual_event_loop, main())


def test_errors_of_a_batch_are_its_callers(new_loop: NewLoop) -> None:
    async def main() -> None:
        async def broken(items: list[int]) -> list[int]:
            if items == [1, 2]:
                raise OSError("no database")
            return items[1:]

        batcher = treadle.Batcher(broken, max_size=2, limit=2)
        got = await asyncio.gather(*(batcher(number) for number in (1, 2, 3, 4)), return_exceptions=True)
        assert [type(one) for one in got] == [OSError, OSError, ValueError, ValueError]

    loops.run(new_loop, main())


def test_a_batch_that_nobody_waits_for_is_cancelled(new_loop: NewLoop) -> None:
    async def main() -> None:
        cancelled = asyncio.Event()

        async def slow(items: list[int]) -> list[int]:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(60)
            cancelled.set()
            return items

        batcher = treadle.Batcher(slow, max_size=2, limit=1)
        tasks = [asyncio.create_task(batcher(number)) for number in range(2)]
        for _ in range(3):
            await asyncio.sleep(0)
        tasks[0].cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not cancelled.is_set()
        tasks[1].cancel()
        await asyncio.wait_for(cancelled.wait(), 5)

    loops.run(new_loop, main())
