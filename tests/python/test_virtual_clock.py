"""A loop whose clock jumps when every task waits: an hour takes no time, and nothing from outside is missed."""

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Coroutine
from typing import Any

import pytest
from treadle.testing import VirtualEventLoop, virtual_event_loop


def run(main: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine on such a loop."""
    with asyncio.Runner(loop_factory=virtual_event_loop) as runner:
        return runner.run(main)


def test_a_day_takes_no_time() -> None:
    async def main() -> float:
        await asyncio.sleep(86_400)
        return asyncio.get_running_loop().time()

    began = time.monotonic()
    assert run(main()) == 86_400
    assert time.monotonic() - began < 3_600


def test_time_begins_at_zero_and_stands_still_while_something_runs() -> None:
    async def main() -> list[float]:
        loop = asyncio.get_running_loop()
        times = [loop.time()]
        for _ in range(100):
            await asyncio.sleep(0)
        time.sleep(0.01)  # noqa: ASYNC251 - time that passes in the world
        return [*times, loop.time()]

    assert run(main()) == [0, 0]


def test_what_happens_in_which_order_is_as_in_the_world() -> None:
    async def main() -> list[tuple[str, float]]:
        loop, order = asyncio.get_running_loop(), []

        async def work(name: str, *naps: float) -> None:
            for nap in naps:
                await asyncio.sleep(nap)
                order.append((name, loop.time()))

        await asyncio.gather(work("a", 1, 5), work("b", 2, 2, 2), work("c", 3))
        return order

    assert run(main()) == [("a", 1), ("b", 2), ("c", 3), ("b", 4), ("a", 6), ("b", 6)]


def test_timeouts_end_what_nothing_else_ends() -> None:
    async def main() -> float:
        loop = asyncio.get_running_loop()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1_000):
                await loop.create_future()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), 500)
        return loop.time()

    assert run(main()) == 1_500


def test_clock_waits_for_jobs_of_executors() -> None:
    async def main() -> tuple[str, float]:
        async with asyncio.timeout(100):
            await asyncio.to_thread(time.sleep, 0.05)
        return "done", asyncio.get_running_loop().time()

    assert run(main()) == ("done", 0)


def test_clock_waits_for_sockets() -> None:
    async def main() -> tuple[bytes, float]:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(await reader.readexactly(4))
            writer.close()

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        async with server, asyncio.timeout(100):
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.write(b"ping")
            answered = await reader.read()
            writer.close()
        return answered, asyncio.get_running_loop().time()

    assert run(main()) == (b"ping", 0)


def test_clock_waits_for_children() -> None:
    async def main() -> bytes:
        child = await asyncio.create_subprocess_exec(sys.executable, "-c", "print(7)", stdout=subprocess.PIPE)
        return (await child.communicate())[0]

    assert run(main()) == b"7\n"


def test_without_timers_other_threads_are_waited_for() -> None:
    async def main() -> str:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[str] = loop.create_future()
        threading.Timer(0.05, loop.call_soon_threadsafe, [future.set_result, "set"]).start()
        return await future

    assert run(main()) == "set"


def test_other_loops_keep_the_clock_of_the_world() -> None:
    loop = VirtualEventLoop()
    other = asyncio.new_event_loop()
    try:
        assert (loop.time(), abs(other.time() - time.monotonic()) < 60) == (0, True)
    finally:
        loop.close()
        other.close()
