"""Servers as people write them, on whatever loop runs.

Each takes the address to bind and returns the one that clients use; it serves until the process is ended.
"""

import asyncio
import importlib
import socket
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

PARTS = 64
"""Bytes of the first piece of a reply in two."""
KEPT: list[object] = []
"""What must live as long as the process."""


@dataclass(frozen=True)
class Place:
    """Where to listen."""

    transport: str
    path: str
    """Of a Unix socket, or of the certificate and key for TLS."""


def listening() -> tuple[socket.socket, str]:
    """Return a listening socket on a free port, and its address."""
    # asyncio switches Nagle's algorithm off only where it reads the protocol's number, as `getaddrinfo` gives it.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen(4096)
    listener.settimeout(0)
    return listener, f"tcp:127.0.0.1:{listener.getsockname()[1]}"


class Echo(asyncio.Protocol):
    """Every byte goes back."""

    __slots__ = ("transport",)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport, which is not in every loop an instance of asyncio's class."""
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        """Answer at once."""
        self.transport.write(data)


class Pieces(Echo):
    """Every byte goes back, in two writes, as a head and a body do."""

    __slots__ = ()

    def data_received(self, data: bytes) -> None:
        """Answer with two writes."""
        self.transport.write(data[:PARTS])
        self.transport.write(data[PARTS:])


class Closing(asyncio.Protocol):
    """Nobody stays."""

    __slots__ = ()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Close what was accepted."""
        transport.close()


class Datagrams(asyncio.DatagramProtocol):
    """Every datagram goes back."""

    __slots__ = ("transport",)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport: asyncio.DatagramTransport = transport  # type: ignore[assignment]

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        """Answer at once."""
        self.transport.sendto(data, address)


async def _serve(made: type[asyncio.Protocol], place: Place, tls: ssl.SSLContext | None = None) -> str:
    loop = asyncio.get_running_loop()
    if place.transport == "unix":
        KEPT.append(await loop.create_unix_server(made, place.path))
        return f"unix:{place.path}"
    listener, address = listening()
    KEPT.append(await loop.create_server(made, sock=listener, ssl=tls, backlog=4096))
    return address


async def protocol(place: Place) -> str:
    """Echo with a protocol."""
    return await _serve(Echo, place)


async def pieces(place: Place) -> str:
    """Echo with two writes."""
    return await _serve(Pieces, place)


async def closing(place: Place) -> str:
    """Close every connection."""
    return await _serve(Closing, place)


async def echo_stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Echo what there is."""
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


async def echo_lines(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Echo line by line."""
    while line := await reader.readline():
        writer.write(line)
        await writer.drain()
    writer.close()


async def streams(place: Place, tls: ssl.SSLContext | None = None) -> str:
    """Echo with streams."""
    listener, address = listening()
    KEPT.append(await asyncio.start_server(echo_stream, sock=listener, ssl=tls, backlog=4096))
    assert place.transport == "tcp"
    return address


async def readline(place: Place) -> str:
    """Echo with streams, line by line."""
    listener, address = listening()
    KEPT.append(await asyncio.start_server(echo_lines, sock=listener, backlog=4096))
    assert place.transport == "tcp"
    return address


async def sock(_place: Place) -> str:
    """Echo with the loop's methods for sockets."""
    loop = asyncio.get_running_loop()
    listener, address = listening()

    async def echo(accepted: socket.socket) -> None:
        with accepted:
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while data := await loop.sock_recv(accepted, 65536):
                await loop.sock_sendall(accepted, data)

    async def accept() -> None:
        while True:
            accepted, _ = await loop.sock_accept(listener)
            accepted.settimeout(0)
            KEPT.append(loop.create_task(echo(accepted)))

    KEPT.append(loop.create_task(accept()))
    return address


def _context(place: Place) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(place.path)
    return context


async def tls_protocol(place: Place) -> str:
    """Echo over TLS with a protocol."""
    return await _serve(Echo, place, _context(place))


async def tls_streams(place: Place) -> str:
    """Echo over TLS with streams."""
    return await streams(place, _context(place))


async def datagrams(_place: Place) -> str:
    """Echo over UDP."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Datagrams, local_addr=("127.0.0.1", 0))
    KEPT.append(transport)
    host, port = transport.get_extra_info("sockname")
    return f"udp:{host}:{port}"


async def uvicorn(_place: Place) -> str:
    """Serve a short page with uvicorn and httptools."""
    server = importlib.import_module("uvicorn")
    importlib.import_module("httptools")
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"13")]

    async def page(_scope: object, _receive: object, send: Callable[[dict[str, object]], Awaitable[None]]) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"Hello, world!"})

    listener, address = listening()
    config = server.Config(page, http="httptools", lifespan="off", access_log=False, log_level="warning")
    KEPT.append(asyncio.get_running_loop().create_task(server.Server(config).serve(sockets=[listener])))
    return address


async def aiohttp(_place: Place) -> str:
    """Serve a short page with aiohttp."""
    web = importlib.import_module("aiohttp.web")

    async def page(_request: object) -> object:
        return web.Response(text="Hello, world!")

    application = web.Application()
    application.router.add_get("/", page)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    listener, address = listening()
    await web.SockSite(runner, listener).start()
    KEPT.append(runner)
    return address


SERVERS: dict[str, Callable[[Place], Awaitable[str]]] = {
    "protocol": protocol,
    "pieces": pieces,
    "closing": closing,
    "streams": streams,
    "readline": readline,
    "sock": sock,
    "tls_protocol": tls_protocol,
    "tls_streams": tls_streams,
    "datagrams": datagrams,
    "uvicorn": uvicorn,
    "aiohttp": aiohttp,
}
