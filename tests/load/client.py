"""The side of the peers: HTTP on asyncio's own loop, and a tally of what came of each request."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import itertools
import json
import ssl
from dataclasses import dataclass, field
from typing import Any

PATIENCE = 30.0
# What a connection may fail with; anything else is a fault of the script.
BROKEN = (OSError, asyncio.IncompleteReadError, ssl.SSLError)
NUMBERS = itertools.count()


@dataclass
class Tally:
    """What was asked for, what was acknowledged, and what failed."""

    asked: int = 0
    acknowledged: set[str] = field(default_factory=set)
    errors: collections.Counter[str] = field(default_factory=collections.Counter)
    # Errors that the scenario itself has made.
    provoked: int = 0


@dataclass(frozen=True)
class Address:
    """Where a server is."""

    port: int
    tls: ssl.SSLContext | None

    async def connect(self, **options: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Return a connection."""
        options |= {"server_hostname": "localhost"} if self.tls else {}
        async with asyncio.timeout(PATIENCE):
            return await asyncio.open_connection("127.0.0.1", self.port, ssl=self.tls, **options)

    async def facts(self) -> dict[str, Any]:
        """Return what the server says of itself."""
        client = Client(self)
        try:
            return await client.facts()
        finally:
            await client.close()


class Client:
    """One connection, which is made when it is needed and kept."""

    def __init__(self, address: Address) -> None:
        """Take where to."""
        self.address = address
        self.streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        # The process that has acknowledged something last.
        self.server = 0

    async def get(self, path: str) -> tuple[int, bytes]:
        """Return the status and the body."""
        if self.streams is None:
            self.streams = await self.address.connect()
        reader, writer = self.streams
        async with asyncio.timeout(PATIENCE):
            writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            _, status, *_ = head.split(maxsplit=2)
            length = next(
                int(line.partition(":")[2]) for line in head.split("\r\n") if line.startswith("content-length:")
            )
            body = await reader.readexactly(length)
        if "connection: close" in head:
            await self.close()
        return int(status), body

    async def ask(self, kind: str, tally: Tally) -> bool:
        """Ask for something that is to be acknowledged, and count it; return whether it was."""
        number = f"{kind}-{next(NUMBERS)}"
        tally.asked += 1
        try:
            status, body = await self.get(f"/{kind}/{number}")
        except BROKEN as error:
            tally.errors[type(error).__name__] += 1
            await self.close()
            return False
        if status != 200:
            tally.errors[f"{status} {body[:60].decode('latin-1')}"] += 1
            return False
        self.server = int(body)
        tally.acknowledged.add(number)
        return True

    async def facts(self) -> dict[str, Any]:
        """Return what the process at the other end says of itself."""
        _, body = await self.get("/facts")
        facts: dict[str, Any] = json.loads(body)
        return facts

    async def close(self) -> None:
        """Close the connection, if there is one."""
        if self.streams is not None:
            _, writer = self.streams
            self.streams = None
            writer.close()
            with contextlib.suppress(*BROKEN, TimeoutError):
                async with asyncio.timeout(5):
                    await writer.wait_closed()
