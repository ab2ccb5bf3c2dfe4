"""Limiters: fair, exact, and right beside a server that counts."""

from __future__ import annotations

import asyncio
import gc
import itertools
import pickle
import random
import weakref
from typing import TYPE_CHECKING, Any

import loops
import pytest
import treadle
from treadle.testing import virtual_event_loop

if TYPE_CHECKING:
    from collections.abc import Callable

    NewLoop = Callable[[], asyncio.AbstractEventLoop]


@pytest.mark.parametrize(
    "make",
    [lambda: treadle.Semaphore(1), lambda: treadle.TokenBucket(2000), lambda: treadle.SlidingWindow(1, 0.0005)],
    ids=["semaphore", "bucket", "window"],
)
def test_who_comes_first_goes_first(new_loop: NewLoop, make: Callable[[], treadle.Limiter]) -> None:
    async def main() -> None:
        limiter = make()
        assert isinstance(limiter, treadle.Limiter)
        order: list[int] = []

        async def use(number: int, priority: int = 0) -> None:
            await limiter.acquire(priority=priority)
            order.append(number)
            if isinstance(limiter, treadle.Semaphore):
                await asyncio.sleep(0)
                limiter.release()

        assert limiter.try_acquire()
        if isinstance(limiter, treadle.TokenBucket | treadle.SlidingWindow):
            # Until all wait, however slow the machine is.
            limiter.hold(0.2)
        async with asyncio.TaskGroup() as group:
            for number in range(5):
                group.create_task(use(number))
            group.create_task(use(5, priority=1))
            group.create_task(use(6, priority=-1))
            group.create_task(use(7, priority=-1))
            await asyncio.sleep(0)
            # Nobody overtakes those that wait.
            assert not limiter.try_acquire()
            if isinstance(limiter, treadle.Semaphore):
                limiter.release()
        assert order == [6, 7, 0, 1, 2, 3, 4, 5]

    loops.run(new_loop, main())


LIMITERS = pytest.mark.parametrize(
    "make",
    [
        lambda: treadle.Semaphore(1),
        lambda: treadle.TokenBucket(1000),
        lambda: treadle.SlidingWindow(1, 0.001),
    ],
    ids=["semaphore", "bucket", "window"],
)


def in_use(limiter: Any) -> int:
    """Return how much has been taken."""
    stats = limiter.stats()
    return int(stats.get("in_use", stats.get("calls", -1)))


@LIMITERS
def test_what_enters_a_limit_is_a_coroutine(new_loop: NewLoop, make: Callable[[], Any]) -> None:
    async def main() -> None:
        limiter = make()
        assert asyncio.iscoroutine(limiter.__aenter__()) is True
        for enter in (limiter.__aenter__, limiter.acquire):
            # Somebody has to wait for each but the first.
            started = [asyncio.create_task(enter()), asyncio.ensure_future(enter()), enter()]
            everybody = asyncio.gather(*started, asyncio.wait_for(enter(), 5))
            while not everybody.done():
                await asyncio.sleep(0.001)
                if isinstance(limiter, treadle.Semaphore) and limiter.locked():
                    await limiter.__aexit__(None, None, None)
            assert await everybody == [None] * 4
            if isinstance(limiter, treadle.Semaphore) and limiter.locked():
                limiter.release()
        assert limiter.stats()["waiting"] == 0

    with pytest.warns(RuntimeWarning, match="__aenter__' was never awaited"):
        loops.run(new_loop, main())


@LIMITERS
def test_who_only_calls_takes_nothing(new_loop: NewLoop, make: Callable[[], Any]) -> None:
    async def main() -> None:
        limiter = make()
        for call in (limiter.__aenter__, limiter.acquire):
            with pytest.warns(RuntimeWarning, match="was never awaited"):
                call()
            coroutine = call()
            coroutine.close()
            with pytest.raises(RuntimeError, match="cannot reuse"):
                await coroutine
            coroutine = call()
            with pytest.raises(KeyError):
                coroutine.throw(KeyError())
            with pytest.raises(RuntimeError, match="cannot reuse"):
                coroutine.send(None)
        assert in_use(limiter) == 0
        coroutine = limiter.__aenter__()
        with pytest.raises(TypeError, match="just-started"):
            coroutine.send(1)
        await coroutine
        assert in_use(limiter) == 1
        with pytest.raises(RuntimeError, match="cannot reuse"):
            await coroutine
        assert in_use(limiter) == 1

    loops.run(new_loop, main())


@pytest.mark.parametrize("end", ["dropped", "closed", "thrown into"])
def test_a_permit_that_nobody_is_told_of_is_given_back(new_loop: NewLoop, end: str) -> None:
    async def main() -> None:
        semaphore = treadle.Semaphore(1)
        coroutine = semaphore.__aenter__()
        iterator = coroutine.__await__()
        assert semaphore.locked()
        with pytest.raises(RuntimeError, match="awaited already"):
            coroutine.__await__()
        waiting = asyncio.create_task(semaphore.acquire())
        await asyncio.sleep(0)
        if end == "closed":
            coroutine.close()
        elif end == "thrown into":
            with pytest.raises(KeyError):
                coroutine.throw(KeyError)
        del coroutine, iterator
        await asyncio.wait_for(waiting, 5)
        semaphore.release()
        assert in_use(semaphore) == 0

    loops.run(new_loop, main())


@LIMITERS
def test_who_waits_to_enter_can_be_cancelled(new_loop: NewLoop, make: Callable[[], Any]) -> None:
    async def main() -> None:
        limiter = make()
        assert limiter.try_acquire()
        taken = in_use(limiter)

        async def use() -> None:
            async with limiter:
                pass

        for enter in (limiter.__aenter__, use):
            task = asyncio.create_task(enter())
            await asyncio.sleep(0)
            assert limiter.stats()["waiting"] == 1
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert (limiter.stats()["waiting"], in_use(limiter)) == (0, taken)

    # Time stands still, so that nobody is let through.
    loops.run(virtual_event_loop if make().stats()["kind"] != "Semaphore" else new_loop, main())


@LIMITERS
def test_who_waits_to_enter_is_seen_by_its_frame(new_loop: NewLoop, make: Callable[[], Any]) -> None:
    async def main() -> None:
        limiter = make()
        assert limiter.try_acquire()

        async def use() -> None:
            async with limiter:
                pass

        task = asyncio.create_task(use())
        await asyncio.sleep(0)
        coroutine: Any = task.get_coro()
        (waits,) = gc.get_referents(coroutine.cr_await)
        assert waits.cr_code is type(limiter)._wait.__code__
        assert waits.cr_frame.f_locals["self"] is limiter
        task.cancel()
        await asyncio.wait([task])

    # Time stands still, so that nobody is let through.
    loops.run(virtual_event_loop if make().stats()["kind"] != "Semaphore" else new_loop, main())


def test_leaving_can_be_awaited_again(new_loop: NewLoop) -> None:
    async def main() -> None:
        semaphore = treadle.Semaphore(2)
        await semaphore.acquire(2)
        left: Any = semaphore.__aexit__(None, None, None)
        assert in_use(semaphore) == 1
        for _ in range(3):
            assert await left is None
        assert await asyncio.create_task(left) is None
        with pytest.raises(KeyError):
            left.throw(KeyError())
        left.close()
        assert in_use(semaphore) == 1
        await semaphore.__aexit__(None, None, None)
        with pytest.raises(ValueError, match="has given out 0"):
            await semaphore.__aexit__(None, None, None)
        with pytest.raises(TypeError):
            await semaphore.__aexit__(None)  # type: ignore[call-arg]

    loops.run(new_loop, main())


def test_limits_can_be_derived_from(new_loop: NewLoop) -> None:
    class Counting(treadle.Semaphore):
        def __init__(self, value: int) -> None:
            super().__init__(value, name="counting")
            self.waits = 0

        async def _wait(self, n: float, priority: int) -> None:
            self.waits += 1
            await super()._wait(n, priority)

    class Generous(treadle.TokenBucket):
        def try_acquire(self, n: float = 1) -> bool:
            return n == 1 or super().try_acquire(n)

    async def main() -> None:
        semaphore = Counting(1)
        async with semaphore:
            task = asyncio.create_task(semaphore.__aenter__())
            await asyncio.sleep(0)
        await task
        assert (semaphore.waits, semaphore.name) == (1, "counting")
        bucket = Generous(1000, burst=2)
        assert [bucket.try_acquire() for _ in range(3)] == [True] * 3
        assert [bucket.try_acquire(2), bucket.try_acquire(2)] == [True, False]
        with pytest.raises(TypeError):
            treadle.Semaphore(1).try_acquire("1")  # type: ignore[arg-type]
        for limiter in (semaphore, treadle.TokenBucket(1), treadle.SlidingWindow(1, 1)):
            with pytest.raises(TypeError):
                pickle.dumps(limiter)

    loops.run(new_loop, main())


@pytest.mark.parametrize("base", [treadle.Semaphore, treadle.TokenBucket])
def test_limits_in_cycles_are_collected(new_loop: NewLoop, base: type[Any]) -> None:
    class Derived(base):  # type: ignore[misc]
        pass

    async def main() -> list[weakref.ref[Any]]:
        # One with a coroutine that has not begun, and one with a task that waits for ever.
        new, waiting = Derived(1), Derived(1)
        new.itself, new.coroutine = new, new.__aenter__()
        assert waiting.try_acquire()
        if base is treadle.TokenBucket:
            waiting.hold(1e6)
        waiting.coroutine = waiting.__aenter__()
        # Without a task, which the loop would know.
        waiting.coroutine.send(None)
        return [weakref.ref(new), weakref.ref(waiting)]

    gone = loops.run(new_loop, main())
    with pytest.warns(RuntimeWarning, match=r"coroutine 'Derived.__aenter__' was never awaited"):
        gc.collect()
    assert [reference() for reference in gone] == [None, None]


def test_a_semaphore_counts(new_loop: NewLoop) -> None:
    async def main() -> None:
        semaphore = treadle.Semaphore(3, name="disk")
        running = most = 0

        async def use(n: int) -> None:
            nonlocal running, most
            await semaphore.acquire(n)
            running += n
            most = max(most, running)
            await asyncio.sleep(0)
            running -= n
            semaphore.release(n)

        await asyncio.gather(*(use(n) for n in (1, 3, 1, 2, 1, 1, 3)))
        assert most == 3
        assert semaphore.stats() == {"kind": "Semaphore", "name": "disk", "limit": 3, "in_use": 0, "waiting": 0}
        with pytest.raises(ValueError, match="has given out 0"):
            semaphore.release()
        for n in (4, 0, -1, 1.5):
            with pytest.raises(ValueError, match="cannot be had"):
                await semaphore.acquire(n)
            with pytest.raises(ValueError, match="cannot be had"):
                semaphore.try_acquire(n)
        async with semaphore:
            assert not semaphore.locked()
            assert semaphore.stats()["in_use"] == 1

    loops.run(new_loop, main())


def test_small_requests_do_not_starve_a_big_one(new_loop: NewLoop) -> None:
    async def main() -> None:
        semaphore = treadle.Semaphore(2)
        await semaphore.acquire()
        big = asyncio.create_task(semaphore.acquire(2))
        await asyncio.sleep(0)
        small = asyncio.create_task(semaphore.acquire())
        await asyncio.sleep(0)
        assert not small.done()
        # Who gives up lets those behind go.
        big.cancel()
        await asyncio.wait_for(small, 5)
        assert semaphore.stats() == {"kind": "Semaphore", "name": None, "limit": 2, "in_use": 2, "waiting": 0}

    loops.run(new_loop, main())


def test_who_waits_for_little_may_go_before_who_waits_for_much(new_loop: NewLoop) -> None:
    async def main() -> None:
        semaphore = treadle.Semaphore(3)
        assert semaphore.try_acquire(2)
        big = asyncio.create_task(semaphore.acquire(3))
        middle = asyncio.create_task(semaphore.acquire(2))
        await asyncio.sleep(0)
        # One is free, and whoever is more urgent stands before the others.
        async with asyncio.timeout(10):
            await semaphore.acquire(priority=-1)
        assert not big.done()
        middle.cancel()
        await asyncio.wait([middle])
        assert semaphore.stats()["waiting"] == 1
        semaphore.release(3)
        await big

    loops.run(new_loop, main())


def test_who_is_cancelled_at_the_head_of_the_line_keeps_nobody() -> None:
    async def main() -> None:
        clock = asyncio.get_running_loop().time
        for limiter in (treadle.TokenBucket(1, burst=10), treadle.SlidingWindow(10, 10)):
            for _ in range(10):
                assert limiter.try_acquire()
                await asyncio.sleep(0.1)
            began = clock()
            big = asyncio.create_task(limiter.acquire(10))
            small = asyncio.create_task(limiter.acquire())
            await asyncio.sleep(0.1)
            big.cancel()
            await small
            # The big one would have kept it for about ten seconds.
            assert clock() - began < 9.5, limiter

    loops.run(virtual_event_loop, main())


def test_an_object_belongs_to_the_loop_on_which_it_has_waited(new_loop: NewLoop) -> None:
    semaphore = treadle.Semaphore(1, name="shared")

    async def wait() -> None:
        async with semaphore:
            task = asyncio.create_task(semaphore.acquire())
            await asyncio.sleep(0)
        await task
        semaphore.release()

    with asyncio.Runner(loop_factory=new_loop) as first:
        first.run(wait())
        with asyncio.Runner(loop_factory=new_loop) as second, pytest.raises(
            RuntimeError, match="<Semaphore 'shared'> is bound to another event loop"
        ):  # fmt: skip
            second.run(wait())
    # One loop after the other is fine.
    loops.run(new_loop, wait())


def test_a_bucket_spaces_what_goes_through() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        bucket = treadle.TokenBucket(50, burst=3)
        times = []
        for _ in range(6):
            await bucket.acquire()
            times.append(round(loop.time(), 6))
        assert times == [0, 0, 0, 0.02, 0.04, 0.06]
        await asyncio.sleep(10)
        assert [bucket.try_acquire() for _ in range(4)] == [True, True, True, False]
        assert bucket.delay() == pytest.approx(0.02)
        waiting = asyncio.create_task(bucket.acquire(2))
        await asyncio.sleep(0)
        assert bucket.delay(3) == pytest.approx(0.1)
        await waiting
        assert loop.time() == pytest.approx(10.06 + 0.04)
        for n in (4, 0, -1):
            with pytest.raises(ValueError, match="cannot be had"):
                await bucket.acquire(n)

    loops.run(virtual_event_loop, main())


def test_holding_lets_nobody_through() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        for limiter in (treadle.TokenBucket(1000, burst=5), treadle.SlidingWindow(5, 1)):
            began = loop.time()
            await limiter.acquire()
            limiter.hold(30)
            # The longer one counts.
            limiter.hold(10)
            assert not limiter.try_acquire()
            assert limiter.delay() == pytest.approx(30)
            assert limiter.stats()["held"] == pytest.approx(30)
            await asyncio.gather(*(limiter.acquire() for _ in range(3)))
            assert loop.time() == pytest.approx(began + 30)

    loops.run(virtual_event_loop, main())


@pytest.mark.parametrize("seed", range(3))
def test_no_window_has_more_starts_than_are_allowed(seed: int) -> None:
    async def main() -> None:
        chance = random.Random(seed)  # noqa: S311 - the same every time
        loop = asyncio.get_running_loop()
        window = treadle.SlidingWindow(5, 1)
        starts: list[float] = []

        async def start() -> None:
            n = chance.choice((1, 1, 2))
            await window.acquire(n)
            starts.extend([loop.time()] * n)

        tasks = []
        for _ in range(25):
            tasks.append(asyncio.create_task(start()))
            await asyncio.sleep(chance.expovariate(10))
            if chance.random() < 0.2:
                chance.choice(tasks).cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert len(starts) > 15
        for first, sixth in itertools.pairwise(zip(starts, starts[5:], strict=False)):
            assert first[1] - first[0] >= 1 - 1e-7, (first, sixth)
        # And no fewer than could be: whoever waits goes as soon as it may.
        assert window.stats()["waiting"] == 0

    loops.run(virtual_event_loop, main())


def test_a_window_counts_from_when_a_task_runs(new_loop: NewLoop) -> None:
    async def main() -> None:
        window = treadle.SlidingWindow(1, 0.01)
        clock = asyncio.get_running_loop().time
        starts = []

        async def start() -> None:
            await window.acquire()
            starts.append(clock())

        tasks = [asyncio.create_task(start()) for _ in range(3)]
        await asyncio.sleep(0)
        # Somebody blocks the loop: the second is let through late, and runs later still.
        until = clock() + 0.03
        while clock() < until and new_loop.__module__ != "uvloop":
            pass
        await asyncio.gather(*tasks)
        # uvloop tells whole milliseconds.
        assert all(later - sooner >= 0.009 for sooner, later in itertools.pairwise(starts))

    loops.run(new_loop, main())


class Server:
    """Answers every line; refuses more than 50 in each tenth of the time that others would take for it."""

    def __init__(self, per: float, slack: int) -> None:
        """Have seen nothing."""
        self.per, self.slack = per, slack
        self.times: list[float] = []
        self.refused = 0
        self.hold_at: int | None = None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one client."""
        loop = asyncio.get_running_loop()
        while await reader.readline():
            now = loop.time()
            self.times.append(now)
            recent = sum(now - time < self.per for time in self.times)
            if recent > 50 + self.slack:
                self.refused += 1
                writer.write(b"429\n")
            elif len(self.times) == self.hold_at:
                writer.write(b"503\n")
            else:
                writer.write(b"200\n")
        writer.close()


async def ask_often(server: Server, limiter: treadle.Limiter, requests: int) -> None:
    """Send so many requests over ten connections, through a limiter."""
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    left = iter(range(requests))
    connected = asyncio.Barrier(10)

    async def client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        # Whom the server knows already is heard when it asks.
        await connected.wait()
        for _ in left:
            async with limiter:
                writer.write(b"GET\n")
                answer = await reader.readline()
            if answer == b"503\n":
                assert isinstance(limiter, treadle.TokenBucket)
                limiter.hold(0.05)
        writer.close()
        await writer.wait_closed()

    async with listener:
        await asyncio.gather(*(client() for _ in range(10)))


def test_a_server_refuses_a_semaphore_and_no_bucket(new_loop: NewLoop) -> None:
    async def main() -> None:
        # Fifty in 0.05 s, so that the test takes 0.2 s. A server allows some, because networks bunch requests.
        server = Server(0.05, slack=10)
        await ask_often(server, treadle.Semaphore(10), 200)
        assert server.refused > 50
        server = Server(0.05, slack=10)
        await ask_often(server, treadle.TokenBucket(50, per=0.05), 200)
        assert (len(server.times), server.refused) == (200, 0)

    loops.run(new_loop, main())


def test_a_server_never_sees_more_than_a_window_allows(new_loop: NewLoop) -> None:
    async def main() -> None:
        # What starts here at most 50 times in 0.1 s arrives at most 50 times in 0.05 s, also where much else is done.
        server = Server(0.05, slack=0)
        await ask_often(server, treadle.SlidingWindow(50, 0.1), 200)
        assert (len(server.times), server.refused) == (200, 0)

    loops.run(new_loop, main())


def test_nobody_asks_while_the_server_has_asked_for_a_pause(new_loop: NewLoop) -> None:
    async def main() -> None:
        server = Server(0.05, slack=10)
        server.hold_at = 30
        await ask_often(server, treadle.TokenBucket(50, per=0.05), 60)
        assert len(server.times) == 60
        gaps = [later - sooner for sooner, later in itertools.pairwise(server.times)]
        # Those under way when the answer came have arrived; then there is the pause.
        assert max(gaps[29:]) > 0.03

    loops.run(new_loop, main())


def test_each_key_has_a_limiter_and_old_ones_go(new_loop: NewLoop) -> None:
    async def main() -> None:
        limits: treadle.Keyed[str] = treadle.Keyed(lambda: treadle.Semaphore(1), max_keys=3)
        async with limits["a"]:
            assert limits["a"].try_acquire() is False
            assert limits["b"].try_acquire() is True
            assert limits["b"] is limits["b"]
            assert isinstance(limits["c"], treadle.Semaphore)
            # "a" is the oldest, but in use, and so is "b".
            assert isinstance(limits["d"], treadle.Semaphore)
            assert [key in limits for key in "abcd"] == [True, True, False, True]
        assert limits.stats() == {"kind": "Keyed", "name": None, "limit": 3, "in_use": 3, "evicted": 1}
        for key in "efgh":
            assert not limits[key].try_acquire(1) or True
        assert len(limits) == 3

    loops.run(new_loop, main())


def test_keys_of_limiters_of_others_go_by_age() -> None:
    class Free:
        async def acquire(self, n: float = 1, *, priority: int = 0) -> None: ...
        def try_acquire(self, n: float = 1) -> bool:
            return n == 1

        async def __aenter__(self) -> None: ...
        async def __aexit__(self, *exc: object) -> None: ...

    limits: treadle.Keyed[int] = treadle.Keyed(Free, max_keys=2)
    for key in (1, 2, 1, 3):
        assert isinstance(limits[key], treadle.Limiter)
    assert [key in limits for key in (1, 2, 3)] == [True, False, True]
