"""Transports of pipes: ``connect_read_pipe`` and ``connect_write_pipe`` of ``BaseEventLoop`` end here."""

import asyncio
import os
import stat
from typing import Any

from treadle.loop.datagrams import Datagrams


class Pipes(Datagrams):
    """Pipes, FIFOs, sockets and character devices."""

    def _make_read_pipe_transport(
        self,
        pipe: Any,
        protocol: asyncio.Protocol,
        waiter: asyncio.Future[None] | None = None,
        extra: dict[str, Any] | None = None,
    ) -> asyncio.ReadTransport:
        mode = os.fstat(pipe.fileno()).st_mode
        if not (_is_pipe(mode) or stat.S_ISCHR(mode)):
            raise ValueError("Pipe transport is for pipes/sockets only.")
        extra = _described(pipe, extra)
        return self._open_read_pipe(pipe, protocol, waiter, extra)

    def _make_write_pipe_transport(
        self,
        pipe: Any,
        protocol: asyncio.BaseProtocol,
        waiter: asyncio.Future[None] | None = None,
        extra: dict[str, Any] | None = None,
    ) -> asyncio.WriteTransport:
        mode = os.fstat(pipe.fileno()).st_mode
        if not (_is_pipe(mode) or stat.S_ISCHR(mode)):
            raise ValueError("Pipe transport is only for pipes, sockets and character devices")
        extra = _described(pipe, extra)
        return self._open_write_pipe(pipe, protocol, waiter, extra, _is_pipe(mode))


def _is_pipe(mode: int) -> bool:
    """Return whether this becomes readable when nobody reads its other end any more."""
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def _described(pipe: Any, extra: dict[str, Any] | None) -> dict[str, Any]:
    os.set_blocking(pipe.fileno(), False)
    extra = {} if extra is None else extra
    extra["pipe"] = pipe
    return extra
