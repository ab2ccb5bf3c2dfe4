"""Peers that behave badly on every kind of connection: they reset, end halfway, drip, or never read."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
from typing import TYPE_CHECKING, Any

import pytest
from connections import Recorder, is_treadle, reported, reset, sockets, tls_contexts, until_lost
from loops import not_on, open_descriptors, run, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from connections import NewLoop

pytestmark = not_on("uvloop", reason="opens descriptors of its own while it runs")

KINDS = ["tcp", "unix", "tls"]


async def without_blocking(call: Any) -> Any:
    """Call until it does not want to wait."""
    async with asyncio.timeout(5):
        while True:
            with contextlib.suppress(BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return call()
            await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def connection(kind: str, protocol: Recorder) -> AsyncIterator[tuple[Any, Any]]:
    """Give a transport and the peer's socket; check that nothing is left of both."""
    loop = asyncio.get_running_loop()
    before = open_descriptors()
    near, far = sockets(tcp=kind != "unix")
    peer: Any = far
    if kind == "tls":
        server, client = tls_contexts()
        peer = client.wrap_socket(far, do_handshake_on_connect=False)
        hands = asyncio.ensure_future(without_blocking(peer.do_handshake))
        transport, _ = await loop.connect_accepted_socket(lambda: protocol, near, ssl=server)
        await hands
    else:
        transport, _ = await loop.create_connection(lambda: protocol, sock=near)
    try:
        yield transport, peer
    finally:
        if not protocol.is_lost:
            transport.abort()
        peer.close()
    await until_lost(protocol)
    await until(lambda: open_descriptors() <= before)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("state", ["idle", "paused", "writing", "closing"])
def test_peer_that_resets_ends_its_connection_and_nothing_else(new_loop: NewLoop, kind: str, state: str) -> None:
    async def main() -> None:
        failures = reported(asyncio.get_running_loop())
        protocol = Recorder()
        async with connection(kind, protocol) as (transport, peer):
            # Closing resets a Unix socket if something is unread.
            transport.write(b"unread")
            await asyncio.sleep(0.001)
            if state == "paused":
                transport.pause_reading()
            elif state != "idle":
                while "pause_writing" not in protocol.calls:
                    transport.write(bytes(1 << 20))
                    await asyncio.sleep(0)
            if state == "closing":
                transport.close()
            if kind == "unix":
                peer.close()
            else:
                reset(peer)
            if state == "paused":
                # Who does not read hears of it when writing, if not before.
                transport.resume_reading()
            await until_lost(protocol)
        assert protocol.calls.count("connection_lost") == 1
        assert "data_received" not in protocol.calls
        if kind != "tls":
            assert isinstance(protocol.error, (ConnectionResetError, BrokenPipeError))
        assert not failures

    run(new_loop, main())


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_peer_that_ends_halfway_gets_what_it_asked_for(new_loop: NewLoop, kind: str) -> None:
    answer = bytes(range(256)) * 4000

    async def main() -> None:
        protocol = Recorder(eof_received=lambda _: True)
        async with connection(kind, protocol) as (transport, peer):
            peer.send(b"question")
            peer.shutdown(socket.SHUT_WR)
            await until(lambda: "eof_received" in protocol.calls)
            assert protocol.data == b"question"
            assert not transport.is_closing()
            transport.write(answer)
            transport.close()
            received = bytearray()
            while data := await without_blocking(lambda: peer.recv(1 << 16)):
                received += data
            assert received == answer
            await until_lost(protocol)
            assert protocol.error is None
            assert protocol.calls.count("eof_received") == 1

    run(new_loop, main())


@pytest.mark.parametrize("kind", [*KINDS, "pipe", "datagram"])
def test_peer_that_sends_a_byte_at_a_time_is_understood(new_loop: NewLoop, kind: str) -> None:
    words = b"one after the other"

    async def main() -> None:
        protocol = Recorder()
        if kind == "pipe":
            await drip_into_pipe(protocol, words)
        elif kind == "datagram":
            await drip_datagrams(protocol, words)
        else:
            async with connection(kind, protocol) as (_, peer):
                for byte in words:
                    await without_blocking(lambda byte=byte: peer.send(bytes([byte])))
                    await asyncio.sleep(0)
                await until(lambda: len(protocol.data) == len(words))
        assert protocol.data == words

    run(new_loop, main())


async def drip_into_pipe(protocol: Recorder, words: bytes) -> None:
    """Send each byte by itself."""
    reader, writer = os.pipe()
    with open(reader, "rb", 0) as pipe:  # noqa: ASYNC230, PTH123
        await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, pipe)
        for byte in words:
            os.write(writer, bytes([byte]))
            await asyncio.sleep(0)
        os.close(writer)
        await until_lost(protocol)
    assert protocol.error is None


async def drip_datagrams(protocol: Recorder, words: bytes) -> None:
    """Send each byte by itself."""

    class Datagrams(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, _addr: object) -> None:
            assert len(data) == 1
            protocol.data += data

    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Datagrams, ("127.0.0.1", 0))
    with socket.socket(type=socket.SOCK_DGRAM) as far:
        for byte in words:
            far.sendto(bytes([byte]), transport.get_extra_info("sockname"))
            await asyncio.sleep(0)
        await until(lambda: len(protocol.data) == len(words))
    transport.close()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("end", ["abort", "peer goes"])
def test_peer_that_never_reads_holds_nobody_up(new_loop: NewLoop, kind: str, end: str) -> None:
    async def main() -> None:
        failures = reported(asyncio.get_running_loop())
        protocol = Recorder()
        async with connection(kind, protocol) as (transport, peer):
            for _ in range(20):
                transport.write(bytes(1 << 20))
                await asyncio.sleep(0)
            assert protocol.calls == ["connection_made", "pause_writing"]
            # Others go on meanwhile.
            other = Recorder()
            async with connection(kind, other) as (_, talker):
                await without_blocking(lambda: talker.send(b"hello"))
                await until(lambda: other.data == b"hello")
            # And the other direction of this one.
            await without_blocking(lambda: peer.send(b"hello"))
            await until(lambda: protocol.data == b"hello")
            if end == "abort":
                transport.abort()
            else:
                peer.close()
            await until_lost(protocol)
        assert "resume_writing" not in protocol.calls
        assert not failures

    if kind == "tls" and not is_treadle(new_loop):
        pytest.skip("encrypts everything into memory first")
    run(new_loop, main())


@not_on("uvloop", reason="reports it")
@pytest.mark.parametrize("kind", KINDS)
def test_peer_that_is_gone_at_once_is_no_failure(new_loop: NewLoop, kind: str) -> None:
    async def main() -> None:
        failures = reported(asyncio.get_running_loop())
        served: list[Recorder] = []

        def factory() -> Recorder:
            served.append(Recorder())
            return served[-1]

        loop = asyncio.get_running_loop()
        options: Any = {"ssl": tls_contexts()[0]} if kind == "tls" else {}
        if kind == "unix":
            listening = socket.socket(socket.AF_UNIX)
            listening.bind("")
            server = await loop.create_unix_server(factory, sock=listening)
        else:
            server = await loop.create_server(factory, "127.0.0.1", 0, **options)
        for _ in range(5):
            with socket.socket(socket.AF_UNIX if kind == "unix" else socket.AF_INET) as peer:
                peer.connect(server.sockets[0].getsockname())
                if kind != "unix":
                    reset(peer)
        # Those that TLS serves are never made.
        await until(lambda: len(served) == 5 and (kind == "tls" or all(one.is_lost for one in served)))
        await asyncio.sleep(0.005)
        server.close()
        await server.wait_closed()
        assert not failures

    run(new_loop, main())
