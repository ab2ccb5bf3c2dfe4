"""Which objects of the patterns there are, for those who read their statistics.

Nothing is kept but weak references, so an object ends as if nobody knew of it. A child that is forked has those objects
too, and knows of them.
"""

import weakref
from itertools import count
from typing import Any, TypeVar

__all__ = ["REFERENCES", "is_known", "part", "register"]

T = TypeVar("T")

#: A reference to each object that has told of itself, the oldest first, with a number that is its own for ever. Copy it
#: before looking at the objects.
REFERENCES: dict[weakref.ref[Any], int] = {}
_numbers = count(1)
# What C does in one go: no other thread comes in between when an object ends.
_forget = REFERENCES.pop


def register(thing: object) -> None:
    """Let an object be found, by whoever reads ``stats()`` of all there are, as long as it lives."""
    REFERENCES[weakref.ref(thing, _forget)] = next(_numbers)


def part(thing: T) -> T:
    """Return an object, which is not found any more: it is a part of another one, whose statistics speak for both."""
    REFERENCES.pop(weakref.ref(thing), None)
    return thing


def is_known(thing: object) -> bool:
    """Return whether there is a reference to an object here."""
    return weakref.ref(thing) in REFERENCES
