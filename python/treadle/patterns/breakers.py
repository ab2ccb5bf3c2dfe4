"""A circuit breaker: where most calls fail, fail at once for a while, and then try one."""

import asyncio
from collections.abc import Callable
from typing import Any

from treadle.patterns.waiting import Bound, clock_of

__all__ = ["Breaker", "BreakerOpen"]

SLICES = 10


class BreakerOpen(Exception):  # noqa: N818 - it says what is so
    """A call was not made, because most before it have failed.

    Attributes:
        retry_after: seconds until one is tried.

    """

    def __init__(self, message: str, retry_after: float) -> None:
        """Make one."""
        super().__init__(message)
        self.retry_after = retry_after


class Breaker(Bound):
    """Counts failures of the last ``window`` seconds; for :class:`treadle.Policy`, of which several may share one.

    *closed*: calls are made. When at least ``min_calls`` were made in the window and ``failure_ratio`` of them have
    failed, it is *open* for ``open_for`` seconds: calls raise :class:`BreakerOpen`. Then it is *half-open*: one call at
    a time is made, and its outcome closes or opens it. A call that is cancelled counts as nothing.
    """

    def __init__(  # noqa: PLR0913 - what can be said by name
        self,
        *,
        failure_ratio: float = 0.5,
        min_calls: int = 20,
        window: float = 30,
        open_for: float = 10,
        on: type[Exception] | tuple[type[Exception], ...] | Callable[[Exception], bool] = Exception,
        name: str | None = None,
    ) -> None:
        """Make a breaker, which is closed.

        Args:
            failure_ratio: share of failures that opens it, above 0 and up to 1.
            min_calls: calls in the window before it may open, 1 or more.
            window: seconds that are looked at.
            open_for: seconds until a call is tried.
            on: which exceptions are failures: types, or a function that says so. Others are answers.
            name: what messages and statistics call it.

        Raises:
            ValueError: a number makes no sense.

        """
        if not 0 < failure_ratio <= 1 or min_calls < 1 or window <= 0 or open_for < 0:
            raise ValueError("a breaker has a ratio above 0 and up to 1, 1 call or more, and times in seconds")
        super().__init__(name)
        self._failure_ratio = failure_ratio
        self._min_calls = min_calls
        self._width = window / SLICES
        self._open_for = open_for
        self._on = on
        self._slice = 0
        # When the slice ends.
        self._until = 0.0
        self._calls = [0] * SLICES
        self._failures = [0] * SLICES
        self._open_until: float | None = None
        self._trying = False
        # Calls that began before it opened, closed or tried one say nothing about now.
        self._era = 0
        self._rejected = self._opened = 0

    @property
    def state(self) -> str:
        """What it does with the next call: ``"closed"``, ``"open"`` or ``"half-open"``."""
        if self._open_until is None:
            return "closed"
        if self._loop is not None and self._clock() >= self._open_until:
            return "half-open"
        return "open"

    def stats(self) -> dict[str, Any]:
        """Return ``state``, ``calls_in_window``, ``failed_in_window``, times it ``opened``, calls ``rejected``."""
        oldest = self._slice - SLICES
        if self._loop is not None:
            oldest = max(oldest, int(self._clock() / self._width) - SLICES)
        within = [number % SLICES for number in range(oldest + 1, self._slice + 1)]
        return {
            "kind": "Breaker",
            "name": self.name,
            "state": self.state,
            "calls_in_window": sum(self._calls[at] for at in within),
            "failed_in_window": sum(self._failures[at] for at in within),
            "opened": self._opened,
            "rejected": self._rejected,
        }

    def enter(self) -> int:
        """Ask for a call to be made, and return its ticket, which one of the methods below has to be given.

        Raises:
            BreakerOpen: it is not to be made.
            RuntimeError: the breaker is bound to another event loop.

        """
        if asyncio.get_running_loop() is not self._loop:
            self._bind()
        if self._open_until is not None:
            left = self._open_until - self._clock()
            if left > 0 or self._trying:
                self._rejected += 1
                raise BreakerOpen(f"{self!r} is open: most of the last calls have failed", max(0.0, left))
            self._trying = True
            self._era += 1
        return self._era

    def succeed(self, ticket: int) -> None:
        """Count a call that was answered."""
        if ticket != self._era:
            return
        if self._trying:
            self._close()
            return
        now = self._clock()
        if now >= self._until:
            self._turn(now)
        self._calls[self._slice % SLICES] += 1

    def fail(self, ticket: int, error: Exception) -> None:
        """Count a call that has raised."""
        on = self._on
        if not (isinstance(error, on) if isinstance(on, (type, tuple)) else on(error)):
            self.succeed(ticket)
            return
        if ticket != self._era:
            return
        now = self._clock()
        if self._trying:
            self._open(now)
            return
        self._turn(now)
        self._calls[self._slice % SLICES] += 1
        self._failures[self._slice % SLICES] += 1
        calls = sum(self._calls)
        if calls >= self._min_calls and sum(self._failures) >= self._failure_ratio * calls:
            self._open(now)

    def forget(self, ticket: int) -> None:
        """Count a call as nothing: it was cancelled."""
        if ticket == self._era:
            self._trying = False

    def _open(self, now: float) -> None:
        self._trying = False
        self._era += 1
        self._opened += 1
        self._open_until = now + self._open_for

    def _close(self) -> None:
        self._trying = False
        self._era += 1
        self._open_until = None
        self._calls = [0] * SLICES
        self._failures = [0] * SLICES

    def _turn(self, now: float) -> None:
        """Let go of the slices of the window that are over."""
        current = int(now / self._width)
        for old in range(max(self._slice, current - SLICES) + 1, current + 1):
            self._calls[old % SLICES] = self._failures[old % SLICES] = 0
        self._slice = current
        self._until = (current + 1) * self._width

    def _bound(self, loop: asyncio.AbstractEventLoop) -> None:
        self._clock = clock_of(loop)
        self._close()
        self._turn(self._clock())
