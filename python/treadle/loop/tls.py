"""The TLS layer: asyncio's state machine around a native path for data.

``Tls`` is ``asyncio.sslproto.SSLProtocol`` of the Python that runs, with its handshakes, shutdowns, time limits and
errors, and the transport that applications see is asyncio's as well. Only what runs for each record is replaced, by the
base before it: from the socket to ``data_received``, and from ``write`` to the socket.

A state machine of our own would depend on no private names, but it would have to follow each version of asyncio in what
that does at every odd moment, and applications know ``_ssl_protocol`` and its kin. The private names used here have
been the same since Python 3.11. Where a later one has others, ``Tls`` is asyncio's class as it is.
"""

import asyncio
import ssl
from asyncio import sslproto
from collections.abc import Callable
from typing import Any

from treadle.loop import native

_ATTRIBUTES = """
    _app_protocol _app_protocol_is_buffer _app_reading_paused _app_writing_paused _incoming _incoming_high_water
    _incoming_low_water _loop _outgoing _outgoing_high_water _outgoing_low_water _ssl_buffer _ssl_buffer_view
    _ssl_reading_paused _ssl_writing_paused _sslobj _state _transport _write_backlog _write_buffer_size
"""
_SETTERS = ("__init__", "_set_app_protocol", "_set_read_buffer_limits", "_set_write_buffer_limits")
_METHODS = """
    _abort _call_eof_received _control_app_writing _control_ssl_reading _do_flush _do_handshake _do_read _do_shutdown
    _do_write _fatal_error _process_outgoing _start_shutdown _write_appdata buffer_updated connection_lost get_buffer
"""
_STATES = ["UNWRAPPED", "DO_HANDSHAKE", "WRAPPED", "FLUSHING", "SHUTDOWN"]
_BUFFER = 64 * 1024


class _Tls(native.Tls, sslproto.SSLProtocol):
    """asyncio's protocol for TLS; native for each record."""

    _ssl_buffer: bytearray
    max_size = 0
    """Of the buffer that each connection has; ours is the loop's."""

    def get_buffer(self, n: int) -> memoryview:  # noqa: ARG002 - the buffer is as large as records want it.
        """Give a buffer to a transport that is not ours."""
        if not self._ssl_buffer:
            self._ssl_buffer = bytearray(_BUFFER)
            self._ssl_buffer_view = memoryview(self._ssl_buffer)
        return self._ssl_buffer_view

    def buffer_updated(self, nbytes: int) -> None:
        """Take what such a transport has put there."""
        self._feed(bytes(self._ssl_buffer_view[:nbytes]))

    def connection_lost(self, exc: BaseException | None) -> None:
        """Let go of everything."""
        self._drop_backlog()
        super().connection_lost(exc)

    def _abort(self, *error: Any) -> None:
        # Which of the versions take an exception does not matter here.
        self._send_gathered()
        super()._abort(*error)

    def _write_after_end(self, data: Any) -> None:
        # Not `super()`, which is the native half.
        sslproto.SSLProtocol._write_appdata(self, data)


def _is_as_known() -> bool:
    """Return whether this Python's class has what the native half takes over and calls."""
    stock = sslproto.SSLProtocol
    setters = [vars(stock).get(name) for name in _SETTERS]
    names = {name for setter in setters if setter is not None for name in setter.__code__.co_names}
    states = [state.name for state in sslproto.SSLProtocolState]
    return names.issuperset(_ATTRIBUTES.split()) and set(_METHODS.split()) <= vars(stock).keys() and states == _STATES


# The class takes no waiter and fractions of seconds as well, which its types do not show.
Tls: Callable[..., sslproto.SSLProtocol] = _Tls if _is_as_known() else sslproto.SSLProtocol


async def start(
    loop: asyncio.AbstractEventLoop,
    transport: Any,
    protocol: asyncio.BaseProtocol,
    context: ssl.SSLContext,
    **options: Any,
) -> Any:
    """Put TLS between a transport and its protocol; return the transport that the protocol is to use.

    Raises:
        TypeError: the transport cannot do that, or the context is none.
    """
    if not isinstance(context, ssl.SSLContext):
        raise TypeError(f"sslcontext is expected to be an instance of ssl.SSLContext, got {context!r}")
    if not getattr(transport, "_start_tls_compatible", False):
        raise TypeError(f"transport {transport!r} is not supported by start_tls()")
    waiter = loop.create_future()
    tls = Tls(loop, protocol, context, waiter, call_connection_made=False, **options)
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
        # Its exception leads to this frame.
        del waiter
        raise
    return tls._app_transport


def _take_over_buffer(tls: Any, protocol: Any) -> None:
    """Give TLS what the reader of a stream holds and nobody has read: the peer may have begun at once."""
    buffer = getattr(getattr(protocol, "_stream_reader", None), "_buffer", None)
    if isinstance(buffer, bytearray) and buffer:
        if isinstance(tls, _Tls):
            tls._feed(bytes(buffer))
        else:
            tls._incoming.write(buffer)
        buffer.clear()
