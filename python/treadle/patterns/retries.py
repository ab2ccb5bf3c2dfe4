"""When to try again, how long to wait before, and when trying again makes it worse."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from treadle.patterns.registry import register

__all__ = ["Backoff", "Retry", "RetryBudget"]


@dataclass(frozen=True)
class Backoff:
    """How long to wait before the next attempt: ``initial * factor ** (attempts - 1)``, at most ``max``, in seconds.

    With ``jitter="full"`` it is a random time up to that, so that clients which have failed together do not come back
    together; with ``"equal"`` at least half of it; with ``"none"`` exactly that.
    """

    initial: float = 0.1
    factor: float = 2
    max: float = 10
    jitter: Literal["full", "equal", "none"] = "full"

    def __post_init__(self) -> None:
        """Refuse what makes no sense."""
        if self.initial < 0 or self.max < 0 or self.factor < 1:
            raise ValueError("a backoff has times of 0 s or more, and a factor of 1 or more")
        if self.jitter not in ("full", "equal", "none"):
            raise ValueError(f"jitter= is 'full', 'equal' or 'none', not {self.jitter!r}")

    def delay(self, attempts: int) -> float:
        """Return the seconds to wait after so many attempts have failed, 1 or more."""
        try:
            longest = min(self.max, self.initial * self.factor ** (attempts - 1))
        except OverflowError:
            longest = self.max
        if self.jitter == "none":
            return longest
        lowest = longest / 2 if self.jitter == "equal" else 0.0
        return random.uniform(lowest, longest)  # noqa: S311 - nobody is to guess nothing


class RetryBudget:
    """Retries as a share of calls: when everything fails, they are the load that keeps it down.

    Each call adds ``ratio``, each retry takes 1; ``reserve`` is what there is at first, and at most.
    """

    __slots__ = ("__weakref__", "_left", "_refused", "_reserve", "_spent", "name", "ratio")

    def __init__(self, ratio: float = 0.2, *, reserve: float = 10, name: str | None = None) -> None:
        """Make a budget.

        Args:
            ratio: retries for each call, 0 to 1.
            reserve: retries that may come at once.
            name: what statistics call it.

        Raises:
            ValueError: ``ratio`` is not between 0 and 1, or ``reserve`` less than 1.

        """
        if not 0 <= ratio <= 1 or reserve < 1:
            raise ValueError("a retry budget has a ratio of 0 to 1 and a reserve of 1 or more")
        self.name: str | None = name
        self.ratio: float = ratio
        self._reserve = self._left = float(reserve)
        self._spent = self._refused = 0
        register(self)

    def __repr__(self) -> str:
        """Return the kind and the name."""
        return f"<RetryBudget{'' if self.name is None else f' {self.name!r}'}>"

    def stats(self) -> dict[str, Any]:
        """Return retries ``left``, ``retries`` there were, and those ``rejected``."""
        return {
            "kind": "RetryBudget",
            "name": self.name,
            "left": self._left,
            "retries": self._spent,
            "rejected": self._refused,
        }

    def deposit(self) -> None:
        """Count a call."""
        if self._left < self._reserve:
            self._left = min(self._reserve, self._left + self.ratio)

    def withdraw(self) -> bool:
        """Take one retry, and return whether there was one."""
        if self._left < 1:
            self._refused += 1
            return False
        self._left -= 1
        self._spent += 1
        return True


@dataclass(frozen=True)
class Retry:
    """Which errors are worth another attempt, and how many there are. For :class:`treadle.Policy` and the supervisor.

    ``on`` is an exception type, several, or a function that is given the exception and returns whether to try again; a
    number that it returns is the seconds to wait instead of the backoff, and for those the policy's limiter lets nobody
    through: ``Retry-After``. Cancellation, :class:`treadle.BreakerOpen` and what is no :class:`Exception` are never
    tried again.

    Attributes:
        on: which errors.
        attempts: calls in all, 1 or more.
        backoff: the wait before the next.
        budget: shared by all that use this object; None for no limit but ``attempts``.

    """

    on: type[Exception] | tuple[type[Exception], ...] | Callable[[Exception], bool | float]
    attempts: int = 3
    backoff: Backoff = Backoff()
    budget: RetryBudget | None = field(default_factory=RetryBudget)

    def __post_init__(self) -> None:
        """Refuse what makes no sense."""
        if self.attempts < 1:
            raise ValueError(f"there is 1 attempt or more, not {self.attempts!r}")

    def delay_after(self, error: Exception, attempts: int) -> tuple[float, bool] | None:
        """Return how many seconds to wait after so many attempts, and whether the error says so; None to give up."""
        asked = False
        if isinstance(self.on, (type, tuple)):
            if not isinstance(error, self.on):
                return None
            answer: bool | float = True
        else:
            answer = self.on(error)
        if answer is False or attempts >= self.attempts:
            return None
        if self.budget is not None and not self.budget.withdraw():
            error.add_note("not tried again: the retry budget is spent")
            return None
        if answer is not True:
            asked = True
        return (max(0.0, float(answer)) if asked else self.backoff.delay(attempts)), asked
