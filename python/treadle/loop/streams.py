"""Streams: the classes that stock readers and writers get when they belong to a connection of the loop.

Their hot methods are native; see ``crates/treadle-loop/src/streams``. Only objects of exactly the standard library's
classes get them, and only while nobody has patched these.
"""

import asyncio
from asyncio import streams
from collections.abc import Callable
from typing import Any

from treadle.loop import native

_ATTRIBUTES = ("_limit", "_loop", "_buffer", "_eof", "_waiter", "_exception", "_transport", "_paused")
_KNOWN = frozenset((*_ATTRIBUTES, "_source_traceback"))


class StreamReader(asyncio.StreamReader):
    """A reader whose state is native."""

    __slots__ = ()

    def _end_line(self, error: Exception) -> bytes:
        """Do what ``readline`` does with an exception of ``readuntil``."""
        reader: Any = self
        try:
            raise error
        except asyncio.IncompleteReadError as end:
            return end.partial
        except asyncio.LimitOverrunError as overrun:
            if reader._buffer.startswith(b"\n", overrun.consumed):
                del reader._buffer[: overrun.consumed + 1]
            else:
                reader._buffer.clear()
            reader._maybe_resume_transport()
            raise ValueError(overrun.args[0])  # noqa: B904 -- as the standard library's, whose cause is its context.


class StreamWriter(asyncio.StreamWriter):
    """A writer with native methods."""

    __slots__ = ()


native.complete_streams(StreamReader, StreamWriter)

# What the native methods stand for, and what they take for granted.
_FUNCTIONS = [
    (owner, name, function)
    for owner in (streams.FlowControlMixin, asyncio.StreamReaderProtocol, asyncio.StreamReader, asyncio.StreamWriter)
    for name, function in vars(owner).items()
    if callable(function)
]
_WAS_STOCK = all(getattr(function, "__module__", None) == "asyncio.streams" for *_, function in _FUNCTIONS)


def adopt(protocol: Any) -> object:
    """Make the reader of a stock protocol native, and the writer that the protocol will make for a server.

    Returns the reader's state, which data may be fed to, or None if everything stays as it is.
    """
    is_ordinary: bool = type(protocol) is asyncio.StreamReaderProtocol
    if not is_ordinary or not _is_stock():
        return None
    reader = protocol._stream_reader
    if type(reader) is StreamReader:
        return vars(reader).get("_native_state")
    if type(reader) is not asyncio.StreamReader or not vars(reader).keys() <= _KNOWN:
        return None
    attributes = dict(vars(reader))
    vars(reader).clear()
    reader.__class__ = StreamReader
    for name, value in attributes.items():
        setattr(reader, name, value)
    if protocol._client_connected_cb is not None:
        protocol._client_connected_cb = _with_native_writer(protocol, protocol._client_connected_cb)
    return vars(reader).get("_native_state")


def _is_stock() -> bool:
    return _WAS_STOCK and all(vars(owner).get(name) is function for owner, name, function in _FUNCTIONS)


def _with_native_writer(protocol: Any, connected: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Return what the protocol is to call in place of the program's function, once."""

    def call(reader: Any, writer: Any) -> Any:
        protocol._client_connected_cb = connected
        if type(writer) is asyncio.StreamWriter and vars(writer).keys() <= _WRITER:
            writer.__class__ = StreamWriter
        return connected(reader, writer)

    return call


_WRITER = frozenset(("_transport", "_protocol", "_reader", "_loop", "_complete_fut"))
