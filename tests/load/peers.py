"""Peers that do not behave: slow, half there, gone. Those who behave must not feel it."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import TYPE_CHECKING

from client import BROKEN, Client, Tally
from judged import Outcome, recorded, rounds
from served import House, Running, serving

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

MANY = 40
# Of 4 MiB; the rest is never taken.
TAKEN = 512 * 1024


async def slow_readers(house: House) -> Outcome:
    """Take a large reply in small pieces, and go away before its end."""
    return await misbehave(house, slow_reader)


async def half_open(house: House) -> Outcome:
    """Stop in the middle of a request: be silent, or say that nothing more comes."""
    return await misbehave(house, silent_peer, closing_peer)


async def resets(house: House) -> Outcome:
    """Reset the connection before the request, in the middle of it, and in the middle of the reply."""
    peers = (resetting_peer(request) for request in (b"", REQUEST[:-2], REQUEST))
    return await misbehave(house, *peers, expected=WRITTEN_ON)


REQUEST = b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n"
# What asyncio has loops say when somebody writes on and on to a peer that is gone.
WRITTEN_ON = r"^socket\.send\(\) raised exception\.$"


async def misbehave(house: House, *peers: Callable[[Running], Awaitable[None]], expected: str | None = None) -> Outcome:
    """Have many of these peers, and ten beside them who behave, several times."""

    async def once(running: Running, outcome: Outcome) -> None:
        crowd = [asyncio.ensure_future(peer(running)) for peer in peers for _ in range(MANY)]
        await asyncio.gather(*(well_behaved(running, outcome.tally) for _ in range(10)))
        await asyncio.gather(*crowd)

    async with serving(house) as running:
        outcome = await rounds(running, once, expected)
    outcome.judge(recorded(house))
    return outcome


async def well_behaved(running: Running, tally: Tally) -> None:
    """Ask what is small."""
    client = Client(running.address)
    for _ in range(50):
        await client.ask("order", tally)
    await client.close()


async def slow_reader(running: Running) -> None:
    """Read 16 KiB at a time, with a pause after each."""
    reader, writer = await running.address.connect(limit=16 * 1024)
    writer.write(REQUEST)
    taken = 0
    while taken < TAKEN:
        piece = await reader.read(16 * 1024)
        if not piece:
            raise ConnectionError(f"a large reply ends after {taken} bytes")
        taken += len(piece)
        await asyncio.sleep(0.02)
    await left(writer)


async def silent_peer(running: Running) -> None:
    """Send half a request, wait, and close."""
    _, writer = await running.address.connect()
    writer.write(REQUEST[:-2])
    await asyncio.sleep(0.5)
    await left(writer)


async def closing_peer(running: Running) -> None:
    """Send half a request and the end of what comes, and wait for the server to close."""
    reader, writer = await running.address.connect()
    writer.write(REQUEST[:-2])
    if writer.can_write_eof():
        writer.write_eof()
        async with asyncio.timeout(10):
            await reader.read()
    await left(writer)


def resetting_peer(request: bytes) -> Callable[[Running], Awaitable[None]]:
    """Return a peer that sends this much and resets."""

    async def peer(running: Running) -> None:
        _, writer = await running.address.connect()
        writer.write(request)
        await asyncio.sleep(0.05)
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    return peer


async def left(writer: asyncio.StreamWriter) -> None:
    """Close, whatever the other side thinks of it."""
    writer.transport.abort()
    try:
        async with asyncio.timeout(5):
            await writer.wait_closed()
    except BROKEN:
        return
