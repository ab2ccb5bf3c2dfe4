"""The connections that a server has, from Python 3.13 on."""

import asyncio
import weakref
from collections.abc import Iterator
from typing import Any


class Clients:
    """The transports of a server, weakly: what ``Server`` needs of a ``WeakSet``, at a third of its price."""

    __slots__ = ("_references",)

    def __init__(self) -> None:
        """Begin without any."""
        self._references: dict[int, weakref.ref[asyncio.BaseTransport]] = {}

    def add(self, transport: asyncio.BaseTransport) -> None:
        """Add a transport."""
        self._references[id(transport)] = weakref.ref(transport)

    def discard(self, transport: asyncio.BaseTransport) -> None:
        """Remove a transport, if it is there."""
        self._references.pop(id(transport), None)

    def copy(self) -> list[asyncio.BaseTransport]:
        """Return those that live."""
        return list(self)

    def __iter__(self) -> Iterator[asyncio.BaseTransport]:
        """Go through those that live."""
        transports = [reference() for reference in self._references.values()]
        return iter([transport for transport in transports if transport is not None])

    def __len__(self) -> int:
        """Count them; those that were dropped without being closed count as long as others follow that are there."""
        references = self._references
        while references:
            last = next(reversed(references))
            if references[last]() is not None:
                break
            del references[last]
        return len(references)


def keep(server: Any) -> None:
    """Have a server keep its connections in a way that costs less."""
    if hasattr(server, "_clients"):
        server._clients = Clients()
