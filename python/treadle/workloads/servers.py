"""Servers as small as they can be; who loads them stands outside."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import cast

Start = Callable[[int], Awaitable[asyncio.Server]]

HOST = "127.0.0.1"
BODY = b"Hello, world!"
PAGE = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY)


async def serve(start: Start, port: int) -> None:
    """Serve until the process is ended."""
    server = await start(port)
    async with server:
        await server.serve_forever()


class Echo(asyncio.Protocol):
    """Every byte goes back."""

    transport: asyncio.WriteTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where to."""
        # uvloop's is no instance of asyncio's class.
        self.transport = cast("asyncio.WriteTransport", transport)

    def data_received(self, data: bytes) -> None:
        """Send it back."""
        self.transport.write(data)


async def echo(port: int) -> asyncio.Server:
    """Serve a protocol that sends everything back."""
    return await asyncio.get_running_loop().create_server(Echo, HOST, port)


async def streams(port: int) -> asyncio.Server:
    """Do the same with streams."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()

    return await asyncio.start_server(handle, HOST, port)


async def http(port: int) -> asyncio.Server:
    """Answer each request with the same short page."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(PAGE)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    return await asyncio.start_server(handle, HOST, port)


SERVERS: dict[str, Start] = {"echo": echo, "streams": streams, "http": http}
