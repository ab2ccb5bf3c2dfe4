"""Deadlines: as asyncio's in every way, known to the code inside, and cleaning up in spite of cancellation."""

from __future__ import annotations

import asyncio
import gc
import inspect
import pickle
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import loops
import pytest
import treadle
from treadle.testing import virtual_event_loop

if TYPE_CHECKING:
    from collections.abc import Callable

    NewLoop = Callable[[], asyncio.AbstractEventLoop]
    Make = Callable[[float | None], Any]

both = pytest.mark.parametrize("make", [asyncio.timeout, treadle.timeout], ids=["asyncio's", "treadle's"])


async def for_ever() -> None:
    """Wait for nothing."""
    await asyncio.get_running_loop().create_future()


@both
@pytest.mark.parametrize("delay", [0.01, 0, -1])
def test_a_block_ends_in_time(new_loop: NewLoop, make: Make, delay: float) -> None:
    async def main() -> None:
        with pytest.raises(TimeoutError) as caught:
            async with make(delay) as scope:
                await for_ever()
        assert scope.expired()
        assert isinstance(caught.value.__cause__, asyncio.CancelledError)
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0

    loops.run(new_loop, main())


@both
def test_a_block_that_is_done_is_left_alone(new_loop: NewLoop, make: Make) -> None:
    async def main() -> None:
        async with make(60) as scope:
            assert scope.when() > asyncio.get_running_loop().time()
            await asyncio.sleep(0)
        assert not scope.expired()
        async with make(None) as scope:
            assert scope.when() is None
        async with make(0):
            pass
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError):
            await scope.__aenter__()
        with pytest.raises(RuntimeError):
            scope.reschedule(0)

    loops.run(new_loop, main())


@both
def test_deadlines_can_be_moved(new_loop: NewLoop, make: Make) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with pytest.raises(TimeoutError):  # noqa: PT012 - what happens before is part of it
            async with make(None) as scope:
                scope.reschedule(loop.time() + 60)
                scope.reschedule(loop.time())
                await for_ever()
        async with make(0) as scope:
            scope.reschedule(None)
            await asyncio.sleep(0.001)
        assert not scope.expired()

    loops.run(new_loop, main())


@both
def test_the_innermost_deadline_that_has_passed_is_told(new_loop: NewLoop, make: Make) -> None:
    async def main() -> None:
        async with make(60) as outer:
            with pytest.raises(TimeoutError):
                async with make(0) as inner:
                    await for_ever()
        assert inner.expired()
        assert not outer.expired()
        with pytest.raises(TimeoutError):
            async with make(0) as outer, make(60) as inner:
                await for_ever()
        assert outer.expired()
        assert not inner.expired()

    loops.run(new_loop, main())


@both
def test_a_cancellation_from_outside_stays_one(new_loop: NewLoop, make: Make) -> None:
    async def main() -> None:
        async def victim() -> None:
            async with make(0):
                try:
                    await for_ever()
                finally:
                    # The deadline has passed, and now the task is cancelled as well.
                    task.cancel()
                    await asyncio.sleep(0)

        task = asyncio.create_task(victim())
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelling() == 1

    loops.run(new_loop, main())


@both
def test_groups_and_deadlines_inside_each_other(new_loop: NewLoop, make: Make) -> None:
    async def main() -> None:
        async def fail() -> None:
            raise KeyError

        with pytest.raises(TimeoutError):
            async with make(0.01), asyncio.TaskGroup() as group:
                group.create_task(for_ever())
        with pytest.raises(ExceptionGroup) as caught:  # noqa: PT012 - what happens before is part of it
            async with make(60), asyncio.TaskGroup() as group:
                group.create_task(for_ever())
                group.create_task(fail())
        assert [type(error) for error in caught.value.exceptions] == [KeyError]

        async def limited() -> None:
            async with make(0.01):
                await for_ever()

        with pytest.raises(ExceptionGroup) as caught:
            async with asyncio.TaskGroup() as group:
                group.create_task(limited())
        assert [type(error) for error in caught.value.exceptions] == [TimeoutError]

    loops.run(new_loop, main())


def test_another_error_knows_of_the_deadline(new_loop: NewLoop) -> None:
    async def main() -> None:
        with pytest.raises(KeyError) as caught:  # noqa: PT012 - what happens before is part of it
            async with treadle.timeout(0):
                try:
                    await for_ever()
                except asyncio.CancelledError:
                    raise KeyError  # noqa: B904 - its context is looked at
        assert isinstance(caught.value.__context__, TimeoutError)

    loops.run(new_loop, main())


def test_a_deadline_needs_a_task(new_loop: NewLoop) -> None:
    async def main() -> None:
        scope = treadle.timeout(1)
        loop, done = asyncio.get_running_loop(), asyncio.Event()

        def callback() -> None:
            with pytest.raises(RuntimeError, match="needs a task"):
                scope.__aenter__().send(None)
            done.set()

        loop.call_soon(callback)
        await done.wait()

    loops.run(new_loop, main())


def test_a_block_ends_once(new_loop: NewLoop) -> None:
    async def main() -> None:
        scope = treadle.timeout(60)
        with pytest.raises(RuntimeError, match="is created: it cannot end"):
            await scope.__aexit__(None, None, None)
        assert repr(scope).startswith("<Timeout [created] when=")
        async with scope as entered:
            assert entered is scope
            assert repr(scope).startswith("<Timeout [active]")
        with pytest.raises(RuntimeError, match="is finished: it cannot end"):
            await scope.__aexit__(None, None, None)
        assert repr(treadle.move_on_after(None)) == "<MoveOnAfter [created]>"
        with pytest.raises(TypeError):
            treadle.timeout("5")  # type: ignore[arg-type]
        with pytest.raises(TypeError):
            type(scope)()
        assert treadle.timeout(delay=None).when() is None

    loops.run(new_loop, main())
    with pytest.raises(RuntimeError, match="no running event loop"):
        treadle.timeout(5)
    assert str(inspect.signature(treadle.timeout)) == "(delay)"
    assert pickle.loads(pickle.dumps(treadle.timeout)) is treadle.timeout  # noqa: S301 - it is our own


def scopes() -> int:
    """Return how many blocks there are in memory."""
    gc.collect()
    return sum(type(one) is type(SAMPLE[0]) for one in gc.get_objects())


SAMPLE: list[Any] = []


def test_blocks_that_have_ended_are_gone(new_loop: NewLoop) -> None:
    async def main() -> None:
        SAMPLE[:] = [treadle.timeout(None)]

        async def use() -> None:
            async with treadle.timeout(60):
                await asyncio.sleep(0)

        async def run_late() -> None:
            async with treadle.timeout(0.05):
                await for_ever()

        late = asyncio.create_task(run_late())
        for _ in range(3):
            # They do not end in the order in which they have begun.
            await asyncio.gather(*(use() for _ in range(1000)))
        for _ in range(1000):
            async with treadle.timeout(60):
                pass
        # The loop lets go of the last tasks; the entries of a few hundred may be left.
        await asyncio.sleep(0)
        assert scopes() < 700
        with pytest.raises(TimeoutError):
            await late

    loops.run(new_loop, main())
    SAMPLE.clear()


def test_blocks_that_overlap_for_ever_do_not_pile_up(new_loop: NewLoop) -> None:
    async def main() -> None:
        SAMPLE[:] = [treadle.timeout(None)]
        before = scopes()
        last: Any = treadle.timeout(None)
        await last.__aenter__()
        for _ in range(1000):
            block = treadle.timeout(None)
            await block.__aenter__()
            await last.__aexit__(None, None, None)
            last = block
        del block
        assert scopes() < before + 5
        await last.__aexit__(None, None, None)

    loops.run(new_loop, main())
    SAMPLE.clear()


def test_blocks_may_lie_in_each_other_by_the_thousands(new_loop: NewLoop) -> None:
    async def main() -> None:
        SAMPLE[:] = [treadle.timeout(None)]
        before = scopes()
        blocks: list[Any] = [treadle.timeout(None) for _ in range(100_000)]
        for block in blocks:
            await block.__aenter__()
        while blocks:
            await blocks.pop().__aexit__(None, None, None)
        del block
        # The next takes the place of the innermost.
        async with treadle.timeout(None):
            SAMPLE.append(scopes() - before)

    # Its stack has room for some thousand calls.
    size = threading.stack_size(1 << 19)
    thread = threading.Thread(target=lambda: loops.run(new_loop, main()))
    thread.start()
    threading.stack_size(size)
    thread.join()
    assert SAMPLE.pop() < 5
    SAMPLE.clear()


def test_a_task_that_is_given_up_in_a_block_is_collected(new_loop: NewLoop) -> None:
    SAMPLE.clear()

    async def stay() -> None:
        async with treadle.timeout(60) as scope:
            SAMPLE.append(scope)
            await for_ever()

    loop = new_loop()
    task = loop.create_task(stay())
    task._log_destroy_pending = False  # type: ignore[attr-defined]
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    one = SAMPLE.pop()
    SAMPLE.append(one.when())
    kind = type(one)
    del task, one, loop
    gc.collect()
    assert SAMPLE[0] not in [scope.when() for scope in gc.get_objects() if type(scope) is kind]
    SAMPLE.clear()


def test_each_thread_has_its_deadlines(new_loop: NewLoop) -> None:
    caught: list[str] = []
    both_run = threading.Barrier(2)

    async def wait(name: str) -> None:
        both_run.wait(30)
        for _ in range(20):
            async with treadle.move_on_after(0.001) as scope:
                await for_ever()
            assert scope.expired()
            async with treadle.timeout(60):
                await asyncio.sleep(0)
        caught.append(name)

    threads = [threading.Thread(target=lambda name=name: loops.run(new_loop, wait(name))) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(caught) == ["a", "b"]


def test_other_tasks_have_deadlines_too(new_loop: NewLoop) -> None:
    async def wait(delay: float) -> bool:
        async with treadle.move_on_after(delay) as scope:
            assert treadle.remaining() is not None
            await for_ever()
        return scope.expired()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        if sys.version_info < (3, 14):
            # Later ones are nobody's current task, and have no `asyncio.timeout` either.
            assert await asyncio.tasks._PyTask(wait(0), loop=loop) is True  # type: ignore[attr-defined]
        if sys.version_info >= (3, 12):
            assert await asyncio.Task(wait(0.001), loop=loop, eager_start=True) is True

    loops.run(new_loop, main())


def test_another_clock_in_place_of_the_first_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with treadle.timeout(60) as scope:
            when = scope.when()
            assert when is not None
            monkeypatch.setattr(time, "monotonic", lambda: when - 5)
            assert treadle.remaining() == 5
            assert treadle.timeout(1).when() == when - 4
            monkeypatch.undo()

    loops.run(asyncio.SelectorEventLoop, main())


def test_moving_on_raises_nothing(new_loop: NewLoop) -> None:
    async def main() -> None:
        async with treadle.move_on_after(0) as scope:
            await for_ever()
        assert scope.expired()
        async with treadle.move_on_after(60) as scope:
            await asyncio.sleep(0)
        assert not scope.expired()
        # A failure is one, also after the deadline.
        with pytest.raises(KeyError):  # noqa: PT012 - what happens before is part of it
            async with treadle.move_on_after(0):
                try:
                    await for_ever()
                finally:
                    raise KeyError

    loops.run(new_loop, main())


@pytest.mark.parametrize("make", [treadle.timeout, treadle.move_on_after])
def test_blocks_of_a_task_that_lives_long_do_not_pile_up(new_loop: NewLoop, make: Any) -> None:
    async def main() -> None:
        kind = type(make(None))

        def count() -> int:
            gc.collect()
            return sum(type(one) is kind for one in gc.get_objects())

        before = count()
        for _ in range(50):
            async with make(None), make(None):
                pass
        # The last ones stay in the task's context until there is another.
        assert count() - before <= 2

    loops.run(new_loop, main())


def test_the_tightest_deadline_is_what_remains() -> None:
    async def main() -> None:
        assert treadle.remaining() is None
        async with treadle.timeout(10):
            async with treadle.timeout(20), treadle.timeout(None):
                assert treadle.remaining() == 10
            async with treadle.move_on_after(5) as scope:
                await asyncio.sleep(2)
                assert treadle.remaining() == 3
                scope.reschedule(None)
                assert treadle.remaining() == 8

                async def inside(_: int) -> float | None:
                    return treadle.remaining()

                assert await treadle.amap(inside, range(2), limit=2) == [8, 8]
                assert await asyncio.create_task(inside(0)) == 8
                assert await asyncio.to_thread(treadle.remaining) == 8
                background = asyncio.create_task(asyncio.sleep(1))
            assert treadle.remaining() == 8
            await background
        assert treadle.remaining() is None
        with pytest.raises(TimeoutError):  # noqa: PT012 - what happens before is part of it
            async with treadle.timeout(1):
                try:
                    await for_ever()
                finally:
                    assert treadle.remaining() == 0
        # A task that outlives the block has its deadline no longer.
        gate = asyncio.Event()

        async def later() -> float | None:
            await gate.wait()
            return treadle.remaining()

        async with treadle.timeout(1):
            task = asyncio.create_task(later())
        gate.set()
        assert await task is None

    loops.run(virtual_event_loop, main())


def test_cleaning_up_has_a_deadline_too() -> None:
    async def main() -> None:
        async def clean(seconds: float) -> str:
            await asyncio.sleep(seconds)
            return "clean"

        assert await treadle.finalize(clean(1), within=2) == "clean"
        with pytest.raises(TimeoutError, match="not done within 2 s"):
            await treadle.finalize(clean(3), within=2)
        assert asyncio.get_running_loop().time() == 3

    loops.run(virtual_event_loop, main())


def test_cleaning_up_tells_its_errors(new_loop: NewLoop) -> None:
    async def main() -> None:
        async def fail() -> None:
            await asyncio.sleep(0)
            raise OSError("cannot close")

        with pytest.raises(OSError, match="cannot close"):
            await treadle.finalize(fail(), within=1)
        task = asyncio.create_task(treadle.finalize(fail(), within=1))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        error = task._cancelled_exc if hasattr(task, "_cancelled_exc") else None
        assert error is None or "cannot close" in error.__notes__[0]

    loops.run(new_loop, main())


def test_cleaning_up_survives_a_deadline_around_it() -> None:
    async def main() -> None:
        order = []

        async def clean() -> None:
            await asyncio.sleep(5)
            order.append("clean")

        with pytest.raises(TimeoutError):  # noqa: PT012 - what happens before is part of it
            async with treadle.timeout(1):
                try:
                    await for_ever()
                finally:
                    await treadle.finalize(clean(), within=60)
        assert order == ["clean"]
        with pytest.raises(TimeoutError):
            async with treadle.timeout(1):
                await treadle.finalize(clean(), within=60)
        assert order == ["clean"] * 2

    loops.run(virtual_event_loop, main())
