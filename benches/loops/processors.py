"""Which processor the process under test has to itself, and which are for the others."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Processors:
    """The processors that may be used, shared out."""

    tested: frozenset[int]
    """One, for the loop under test."""
    others: frozenset[int]
    """For clients and for who measures; the same one where there is no other."""

    @classmethod
    def here(cls) -> "Processors":
        """Share out what this process may use."""
        if not hasattr(os, "sched_getaffinity"):
            return cls(frozenset(), frozenset())
        allowed = os.sched_getaffinity(0)
        first = min(allowed)
        # The other thread of the same core takes from the one under test, so it is used only when nothing else is left.
        apart = allowed - siblings(first) or allowed - {first} or allowed
        return cls(frozenset({first}), frozenset(apart))

    @property
    def threads(self) -> int:
        """Return how many threads or processes a client may have."""
        return min(2, max(1, len(self.others)))


def siblings(processor: int) -> set[int]:
    """Return the processors that are one core with this one, itself included."""
    listed = Path(f"/sys/devices/system/cpu/cpu{processor}/topology/thread_siblings_list")
    found = {processor}
    if listed.exists():
        for part in listed.read_text(encoding="ascii").strip().split(","):
            low, _, high = part.partition("-")
            found.update(range(int(low), int(high or low) + 1))
    return found


@contextmanager
def placed(processors: frozenset[int]) -> Iterator[None]:
    """Let the processes that are started here run on these processors."""
    if not processors:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, processors)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
