"""The loop's clock: when timers are due, and clocks that programs put in its place."""

from __future__ import annotations

import asyncio
import math
import random
import time
from typing import TYPE_CHECKING, Any

import pytest
from connections import running, sockets
from loops import not_on

if TYPE_CHECKING:
    from collections.abc import Callable

    from connections import NewLoop

    Place = Callable[[NewLoop, Callable[[], float]], Any]

pytestmark = not_on("uvloop", reason="has no other clock than its own, of milliseconds")


def in_the_object(new_loop: NewLoop, clock: Callable[[], float]) -> Any:
    """Make a loop and give it another clock, as `mock.patch.object(loop, "time")` does."""
    loop: Any = new_loop()
    loop.time = clock
    return loop


def in_the_class(new_loop: NewLoop, clock: Callable[[], float]) -> Any:
    """Make a loop of a class with another clock."""
    base: Any = new_loop

    class Loop(base):  # type: ignore[misc]
        def time(self) -> float:
            return clock()

    return Loop()


def turn(loop: asyncio.AbstractEventLoop) -> None:
    """Run one turn, and what became due in it."""
    for _ in range(2):
        loop.stop()
        loop.run_forever()


@pytest.mark.parametrize("place", [in_the_object, in_the_class])
@pytest.mark.parametrize("seed", range(6))
def test_timers_go_by_the_clock_of_the_program(new_loop: NewLoop, seed: int, place: Place) -> None:
    draw = random.Random(seed)  # noqa: S311
    # What is due within a nanosecond may be taken, as by asyncio.
    tick = time.get_clock_info("monotonic").resolution
    now = draw.choice([0.0, 12345.678, 1e6])
    with running(lambda: place(new_loop, lambda: now)) as loop:
        waiting: dict[int, float] = {}
        for number in range(100):
            delay = draw.choice([0.1, 0.25, 1 / 3, draw.random(), draw.uniform(0, 5)])
            handle = loop.call_later(delay, waiting.pop, number)
            assert handle.when() == now + delay
            waiting[number] = handle.when()
        for _ in range(60):
            # To a moment when one is due, or just before.
            when = draw.choice([*waiting.values(), now + 0.1])
            now = max(now, draw.choice([when, math.nextafter(when, 0) - 2 * tick, when - 1e-6]))
            early = {number for number, when in waiting.items() if when > now + tick}
            turn(loop)
            assert early <= waiting.keys()
            assert all(when > now for when in waiting.values())
        now += 10
        turn(loop)
        assert not waiting


def test_clock_can_be_set_and_taken_back_while_the_loop_runs(new_loop: NewLoop) -> None:
    trace: list[str] = []

    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        start = loop.time()
        loop.call_at(start + 3600, trace.append, "an hour later")
        await asyncio.sleep(0)
        assert trace == []
        loop.time = lambda: start + 3600.5
        async with asyncio.timeout(1):
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        assert trace == ["an hour later"]
        late = loop.call_later(1, trace.append, "too late")
        assert late.when() == start + 3601.5
        del loop.time
        assert abs(loop.time() - start) < 60
        await asyncio.sleep(0.001)
        late.cancel()
        assert trace == ["an hour later"]

    with running(new_loop) as loop:
        loop.run_until_complete(main())


def test_exception_of_the_clock_comes_out(new_loop: NewLoop) -> None:
    def broken() -> float:
        raise ValueError("no time")

    with running(new_loop) as loop:
        timer = loop.call_later(100, print)
        loop.time = broken
        with pytest.raises(ValueError, match="no time"):
            loop.call_later(1, print)
        with pytest.raises(ValueError, match="no time"):
            loop.run_forever()
        timer.cancel()
        # A good one again, and the loop goes on as if nothing had been.
        del loop.time
        near, far = sockets()
        far.send(b"x")
        assert loop.run_until_complete(asyncio.wait_for(loop.sock_recv(near, 1), 5)) == b"x"
        near.close()
        far.close()


def test_timers_of_a_loop_that_sleeps_are_on_time(new_loop: NewLoop) -> None:
    late: list[float] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for number in range(40):
            done = loop.create_future()
            # Of all fractions of a millisecond; asyncio sleeps for whole ones.
            handle = loop.call_later(0.001 + number * 0.000025, done.set_result, None)
            await done
            late.append(loop.time() - handle.when())

    with running(new_loop) as loop:
        loop.run_until_complete(main())
    # What the machine does besides makes some late.
    assert min(late) < 0.0005
