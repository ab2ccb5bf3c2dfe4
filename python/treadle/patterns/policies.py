"""Everything that stands around a call to another system, in the one order that is right."""

import asyncio
import functools
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

from treadle.patterns.breakers import Breaker, BreakerOpen
from treadle.patterns.deadlines import Timeout, remaining
from treadle.patterns.limits import Limiter, Semaphore
from treadle.patterns.registry import register
from treadle.patterns.retries import Retry
from treadle.patterns.waiting import note

__all__ = ["Overloaded", "Policy"]

P = ParamSpec("P")
R = TypeVar("R")


class Overloaded(Exception):  # noqa: N818 - it says what is so
    """A call was not made, because as many as are allowed are under way."""


class Policy:
    """Timeouts, a limit, retries, a breaker and a rate around calls of a function.

    The order is fixed, outermost first::

        total_timeout > limit > retry > breaker > rate > timeout > the function

    So waiting for the limit counts against the total. A retry is a request too, and asks breaker and rate again; but a
    call keeps its place under the limit while it backs off. Waiting for the rate does not count against the timeout of
    an attempt.

    One policy is for one other system, and is shared by all calls to it. It is used as a decorator, or with
    :meth:`call`.
    """

    def __init__(  # noqa: PLR0913 - what can be said by name
        self,
        *,
        total_timeout: float | None = None,
        limit: int | Semaphore | None = None,
        shed: bool = False,
        retry: Retry | None = None,
        breaker: Breaker | None = None,
        rate: Limiter | None = None,
        timeout: float | None = None,
        name: str | None = None,
    ) -> None:
        """Make a policy. What is not given is not there.

        Args:
            total_timeout: seconds for everything: waiting, attempts, backing off.
            limit: calls that are under way at the same time, or a semaphore that is shared.
            shed: raise :class:`treadle.Overloaded` instead of waiting for the limit.
            retry: which errors are tried again.
            breaker: when to stop trying.
            rate: a limiter that each attempt goes through.
            timeout: seconds for an attempt; to be retried, its :class:`TimeoutError` has to be among ``retry.on``.
            name: what messages and statistics call it.

        Raises:
            ValueError: ``limit`` is less than 1, or ``shed`` is asked for without one.

        """
        if shed and limit is None:
            raise ValueError("shed=True needs a limit=")
        self.name = name
        self._total_timeout = total_timeout
        self._semaphore = Semaphore(limit, name=name) if isinstance(limit, int) else limit
        self._shed = shed
        self._retry = retry
        self._breaker = breaker
        self._rate = rate
        self._timeout = timeout
        self._calls = self._failed = self._retries = self._rejected = 0
        register(self)

    def __repr__(self) -> str:
        """Return the kind and the name."""
        return f"<Policy{'' if self.name is None else f' {self.name!r}'}>"

    def __call__(self, fn: Callable[P, Awaitable[R]]) -> Callable[P, Coroutine[Any, Any, R]]:
        """Return a coroutine function that calls ``fn`` under this policy; to be used as a decorator."""

        @functools.wraps(fn)
        async def call(*args: P.args, **kwargs: P.kwargs) -> R:
            return await self._call(fn, args, kwargs)

        return call

    async def call(self, fn: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call ``fn`` under this policy.

        Returns:
            What ``fn`` returns.

        Raises:
            TimeoutError: ``total_timeout`` or, in the last attempt, ``timeout`` is over.
            Overloaded: as many as are allowed are under way, with ``shed=True``.
            BreakerOpen: the breaker is open.
            Exception: what the last attempt has raised, with those before it in its notes.

        """
        return await self._call(fn, args, kwargs)

    def stats(self) -> dict[str, Any]:
        """Return ``calls``, how many ``failed``; ``retries``, ``rejected`` calls; and ``parts``: their statistics."""
        parts: dict[str, Any] = {
            "limit": self._semaphore,
            "budget": None if self._retry is None else self._retry.budget,
            "breaker": self._breaker,
            "rate": self._rate,
        }
        return {
            "kind": "Policy",
            "name": self.name,
            "calls": self._calls,
            "failed": self._failed,
            "retries": self._retries,
            "rejected": self._rejected,
            "parts": {key: part.stats() for key, part in parts.items() if hasattr(part, "stats")},
        }

    async def _call(self, fn: Callable[..., Awaitable[R]], args: Any, kwargs: Any) -> R:
        self._calls += 1
        try:
            if self._total_timeout is None:
                return await self._within_limit(fn, args, kwargs)
            async with Timeout(self._total_timeout):
                return await self._within_limit(fn, args, kwargs)
        except Exception:
            self._failed += 1
            raise

    async def _within_limit(self, fn: Callable[..., Awaitable[R]], args: Any, kwargs: Any) -> R:
        semaphore = self._semaphore
        attempt = self._attempt if self._retry is None else self._attempts
        if semaphore is None:
            return await attempt(fn, args, kwargs)
        if semaphore._free >= 1 and not semaphore._line.count:
            semaphore._free -= 1
        elif self._shed:
            self._rejected += 1
            raise Overloaded(f"{self!r} has {semaphore.value} calls under way")
        else:
            await semaphore.acquire()
        try:
            return await attempt(fn, args, kwargs)
        finally:
            semaphore.release()

    async def _attempts(self, fn: Callable[..., Awaitable[R]], args: Any, kwargs: Any) -> R:
        retry = self._retry
        assert retry is not None
        if retry.budget is not None:
            retry.budget.deposit()
        attempts = 0
        notes: list[str] = []
        while True:
            attempts += 1
            try:
                return await self._attempt(fn, args, kwargs)
            except BreakerOpen:
                raise
            except Exception as error:
                wait = self._wait_after(error, attempts, retry)
                if wait is None:
                    for words in notes:
                        error.add_note(words)
                    raise
                notes.append(note(error, f"attempt {attempts} failed"))
            self._retries += 1
            await asyncio.sleep(wait)

    def _wait_after(self, error: Exception, attempts: int, retry: Retry) -> float | None:
        answer = retry.delay_after(error, attempts)
        if answer is None:
            return None
        wait, asked = answer
        hold = getattr(self._rate, "hold", None)
        if asked and hold is not None:
            hold(wait)
        left = remaining()
        if left is not None and wait >= left:
            error.add_note(f"not tried again: {wait:.3g} s to wait, {left:.3g} s left")
            return None
        return wait

    async def _attempt(self, fn: Callable[..., Awaitable[R]], args: Any, kwargs: Any) -> R:
        breaker, rate = self._breaker, self._rate
        ticket = 0 if breaker is None else breaker.enter()
        try:
            # A permit that is there costs no coroutine.
            if rate is not None and not rate.try_acquire():
                await rate.acquire()
            if self._timeout is None:
                result = await fn(*args, **kwargs)
            else:
                async with Timeout(self._timeout):
                    result = await fn(*args, **kwargs)
        except Exception as error:
            if breaker is not None:
                breaker.fail(ticket, error)
            raise
        except BaseException:
            if breaker is not None:
                breaker.forget(ticket)
            raise
        if breaker is not None:
            breaker.succeed(ticket)
        return result
