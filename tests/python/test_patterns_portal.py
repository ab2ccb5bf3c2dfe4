"""From code that blocks to a loop."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import contextvars
import subprocess
import sys
import threading
import traceback
from typing import TYPE_CHECKING

import loops
import pytest
import treadle

if TYPE_CHECKING:
    from collections.abc import Callable

    Factory = Callable[[], asyncio.AbstractEventLoop]

word = contextvars.ContextVar("word", default="")


async def where(*said: str) -> tuple[str, str, asyncio.AbstractEventLoop]:
    """Return what was said, the context, and the loop."""
    await asyncio.sleep(0)
    return "".join(said), word.get(), asyncio.get_running_loop()


async def fail() -> None:
    """Fail."""
    await asyncio.sleep(0)
    raise KeyError("it")


def test_a_portal_runs_coroutines_and_functions_with_the_callers_context(new_loop: Factory) -> None:
    word.set("around")
    with treadle.Portal(loop_factory=new_loop, name="door") as portal:
        said, context, loop = portal.run(where, "a", "b")
        assert (said, context, type(loop)) == ("ab", "around", type(portal._loop))
        assert portal.submit(where).result(10)[2] is loop
        assert portal.run(len, "abc") == 3
        assert portal.run(threading.current_thread).name == "door"
        stats = portal.stats()
        assert (stats["running"], stats["in_use"], stats["calls"]) == (True, 0, 4)
    assert loop.is_closed()
    assert not portal.stats()["running"]


def test_an_error_comes_with_its_traceback(new_loop: Factory) -> None:
    with treadle.Portal(loop_factory=new_loop) as portal:
        with pytest.raises(KeyError, match="it") as caught:
            portal.run(fail)
        assert "in fail" in "".join(traceback.format_exception(caught.value))
        with pytest.raises(KeyError):
            portal.submit(fail).result(10)
        with pytest.raises(TimeoutError, match="mine"):
            portal.run(raise_timeout)


async def raise_timeout() -> None:
    """Raise what waiting for a future also raises."""
    raise TimeoutError("mine")


def test_cancelling_a_future_cancels_the_task(new_loop: Factory) -> None:
    begun, ended = threading.Event(), threading.Event()

    async def wait() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    with treadle.Portal(loop_factory=new_loop) as portal:
        future = portal.submit(wait)
        assert begun.wait(10)
        assert future.cancel()
        assert ended.wait(10)
        with pytest.raises(concurrent.futures.CancelledError):
            future.result(10)


def test_leaving_a_portal_waits_and_leaving_it_by_an_error_cancels(new_loop: Factory) -> None:
    done = []

    async def slow(seconds: float) -> None:
        await asyncio.sleep(seconds)
        done.append(seconds)

    with treadle.Portal(loop_factory=new_loop) as portal:
        portal.submit(slow, 0.02)
    assert done == [0.02]

    portal = treadle.Portal(loop_factory=new_loop)
    with contextlib.suppress(ZeroDivisionError), portal:
        future = portal.submit(slow, 1000)
        portal.run(asyncio.sleep, 0)
        divmod(1, 0)
    with pytest.raises((concurrent.futures.CancelledError, RuntimeError)):
        future.result(10)


def test_a_closed_portal_takes_nothing() -> None:
    portal = treadle.Portal()
    portal.close()
    portal.close()
    with pytest.raises(RuntimeError, match="closed"):
        portal.run(where)


def test_a_portal_on_a_loops_thread_raises_at_once(new_loop: Factory) -> None:
    async def main() -> None:
        with treadle.Portal(loop_factory=new_loop) as portal:
            with pytest.raises(RuntimeError, match="would block the event loop"):
                portal.run(where)
            assert (await asyncio.wrap_future(portal.submit(where, "fine")))[0] == "fine"
            # The block cannot be left here, for that waits.
            closing = asyncio.to_thread(portal.close)
            await closing
            portal.__exit__ = None  # type: ignore[method-assign,assignment]

    with pytest.raises(RuntimeError, match="closing a portal would block"):
        loops.run(new_loop, main())


def test_a_factory_that_fails_is_told() -> None:
    def broken() -> asyncio.AbstractEventLoop:
        raise OSError("no loop")

    with pytest.raises(OSError, match="no loop"), treadle.Portal(loop_factory=broken):
        pass


def test_async_to_sync_in_a_worker_runs_on_the_loop_that_waits(new_loop: Factory) -> None:
    async def main() -> None:
        word.set("here")
        loop = asyncio.get_running_loop()
        assert await treadle.to_thread(treadle.async_to_sync(where), "x") == ("x", "here", loop)
        with treadle.ThreadPool(1) as pool:
            blocking = treadle.async_to_sync(where)
            assert (await loop.run_in_executor(pool, blocking, "y"))[2] is loop
        with pytest.raises(KeyError):
            await treadle.to_thread(treadle.async_to_sync(fail))

    loops.run(new_loop, main())


def test_async_to_sync_elsewhere_runs_on_one_portal() -> None:
    blocking = treadle.async_to_sync(where)
    assert blocking("x")[2] is blocking("y")[2]
    assert blocking.__name__ == "where"


def test_async_to_sync_on_the_loops_thread_raises_at_once(new_loop: Factory) -> None:
    async def main() -> None:
        with pytest.raises(RuntimeError, match=r"where\(\).* would block the event loop .* use `await`"):
            treadle.async_to_sync(where)()

    loops.run(new_loop, main())


def test_calls_back_and_forth_deeper_than_there_are_threads_end(new_loop: Factory) -> None:
    async def main() -> None:
        with treadle.ThreadPool(1) as pool:

            async def down(depth: int) -> int:
                if not depth:
                    return 0
                return 1 + await treadle.to_executor(pool, treadle.async_to_sync(down), depth - 1)

            async with asyncio.timeout(30):
                assert await down(20) == 20
            assert pool.stats()["limit"] == 1
            await loops.until(lambda: pool.stats()["workers"] <= 21)

    loops.run(new_loop, main())


def test_cancelling_a_call_cancels_what_it_has_the_loop_do(new_loop: Factory) -> None:
    begun, ended = threading.Event(), []

    async def wait() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("inner")

    def call() -> None:
        try:
            treadle.async_to_sync(wait)()
        except asyncio.CancelledError:
            ended.append("outer")
            raise

    async def main() -> None:
        task = asyncio.create_task(treadle.to_thread(call))
        await asyncio.to_thread(begun.wait, 10)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        await loops.until(lambda: len(ended) == 2)

    loops.run(new_loop, main())
    assert ended == ["inner", "outer"]


def test_a_program_ends_with_the_shared_portal_and_pools_in_use() -> None:
    program = (
        "import asyncio, time, treadle\n"
        "async def f(): await asyncio.sleep(0); return 7\n"
        "print(treadle.async_to_sync(f)())\n"
        "async def main(): print(await treadle.to_thread(abs, -8))\n"
        "asyncio.run(main())\n"
        "treadle.Portal().submit(asyncio.sleep, 1000)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("7\n8\n", "", 0)
