"""Sending files without reading them: ``sendfile`` of the kernel."""

import errno
import os
import socket
from asyncio import exceptions
from typing import IO, Any

from treadle.loop.sockets import Sockets

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


def _translated(error: OSError, sent: int) -> Exception:
    """Return the exception that says what a failed call means."""
    if error.errno == errno.ENOTCONN and type(error) is not ConnectionError:
        return ConnectionError("socket is not connected", errno.ENOTCONN)
    if sent == 0:
        # Whatever the reason, nothing has been sent, so the file can still be read and sent.
        return exceptions.SendfileNotAvailableError("os.sendfile call failed")
    return error
