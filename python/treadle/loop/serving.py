"""Connections: transports for sockets, and servers that accept them."""

import asyncio
import errno
import socket
import ssl
from asyncio import base_events, constants, trsock
from collections.abc import Callable
from contextvars import Context, copy_context
from typing import Any

from treadle.loop import clients, streams, tls
from treadle.loop.signals import Signals

_Factory = Callable[[], asyncio.BaseProtocol]
# asyncio's private parts, which its types do not show.
_loop_module: Any = base_events


class Serving(Signals):
    """What ``create_connection`` and ``create_server`` of ``BaseEventLoop`` end in."""

    _adopt_streams = staticmethod(streams.adopt)

    async def create_server(self, *args: Any, start_serving: bool = True, **options: Any) -> asyncio.Server:
        """Serve on addresses; see ``asyncio.loop.create_server``.

        Args:
            args: the factory of protocols, then host and port.
            start_serving: whether connections are accepted at once, by default yes.
            options: all others of asyncio's; time-outs are seconds.

        Returns:
            The server.

        Raises:
            OSError: an address cannot be listened on.
            ValueError: the options contradict each other.
        """
        server = await super().create_server(*args, start_serving=False, **options)
        clients.keep(server)
        if start_serving:
            await begin_serving(server)
        return server

    # `context` came with Python 3.15: everything of the connection runs in it.
    def _make_socket_transport(  # noqa: PLR0913 -- the signature is asyncio's.
        self,
        sock: socket.socket,
        protocol: asyncio.BaseProtocol,
        waiter: asyncio.Future[None] | None = None,
        *,
        extra: dict[str, Any] | None = None,
        server: Any = None,
        context: Context | None = None,
    ) -> asyncio.Transport:
        extra = {} if extra is None else extra
        if not self._set_up_socket(sock, extra):
            describe_socket(extra, sock)
            _loop_module._set_nodelay(sock)
        return self._open_stream(sock, protocol, waiter, extra, server, context)

    def _make_ssl_transport(  # noqa: PLR0913 -- the signature is asyncio's.
        self,
        rawsock: socket.socket,
        protocol: asyncio.BaseProtocol,
        sslcontext: ssl.SSLContext,
        waiter: asyncio.Future[None] | None = None,
        *,
        server_side: bool = False,
        server_hostname: str | None = None,
        extra: dict[str, Any] | None = None,
        server: Any = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
        context: Context | None = None,
    ) -> asyncio.Transport:
        # Before there is a layer, which would have to be torn down again.
        self._check_server(server)
        streams.adopt(protocol)
        layer = tls.Tls(
            self,
            protocol,
            sslcontext,
            waiter,
            server_side,
            server_hostname,
            ssl_handshake_timeout=ssl_handshake_timeout,
            ssl_shutdown_timeout=ssl_shutdown_timeout,
        )
        self._make_socket_transport(rawsock, layer, extra=extra, server=server, context=context)
        return layer._app_transport

    async def start_tls(  # noqa: PLR0913 -- the signature is asyncio's.
        self,
        transport: Any,
        protocol: asyncio.BaseProtocol,
        sslcontext: ssl.SSLContext,
        *,
        server_side: bool = False,
        server_hostname: str | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
    ) -> Any:
        """Go over to TLS; see ``asyncio.loop.start_tls``.

        Args:
            transport: a transport of this loop, which is not to be used any more.
            protocol: the application's, which is not told of the change.
            sslcontext: an ``ssl.SSLContext``.
            server_side: whether this is the server's side of the handshake, by default no.
            server_hostname: the name that the certificate has to have.
            ssl_handshake_timeout: seconds, by default 60.
            ssl_shutdown_timeout: seconds, by default 30.

        Returns:
            The transport that the protocol is to use from now on.

        Raises:
            TypeError: the transport cannot do that, or the context is none.
            ConnectionError: the peer has gone, or the handshake took too long.
            ssl.SSLError: the handshake failed.
        """
        return await tls.start(
            self,
            transport,
            protocol,
            sslcontext,
            server_side=server_side,
            server_hostname=server_hostname,
            ssl_handshake_timeout=ssl_handshake_timeout,
            ssl_shutdown_timeout=ssl_shutdown_timeout,
        )

    def _start_serving(  # noqa: PLR0913, PLR0917 -- the signature is asyncio's.
        self,
        protocol_factory: _Factory,
        sock: socket.socket,
        sslcontext: ssl.SSLContext | None = None,
        server: Any = None,
        backlog: int = 100,
        ssl_handshake_timeout: float | None = constants.SSL_HANDSHAKE_TIMEOUT,
        ssl_shutdown_timeout: float | None = constants.SSL_SHUTDOWN_TIMEOUT,
        context: Context | None = None,
    ) -> None:
        options = (sslcontext, server, backlog, context, ssl_handshake_timeout, ssl_shutdown_timeout)
        self._add_reader(sock.fileno(), self._accept, protocol_factory, sock, *options)

    def _stop_serving(self, sock: socket.socket) -> None:
        self._remove_reader(sock.fileno())
        sock.close()

    def _accept(  # noqa: PLR0913, PLR0917 -- all that a server is started with.
        self,
        protocol_factory: _Factory,
        sock: socket.socket,
        sslcontext: ssl.SSLContext | None,
        server: Any,
        backlog: int,
        context: Context | None,
        *timeouts: float | None,
    ) -> None:
        """Accept what is there, at most as many connections as the backlog holds, and the one that the system adds."""
        try:
            if sslcontext is None:
                welcome = protocol_factory, context, server
                if not self._accept_streams(sock, backlog + 1, *welcome):
                    self._accept_slowly(sock, backlog + 1, self._welcome_in, *welcome)
            else:
                welcome_tls = self._shake_hands, protocol_factory, context, server, sslcontext, *timeouts
                if not self._accept_connections(sock, backlog + 1, *welcome_tls):
                    self._accept_slowly(sock, backlog + 1, *welcome_tls)
        except OSError as error:
            if error.errno not in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                raise
            options = (sslcontext, server, backlog, *timeouts, context)
            self._wait_for_resources(error, protocol_factory, sock, *options)

    def _accept_slowly(
        self, sock: socket.socket, count: int, welcome: Callable[..., None], factory: _Factory, *options: Any
    ) -> None:
        """Accept from what only looks like a socket of Python's."""
        for _ in range(count):
            try:
                connection, address = sock.accept()
                connection.setblocking(False)  # noqa: FBT003 -- the method takes no names.
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            welcome(factory, connection, address, *options)

    def _wait_for_resources(self, error: OSError, factory: _Factory, sock: socket.socket, *options: Any) -> None:
        """Leave connections in the backlog for a second; without that the loop would be busy failing."""
        self.call_exception_handler(
            {
                "message": "socket.accept() out of system resource",
                "exception": error,
                "socket": trsock.TransportSocket(sock),
            }
        )
        self._remove_reader(sock.fileno())
        self.call_later(constants.ACCEPT_RETRY_DELAY, self._serve_again, factory, sock, *options)

    def _serve_again(self, factory: _Factory, sock: socket.socket, *options: Any) -> None:
        """Accept again, unless the server was closed meanwhile."""
        if sock.fileno() != -1:
            self._start_serving(factory, sock, *options)

    def _welcome_in(
        self, factory: _Factory, connection: socket.socket, peername: Any, context: Context | None, server: Any
    ) -> None:
        """Make the transport of an accepted connection, in a context of its own."""
        if context is None:
            copy_context().run(self._welcome, factory, connection, peername, server, None)
        else:
            own = context.copy()
            own.run(self._welcome, factory, connection, peername, server, own)

    def _welcome(
        self, factory: _Factory, connection: socket.socket, peername: Any, server: Any, context: Context | None
    ) -> None:
        """Make the transport of an accepted connection."""
        protocol = transport = None
        extra = {"peername": peername}
        try:
            protocol = factory()
            transport = self._make_socket_transport(connection, protocol, extra=extra, server=server, context=context)
        except (SystemExit, KeyboardInterrupt):
            connection.close()
            raise
        except BaseException as error:  # noqa: BLE001 -- whatever the factory raises concerns one connection.
            connection.close()
            self._accept_failed(error, protocol, transport)

    def _shake_hands(
        self, factory: _Factory, connection: socket.socket, peername: Any, context: Context | None, *options: Any
    ) -> None:
        """Begin to make the transport of an accepted connection, which takes a handshake."""
        own = None if context is None else context.copy()
        # Task factories of before Python 3.15 need not know the word.
        keywords = {} if own is None else {"context": own}
        self.create_task(self._welcome_tls(factory, connection, peername, own, *options), **keywords)

    async def _welcome_tls(  # noqa: PLR0913, PLR0917 -- all that the handshake takes.
        self,
        factory: _Factory,
        connection: socket.socket,
        peername: Any,
        context: Context | None,
        server: Any,
        sslcontext: ssl.SSLContext,
        handshake_timeout: float | None,
        shutdown_timeout: float | None,
    ) -> None:
        """Make the transport of an accepted connection and wait for its handshake."""
        protocol = transport = None
        extra = {"peername": peername}
        try:
            protocol = factory()
            waiter = self.create_future()
            transport = self._make_ssl_transport(
                connection,
                protocol,
                sslcontext,
                waiter=waiter,
                server_side=True,
                extra=extra,
                server=server,
                ssl_handshake_timeout=handshake_timeout,
                ssl_shutdown_timeout=shutdown_timeout,
                context=context,
            )
            try:
                await waiter
            except BaseException:
                transport.close()
                # Its exception leads to this frame.
                del waiter
                raise
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:  # noqa: BLE001 -- a failed handshake concerns one connection.
            if transport is None:
                connection.close()
            self._accept_failed(error, protocol, transport)

    def _accept_failed(self, error: BaseException, protocol: object, transport: object) -> None:
        """Say in debug mode that a connection could not be set up, as asyncio does."""
        if not self._debug:
            return
        context = {"message": "Error on transport creation for incoming connection", "exception": error}
        if protocol is not None:
            context["protocol"] = protocol
        if transport is not None:
            context["transport"] = transport
        self.call_exception_handler(context)


def describe_socket(extra: dict[str, Any], sock: socket.socket) -> None:
    """Fill in what ``get_extra_info`` knows of a socket; it must be asked before the peer can be gone."""
    extra["socket"] = trsock.TransportSocket(sock)
    try:
        extra["sockname"] = sock.getsockname()
    except OSError:
        extra["sockname"] = None
    if "peername" not in extra:
        try:
            extra["peername"] = sock.getpeername()
        except OSError:
            extra["peername"] = None


async def begin_serving(server: Any) -> None:
    """Have a server accept; close it if nobody waits for it any more, because then nobody else can."""
    server._start_serving()
    try:
        # As asyncio: a connection made right after this is accepted.
        await asyncio.sleep(0)
    except BaseException:
        server.close()
        raise
