"""Unix sockets: servers and connections by path, abstract names included."""

import asyncio
import contextlib
import errno
import os
import socket
import ssl as tls
import sys
from asyncio import base_events
from asyncio.log import logger
from collections.abc import Callable
from stat import S_ISSOCK
from typing import Any, cast

from treadle.loop import clients
from treadle.loop.files import Files
from treadle.loop.serving import begin_serving

# Taken when the module is imported: tools that forbid blocking calls on the loop replace them in `os` later, and of
# asyncio's own file alone they know that it may look at the path of a server.
_stat, _unlink = os.stat, os.unlink

_Factory = Callable[[], asyncio.BaseProtocol]


class Unix(Files):
    """``create_unix_connection`` and ``create_unix_server``."""

    def __init__(self) -> None:
        """Make a loop without servers."""
        # The inode that each server has made, so that only that one is removed.
        self._unix_paths: dict[socket.socket, int] = {}
        super().__init__()

    async def create_unix_connection(  # noqa: PLR0913 - the signature is asyncio's.
        self,
        protocol_factory: _Factory,
        path: Any = None,
        *,
        ssl: tls.SSLContext | bool | None = None,
        sock: socket.socket | None = None,
        server_hostname: str | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
    ) -> tuple[Any, Any]:
        """Connect to a Unix socket; see ``asyncio.loop.create_unix_connection``."""
        if server_hostname is not None and not ssl:
            raise ValueError("server_hostname is only meaningful with ssl")
        if ssl and server_hostname is None:
            raise ValueError("you have to pass server_hostname when using ssl")
        _check_timeouts(ssl, ssl_handshake_timeout, ssl_shutdown_timeout)
        if path is not None:
            if sock is not None:
                raise ValueError("path and sock can not be specified at the same time")
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                sock.setblocking(False)  # noqa: FBT003 - the method takes no names.
                await self.sock_connect(sock, os.fspath(path))
            except BaseException:
                sock.close()
                raise
        else:
            sock = _checked(sock, "no path and sock were specified")
            sock.setblocking(False)  # noqa: FBT003 - the method takes no names.
        transport, protocol = await self._create_connection_transport(
            sock,
            protocol_factory,
            ssl,
            server_hostname,
            ssl_handshake_timeout=ssl_handshake_timeout,
            ssl_shutdown_timeout=ssl_shutdown_timeout,
        )
        return transport, protocol

    async def create_unix_server(  # type: ignore[override]  # noqa: PLR0913 - the signature is asyncio's.
        self,
        protocol_factory: _Factory,
        path: Any = None,
        *,
        sock: socket.socket | None = None,
        backlog: int = 100,
        ssl: tls.SSLContext | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
        start_serving: bool = True,
        cleanup_socket: bool = sys.version_info >= (3, 13),
    ) -> asyncio.Server:
        """Serve on a Unix socket; see ``asyncio.loop.create_unix_server``.

        ``cleanup_socket`` removes the path when the server is closed: the default of Python 3.13, which brought it.
        """
        if isinstance(ssl, bool):
            raise TypeError("ssl argument must be an SSLContext or None")
        _check_timeouts(ssl, ssl_handshake_timeout, ssl_shutdown_timeout)
        if path is not None:
            if sock is not None:
                raise ValueError("path and sock can not be specified at the same time")
            sock = _bound(os.fspath(path))
        else:
            sock = _checked(sock, "path was not specified, and no sock specified")
        if cleanup_socket:
            self._remember_path(sock)
        sock.setblocking(False)  # noqa: FBT003 - the method takes no names.
        timeouts = (ssl_handshake_timeout, ssl_shutdown_timeout)
        server: Any = base_events.Server(self, [sock], protocol_factory, ssl, backlog, *timeouts)
        clients.keep(server)
        if start_serving:
            await begin_serving(server)
        return cast("asyncio.Server", server)

    def _remember_path(self, sock: socket.socket) -> None:
        path = sock.getsockname()
        if path and path[0] not in (0, "\0"):
            with contextlib.suppress(FileNotFoundError):
                self._unix_paths[sock] = _inode(path)

    def _stop_serving(self, sock: socket.socket) -> None:
        inode = self._unix_paths.pop(sock, None)
        path = sock.getsockname() if inode is not None else None
        super()._stop_serving(sock)
        if path is None:
            return
        try:
            # Somebody else may have put theirs there meanwhile.
            if _inode(path) == inode:
                _unlink(path)
        except FileNotFoundError:
            pass
        except OSError as error:
            logger.error("Unable to clean up listening UNIX socket %r: %r", path, error)


def _inode(path: Any) -> int:
    return _stat(path).st_ino


def _check_timeouts(ssl: object, handshake: float | None, shutdown: float | None) -> None:
    if handshake is not None and not ssl:
        raise ValueError("ssl_handshake_timeout is only meaningful with ssl")
    if shutdown is not None and not ssl:
        raise ValueError("ssl_shutdown_timeout is only meaningful with ssl")


def _checked(sock: socket.socket | None, missing: str) -> socket.socket:
    if sock is None:
        raise ValueError(missing)
    if sock.family != socket.AF_UNIX or sock.type != socket.SOCK_STREAM:
        raise ValueError(f"A UNIX Domain Stream Socket was expected, got {sock!r}")
    return sock


def _bound(path: Any) -> socket.socket:
    """Return a socket bound to a path, from which a stale socket was removed."""
    if path[0] not in (0, "\0"):
        try:
            if S_ISSOCK(_stat(path).st_mode):
                _unlink(path)
        except FileNotFoundError:
            pass
        except OSError as error:
            # The directory may allow making sockets and nothing else.
            logger.error("Unable to check or remove stale UNIX socket %r: %r", path, error)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.bind(path)
    except BaseException as error:
        sock.close()
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            raise OSError(errno.EADDRINUSE, f"Address {path!r} is already in use") from None
        raise
    return sock
