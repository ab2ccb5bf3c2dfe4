"""Sending files without reading them: ``sendfile`` of the kernel."""

import asyncio
import errno
import os
import socket
from asyncio import exceptions
from typing import IO, Any

from treadle.loop.sockets import Sockets

# As much as one call of the system may send: it does not return before, and the loop stands still meanwhile.
_CHUNK = 1 << 20
# As much as is read from a file at once where the kernel cannot send it.
_BLOCK = 16 * 1024


class Files(Sockets):
    """What ``sendfile`` and ``sock_sendfile`` of ``BaseEventLoop`` end in."""

    async def _sock_sendfile_native(self, sock: socket.socket, file: IO[bytes], offset: int, count: int | None) -> int:
        try:
            descriptor = file.fileno()
            size = os.fstat(descriptor).st_size
        except (AttributeError, OSError, ValueError) as error:
            raise exceptions.SendfileNotAvailableError("not a regular file") from error
        self._ensure_fd_no_transport(sock.fileno())
        return await self._send_file(sock, descriptor, file, offset, size, count)

    async def _send_file(
        self, sock: socket.socket, descriptor: int, file: IO[bytes], offset: int, size: int, count: int | None
    ) -> int:
        start, sent = offset, 0
        try:
            while count is None or sent < count:
                wanted = min(_CHUNK, size - offset) if count is None else min(_CHUNK, count - sent)
                if wanted <= 0:
                    break
                try:
                    moved = await self._writing(sock, os.sendfile, sock.fileno(), descriptor, offset, wanted)
                except OSError as error:
                    raise _translated(error, sent) from error
                if moved == 0:
                    break
                offset += moved
                sent += moved
        finally:
            if sent > 0:
                os.lseek(descriptor, start + sent, os.SEEK_SET)
        return sent

    async def _sendfile_native(self, transp: Any, file: IO[bytes], offset: int, count: int | None) -> int:
        was_reading = transp.is_reading()
        transp.pause_reading()
        await transp._make_empty_waiter()
        transp._leave_poll()
        try:
            return await self.sock_sendfile(transp._sock, file, offset, count, fallback=False)
        finally:
            transp._join_poll()
            transp._reset_empty_waiter()
            if was_reading:
                transp.resume_reading()

    async def _sendfile_fallback(self, transp: Any, file: IO[bytes], offset: int, count: int | None) -> int:
        """Read the file in the default executor and write it to a transport that cannot hand it to the kernel."""
        if offset:
            file.seek(offset)
        buffer = bytearray(_BLOCK if count is None else min(count, _BLOCK))
        sent = 0
        stand_in = _Sender(self, transp)
        try:
            while count is None or sent < count:
                size = len(buffer) if count is None else min(count - sent, len(buffer))
                read = await self.run_in_executor(None, file.readinto, memoryview(buffer)[:size])  # type: ignore[attr-defined]
                if not read:
                    break
                await stand_in.drain()
                transp.write(memoryview(buffer)[:read])
                sent += read
        finally:
            if sent > 0 and hasattr(file, "seek"):
                file.seek(offset + sent)
            await stand_in.restore()
        return sent


class _Sender(asyncio.Protocol):
    """Stands in for a transport's protocol while a file is sent: nothing is read, and writing waits for the marks."""

    def __init__(self, loop: asyncio.AbstractEventLoop, transport: Any) -> None:
        if transport.is_closing():
            raise ConnectionError("Connection is closed")
        self._transport = transport
        self._protocol = transport.get_protocol()
        self._was_reading = transport.is_reading()
        self._was_paused = transport._protocol_paused
        transport.pause_reading()
        transport.set_protocol(self)
        self._writable: asyncio.Future[None] | None = loop.create_future() if self._was_paused else None
        self._loop = loop

    async def drain(self) -> None:
        """Wait until the transport takes more."""
        if self._transport.is_closing():
            raise ConnectionError("Connection closed by peer")
        if self._writable is not None:
            await self._writable

    def pause_writing(self) -> None:
        if self._writable is None:
            self._writable = self._loop.create_future()

    def resume_writing(self) -> None:
        if self._writable is not None:
            waiting, self._writable = self._writable, None
            if not waiting.done():
                waiting.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._writable is not None and not self._writable.done():
            # The sender is told even if nothing went wrong: the rest of the file has nowhere to go.
            self._writable.set_exception(exc or ConnectionError("Connection is closed by peer"))
        self._protocol.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        raise RuntimeError("nothing is read while a file is sent")

    def eof_received(self) -> bool:
        raise RuntimeError("nothing is read while a file is sent")

    async def restore(self) -> None:
        """Put the protocol back."""
        self._transport.set_protocol(self._protocol)
        if self._was_reading:
            self._transport.resume_reading()
        if self._writable is not None and not self._writable.done():
            # Nobody waits for it any more.
            self._writable.cancel()
        if self._was_paused and not self._transport._protocol_paused:
            self._protocol.resume_writing()


def _translated(error: OSError, sent: int) -> Exception:
    """Return the exception that says what a failed call means."""
    if error.errno == errno.ENOTCONN and type(error) is not ConnectionError:
        return ConnectionError("socket is not connected", errno.ENOTCONN)
    if sent == 0:
        # Whatever the reason, nothing has been sent, so the file can still be read and sent.
        return exceptions.SendfileNotAvailableError("os.sendfile call failed")
    return error
