"""Connections for tests of transports: a protocol that remembers, and peers that are plain sockets."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from typing import TYPE_CHECKING, Any

import loops

if TYPE_CHECKING:
    from collections.abc import Callable

    NewLoop = Callable[[], asyncio.AbstractEventLoop]


class Recorder(asyncio.BaseProtocol):
    """Remembers what it is called with, and does at each call what a test asks for."""

    def __init__(self, **actions: Callable[[Recorder], object]) -> None:
        """Take what to do in which callback; what that returns, the callback returns."""
        self.actions = actions
        self.calls: list[str] = []
        self.data = bytearray()
        self.error: Exception | None = None

    def connection_made(self, transport: Any) -> None:
        """Come first."""
        self.transport = transport
        self.act("connection_made")

    def data_received(self, data: bytes) -> None:
        """Keep the data."""
        assert type(data) is bytes
        assert data
        self.data += data
        self.act("data_received")

    def eof_received(self) -> bool | None:
        """Say what the test says."""
        return bool(self.act("eof_received"))

    def pause_writing(self) -> None:
        """Be told that the peer is slow."""
        self.act("pause_writing")

    def resume_writing(self) -> None:
        """Be told that the peer has caught up."""
        self.act("resume_writing")

    def connection_lost(self, exc: Exception | None) -> None:
        """Come last."""
        self.error = exc
        self.act("connection_lost")

    def act(self, name: str) -> object:
        """Remember a call and do what the test asks for."""
        self.calls.append(name)
        action = self.actions.get(name)
        return action(self) if action else None

    @property
    def is_lost(self) -> bool:
        """Whether the connection is gone."""
        return "connection_lost" in self.calls


class BufferedRecorder(Recorder, asyncio.BufferedProtocol):
    """Remembers, with a buffer of its own."""

    def __init__(self, **actions: Callable[[Recorder], object]) -> None:
        """Take what to do in which callback."""
        super().__init__(**actions)
        self.buffer = bytearray(4096)

    def get_buffer(self, sizehint: int) -> bytearray:
        """Give the buffer."""
        assert isinstance(sizehint, int)
        self.act("get_buffer")
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Keep the data."""
        self.data += self.buffer[:nbytes]
        self.act("buffer_updated")


def sockets(*, tcp: bool = False) -> tuple[socket.socket, socket.socket]:
    """Return two connected sockets that do not block."""
    if tcp:
        with socket.create_server(("127.0.0.1", 0)) as server:
            near = socket.create_connection(server.getsockname())
            far, _ = server.accept()
    else:
        near, far = socket.socketpair()
    near.settimeout(0)
    far.settimeout(0)
    return near, far


async def connect(protocol: asyncio.BaseProtocol, *, tcp: bool = False) -> tuple[Any, socket.socket]:
    """Return a transport for the protocol, and the peer's socket."""
    near, far = sockets(tcp=tcp)
    transport, _ = await asyncio.get_running_loop().create_connection(lambda: protocol, sock=near)
    return transport, far


def reset(peer: socket.socket) -> None:
    """Close a TCP socket so that the other side sees a reset."""
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()


async def receive(peer: socket.socket, count: int = 1 << 62) -> bytes:
    """Read from a plain socket until so many bytes or the end have come."""
    received = bytearray()
    async with asyncio.timeout(5):
        while len(received) < count:
            try:
                data = peer.recv(min(1 << 16, count - len(received)))
            except BlockingIOError:
                await asyncio.sleep(0)
            else:
                if not data:
                    break
                received += data
    return bytes(received)


async def until_lost(protocol: Recorder) -> None:
    """Wait until the connection is gone."""
    await loops.until(lambda: protocol.is_lost)


def reported(loop: asyncio.AbstractEventLoop) -> list[dict[str, Any]]:
    """Return a list that gets what the loop's exception handler gets, but for what only the debug mode tells."""
    contexts: list[dict[str, Any]] = []

    def report(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if not context["message"].startswith("Error on transport creation"):
            contexts.append(context)

    loop.set_exception_handler(report)
    return contexts


def tls_contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return contexts for a server and a client that need no certificate: both sides stay anonymous."""
    contexts = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for context in contexts:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers("AECDH-AES256-SHA:@SECLEVEL=0")
    return contexts


@contextlib.contextmanager
def running(new_loop: NewLoop) -> Any:
    """Give an open loop to a test that runs it by itself, and close it."""
    loop = new_loop()
    try:
        yield loop
    finally:
        loop.close()


def is_treadle(new_loop: NewLoop) -> bool:
    """Return whether the loop is ours, of which more is asked in places."""
    return new_loop.__module__.startswith("treadle")
