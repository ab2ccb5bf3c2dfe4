"""The statistics of the patterns' objects, read on a loop's way to the system while somebody wants to see them.

It is the loop's own thread that reads, so that nobody waits for the interpreter for it: who asks a loop that is blocked
sees what was read last.
"""

import asyncio
from collections.abc import Callable, Iterator
from functools import partial
from time import monotonic
from typing import Any, TypeAlias

from treadle import _native
from treadle.patterns import registry

__all__ = ["begin", "show"]

# Number, kind, name, state, and the numbers, in the order of the words below.
Row: TypeAlias = tuple[int, str, str | None, str, tuple[int | None, ...]]

# What statistics have in common, see `Figure` in treadle-events.
WORDS = ("in_use", "limit", "waiting", "calls", "failed", "retries", "rejected")
# Objects that are read at once, and for how long, in seconds, until callbacks have their turn.
MOST = 1000
SLICE = 0.001
# Letters of a name.
LONG = 80


def begin() -> Callable[[], tuple[list[Row], int] | None]:
    """Return what reads a part each time it is called: rows, and how many objects were left out; None at the end."""
    return partial(next, _read(), None)


def show() -> None:
    """Read all of them now, in this thread, and show them to the doctor."""
    parts = list(_read())
    _native.show_patterns([row for rows, _ in parts for row in rows], parts[-1][1])


def _read() -> Iterator[tuple[list[Row], int]]:
    # To make a list of them may run the collector, in which objects end; to copy them does not.
    references = list(registry.REFERENCES.copy().items())
    left_out = max(len(references) - MOST, 0)
    if left_out:
        # Whoever has named an object wants to see it.
        references.sort(key=lambda entry: getattr(entry[0](), "name", None) is None)
    rows: list[Row] = []
    until = monotonic() + SLICE
    for reference, number in references[:MOST]:
        thing = reference()
        row = None if thing is None else _row(number, thing)
        # Nobody is kept alive until the next part.
        del thing
        if row is not None:
            rows.append(row)
        if monotonic() > until:
            yield rows, left_out
            rows, until = [], monotonic() + SLICE
    yield rows, left_out


def _row(number: int, thing: Any) -> Row | None:
    try:
        stats = thing.stats()
        name, state = stats["name"], stats.get("state", "")
        figures = tuple(None if (figure := stats.get(word)) is None else max(int(figure), 0) for word in WORDS)
        return number, str(stats["kind"])[:LONG], None if name is None else str(name)[:LONG], str(state), figures
    except Exception:  # noqa: BLE001 - another thread is at it, or it is a class of the program's
        return None
    except BaseException as error:
        # A signal has come just now: it is the program's.
        loop = asyncio._get_running_loop()
        if loop is None:
            raise
        loop.call_soon(_raise, error)
        return None


def _raise(error: BaseException) -> None:
    raise error
