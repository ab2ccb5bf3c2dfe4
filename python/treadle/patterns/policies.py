"""Everything that stands around a call to another system, in the one order that is right."""

import asyncio
import functools
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

from treadle.patterns.breakers import Breaker, BreakerOpen
from treadle.patterns.deadlines import remaining, timeout
from treadle.patterns.limits import Limiter, Semaphore
from treadle.patterns.registry import register
from treadle.patterns.retries import Retry
from treadle.patterns.waiting import note

__all__ = ["Overloaded", "Policy"]

P = ParamSpec("P")
R = TypeVar("R")


class Overloaded(Exception):  # noqa: N818 - it says what is so
    """A call was not made, because as many as are allowed are under way."""


class NoBreaker:
    """What makes every call."""

    __slots__ = ()

    def enter(self) -> int:
        """Let a call be made."""
        return 0

    def succeed(self, ticket: int) -> None:
        """Count nothing."""

    def fail(self, ticket: int, error: Exception) -> None:
        """Count nothing."""

    def forget(self, ticket: int) -> None:
        """Count nothing."""


NO_BREAKER = NoBreaker()


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
        return functools.wraps(fn)(self._guarded(fn))

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
        return await self._guarded(fn)(*args, **kwargs)

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

    def _guarded(self, fn: Callable[P, Awaitable[R]]) -> Callable[P, Coroutine[Any, Any, R]]:  # noqa: C901, PLR0915
        """Return the coroutine function of calls to ``fn``."""

        async def call(*args: P.args, **kwargs: P.kwargs) -> R:  # noqa: C901, PLR0912, PLR0915
            # All of it stands in one coroutine, the parts inside of each other in their order, and deadlines begin and
            # end by calls: each coroutine more would be a tenth of the whole, see benches/patterns.
            self._calls += 1
            semaphore, rate, retry = self._semaphore, self._rate, self._retry
            breaker = self._breaker or NO_BREAKER
            everything = attempt = None
            try:
                if self._total_timeout is not None:
                    everything = timeout(self._total_timeout)
                    everything._begin()
                try:
                    if semaphore is not None and not semaphore.try_acquire():
                        await self._wait_for_place(semaphore)
                    try:
                        if retry is not None and retry.budget is not None:
                            retry.budget.deposit()
                        notes: list[str] = []
                        while True:
                            try:
                                ticket = breaker.enter()
                                try:
                                    if rate is not None and not rate.try_acquire():
                                        await rate.acquire()
                                    if self._timeout is not None:
                                        attempt = timeout(self._timeout)
                                        attempt._begin()
                                    try:
                                        result = await fn(*args, **kwargs)
                                    except BaseException as error:
                                        if attempt is not None:
                                            attempt._end(type(error), error)
                                        raise
                                    if attempt is not None:
                                        attempt._end(None, None)
                                except Exception as error:
                                    breaker.fail(ticket, error)
                                    raise
                                except BaseException:
                                    breaker.forget(ticket)
                                    raise
                                breaker.succeed(ticket)
                                break
                            except BreakerOpen:
                                raise
                            except Exception as error:
                                wait = self._wait_after(error, notes)
                                if wait is None:
                                    raise
                            await asyncio.sleep(wait)
                    finally:
                        if semaphore is not None:
                            semaphore.release()
                except BaseException as error:
                    if everything is not None:
                        everything._end(type(error), error)
                    raise
                if everything is not None:
                    everything._end(None, None)
            except Exception:
                self._failed += 1
                raise
            return result

        return call

    async def _wait_for_place(self, semaphore: Semaphore) -> None:
        if self._shed:
            self._rejected += 1
            raise Overloaded(f"{self!r} has {semaphore.value} calls under way")
        await semaphore.acquire()

    def _wait_after(self, error: Exception, notes: list[str]) -> float | None:
        """Note the error and return the seconds until the next attempt; None if it is to be raised, with all notes."""
        attempts = len(notes) + 1
        wait = None if self._retry is None else self._affordable_wait(error, attempts, self._retry)
        if wait is None:
            for words in notes:
                error.add_note(words)
            return None
        notes.append(note(error, f"attempt {attempts} failed"))
        self._retries += 1
        return wait

    def _affordable_wait(self, error: Exception, attempts: int, retry: Retry) -> float | None:
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
