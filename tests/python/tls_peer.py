"""The other end of a TLS connection, in the test's hand: what it sends, how it is cut, and when it ends.

It is no transport: OpenSSL between two buffers, and the loop's ``sock_*`` methods for the bytes.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import subprocess
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path


class Certificate:
    """A key and a certificate for ``localhost`` that it has signed itself, and contexts that trust it."""

    def __init__(self, folder: Path) -> None:
        """Make both."""
        self.key, self.path = folder / "key.pem", folder / "certificate.pem"
        command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost"
        names = ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(self.key), "-out", str(self.path)]
        subprocess.run([*command.split(), *names], check=True, capture_output=True)

    def server(self) -> ssl.SSLContext:
        """Return a context for servers."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.path, self.key)
        return context

    def client(self) -> ssl.SSLContext:
        """Return a context for clients."""
        return ssl.create_default_context(cafile=str(self.path))


class Peer:
    """A TLS server at one end of a pair of sockets."""

    def __init__(self, context: ssl.SSLContext) -> None:
        """Make the pair; ``other`` is for the loop under test."""
        self.sock, self.other = socket.socketpair()
        self.sock.settimeout(0)
        self.other.settimeout(0)
        self._loop = asyncio.get_running_loop()
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self.received = bytearray()
        self.was_told = False
        """The other end has said farewell."""
        self.records = 0
        """Records that have come with data."""

    async def shake_hands(self) -> None:
        """Do the server's part of the handshake."""
        await self._until_done(self.tls.do_handshake)

    async def send(self, data: bytes) -> None:
        """Send data, encrypted."""
        await self._loop.sock_sendall(self.sock, self.seal(data))

    def seal(self, data: bytes) -> bytes:
        """Return what is to be sent for data."""
        view = memoryview(data)
        while view:
            view = view[self.tls.write(view) :]
        return self._outgoing.read()

    def farewell(self) -> bytes:
        """Return what is to be sent as the end."""
        with contextlib.suppress(ssl.SSLWantReadError):
            self.tls.unwrap()
        return self._outgoing.read()

    async def receive(self, count: int) -> bytes:
        """Return so many bytes."""
        while len(self.received) < count:
            assert await self._receive_some(), "the end comes early"
        data = bytes(self.received[:count])
        del self.received[:count]
        return data

    async def receive_all(self) -> bytes:
        """Return everything until the other end says farewell."""
        while await self._receive_some():
            pass
        data = bytes(self.received)
        self.received.clear()
        return data

    async def __aenter__(self) -> Peer:  # noqa: PYI034 -- `typing.Self` would be of 3.11 and later, as this is; the name reads better.
        """Do nothing."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the socket."""
        self.sock.close()

    async def _receive_some(self) -> bool:
        try:
            data = await self._until_done(lambda: self.tls.read(65536))
        except ssl.SSLEOFError:
            return False
        except ssl.SSLZeroReturnError:
            data = b""
        if not data:
            self.was_told = True
            return False
        self.received += data
        self.records += 1
        return True

    async def _until_done(self, step: Callable[[], Any]) -> Any:
        while True:
            try:
                result = step()
            except ssl.SSLWantReadError:
                await self._flush()
                data = await self._loop.sock_recv(self.sock, 65536)
                if data:
                    self._incoming.write(data)
                else:
                    self._incoming.write_eof()
            else:
                await self._flush()
                return result

    async def _flush(self) -> None:
        if self._outgoing.pending:
            await self._loop.sock_sendall(self.sock, self._outgoing.read())


class Application(asyncio.Protocol):
    """Notes what it is told."""

    def __init__(self, on_data: Callable[[asyncio.Transport, bytes], None] | None = None) -> None:
        """Remember what to do with data."""
        self.calls: list[str] = []
        self.data = bytearray()
        self.lost: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
        self._on_data = on_data

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport: Any = transport
        self.calls.append("made")

    def data_received(self, data: bytes) -> None:
        """Keep the data."""
        self.data += data
        self.calls.append("data")
        if self._on_data is not None:
            self._on_data(self.transport, data)

    def eof_received(self) -> None:
        """Note the end."""
        self.calls.append("eof")

    def pause_writing(self) -> None:
        """Note that too much waits."""
        self.calls.append("pause")

    def resume_writing(self) -> None:
        """Note that more may come."""
        self.calls.append("resume")

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the loss."""
        self.calls.append("lost")
        self.lost.set_result(exc)


class Buffered(asyncio.BufferedProtocol):
    """Has a buffer of its own."""

    def __init__(self, size: int) -> None:
        """Make a buffer of some size."""
        self._buffer = bytearray(size)
        self.data = bytearray()
        self.lost: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport: Any = transport

    def get_buffer(self, sizehint: int) -> memoryview:
        """Give the buffer."""
        assert sizehint >= -1
        return memoryview(self._buffer)

    def buffer_updated(self, nbytes: int) -> None:
        """Take what is in it."""
        self.data += self._buffer[:nbytes]

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the loss."""
        self.lost.set_result(exc)


async def connected(peer: Peer, application: Any, context: ssl.SSLContext, **options: Any) -> Any:
    """Connect the loop's end and shake hands; return the transport."""
    connecting: Awaitable[Any] = asyncio.get_running_loop().create_connection(
        lambda: application, sock=peer.other, ssl=context, server_hostname="localhost", **options
    )
    (transport, _), _ = await asyncio.gather(connecting, peer.shake_hands())
    return transport
