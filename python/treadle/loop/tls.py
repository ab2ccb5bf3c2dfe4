"""The TLS layer: asyncio's state machine around a native path for data.

``Tls`` is ``asyncio.sslproto.SSLProtocol`` of the Python that runs, with its handshakes, shutdowns, time limits and errors, and the
transport that applications see is asyncio's as well. Only what runs for each record is replaced, by the base before it: from the socket to
``data_received`` and from ``write`` to the socket. A state machine of our own would depend on no private names, but would have to follow four
versions of asyncio in what they do at each odd moment, and applications know ``_ssl_protocol`` and its kin. The private names used here have
been the same since Python 3.11; where a later one has others, ``Tls`` is asyncio's class as it is.
"""

import asyncio
import ssl
from asyncio import sslproto
from typing import Any

from treadle.loop import native

_NAMES = frozenset(
    """
    _incoming _outgoing _sslobj _transport _state _loop _app_protocol _app_reading_paused _app_writing_paused _ssl_reading_paused
    _ssl_writing_paused _write_backlog _write_buffer_size _incoming_high_water _incoming_low_water _outgoing_high_water _outgoing_low_water
    """.split()
)
_METHODS = frozenset(
    """
    _call_eof_received _control_app_writing _control_ssl_reading _do_flush _do_handshake _do_read _do_shutdown _do_write _fatal_error
    _process_outgoing _set_app_protocol _set_state _start_shutdown _write_appdata buffer_updated connection_lost get_buffer
    """.split()
)
_STATES = ["UNWRAPPED", "DO_HANDSHAKE", "WRAPPED", "FLUSHING", "SHUTDOWN"]


class _Tls(native.Tls, sslproto.SSLProtocol):
    """asyncio's protocol for TLS; native for each record."""

    max_size = 0
    """Of the buffer that each connection has; ours is the loop's."""

    def get_buffer(self, n: int) -> memoryview:
        """Give a buffer to a transport that is not ours."""
        if not self._ssl_buffer:
            self._ssl_buffer = bytearray(_BUFFER)
            self._ssl_buffer_view = memoryview(self._ssl_buffer)
        return self._ssl_buffer_view

    def buffer_updated(self, nbytes: int) -> None:
        """Take what such a transport has put there."""
        self._feed(bytes(self._ssl_buffer_view[:nbytes]))

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of everything."""
        self._drop_backlog()
        super().connection_lost(exc)

    def _write_after_end(self, data: Any) -> None:
        # Not `super()`, which is the native half.
        sslproto.SSLProtocol._write_appdata(self, data)


_BUFFER = 64 * 1024


def _is_as_known() -> bool:
    stock = sslproto.SSLProtocol
    names = {*stock.__init__.__code__.co_names, *stock._set_app_protocol.__code__.co_names}
    return _NAMES <= names and _METHODS <= vars(stock).keys() and [s.name for s in sslproto.SSLProtocolState] == _STATES


Tls: type[sslproto.SSLProtocol] = _Tls if _is_as_known() else sslproto.SSLProtocol


async def start(
    loop: asyncio.AbstractEventLoop, transport: Any, protocol: Any, context: ssl.SSLContext, *sides: Any, **timeouts: Any
) -> Any:
    """Put TLS between a transport and its protocol; return the transport that the protocol is to use."""
    if not isinstance(context, ssl.SSLContext):
        raise TypeError(f"sslcontext is expected to be an instance of ssl.SSLContext, got {context!r}")
    if not getattr(transport, "_start_tls_compatible", False):
        raise TypeError(f"transport {transport!r} is not supported by start_tls()")
    waiter = loop.create_future()
    tls = Tls(loop, protocol, context, waiter, *sides, call_connection_made=False, **timeouts)
    # Nothing may arrive before `connection_made`.
    transport.pause_reading()
    transport.set_protocol(tls)
    _take_over_buffer(tls, protocol)
    made = loop.call_soon(tls.connection_made, transport)
    resumed = loop.call_soon(transport.resume_reading)
    try:
        await waiter
    except BaseException:
        transport.close()
        made.cancel()
        resumed.cancel()
        raise
    return tls._app_transport


def _take_over_buffer(tls: Any, protocol: Any) -> None:
    """Give what a stream's reader holds already, which its owner has not read, to TLS: the peer may have begun at once."""
    buffer = getattr(getattr(protocol, "_stream_reader", None), "_buffer", None)
    if isinstance(buffer, bytearray) and buffer:
        tls._incoming.write(bytes(buffer))
        buffer.clear()
