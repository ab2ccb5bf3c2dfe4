"""What a program does with a loop, in pieces that may be cancelled anywhere: for the audit and the soak."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from typing import TYPE_CHECKING, Any

from connections import Recorder, sockets, tls_contexts
from loops import until

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    Scenario = Callable[[], Awaitable[object]]


class Tls:
    """The contexts, made once: making them takes longer than using them."""

    server: ssl.SSLContext
    client: ssl.SSLContext


Tls.server, Tls.client = tls_contexts()


class Echo(asyncio.Protocol):
    """Sends back what comes."""

    def connection_made(self, transport: Any) -> None:
        """Keep the transport."""
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Send it back."""
        self.transport.write(data)


@contextlib.contextmanager
def ends(*, tcp: bool = False) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Give two connected sockets, and close what is left of them."""
    near, far = sockets(tcp=tcp)
    with near, far:
        yield near, far


@contextlib.asynccontextmanager
async def serving(**options: Any) -> AsyncIterator[Any]:
    """Run an echo server; give its address."""
    server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", 0, **options)
    try:
        yield server.sockets[0].getsockname()
    finally:
        server.close()


async def create_connection() -> None:
    """Connect by address, and hear an echo."""
    async with serving() as (host, port):
        transport, _ = await asyncio.get_running_loop().create_connection(Recorder, host, port)
        try:
            transport.write(b"hello")
            await asyncio.sleep(0)
        finally:
            transport.close()


async def connect_with_socket() -> None:
    """Hand a socket to a connection."""
    with ends() as (near, far):
        transport, protocol = await asyncio.get_running_loop().create_connection(Recorder, sock=near)
        try:
            far.send(b"hello")
            await until(lambda: bool(protocol.data))
        finally:
            transport.abort()


async def connect_accepted() -> None:
    """Hand an accepted socket to the loop."""
    with ends(tcp=True) as (near, _):
        transport, _ = await asyncio.get_running_loop().connect_accepted_socket(Recorder, near)
        transport.close()
        await asyncio.sleep(0)


async def connect_tls() -> None:
    """Connect with TLS."""
    async with serving(ssl=Tls.server) as (host, port):
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.create_connection(Recorder, host, port, ssl=Tls.client, server_hostname="")
        try:
            transport.write(b"hello")
            await until(lambda: bool(protocol.data))
        finally:
            transport.abort()


async def start_tls() -> None:
    """Change to TLS on both sides of a connection."""
    loop = asyncio.get_running_loop()
    with ends() as (near, far):
        first, protocol = await loop.create_connection(Recorder, sock=near)
        try:
            second, echo = await loop.create_connection(Echo, sock=far)
            try:
                both = asyncio.gather(
                    loop.start_tls(first, protocol, Tls.client, server_hostname=""),
                    loop.start_tls(second, echo, Tls.server, server_side=True),
                )
                secure, other = await both
                assert secure
                assert other
                echo.transport = other
                secure.write(b"hello")
                await until(lambda: bool(protocol.data))
                secure.abort()
                other.abort()
            finally:
                second.abort()
        finally:
            first.abort()


async def refused() -> None:
    """Connect to where nobody listens."""
    with socket.socket() as silent:
        # Bound for as long as it takes, so that nobody else listens there.
        silent.bind(("127.0.0.1", 0))
        with contextlib.suppress(ConnectionError):
            await asyncio.get_running_loop().create_connection(Recorder, *silent.getsockname())


async def read_pipe() -> None:
    """Read from a pipe."""
    loop = asyncio.get_running_loop()
    reader, writer = os.pipe()
    with open(reader, "rb", 0) as pipe, open(writer, "wb", 0) as other:  # noqa: ASYNC230, PTH123
        transport, protocol = await loop.connect_read_pipe(Recorder, pipe)
        try:
            other.write(b"hello")
            await until(lambda: bool(protocol.data))
        finally:
            transport.close()


async def write_pipe() -> None:
    """Write to a pipe."""
    loop = asyncio.get_running_loop()
    reader, writer = os.pipe()
    with open(reader, "rb", 0), open(writer, "wb", 0) as pipe:  # noqa: ASYNC230, PTH123
        transport, _ = await loop.connect_write_pipe(Recorder, pipe)
        try:
            transport.write(b"hello")
            await asyncio.sleep(0)
        finally:
            transport.close()


async def plain_sockets() -> None:
    """Use the methods for sockets of the program's own."""
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as near:
        server.settimeout(0)
        near.settimeout(0)
        await loop.sock_connect(near, server.getsockname())
        # The connection is there already. Who is cancelled in waiting for one may lose it, in any loop.
        far, _ = await loop.sock_accept(server)
        with far:
            receiving = asyncio.ensure_future(loop.sock_recv(far, 100))
            try:
                await loop.sock_sendall(near, b"hello")
                assert await receiving == b"hello"
            finally:
                receiving.cancel()


async def streams() -> None:
    """Use streams."""
    answered = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(await reader.readline())
            await writer.drain()
        finally:
            writer.close()
            answered.set()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        try:
            writer.write(b"a line\n")
            assert await reader.readline() == b"a line\n"
        finally:
            writer.close()
        await writer.wait_closed()
    finally:
        server.close()


async def unix_server() -> None:
    """Serve and connect by an abstract name."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("")
        path = listening.getsockname()
        server = await loop.create_unix_server(Echo, sock=listening)
        try:
            transport, protocol = await loop.create_unix_connection(Recorder, path)
            try:
                transport.write(b"hello")
                await until(lambda: bool(protocol.data))
            finally:
                transport.close()
        finally:
            server.close()


async def timers_and_tasks() -> None:
    """Wait for this and that."""

    async def nap(seconds: float) -> None:
        await asyncio.sleep(seconds)

    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.0005):
            await asyncio.gather(*(nap(number * 0.0002) for number in range(6)))
    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(nap(0))


async def program() -> None:
    """Run a program."""
    process = await asyncio.create_subprocess_exec("cat", stdin=-1, stdout=-1)
    try:
        await process.communicate(b"hello")
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


# Without those that start programs, which take longer.
QUICK: tuple[Scenario, ...] = (
    create_connection,
    connect_with_socket,
    connect_accepted,
    connect_tls,
    start_tls,
    refused,
    read_pipe,
    write_pipe,
    plain_sockets,
    streams,
    unix_server,
    timers_and_tasks,
)
ALL: tuple[Scenario, ...] = (*QUICK, program)
# asyncio forgets a server that is listening already when whoever makes it is cancelled.
FORGETFUL = (create_connection, connect_tls, streams)
