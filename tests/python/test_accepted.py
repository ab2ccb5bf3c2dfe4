"""Connections that a server accepts: what they tell of themselves, whenever asked, and who owns their descriptors."""

from __future__ import annotations

import asyncio
import gc
import socket
import sys
import warnings
from typing import TYPE_CHECKING, Any

import pytest
from connections import Recorder, is_treadle, receive, until_lost
from loops import not_on, open_descriptors, run, until

if TYPE_CHECKING:
    from pathlib import Path

    from connections import NewLoop

NAMES = ("peername", "sockname", "socket")


async def client_of(server: asyncio.Server) -> socket.socket:
    """Connect a plain socket."""
    client = socket.socket(server.sockets[0].family)
    client.setblocking(False)  # noqa: FBT003 - the method takes no names.
    await asyncio.get_running_loop().sock_connect(client, server.sockets[0].getsockname())
    return client


async def accepted_by(
    loop: asyncio.AbstractEventLoop, protocol: Recorder, host: str = "127.0.0.1"
) -> tuple[asyncio.Server, socket.socket]:
    """Serve, and return the server and its first client once the protocol has the connection."""
    server = await loop.create_server(lambda: protocol, host, 0)
    client = await client_of(server)
    await until(lambda: "connection_made" in protocol.calls)
    return server, client


@pytest.mark.parametrize("when", ["connection_made", "connection_lost", "afterwards"])
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_connection_tells_its_names_whenever_it_is_asked(new_loop: NewLoop, when: str, host: str) -> None:
    known: dict[str, Any] = {}

    def ask(protocol: Recorder) -> None:
        known.update({name: protocol.transport.get_extra_info(name) for name in NAMES})

    async def main() -> None:
        protocol = Recorder() if when == "afterwards" else Recorder(**{when: ask})
        try:
            server, client = await accepted_by(asyncio.get_running_loop(), protocol, host)
        except OSError:
            pytest.skip("no such addresses here")
        with client:
            names = client.getsockname(), client.getpeername()
        await until_lost(protocol)
        if when == "afterwards":
            await asyncio.sleep(0)
            ask(protocol)
            assert known["socket"].fileno() == -1
        assert (known["peername"], known["sockname"]) == names
        assert known["socket"].family == server.sockets[0].family
        server.close()

    if when != "connection_made" and new_loop.__module__.startswith("uvloop"):
        pytest.skip("uvloop knows nothing of closed connections")
    run(new_loop, main())


def test_connection_over_a_unix_socket_tells_its_names(new_loop: NewLoop, tmp_path: Path) -> None:
    async def main() -> None:
        protocol, path = Recorder(), str(tmp_path / "socket")
        server = await asyncio.get_running_loop().create_unix_server(lambda: protocol, path)
        with await client_of(server):
            await until(lambda: "connection_made" in protocol.calls)
            assert protocol.transport.get_extra_info("sockname") == path
            assert not protocol.transport.get_extra_info("peername")
            assert protocol.transport.get_extra_info("socket").family == socket.AF_UNIX
        await until_lost(protocol)
        server.close()

    run(new_loop, main())


@pytest.mark.parametrize("is_asked", [False, True])
def test_descriptor_is_closed_once_whether_or_not_the_socket_was_asked_for(new_loop: NewLoop, is_asked: bool) -> None:  # noqa: FBT001
    async def main() -> None:
        protocol = Recorder()
        server, client = await accepted_by(asyncio.get_running_loop(), protocol)
        gc.collect()
        before = open_descriptors()
        shown = protocol.transport.get_extra_info("socket") if is_asked else None
        assert protocol.transport.get_extra_info("socket") is shown or not is_asked
        assert open_descriptors() == before
        protocol.transport.write(b"answer")
        protocol.transport.close()
        assert await receive(client) == b"answer"
        await until_lost(protocol)
        await asyncio.sleep(0)
        assert len(open_descriptors()) == len(before) - 1
        assert shown is None or shown.fileno() == -1
        # Whoever gets the number next keeps it.
        first, second = socket.socketpair()
        del protocol, shown
        gc.collect()
        first.send(b"x")
        assert second.recv(1) == b"x"
        for one in (first, second, client):
            one.close()
        server.close()

    run(new_loop, main())


def test_options_set_on_the_shown_socket_are_the_connections(new_loop: NewLoop) -> None:
    async def main() -> None:
        protocol = Recorder()
        server, client = await accepted_by(asyncio.get_running_loop(), protocol)
        shown = protocol.transport.get_extra_info("socket")
        assert shown.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        shown.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        again = protocol.transport.get_extra_info("socket")
        assert again.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert again.fileno() == shown.fileno()
        assert again.gettimeout() == 0
        client.send(b"still read")
        await until(lambda: protocol.data == b"still read")
        client.close()
        await until_lost(protocol)
        server.close()

    run(new_loop, main())


@not_on("uvloop", reason="keeps transports alive")
@pytest.mark.parametrize("is_asked", [False, True])
def test_transport_that_is_dropped_unclosed_warns_and_closes_the_descriptor(new_loop: NewLoop, is_asked: bool) -> None:  # noqa: FBT001
    async def main() -> None:
        protocol = Recorder()
        server, client = await accepted_by(asyncio.get_running_loop(), protocol)
        gc.collect()
        before = open_descriptors()
        if is_asked:
            protocol.transport.get_extra_info("socket")
        client.send(b"x")
        await until(lambda: protocol.data == b"x")
        # Nothing but the protocol holds a transport that does not read.
        protocol.transport.pause_reading()
        if is_treadle(new_loop):
            protocol.transport._leave_poll()
        with warnings.catch_warnings(record=True) as complaints:
            warnings.simplefilter("always", ResourceWarning)
            del protocol.transport
            gc.collect()
        assert any("unclosed transport" in str(one.message) for one in complaints)
        assert len(open_descriptors()) == len(before) - 1
        client.close()
        server.close()

    run(new_loop, main())


def test_factory_that_raises_loses_one_connection_and_no_other(new_loop: NewLoop) -> None:
    made: list[Recorder] = []

    def factory() -> Recorder:
        made.append(Recorder())
        if len(made) == 1:
            raise ValueError("the first is refused")
        return made[-1]

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _loop, _context: None)
        server = await loop.create_server(factory, "127.0.0.1", 0)
        first = await client_of(server)
        assert await receive(first) == b""
        second = await client_of(server)
        await until(lambda: len(made) == 2 and "connection_made" in made[1].calls)
        for one in (first, second):
            one.close()
        await until_lost(made[1])
        server.close()

    if new_loop.__module__.startswith("uvloop"):
        pytest.skip("uvloop leaves the first open")
    run(new_loop, main())


@pytest.mark.skipif(sys.version_info < (3, 13), reason="came with Python 3.13")
@not_on("uvloop", reason="does not have them")
@pytest.mark.parametrize("method", ["close_clients", "abort_clients"])
def test_server_closes_the_clients_it_has_and_knows_no_others(new_loop: NewLoop, method: str) -> None:
    async def main() -> None:
        made: list[Recorder] = []

        def factory() -> Recorder:
            made.append(Recorder())
            return made[-1]

        server = await asyncio.get_running_loop().create_server(factory, "127.0.0.1", 0)
        clients = [await client_of(server) for _ in range(5)]
        await until(lambda: sum("connection_made" in one.calls for one in made) == 5)
        made[0].transport.close()
        await until_lost(made[0])
        server.close()
        waiting = asyncio.ensure_future(server.wait_closed())
        await asyncio.sleep(0)
        assert not waiting.done()
        getattr(server, method)()
        await waiting
        assert all(one.is_lost for one in made)
        for client in clients:
            client.close()

    run(new_loop, main())
