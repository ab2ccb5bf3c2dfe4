"""Calls in threads and executors."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import gc
import subprocess
import sys
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any

import loops
import pytest
import treadle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Factory = Callable[[], asyncio.AbstractEventLoop]

word = contextvars.ContextVar("word", default="")


@pytest.fixture
def pool() -> Iterator[treadle.ThreadPool]:
    """Return a pool of two threads, of which nothing is left."""
    before = threading.active_count()
    with treadle.ThreadPool(2, name="two") as pool:
        yield pool
    # Threads of other tests may end meanwhile.
    assert threading.active_count() <= before


class Gate:
    """A call that can be held."""

    def __init__(self) -> None:
        """Make one that is held."""
        self.begun, self.opened = threading.Event(), threading.Event()

    def __call__(self, result: object = None) -> object:
        """Wait until the gate is opened."""
        self.begun.set()
        assert self.opened.wait(10)
        if isinstance(result, Exception):
            raise result
        return result


def test_a_call_gets_arguments_context_and_its_result_from_another_thread(new_loop: Factory) -> None:
    def call(first: int, *, second: int) -> tuple[int, str, bool]:
        return first + second, word.get(), threading.current_thread() is threading.main_thread()

    async def main() -> None:
        word.set("said")
        assert await treadle.to_thread(call, 1, second=2) == (3, "said", False)

    loops.run(new_loop, main())


def test_what_a_call_sets_stays_its_own(new_loop: Factory) -> None:
    async def main() -> None:
        await treadle.to_thread(word.set, "changed")
        assert word.get() == ""

    loops.run(new_loop, main())


def test_an_error_is_raised_as_it_is_with_its_traceback(new_loop: Factory) -> None:
    def fail() -> None:
        raise KeyError("it")

    async def main() -> None:
        with pytest.raises(KeyError, match="it") as caught:
            await treadle.to_thread(fail)
        assert caught.traceback[-1].name == "fail"

    loops.run(new_loop, main())


def test_stop_iteration_does_not_end_the_caller(new_loop: Factory) -> None:
    async def main() -> None:
        with pytest.raises(RuntimeError, match="StopIteration"):
            await treadle.to_thread(next, iter(()))

    loops.run(new_loop, main())


def test_many_calls_come_back_each_to_its_caller(new_loop: Factory, pool: treadle.ThreadPool) -> None:
    async def main() -> None:
        answers = await asyncio.gather(*(treadle.to_executor(pool, divmod, number, 7) for number in range(500)))
        assert answers == [divmod(number, 7) for number in range(500)]
        assert pool.stats()["calls"] == 500

    loops.run(new_loop, main())


def test_blocked_calls_get_all_threads_and_no_more(new_loop: Factory, pool: treadle.ThreadPool) -> None:
    barrier = threading.Barrier(2)
    most = 0

    def call() -> None:
        nonlocal most
        barrier.wait(10)
        most = max(most, pool.stats()["in_use"])
        barrier.wait(10)

    async def main() -> None:
        await asyncio.gather(*(treadle.to_executor(pool, call) for _ in range(6)))
        assert most == 2
        assert pool.stats()["workers"] == 2

    loops.run(new_loop, main())


def test_no_wake_up_is_lost_however_threads_switch(new_loop: Factory, pool: treadle.ThreadPool) -> None:
    async def caller(number: int) -> None:
        for index in range(100):
            assert await treadle.to_executor(pool, divmod, index, number) == divmod(index, number)
            if index % 3 == 0:
                task = asyncio.create_task(treadle.to_executor(pool, abs, -1))
                await asyncio.sleep(0)
                task.cancel()
                await asyncio.wait([task])

    async def main() -> None:
        async with asyncio.timeout(60):
            await asyncio.gather(*(caller(number) for number in range(1, 9)))

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        loops.run(new_loop, main())
    finally:
        sys.setswitchinterval(before)


def test_a_cancelled_call_ends_at_once_and_one_that_waits_is_never_made(
    new_loop: Factory, pool: treadle.ThreadPool
) -> None:
    gate = Gate()
    made: list[int] = []

    async def main() -> None:
        running = [asyncio.create_task(treadle.to_executor(pool, gate)) for _ in range(2)]
        await treadle.to_thread(gate.begun.wait, 10)
        waiting = asyncio.create_task(treadle.to_executor(pool, made.append, 1))
        await asyncio.sleep(0)
        assert pool.stats()["waiting"] == 1
        for task in (*running, waiting):
            task.cancel()
        done, _ = await asyncio.wait([*running, waiting])
        assert all(task.cancelled() for task in done)
        assert not gate.opened.is_set()
        assert pool.stats()["waiting"] == 0
        gate.opened.set()
        assert await treadle.to_executor(pool, lambda: "usable") == "usable"

    loops.run(new_loop, main())
    assert not made


def test_the_error_of_a_call_nobody_waits_for_is_told_once(new_loop: Factory, pool: treadle.ThreadPool) -> None:
    gate, told = Gate(), []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
        task = asyncio.create_task(treadle.to_executor(pool, gate, ValueError("late")))
        await treadle.to_thread(gate.begun.wait, 10)
        task.cancel()
        await asyncio.wait([task])
        gate.opened.set()
        await loops.until(lambda: bool(told))

    loops.run(new_loop, main())
    gc.collect()
    assert [str(context["exception"]) for context in told] == ["late"]


def test_cancelled_at_every_point_nothing_is_lost(new_loop: Factory, pool: treadle.ThreadPool) -> None:
    async def main() -> None:
        for step in range(3):
            call = asyncio.create_task(loops.cancelled_at(treadle.to_executor(pool, time.sleep, 0.001), step))
            await asyncio.wait([call])
            # There is one point to be cancelled at.
            assert call.cancelled() == (step == 0)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await treadle.to_executor(pool, time.sleep, 0.05)
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
        async with asyncio.TaskGroup() as group:
            answers = [group.create_task(treadle.to_executor(pool, abs, -number)) for number in range(9)]
        assert [answer.result() for answer in answers] == list(range(9))

    loops.run(new_loop, main())


def test_run_in_executor_takes_it_and_its_cancellation_reaches_the_queue(
    new_loop: Factory, pool: treadle.ThreadPool
) -> None:
    gate = Gate()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert await loop.run_in_executor(pool, abs, -3) == 3
        held = [loop.run_in_executor(pool, gate) for _ in range(2)]
        waiting = loop.run_in_executor(pool, gate)
        assert pool.stats()["waiting"] >= 1
        waiting.cancel()
        await asyncio.sleep(0)
        await loops.until(lambda: pool.stats()["waiting"] == 0)
        gate.opened.set()
        await asyncio.gather(*held)

    loops.run(new_loop, main())


def test_submit_works_without_a_loop_and_map_too(pool: treadle.ThreadPool) -> None:
    word.set("outside")
    assert pool.submit(word.get).result(10) == "outside"
    assert list(pool.map(abs, [-1, -2])) == [1, 2]
    with pytest.raises(ZeroDivisionError):
        pool.submit(divmod, 1, 0).result(10)


def test_a_thread_ends_after_its_calls_and_another_one_begins() -> None:
    with treadle.ThreadPool(1, max_calls=2) as pool:
        names = [pool.submit(threading.get_native_id).result(10) for _ in range(5)]
        assert len(set(names)) >= 2
        assert pool.stats()["calls"] >= 4


def test_an_initializer_runs_in_each_thread_and_a_failed_one_is_tried_again() -> None:
    local, attempts = threading.local(), []

    def begin(value: int) -> None:
        attempts.append(1)
        if len(attempts) == 1:
            raise OSError("not yet")
        local.value = value

    with treadle.ThreadPool(1, initializer=begin, initargs=(7,), name="begins") as pool:
        with pytest.raises(concurrent.futures.BrokenExecutor, match="begins") as caught:
            pool.submit(getattr, local, "value").result(10)
        assert isinstance(caught.value.__cause__, OSError)
        assert pool.submit(getattr, local, "value").result(10) == 7
        assert pool.submit(getattr, local, "value").result(10) == 7
    assert len(attempts) == 2


def test_a_pool_that_was_shut_down_takes_nothing_and_drops_what_waits(new_loop: Factory) -> None:
    gate, pool = Gate(), treadle.ThreadPool(1)

    async def main() -> None:
        running = asyncio.create_task(treadle.to_executor(pool, gate, "ran"))
        await treadle.to_thread(gate.begun.wait, 10)
        waiting = asyncio.create_task(treadle.to_executor(pool, gate))
        promise = pool.submit(gate)
        await asyncio.sleep(0)
        pool.shutdown(wait=False, cancel_futures=True)
        with pytest.raises(concurrent.futures.CancelledError):
            await waiting
        assert promise.cancelled()
        with pytest.raises(RuntimeError, match="shut down"):
            await treadle.to_executor(pool, gate)
        gate.opened.set()
        assert await running == "ran"

    loops.run(new_loop, main())


def test_a_pool_that_is_forgotten_lets_its_threads_go() -> None:
    pool = treadle.ThreadPool(1)
    thread = pool.submit(threading.current_thread).result(10)
    del pool
    gc.collect()
    thread.join(10)
    assert not thread.is_alive()


def test_arguments_and_results_are_not_kept(new_loop: Factory, pool: treadle.ThreadPool) -> None:
    class Thing:
        pass

    async def main() -> None:
        thing = Thing()
        seen = weakref.ref(thing)
        result = await treadle.to_executor(pool, lambda taken: taken, thing)
        assert result is thing
        del thing, result
        await loops.until(lambda: seen() is None)

    loops.run(new_loop, main())


def test_a_loop_that_is_closed_is_not_kept(new_loop: Factory) -> None:
    async def main() -> weakref.ref[asyncio.AbstractEventLoop]:
        await treadle.to_thread(int)
        return weakref.ref(asyncio.get_running_loop())

    seen = loops.run(new_loop, main())
    gc.collect()
    assert seen() is None


def test_sync_to_async_calls_elsewhere(new_loop: Factory, pool: treadle.ThreadPool) -> None:
    def named(value: int) -> tuple[int, str]:
        """Say where."""
        return value, threading.current_thread().name

    async def main() -> None:
        for to in ("thread", pool):
            value, name = await treadle.sync_to_async(named, to=to)(3)
            assert value == 3
            assert name.startswith("two" if to is pool else "treadle-to-thread")
        assert treadle.sync_to_async(named).__name__ == "named"

    loops.run(new_loop, main())
    with pytest.raises(TypeError, match="asynchronous already"):
        treadle.sync_to_async(asyncio.sleep)
    with pytest.raises(TypeError, match="'moon'"):
        treadle.sync_to_async(named, to="moon")  # type: ignore[arg-type]


def test_any_executor_will_do_and_its_future_is_cancelled(new_loop: Factory) -> None:
    gate = Gate()

    async def main() -> None:
        with concurrent.futures.ThreadPoolExecutor(1) as executor:
            assert await treadle.to_executor(executor, divmod, 7, 2) == (3, 1)
            held = executor.submit(gate)
            futures: list[concurrent.futures.Future[Any]] = []
            submit = executor.submit

            def remember(*args: Any, **keywords: Any) -> concurrent.futures.Future[Any]:
                futures.append(submit(*args, **keywords))
                return futures[-1]

            executor.submit = remember  # type: ignore[method-assign]
            task = asyncio.create_task(treadle.to_executor(executor, gate))
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()
            await loops.until(futures[0].cancelled)
            gate.opened.set()
            held.result(10)

    loops.run(new_loop, main())


def test_an_interpreter_is_another_one_or_a_clear_error(new_loop: Factory) -> None:
    async def main() -> None:
        if sys.version_info >= (3, 14):
            assert await treadle.to_interpreter(divmod, 7, 2) == (3, 1)
        else:
            with pytest.raises(RuntimeError, match=r"needs Python 3\.14.*\. Use treadle\.to_process"):
                await treadle.to_interpreter(divmod, 7, 2)

    loops.run(new_loop, main())


@pytest.mark.parametrize("sizes", [{"workers": 0}, {"max_calls": 0}])
def test_sizes_that_make_no_sense_are_refused(sizes: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="1"):
        treadle.ThreadPool(**sizes)  # type: ignore[arg-type]


def test_the_doctor_sees_who_takes_all_threads_of_a_pool() -> None:
    program = (
        "import asyncio, time, treadle\n"
        "treadle.watch()\n"
        "def follow(number): time.sleep(0.6)\n"
        "async def main():\n"
        "    with treadle.ThreadPool(2) as pool:\n"
        "        following = [asyncio.create_task(treadle.to_executor(pool, follow, n)) for n in range(2)]\n"
        "        await asyncio.sleep(0)\n"
        "        await treadle.to_executor(pool, abs, -1)\n"
        "        await asyncio.gather(*following)\n"
        "treadle.run(main())\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert "executor-starved" in done.stderr
    assert "`follow` takes all threads of the executor" in done.stderr
