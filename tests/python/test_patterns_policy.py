"""What stands around a call: each part, and their order."""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING

import loops
import pytest
import treadle
from treadle.testing import virtual_event_loop

if TYPE_CHECKING:
    from collections.abc import Callable

    NewLoop = Callable[[], asyncio.AbstractEventLoop]

AT_ONCE = treadle.Backoff(0)


class Flaky:
    """Fails so often, and counts."""

    def __init__(self, *errors: Exception, nap: float = 0) -> None:
        """Raise these, one in each call, after a nap."""
        self.errors = list(errors)
        self.nap = nap
        self.times: list[float] = []

    async def __call__(self) -> str:
        """Fail, or not."""
        self.times.append(asyncio.get_running_loop().time())
        await asyncio.sleep(self.nap)
        if self.errors:
            raise self.errors.pop(0)
        return "done"


def test_a_decorated_function_is_called_as_before(new_loop: NewLoop) -> None:
    async def main() -> None:
        policy = treadle.Policy(timeout=5, limit=2, name="api")

        @policy
        async def fetch(url: str, *, times: int = 1) -> str:
            """Fetch."""
            await asyncio.sleep(0)
            return url * times

        class Client:
            @policy
            async def get(self, url: str) -> str:
                return await fetch(url)

        assert await fetch("a", times=2) == "aa"
        assert await Client().get("b") == "b"
        assert (fetch.__name__, fetch.__doc__) == ("fetch", "Fetch.")
        assert inspect.iscoroutinefunction(fetch)
        assert await policy.call(fetch, "c", times=3) == "ccc"
        stats = policy.stats()
        assert (stats["name"], stats["failed"], stats["parts"]["limit"]["in_use"]) == ("api", 0, 0)

    loops.run(new_loop, main())


def test_errors_are_tried_again_and_told(new_loop: NewLoop) -> None:
    async def main() -> None:
        policy = treadle.Policy(retry=treadle.Retry(on=(OSError, KeyError), attempts=3, backoff=AT_ONCE))
        assert await policy.call(Flaky(OSError("one"), KeyError("two"))) == "done"
        last = OSError("three")
        with pytest.raises(OSError, match="three") as caught:
            await policy.call(Flaky(OSError("one"), OSError("two"), last))
        assert caught.value is last
        assert [line.partition(" (")[0] for line in last.__notes__] == [
            "attempt 1 failed: OSError: one",
            "attempt 2 failed: OSError: two",
        ]
        flaky = Flaky(ValueError("not worth it"))
        with pytest.raises(ValueError, match="not worth it"):
            await policy.call(flaky)
        assert len(flaky.times) == 1
        assert (policy.stats()["calls"], policy.stats()["failed"], policy.stats()["retries"]) == (3, 2, 4)

    loops.run(new_loop, main())


def test_the_wait_grows() -> None:
    exact = treadle.Backoff(1, factor=3, max=10, jitter="none")
    assert [exact.delay(attempts) for attempts in (1, 2, 3, 4, 5000)] == [1, 3, 9, 10, 10]
    full = treadle.Backoff(1, factor=3, max=10)
    waits = [full.delay(3) for _ in range(200)]
    assert 0 <= min(waits) < 4.5 < max(waits) <= 9
    equal = treadle.Backoff(1, factor=3, max=10, jitter="equal")
    assert all(4.5 <= equal.delay(3) <= 9 for _ in range(200))


def test_a_number_is_the_time_to_wait_and_holds_the_limiter() -> None:
    async def main() -> None:
        rate = treadle.TokenBucket(1000, burst=10)

        def retry_after(error: Exception) -> bool | float:
            return 7.0 if isinstance(error, OSError) else False

        policy = treadle.Policy(retry=treadle.Retry(on=retry_after), rate=rate)
        flaky = Flaky(OSError())
        task = asyncio.create_task(policy.call(flaky))
        await asyncio.sleep(1)
        # Others wait as well.
        assert await policy.call(Flaky()) == "done"
        assert asyncio.get_running_loop().time() == 7
        assert await task == "done"
        assert flaky.times == [0, 7]
        with pytest.raises(KeyError):
            await policy.call(Flaky(KeyError()))

    loops.run(virtual_event_loop, main())


def test_a_budget_ends_retries_when_everything_fails(new_loop: NewLoop) -> None:
    async def main() -> None:
        budget = treadle.RetryBudget(0.25, reserve=2)
        retry = treadle.Retry(on=OSError, attempts=10, backoff=AT_ONCE, budget=budget)
        policy = treadle.Policy(retry=retry)
        flaky = Flaky(*(OSError() for _ in range(100)))
        errors = [await treadle.gather(policy.call(flaky), return_exceptions=True) for _ in range(12)]
        # Two of the reserve, and one for every four calls.
        assert len(flaky.times) == 12 + 2 + 2
        assert all("budget is spent" in error.__notes__[0] for (error,) in errors)  # type: ignore[attr-defined]
        assert budget.stats()["retries"] == 4
        assert treadle.Retry(on=OSError).budget is not treadle.Retry(on=OSError).budget

    loops.run(new_loop, main())


def test_attempts_and_everything_have_deadlines() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        wait = treadle.Backoff(1, jitter="none")
        policy = treadle.Policy(
            total_timeout=10, timeout=2, retry=treadle.Retry(on=TimeoutError, attempts=3, backoff=wait)
        )
        slow = Flaky(nap=60)
        with pytest.raises(TimeoutError):
            await policy.call(slow)
        assert slow.times == [0, 3, 7]
        assert loop.time() == 9
        # A wait beyond the end is not begun.
        tight = treadle.Policy(total_timeout=2.5, timeout=2, retry=treadle.Retry(on=TimeoutError, backoff=wait))
        with pytest.raises(TimeoutError) as caught:
            await tight.call(Flaky(nap=60))
        assert loop.time() == 11
        assert caught.value.__notes__ == ["not tried again: 1 s to wait, 0.5 s left"]
        with pytest.raises(TimeoutError):
            await treadle.Policy(total_timeout=1).call(Flaky(nap=60))
        assert loop.time() == 12

    loops.run(virtual_event_loop, main())


def test_waiting_for_the_rate_is_not_the_attempts_time() -> None:
    async def main() -> None:
        rate = treadle.TokenBucket(0.1)
        policy = treadle.Policy(rate=rate, timeout=1, total_timeout=60)
        assert await treadle.gather(*(policy.call(Flaky()) for _ in range(3))) == ["done"] * 3
        assert asyncio.get_running_loop().time() == pytest.approx(20)

    loops.run(virtual_event_loop, main())


def test_what_is_too_much_is_refused_or_waits(new_loop: NewLoop) -> None:
    async def main() -> None:
        shedding = treadle.Policy(limit=2, shed=True, name="db")
        calls = [asyncio.create_task(shedding.call(Flaky(nap=0.001))) for _ in range(3)]
        got = await asyncio.gather(*calls, return_exceptions=True)
        assert got[:2] == ["done", "done"]
        assert isinstance(got[2], treadle.Overloaded)
        assert str(got[2]) == "<Policy 'db'> has 2 calls under way"
        assert shedding.stats()["rejected"] == 1
        shared = treadle.Semaphore(1)
        waiting = treadle.Policy(limit=shared)
        async with shared:
            task = asyncio.create_task(waiting.call(Flaky()))
            await asyncio.sleep(0)
            assert shared.stats()["waiting"] == 1
        assert await task == "done"
        with pytest.raises(ValueError, match="needs a limit"):
            treadle.Policy(shed=True)

    loops.run(new_loop, main())


def test_a_breaker_opens_tries_and_closes() -> None:
    async def main() -> None:
        breaker = treadle.Breaker(failure_ratio=0.5, min_calls=4, window=30, open_for=10, name="api")
        policy = treadle.Policy(breaker=breaker)
        for errors in ((), (), (OSError(),), (OSError(),)):
            await asyncio.gather(policy.call(Flaky(*errors)), return_exceptions=True)
        assert breaker.state == "open"
        flaky = Flaky()
        with pytest.raises(treadle.BreakerOpen, match="<Breaker 'api'> is open") as caught:
            await policy.call(flaky)
        assert caught.value.retry_after == 10
        assert not flaky.times
        await asyncio.sleep(10)
        assert breaker.state == "half-open"
        # One at a time is tried; it fails.
        got = await asyncio.gather(*(policy.call(Flaky(OSError(), nap=1)) for _ in range(3)), return_exceptions=True)
        assert [type(one) for one in got] == [OSError, treadle.BreakerOpen, treadle.BreakerOpen]
        assert breaker.state == "open"
        await asyncio.sleep(10)
        assert await policy.call(Flaky()) == "done"
        assert breaker.state == "closed"
        stats = breaker.stats()
        assert (stats["calls_in_window"], stats["opened"], stats["rejected"]) == (0, 2, 3)

    loops.run(virtual_event_loop, main())


def test_a_breaker_forgets_and_judges_only_what_it_is_told_to() -> None:
    async def main() -> None:
        breaker = treadle.Breaker(min_calls=2, window=10, on=OSError)
        policy = treadle.Policy(breaker=breaker)
        with pytest.raises(OSError):  # noqa: PT011 - it is the only one
            await policy.call(Flaky(OSError()))
        await asyncio.sleep(12)
        with pytest.raises(OSError):  # noqa: PT011 - it is the only one
            await policy.call(Flaky(OSError()))
        # The first is forgotten, and an answer that is an error is one.
        assert breaker.stats()["failed_in_window"] == 1
        with pytest.raises(KeyError):
            await policy.call(Flaky(KeyError()))
        assert breaker.state == "closed"
        with pytest.raises(OSError):  # noqa: PT011 - it is the only one
            await policy.call(Flaky(OSError()))
        assert breaker.state == "open"

    loops.run(virtual_event_loop, main())


def test_calls_from_before_say_nothing_about_now() -> None:
    async def main() -> None:
        breaker = treadle.Breaker(min_calls=2, open_for=5)
        policy = treadle.Policy(breaker=breaker)
        old = [asyncio.create_task(policy.call(Flaky(*errors, nap=9))) for errors in ((), (OSError(),))]
        await asyncio.sleep(0)
        await asyncio.gather(*(policy.call(Flaky(OSError())) for _ in range(2)), return_exceptions=True)
        await asyncio.sleep(6)
        trial = asyncio.create_task(policy.call(Flaky(nap=10)))
        await asyncio.gather(*old, return_exceptions=True)
        assert breaker.state == "half-open"
        with pytest.raises(treadle.BreakerOpen):
            await policy.call(Flaky())
        assert await trial == "done"
        assert breaker.state == "closed"

    loops.run(virtual_event_loop, main())


def test_an_open_breaker_is_not_tried_again(new_loop: NewLoop) -> None:
    async def main() -> None:
        policy = treadle.Policy(
            retry=treadle.Retry(on=Exception, attempts=5, backoff=AT_ONCE), breaker=treadle.Breaker(min_calls=2)
        )
        flaky = Flaky(*(OSError() for _ in range(9)))
        with pytest.raises(treadle.BreakerOpen):
            await policy.call(flaky)
        assert len(flaky.times) == 2

    loops.run(new_loop, main())


def test_the_order_is_the_one_that_is_told() -> None:
    async def main() -> None:
        order: list[str] = []

        class Rate:
            async def acquire(self, n: float = 1, *, priority: int = 0) -> None:  # noqa: ARG002
                order.append(f"rate {treadle.remaining()}")

            def try_acquire(self, n: float = 1) -> bool:  # noqa: ARG002
                return False

            async def __aenter__(self) -> None: ...
            async def __aexit__(self, *exc: object) -> None: ...

        limit = treadle.Semaphore(1)
        breaker = treadle.Breaker(min_calls=9)

        async def fn() -> None:
            calls = breaker.stats()["calls_in_window"]
            order.append(f"fn {treadle.remaining()} limit={limit.stats()['in_use']} calls={calls}")
            if len(order) == 2:
                raise OSError

        await treadle.Policy(
            total_timeout=9, limit=limit, retry=treadle.Retry(on=OSError, backoff=AT_ONCE), breaker=breaker,
            rate=Rate(), timeout=3,
        ).call(fn)  # fmt: skip
        assert order == ["rate 9.0", "fn 3.0 limit=1 calls=0", "rate 9.0", "fn 3.0 limit=1 calls=1"]

    loops.run(virtual_event_loop, main())
