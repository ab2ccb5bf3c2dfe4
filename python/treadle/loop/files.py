"""Sending files without reading them: ``sendfile`` of the kernel."""

import asyncio
import contextlib
import errno
import os
import socket
import sys
from asyncio import exceptions
from typing import IO, Any

from treadle.loop.sockets import Sockets

# As much as is read at a time where the kernel cannot send a file itself.
_BLOCK = 1 << 16

# From Python 3.14 on a file is read from `offset` whatever its position is, and left there if nothing was sent.
_ALWAYS_SEEKS = sys.version_info >= (3, 14)

# As much as one call of the system may send: it does not return before, and the loop stands still meanwhile.
_CHUNK = 1 << 20


class Files(Sockets):
    """What ``sendfile`` and ``sock_sendfile`` of ``BaseEventLoop`` end in."""

    async def _sock_sendfile_native(self, sock: socket.socket, file: IO[bytes], offset: int, count: int | None) -> int:
        try:
            descriptor = file.fileno()
            size = os.fstat(descriptor).st_size
        except (AttributeError, OSError, ValueError) as error:
            raise exceptions.SendfileNotAvailableError("not a regular file") from error
        self._ensure_fd_no_transport(sock.fileno())
        return await self._send_file(sock, descriptor, offset, size, count)

    async def _send_file(self, sock: socket.socket, descriptor: int, offset: int, size: int, count: int | None) -> int:
        start, sent = offset, 0
        try:
            while count is None or sent < count:
                wanted = min(_CHUNK, size - offset) if count is None else min(_CHUNK, count - sent)
                if wanted <= 0:
                    break
                try:
                    moved = await self._sock_write(sock, os.sendfile, (sock.fileno(), descriptor, offset, wanted))
                except OSError as error:
                    raise _translated(error, sent) from error
                if moved == 0:
                    break
                offset += moved
                sent += moved
        finally:
            if sent > 0:
                os.lseek(descriptor, start + sent, os.SEEK_SET)
            elif _ALWAYS_SEEKS:
                # What cannot be sent natively may not be seekable either.
                with contextlib.suppress(OSError):
                    os.lseek(descriptor, start, os.SEEK_SET)
        return sent

    async def _sendfile_fallback(self, transp: Any, file: IO[bytes], offset: int, count: int | None) -> int:
        if hasattr(file, "seek") if _ALWAYS_SEEKS else offset:
            file.seek(offset)
        buffer = bytearray(min(count, _BLOCK) if count else _BLOCK)
        sent = 0
        pauses = _Pauses(transp, self)
        try:
            while not count or sent < count:
                view = memoryview(buffer)[: count - sent if count else None]
                read = await self.run_in_executor(None, file.readinto, view)  # type: ignore[attr-defined]
                if not read:
                    break
                transp.write(view[:read])
                await pauses.wait()
                sent += read
        finally:
            if sent > 0 and hasattr(file, "seek"):
                file.seek(offset + sent)
            await pauses.restore()
        return sent

    async def _sendfile_native(self, transp: Any, file: IO[bytes], offset: int, count: int | None) -> int:
        waiter = transp._make_empty_waiter()
        was_reading = transp.is_reading()
        transp.pause_reading()
        try:
            await waiter
            transp._leave_poll()
            return await self.sock_sendfile(transp._sock, file, offset, count, fallback=False)
        finally:
            transp._join_poll()
            transp._reset_empty_waiter()
            if was_reading:
                transp.resume_reading()


class _Pauses(asyncio.Protocol):
    """Stands in for a transport's protocol while a file is written to it; asyncio's takes its own transports only."""

    def __init__(self, transport: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._protocol = transport.get_protocol()
        self._was_reading = transport.is_reading()
        self._was_paused = transport._protocol_paused
        self._resumed: asyncio.Future[None] | None = loop.create_future() if self._was_paused else None
        transport.pause_reading()
        transport.set_protocol(self)

    async def wait(self) -> None:
        """Wait until more may be written.

        Raises:
            ConnectionError: the connection is gone.
        """
        if self._transport.is_closing():
            raise ConnectionError("Connection closed by peer")
        if self._resumed is not None:
            await self._resumed

    async def restore(self) -> None:
        """Give the protocol its place back."""
        self._transport.set_protocol(self._protocol)
        if self._was_reading:
            self._transport.resume_reading()
        if self._resumed is not None:
            # Nobody waits any more, and the protocol was told that it is paused, or has to be.
            self._resumed.cancel()
            if not self._was_paused:
                self._protocol.pause_writing()
        elif self._was_paused:
            self._protocol.resume_writing()

    def pause_writing(self) -> None:
        """Wait from now on."""
        if self._resumed is None:
            self._resumed = self._loop.create_future()

    def resume_writing(self) -> None:
        """Go on."""
        if self._resumed is not None:
            self._resumed.set_result(None)
            self._resumed = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer, and tell the protocol."""
        if self._resumed is not None:
            self._resumed.set_exception(exc or ConnectionError("Connection is closed by peer"))
            # It may be that nobody waits.
            self._resumed.exception()
            self._resumed = None
        self._protocol.connection_lost(exc)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:  # noqa: ARG002 -- asyncio calls it so.
        """Refuse what cannot happen."""
        raise RuntimeError("the connection is made already")

    def data_received(self, data: bytes) -> None:  # noqa: ARG002 -- asyncio calls it so.
        """Refuse what cannot happen."""
        raise RuntimeError("reading is paused while a file is sent")

    def eof_received(self) -> None:
        """Refuse what cannot happen."""
        raise RuntimeError("reading is paused while a file is sent")


def _translated(error: OSError, sent: int) -> Exception:
    """Return the exception that says what a failed call means."""
    if error.errno == errno.ENOTCONN and type(error) is not ConnectionError:
        return ConnectionError("socket is not connected", errno.ENOTCONN)
    if sent == 0:
        # Whatever the reason, nothing has been sent, so the file can still be read and sent.
        return exceptions.SendfileNotAvailableError("os.sendfile call failed")
    return error
