"""In which context a protocol is called: from Python 3.15 on in one for each connection."""

from __future__ import annotations

import asyncio
import contextvars
import socket
import sys
from typing import TYPE_CHECKING

import pytest
from connections import tls_contexts
from loops import not_on, run, until

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    NewLoop = Callable[[], asyncio.AbstractEventLoop]

HAS_ONE = sys.version_info >= (3, 15)
LAST: contextvars.ContextVar[str] = contextvars.ContextVar("LAST", default="nothing")

pytestmark = [not_on("uvloop", reason="calls some in the context of whoever runs the loop")]


class Steps(asyncio.Protocol):
    """Notes with each call which one came before it in the same context."""

    def __init__(self) -> None:
        """Be made by the factory."""
        self.seen: list[tuple[str, str]] = []
        self.step("factory")

    def step(self, name: str) -> None:
        """Note a call."""
        self.seen.append((name, LAST.get()))
        LAST.set(name)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Come first."""
        self.transport = transport
        self.step("made")

    def data_received(self, data: bytes) -> None:
        """Be called for each byte."""
        assert len(data) == 1
        self.step("data")

    def eof_received(self) -> None:
        """Hear that no more comes."""
        self.step("eof")

    def connection_lost(self, exc: Exception | None) -> None:
        """Come last."""
        assert exc is None
        self.step("lost")

    async def until(self, count: int) -> None:
        """Wait until so many calls were noted."""
        await until(lambda: len(self.seen) >= count)


async def accepted(protocols: list[Steps], number: int) -> Steps:
    """Wait for a server's connection."""
    await until(lambda: len(protocols) > number)
    await protocols[number].until(2)
    return protocols[number]


async def converse(peer: socket.socket, protocol: Steps) -> None:
    """Send two bytes and the end."""
    loop = asyncio.get_running_loop()
    for count in (3, 4):
        await loop.sock_sendall(peer, b".")
        await protocol.until(count)
    peer.shutdown(socket.SHUT_WR)
    await protocol.until(6)


def test_each_accepted_connection_has_its_own(new_loop: NewLoop) -> None:
    protocols: list[Steps] = []

    def factory() -> Steps:
        protocols.append(Steps())
        return protocols[-1]

    async def main() -> None:
        loop = asyncio.get_running_loop()
        LAST.set("server")
        server = await loop.create_server(factory, "127.0.0.1", 0)
        LAST.set("main")
        for number in range(2):
            with socket.create_connection(server.sockets[0].getsockname()) as peer:
                peer.setblocking(False)  # noqa: FBT003 -- the method takes no names.
                await converse(peer, await accepted(protocols, number))
        server.close()
        await server.wait_closed()

    run(new_loop, main())
    expected = [
        ("factory", "server"),
        ("made", "factory"),
        ("data", "made" if HAS_ONE else "factory"),
        ("data", "data"),
        ("eof", "data"),
        ("lost", "eof"),
    ]
    assert [protocol.seen for protocol in protocols] == [expected, expected]


@pytest.mark.parametrize("kind", ["connect", "unix", "accepted"])
def test_a_connection_that_a_program_makes_has_a_copy_of_its_context(new_loop: NewLoop, kind: str) -> None:
    async def main() -> Steps:
        loop = asyncio.get_running_loop()
        ours, peer = socket.socketpair()
        peer.setblocking(False)  # noqa: FBT003 -- the method takes no names.
        LAST.set("program")
        if kind == "connect":
            transport, protocol = await loop.create_connection(Steps, sock=ours)
        elif kind == "unix":
            transport, protocol = await loop.create_unix_connection(Steps, sock=ours)
        else:
            transport, protocol = await loop.connect_accepted_socket(Steps, ours)
        with peer:
            await loop.sock_sendall(peer, b".")
            await protocol.until(3)
            LAST.set("closing")
            transport.close()
            await protocol.until(4)
        return protocol

    # The context is copied before the factory is called.
    made, data, lost = ("program", "made", "data") if HAS_ONE else ("factory", "factory", "closing")
    assert run(new_loop, main()).seen == [("factory", "program"), ("made", made), ("data", data), ("lost", lost)]


def test_a_connection_that_is_aborted_ends_in_its_context(new_loop: NewLoop) -> None:
    async def main() -> Steps:
        loop = asyncio.get_running_loop()
        ours, peer = socket.socketpair()
        LAST.set("program")
        transport, protocol = await loop.create_connection(Steps, sock=ours)
        LAST.set("aborting")
        transport.abort()
        await protocol.until(3)
        peer.close()
        return protocol

    assert run(new_loop, main()).seen[-1] == ("lost", "made" if HAS_ONE else "aborting")


def test_connections_through_tls_have_their_own(new_loop: NewLoop) -> None:
    server_context, client_context = tls_contexts()

    async def main() -> list[Steps]:
        loop = asyncio.get_running_loop()
        protocols: list[Steps] = []

        def factory() -> Steps:
            protocols.append(Steps())
            return protocols[-1]

        LAST.set("server")
        server = await loop.create_server(factory, "127.0.0.1", 0, ssl=server_context)
        address = server.sockets[0].getsockname()
        for number in range(2):
            LAST.set("client")
            transport, client = await connect(loop, address, client_context)
            protocol = await accepted(protocols, number)
            for count in (3, 4):
                transport.write(b".")
                await protocol.until(count)
            transport.close()
            await protocol.until(6)
            await client.until(3)
            protocol.seen += client.seen
        server.close()
        await server.wait_closed()
        return protocols

    async def connect(
        loop: asyncio.AbstractEventLoop, address: tuple[str, int], context: ssl.SSLContext
    ) -> tuple[asyncio.Transport, Steps]:
        return await loop.create_connection(Steps, *address, ssl=context, server_hostname="localhost")

    of_server = [
        ("factory", "server"),
        ("made", "factory"),
        ("data", "made"),
        ("data", "data"),
        ("eof", "data"),
        ("lost", "eof"),
    ]
    made = "client" if HAS_ONE else "factory"
    of_client = [("factory", "client"), ("made", made)]
    for protocol in run(new_loop, main()):
        assert protocol.seen[:6] == of_server
        assert protocol.seen[6:8] == of_client


def test_the_task_of_a_stream_server_sees_what_its_connection_has(new_loop: NewLoop) -> None:
    seen: list[str] = []

    async def handle(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(LAST.get())
        LAST.set("handler")
        writer.close()
        await writer.wait_closed()

    async def main() -> None:
        LAST.set("server")
        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        LAST.set("main")
        for _ in range(2):
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            assert await reader.read() == b""
            writer.close()
            await writer.wait_closed()
        server.close()
        await server.wait_closed()

    run(new_loop, main())
    assert seen == ["server", "server"]
