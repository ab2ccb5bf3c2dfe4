"""The ``sock_*`` methods: a non-blocking socket is asked first, and waited for only if it has nothing."""

import asyncio
import socket
from asyncio import base_events
from collections.abc import Callable
from typing import Any

from treadle.loop.serving import Serving

_WOULD_BLOCK = (BlockingIOError, InterruptedError)


class Sockets(Serving):
    """Operations on sockets that a program owns."""

    async def sock_recv(self, sock: socket.socket, n: int) -> bytes:
        """Receive up to ``n`` bytes."""
        self._check_socket(sock)
        return await self._reading(sock, sock.recv, n)

    async def sock_recv_into(self, sock: socket.socket, buf: Any) -> int:
        """Receive into a buffer; return how many bytes came."""
        self._check_socket(sock)
        return await self._reading(sock, sock.recv_into, buf)

    async def sock_recvfrom(self, sock: socket.socket, bufsize: int) -> tuple[bytes, Any]:
        """Receive a datagram and its sender's address."""
        self._check_socket(sock)
        return await self._reading(sock, sock.recvfrom, bufsize)

    async def sock_recvfrom_into(self, sock: socket.socket, buf: Any, nbytes: int = 0) -> tuple[int, Any]:
        """Receive a datagram into a buffer; return its size and its sender's address."""
        self._check_socket(sock)
        if not nbytes:
            nbytes = len(buf)
        return await self._reading(sock, sock.recvfrom_into, buf, nbytes)

    async def sock_sendall(self, sock: socket.socket, data: Any) -> None:
        """Send all of ``data``."""
        self._check_socket(sock)
        with memoryview(data) as view, view.cast("B") as rest:
            sent = 0
            while sent < len(rest):
                sent += await self._writing(sock, sock.send, rest[sent:])

    async def sock_sendto(self, sock: socket.socket, data: Any, address: Any) -> int:
        """Send a datagram; return how many bytes were sent."""
        self._check_socket(sock)
        return await self._writing(sock, sock.sendto, data, address)

    async def sock_connect(self, sock: socket.socket, address: Any) -> None:
        """Connect to an address; names are looked up, numbers are not."""
        self._check_socket(sock)
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            ensure = self._ensure_resolved(address, family=sock.family, type=sock.type, proto=sock.proto, loop=self)
            (_, _, _, _, address), *_ = await ensure
        try:
            sock.connect(address)
        except _WOULD_BLOCK:
            await self._writing(sock, _finish_connecting, sock, address, attempt=False)

    async def sock_accept(self, sock: socket.socket) -> tuple[socket.socket, Any]:
        """Accept a connection; return its socket, which does not block, and the peer's address."""
        self._check_socket(sock)
        connection, address = await self._reading(sock, sock.accept)
        connection.setblocking(False)
        return connection, address

    def _check_socket(self, sock: socket.socket) -> None:
        base_events._check_ssl_socket(sock)
        if self._debug and sock.gettimeout() != 0:
            raise ValueError("the socket must be non-blocking")

    async def _reading(self, sock: socket.socket, call: Callable[..., Any], *args: Any) -> Any:
        try:
            return call(*args)
        except _WOULD_BLOCK:
            return await self._wait(sock, self._add_reader, self._remove_reader, call, args)

    async def _writing(self, sock: socket.socket, call: Callable[..., Any], *args: Any, attempt: bool = True) -> Any:
        if attempt:
            try:
                return call(*args)
            except _WOULD_BLOCK:
                pass
        return await self._wait(sock, self._add_writer, self._remove_writer, call, args)

    async def _wait(
        self,
        sock: socket.socket,
        add: Callable[..., asyncio.Handle],
        remove: Callable[[int], bool],
        call: Callable[..., Any],
        args: tuple[Any, ...],
    ) -> Any:
        """Repeat a call whenever the socket is ready, until it does not block."""
        future = self.create_future()
        descriptor = sock.fileno()
        handle = add(descriptor, _attempt, future, call, args)
        try:
            return await future
        finally:
            # Another caller on the same descriptor has taken the place, or the place is empty.
            if not handle.cancelled():
                remove(descriptor)


def _attempt(future: asyncio.Future[Any], call: Callable[..., Any], args: tuple[Any, ...]) -> None:
    if future.done():
        return
    try:
        result = call(*args)
    except _WOULD_BLOCK:
        return
    except (SystemExit, KeyboardInterrupt):
        raise
    except BaseException as error:  # noqa: BLE001 - it belongs to whoever waits.
        future.set_exception(error)
    else:
        future.set_result(result)


def _finish_connecting(sock: socket.socket, address: Any) -> None:
    error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if error:
        raise OSError(error, f"Connect call failed {address}")
