"""How many at once, how many a second: limiters. One protocol, so that each fits where a limiter is asked for.

Nobody overtakes: whoever comes while others wait stands behind them, and a big request at the head of the line is not
starved by small ones. A permit that was granted to a task which is cancelled before it runs goes to the next.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

from treadle.patterns.native import Pace, Permits
from treadle.patterns.registry import part, register
from treadle.patterns.waiting import Bound, Line, clock_of

__all__ = ["Keyed", "Limiter", "Semaphore", "SlidingWindow", "TokenBucket"]

K = TypeVar("K")

# Timers may be this early, and sums of floating-point seconds are equal if they differ by less.
EPSILON = 1e-8
# So many keys are looked at for one that nobody would miss.
CANDIDATES = 16


@runtime_checkable
class Limiter(Protocol):
    """What lets only so many through. :class:`treadle.Policy` and others take any object that has these methods."""

    async def acquire(self, n: float = 1, *, priority: int = 0) -> None:
        """Wait for ``n`` permits; lower priorities go first, equal ones in the order of coming."""

    def try_acquire(self, n: float = 1) -> bool:
        """Take ``n`` permits if they are there and nobody waits; return whether they were taken."""
        ...

    def __aenter__(self) -> Coroutine[Any, Any, None]:
        """Acquire one permit."""
        ...

    def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> Coroutine[Any, Any, None]:
        """Give it back, if it is one that is given back."""
        ...


class Semaphore(Permits, Bound):
    """At most ``value`` at once, first come, first served. It is no rate limit: see :class:`TokenBucket`.

    Unlike :class:`asyncio.Semaphore`, releasing more than was acquired raises, several permits can be taken in one
    step, and there are priorities.
    """

    __slots__ = ("__weakref__", "_line", "_loop", "name")

    def __init__(self, value: int, *, name: str | None = None) -> None:
        """Make a semaphore.

        Args:
            value: permits, 1 or more.
            name: what messages and statistics call it.

        Raises:
            ValueError: ``value`` is less than 1.

        """
        if value < 1:
            raise ValueError(f"a semaphore needs 1 permit or more, not {value!r}")
        super().__init__(name)
        self._value = self._free = value
        self._line: Line[float] = Line()

    @property
    def value(self) -> int:
        """How many permits there are, taken or not."""
        return self._value

    def locked(self) -> bool:
        """Return whether one permit could not be had at once."""
        return self._free < 1 or self._line.count > 0

    def stats(self) -> dict[str, Any]:
        """Return ``limit``, ``in_use`` and ``waiting``."""
        return {
            "kind": "Semaphore",
            "name": self.name,
            "limit": self._value,
            "in_use": self._value - self._free,
            "waiting": self._line.count,
        }

    async def acquire(self, n: float = 1, *, priority: int = 0) -> None:
        """Wait for ``n`` permits and take them together.

        Raises:
            ValueError: ``n`` is more than there are, not a whole number, or less than 1.
            RuntimeError: the semaphore is bound to another event loop.

        """
        if not self.try_acquire(n):
            await self._wait(n, priority)

    async def _wait(self, n: float, priority: int) -> None:
        self._check(n)
        loop = self._bind()
        if self._free >= n and not self._line.count:
            self._free -= n
            return
        waiter = loop.create_future()
        self._line.join(waiter, n, priority)
        # Whoever waits may go before others that wait for more than there is.
        self._grant()
        try:
            await waiter
        except BaseException:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self._free += n
            else:
                self._line.leave(waiter, priority)
            self._grant()
            raise

    def _refuse(self, error: BaseException) -> None:
        """Let everybody who waits raise this."""
        for waiter in self._line.waiters():
            if not waiter.done():
                waiter.set_exception(error)

    def _grant(self) -> None:
        line = self._line
        while (entry := line.first()) is not None:
            waiter, n = entry
            if n > self._free:
                break
            line.pop()
            self._free -= n
            waiter.set_result(None)
        # After every change of the line comes this method.
        self._is_awaited = line.count > 0

    def _refuse_release(self, n: float) -> None:
        """Say that so many permits were not given out."""
        given = self._value - self._free
        raise ValueError(f"{self!r} has given out {given:g}, which is less than {n!r}")

    def _check(self, n: float) -> None:
        if not 1 <= n <= self._value or n % 1:
            raise ValueError(f"{self!r} has {self._value} permits; {n!r} of them cannot be had")

    def _bound(self, loop: asyncio.AbstractEventLoop) -> None:  # noqa: ARG002 - all loops alike
        self._line.clear()
        self._is_awaited = False

    def _is_idle(self) -> bool:
        return self._free == self._value


class Timed(Pace, Bound):
    """A limiter of which time gives permits back: the line, the timer of whoever is next, and holding."""

    __slots__ = ("__weakref__", "_line", "_timer", "name")

    def __init__(self, name: str | None) -> None:
        """Make a limiter that has no loop yet."""
        super().__init__(name)
        self._line: Line[float] = Line()
        self._timer: asyncio.TimerHandle | None = None

    def delay(self, n: float = 1) -> float:
        """Return how many seconds :meth:`acquire` would wait if everybody in the line stays, 0 if not at all.

        Raises:
            ValueError: ``n`` can never be had.
            RuntimeError: no loop runs, or the limiter is bound to another.

        """
        self._check(n)
        self._bind()
        now = self._clock()
        return max(0.0, self._ready_at_last(n, now) - now)

    def hold(self, seconds: float) -> None:
        """Let nobody through for so many seconds: what a server asks for with ``Retry-After``.

        A hold that is already longer stays.

        Raises:
            RuntimeError: no loop runs, or the limiter is bound to another.

        """
        self._bind()
        self._held = max(self._held, self._clock() + seconds)
        self._rearm()

    async def acquire(self, n: float = 1, *, priority: int = 0) -> None:
        """Wait for ``n`` permits. Whoever is cancelled meanwhile has taken none.

        Raises:
            ValueError: ``n`` can never be had.
            RuntimeError: the limiter is bound to another event loop.

        """
        if not self.try_acquire(n):
            await self._wait(n, priority)

    async def _wait(self, n: float, priority: int) -> None:
        loop = self._bind()
        waiter = loop.create_future()
        self._line.join(waiter, n, priority)
        self._rearm()
        try:
            receipt = await waiter
        except BaseException:
            if waiter.done() and not waiter.cancelled():
                self._give_back(n, waiter.result())
            else:
                self._line.leave(waiter, priority)
            self._rearm()
            raise
        self._begun(receipt)

    def _rearm(self) -> None:
        """Let through who can go, and set the timer for who is next then."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        # Others may stand in the line of a loop that is closed.
        loop, line = self._loop, self._line
        while loop is not None and (entry := line.first()) is not None:
            waiter, n = entry
            now = self._clock()
            ready = max(self._ready_at(n, now), self._held)
            if ready > now + EPSILON:
                self._timer = self._alarm(loop, ready, now)
                break
            line.pop()
            waiter.set_result(self._take(n, now, runs=False))
        # After every change of the line comes this method.
        self._is_awaited = line.count > 0

    def _alarm(self, loop: asyncio.AbstractEventLoop, ready: float, now: float) -> asyncio.TimerHandle:
        # A clock that is not the loop's is asked for a difference; uvloop rounds that to milliseconds.
        if self._clock == loop.time:
            return loop.call_at(ready, self._rearm)
        return loop.call_later(ready - now + 0.0005, self._rearm)

    def _bound(self, loop: asyncio.AbstractEventLoop) -> None:
        self._line.clear()
        self._is_awaited = False
        self._timer = None
        self._held = float("-inf")
        self._clock = clock_of(loop)

    def _check(self, n: float) -> None:
        raise NotImplementedError

    def _ready_at(self, n: float, now: float) -> float:
        """Return when ``n`` permits can be had by whoever is next."""
        raise NotImplementedError

    def _ready_at_last(self, n: float, now: float) -> float:
        """Return when ``n`` permits can be had by who joins the line now."""
        raise NotImplementedError

    def _take(self, n: float, now: float, *, runs: bool) -> object:
        """Take permits that are there, for a task that runs or for one that will, and return a receipt."""
        raise NotImplementedError

    def _give_back(self, n: float, receipt: Any) -> None:
        """Undo :meth:`_take`."""
        raise NotImplementedError

    def _begun(self, receipt: Any) -> None:
        """Be told that the task runs to which permits were granted."""

    def _tickets(self) -> list[float]:
        return [n for lane in self._line._lanes.values() for waiter, n in lane.items() if not waiter.done()]


class TokenBucket(Timed):
    """At most ``rate`` in ``per`` seconds on average, and ``burst`` at once after a pause; evenly spaced otherwise.

    It suits servers that count the same way (nginx's ``limit_req``, most APIs). Where a server counts whole windows, a
    bucket with ``burst=1`` stays below; one with a burst may not, and :class:`SlidingWindow` is what is meant.
    """

    __slots__ = ("_burst", "_interval", "_span")

    def __init__(self, rate: float, *, per: float = 1.0, burst: float = 1, name: str | None = None) -> None:
        """Make a bucket, which is full.

        Args:
            rate: tokens that come in ``per`` seconds.
            per: seconds.
            burst: tokens that the bucket holds, 1 or more; so many are there after a pause.
            name: what messages and statistics call it.

        Raises:
            ValueError: ``rate`` or ``per`` is not positive, or ``burst`` less than 1.

        """
        if rate <= 0 or per <= 0:
            raise ValueError(f"a rate is positive, not {rate!r} in {per!r} s")
        if burst < 1:
            raise ValueError(f"a bucket holds 1 token or more, not {burst!r}")
        super().__init__(name)
        self._interval = per / rate
        self._burst = burst
        self._span = burst * self._interval + EPSILON
        # When it is full again is all that has to be known besides.
        self._fill(self._interval, burst)

    def stats(self) -> dict[str, Any]:
        """Return ``rate`` in a second, ``burst``, ``calls`` let through, ``waiting``, and ``held`` in seconds."""
        now = float("-inf") if self._loop is None else self._clock()
        return {
            "kind": "TokenBucket",
            "name": self.name,
            "rate": 1 / self._interval,
            "burst": self._burst,
            "calls": self._granted,
            "waiting": self._line.count,
            "held": max(0.0, self._held - now) if self._loop else 0.0,
        }

    def _bound(self, loop: asyncio.AbstractEventLoop) -> None:
        super()._bound(loop)
        self._full = float("-inf")

    def _check(self, n: float) -> None:
        if not 0 < n <= self._burst:
            raise ValueError(f"{self!r} holds {self._burst:g} tokens; {n!r} of them cannot be had: raise burst=")

    def _ready_at(self, n: float, now: float) -> float:
        return max(self._full, now) + n * self._interval - self._span

    def _ready_at_last(self, n: float, now: float) -> float:
        ahead = sum(self._tickets())
        return max(max(self._full, self._held, now) + (n + ahead) * self._interval - self._span, self._held)

    def _take(self, n: float, now: float, *, runs: bool) -> object:  # noqa: ARG002 - a token is a token
        self._full = max(self._full, now) + n * self._interval
        self._granted += 1
        return None

    def _give_back(self, n: float, receipt: object) -> None:  # noqa: ARG002 - a token is a token
        self._full -= n * self._interval
        self._granted -= 1

    def _is_idle(self) -> bool:
        return self._loop is None or (self._full <= self._clock() >= self._held and not self._line.count)


class SlidingWindow(Timed):
    """Never more than ``limit`` starts in any ``per`` seconds, wherever one begins to count.

    What counts is when a task comes out of :meth:`acquire`, not when it was let through. It keeps ``limit`` times.
    Between here and a server, requests may catch up with each other: give such a window a few milliseconds more.
    """

    __slots__ = ("_limit", "_per", "_starts")

    def __init__(self, limit: int, per: float, *, name: str | None = None) -> None:
        """Make a window that has seen nothing.

        Args:
            limit: starts, 1 or more.
            per: seconds.
            name: what messages and statistics call it.

        Raises:
            ValueError: ``limit`` is less than 1, or ``per`` not positive.

        """
        if limit < 1 or per <= 0:
            raise ValueError(f"a window is for 1 start or more in a positive time, not {limit!r} in {per!r} s")
        super().__init__(name)
        self._limit = limit
        self._per = per
        # One cell for each start, the oldest first: its time, or None while the task that was let through does not run.
        self._starts: deque[list[float | None]] = deque()

    def stats(self) -> dict[str, Any]:
        """Return ``limit``, ``per``, starts ``in_use``, ``calls`` let through, ``waiting``, and ``held`` in seconds."""
        now = 0.0 if self._loop is None else self._clock()
        return {
            "kind": "SlidingWindow",
            "name": self.name,
            "limit": self._limit,
            "per": self._per,
            "in_use": sum(cell[0] is None or cell[0] > now - self._per for cell in tuple(self._starts)),
            "calls": self._granted,
            "waiting": self._line.count,
            "held": max(0.0, self._held - now),
        }

    def try_acquire(self, n: float = 1) -> bool:
        """Take ``n`` permits if they can be had now and nobody waits, and return whether that was so.

        Raises:
            ValueError: ``n`` can never be had.
            RuntimeError: no loop runs, or the limiter is bound to another.

        """
        if n != 1:
            self._check(n)
        if asyncio.get_running_loop() is not self._loop:
            self._bind()
        now = self._clock()
        if self._is_awaited or self._held > now + EPSILON:
            return False
        if n != 1:
            if self._ready_at(n, now) > now + EPSILON:
                return False
            self._take(n, now, runs=True)
            return True
        # The same for one start, without lists.
        starts = self._starts
        if len(starts) == self._limit:
            start = starts[0][0]
            if start is None or start + self._per > now + EPSILON:
                return False
            starts.popleft()
        starts.append([now])
        self._granted += 1
        return True

    def _bound(self, loop: asyncio.AbstractEventLoop) -> None:
        super()._bound(loop)
        self._starts.clear()

    def _check(self, n: float) -> None:
        if not 1 <= n <= self._limit or n % 1:
            raise ValueError(f"{self!r} has {self._limit} starts; {n!r} of them cannot be had")

    def _ready_at(self, n: float, now: float) -> float:
        return self._free_at(n, now, [])

    def _ready_at_last(self, n: float, now: float) -> float:
        starts: list[float] = []
        for ahead in self._tickets():
            starts += [max(self._free_at(ahead, now, starts), self._held, now)] * int(ahead)
        return max(self._free_at(n, now, starts), self._held)

    def _free_at(self, n: float, now: float, more: list[float]) -> float:
        """Return when ``n`` starts are free, if further ones are made at these times."""
        excess = len(self._starts) + len(more) + int(n) - self._limit
        if excess <= 0:
            return now
        if excess > len(self._starts):
            return more[excess - len(self._starts) - 1] + self._per
        start = self._starts[excess - 1][0]
        # It starts no sooner than now. What is let through and starts later is looked at again then.
        return (now if start is None else start) + self._per

    def _take(self, n: float, now: float, *, runs: bool) -> object:
        receipt: list[list[float | None]] = [[now if runs else None] for _ in range(int(n))]
        self._starts.extend(receipt)
        while len(self._starts) > self._limit:
            self._starts.popleft()
        self._granted += 1
        return receipt

    def _give_back(self, n: float, receipt: list[list[float | None]]) -> None:  # noqa: ARG002 - the receipt has them
        gone = {id(cell) for cell in receipt}
        self._starts = deque(cell for cell in self._starts if id(cell) not in gone)
        self._granted -= 1

    def _begun(self, receipt: list[list[float | None]]) -> None:
        now = self._clock()
        for cell in receipt:
            cell[0] = now

    def _is_idle(self) -> bool:
        if self._line.count or self._loop is None:
            return not self._line.count
        now = self._clock()
        return self._held <= now and all(cell[0] is not None and cell[0] <= now - self._per for cell in self._starts)


class Keyed(Generic[K]):
    """One limiter for each key, for each host or customer: ``async with limits[host]: …``.

    At most ``max_keys`` are kept. Beyond that the one goes that was used longest ago, one that nobody would miss if
    there is any among the oldest: nobody waits, and it would let as much through as a new one.
    """

    __slots__ = ("__weakref__", "_evicted", "_limiters", "_make", "_max_keys", "name")

    def __init__(self, make: Callable[[], Limiter], *, max_keys: int = 10_000, name: str | None = None) -> None:
        """Make a mapping without keys.

        Args:
            make: makes a limiter for a key that has none.
            max_keys: how many limiters are kept, 1 or more.
            name: what messages and statistics call it.

        Raises:
            ValueError: ``max_keys`` is less than 1.

        """
        if max_keys < 1:
            raise ValueError(f"1 key or more has to be kept, not {max_keys!r}")
        self.name: str | None = name
        self._make = make
        self._max_keys = max_keys
        self._limiters: OrderedDict[K, Limiter] = OrderedDict()
        self._evicted = 0
        register(self)

    def __repr__(self) -> str:
        """Return the kind and the name."""
        return f"<Keyed{'' if self.name is None else f' {self.name!r}'}>"

    def __getitem__(self, key: K) -> Limiter:
        """Return the limiter of a key, a new one if there is none."""
        limiter = self._limiters.get(key)
        if limiter is None:
            while len(self._limiters) >= self._max_keys:
                self._evict()
            limiter = self._limiters[key] = part(self._make())
        else:
            self._limiters.move_to_end(key)
        return limiter

    def __len__(self) -> int:
        """Return how many limiters are kept."""
        return len(self._limiters)

    def __contains__(self, key: object) -> bool:
        """Return whether a limiter is kept for the key."""
        return key in self._limiters

    def stats(self) -> dict[str, Any]:
        """Return how many keys are ``in_use``, their ``limit``, and how many were ``evicted``."""
        return {
            "kind": "Keyed",
            "name": self.name,
            "limit": self._max_keys,
            "in_use": len(self._limiters),
            "evicted": self._evicted,
        }

    def _evict(self) -> None:
        oldest = [key for key, _ in zip(self._limiters, range(CANDIDATES), strict=False)]
        for key in oldest:
            if getattr(self._limiters[key], "_is_idle", bool)():
                break
        else:
            key = oldest[0]
        del self._limiters[key]
        self._evicted += 1
