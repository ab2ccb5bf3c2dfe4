"""Operations that begin something outside: connections, processes, requests."""

import asyncio
import importlib
import shutil
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from benches.loops.batches import Batch

# On, and no time to linger: closing resets, so that no port waits for stragglers.
NO_LINGER = struct.pack("ii", 1, 0)


@asynccontextmanager
async def sock_connect(peer: str) -> AsyncIterator[Batch]:
    """Connect and close, one connection after the other."""
    loop = asyncio.get_running_loop()
    host, port = peer.removeprefix("tcp:").rsplit(":", 1)
    address = (host, int(port))

    async def batch(count: int) -> None:
        for _ in range(count):
            connecting = socket.socket()
            connecting.settimeout(0)
            connecting.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
            await loop.sock_connect(connecting, address)
            connecting.close()

    yield batch


@asynccontextmanager
async def subprocess(_peer: str) -> AsyncIterator[Batch]:
    """Start a program that ends at once and wait for it."""
    program = shutil.which("true") or "/bin/true"

    async def batch(count: int) -> None:
        for _ in range(count):
            process = await asyncio.create_subprocess_exec(program)
            await process.wait()

    yield batch


@asynccontextmanager
async def aiohttp_client(peer: str) -> AsyncIterator[Batch]:
    """Get a short page, from fifty tasks that share a session."""
    aiohttp = importlib.import_module("aiohttp")
    url = peer.replace("tcp:", "http://") + "/"
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=50)) as session:

        async def fetch(count: int) -> None:
            for _ in range(count):
                async with session.get(url) as response:
                    await response.read()

        async def batch(count: int) -> None:
            whole, rest = divmod(count, 50)
            await asyncio.gather(*(fetch(whole + (index < rest)) for index in range(50)))

        yield batch


PREPARED: dict[str, Callable[[str], AbstractAsyncContextManager[Batch]]] = {
    "sock_connect": sock_connect,
    "subprocess": subprocess,
    "aiohttp_client": aiohttp_client,
}
