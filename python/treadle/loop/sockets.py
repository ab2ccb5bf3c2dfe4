"""The Python half of the ``sock_*`` methods, which are native: what is unusual, and names that are looked up."""

import socket
from asyncio import base_events
from typing import Any

from treadle.loop.serving import Serving

# asyncio's private parts, which its types do not show.
_loop_module: Any = base_events


class Sockets(Serving):
    """Operations on sockets that a program owns."""

    def _check_socket(self, sock: socket.socket) -> None:
        """Refuse what the operations cannot do.

        Raises:
            TypeError: it is a TLS socket.
            ValueError: in debug mode, it blocks.
        """
        _loop_module._check_ssl_socket(sock)
        if self._debug and sock.gettimeout() != 0:
            raise ValueError("the socket must be non-blocking")

    async def _connect_by_name(self, sock: socket.socket, address: Any) -> None:
        """Connect to an address that has to be looked up, or to one of an unusual form."""
        self._check_socket(sock)
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            ensure = self._ensure_resolved(address, family=sock.family, type=sock.type, proto=sock.proto, loop=self)
            (_, _, _, _, address), *_ = await ensure
        await self._connect_resolved(sock, address)

    _connect_by_name.__qualname__ = _connect_by_name.__name__ = "sock_connect"

    def _finish_connecting(self, sock: socket.socket, address: Any) -> None:
        """Ask how a connection has ended that took its time."""
        error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            self._connect_failed(error, address)

    def _connect_failed(self, error: int, address: Any) -> None:
        raise OSError(error, f"Connect call failed {address}")

    def _send_rest(self, sock: socket.socket, data: Any, sent: int) -> int:
        """Send what is left of data, by the socket's own method."""
        with memoryview(data) as view, view.cast("B") as rest:
            return sock.send(rest[sent:])
