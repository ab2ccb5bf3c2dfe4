"""Transports of datagram sockets: ``create_datagram_endpoint`` of ``BaseEventLoop`` ends here."""

import asyncio
import socket
import sys
from typing import Any

from treadle.loop.serving import describe_socket
from treadle.loop.unix import Unix

# Empty datagrams are sent, and the size of a waiting datagram counts its header.
_MODERN = sys.version_info >= (3, 13)


class Datagrams(Unix):
    """UDP and Unix datagram sockets."""

    def _make_datagram_transport(
        self,
        sock: socket.socket,
        protocol: asyncio.DatagramProtocol,
        address: Any = None,
        waiter: asyncio.Future[None] | None = None,
        extra: dict[str, Any] | None = None,
    ) -> asyncio.DatagramTransport:
        extra = {} if extra is None else extra
        describe_socket(extra, sock)
        return self._open_datagram(sock, protocol, address, waiter, extra, _MODERN)
