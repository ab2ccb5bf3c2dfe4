"""The ``sock_*`` operations: what they do, and what they refuse."""

from __future__ import annotations

import array
import asyncio
import contextlib
import os
import socket
import ssl
import tempfile
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest
from loops import not_on, open_descriptors, run, until
from operations import HELD, begun, cancelled, listening, opened, pair

if TYPE_CHECKING:
    from collections.abc import Callable

    NewLoop = Callable[[], asyncio.AbstractEventLoop]


# Receiving and sending.


def test_what_is_there_is_received_without_waiting(new_loop: NewLoop) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with pair() as (near, far):
            far.send(b"one two")
            assert await loop.sock_recv(near, 3) == b"one"
            buffer = bytearray(10)
            assert await loop.sock_recv_into(near, buffer) == 4
            assert buffer[:4] == b" two"
            far.close()
            assert await loop.sock_recv(near, 3) == b""

    run(new_loop, main())


def test_messages_go_back_and_forth(new_loop: NewLoop) -> None:
    async def echo(sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while data := await loop.sock_recv(sock, 100):
            await loop.sock_sendall(sock, data)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with pair() as (near, far):
            task = loop.create_task(echo(far))
            for number in range(50):
                await loop.sock_sendall(near, b"%d" % number)
                assert await loop.sock_recv(near, 100) == b"%d" % number
            near.close()
            await task

    run(new_loop, main())


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_big_data_is_sent_in_pieces(new_loop: NewLoop, kind: Callable[[bytes], Any]) -> None:
    check_big_data(new_loop, kind)


@not_on("asyncio", "uvloop", reason="it counts items, and not bytes")
def test_items_of_any_format_are_sent_as_bytes(new_loop: NewLoop) -> None:
    check_big_data(new_loop, lambda data: memoryview(data).cast("I"))
    check_big_data(new_loop, lambda data: array.array("d", data))


def check_big_data(new_loop: NewLoop, kind: Callable[[bytes], Any]) -> None:
    data = os.urandom(1 << 20)

    async def receive(sock: socket.socket) -> bytes:
        loop = asyncio.get_running_loop()
        received = bytearray()
        while len(received) < len(data):
            received += await loop.sock_recv(sock, 1 << 18)
        return bytes(received)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with pair() as (near, far):
            received, _ = await asyncio.gather(receive(far), loop.sock_sendall(near, kind(data)))
            assert received == data

    run(new_loop, main())


def test_no_data_is_sent_at_once(new_loop: NewLoop) -> None:
    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        with pair() as (near, _):
            assert await loop.sock_sendall(near, b"") is None

    run(new_loop, main())


@pytest.mark.parametrize("size", [0, 1 << 20])
def test_any_size_may_be_asked_for(new_loop: NewLoop, size: int) -> None:
    async def main() -> None:
        with pair() as (near, far):
            far.send(b"data")
            assert await asyncio.get_running_loop().sock_recv(near, size) == b"data"[:size]

    run(new_loop, main())


@not_on("uvloop", reason="it has neither sock_recvfrom nor sock_sendto")
@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_datagrams_come_with_their_senders_address(new_loop: NewLoop, family: int) -> None:
    host = "127.0.0.1" if family == socket.AF_INET else "::1"

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with opened(family, socket.SOCK_DGRAM) as near, opened(family, socket.SOCK_DGRAM) as far:
            near.bind((host, 0))
            far.bind((host, 0))
            waiting = await begun(loop.sock_recvfrom(near, 100))
            assert await loop.sock_sendto(far, b"one", near.getsockname()) == 3
            assert await waiting == (b"one", far.getsockname())
            buffer = bytearray(10)
            waiting = await begun(loop.sock_recvfrom_into(near, buffer))
            await loop.sock_sendto(far, b"three", near.getsockname())
            assert await waiting == (5, far.getsockname())
            await loop.sock_sendto(far, b"three", near.getsockname())
            assert await loop.sock_recvfrom_into(near, buffer, 2) == (2, far.getsockname())

    try:
        socket.socket(family, socket.SOCK_DGRAM).bind((host, 0))
    except OSError:
        pytest.skip("this machine has no such addresses")
    run(new_loop, main())


@not_on("uvloop", reason="it has no sock_recvfrom")
def test_unix_addresses_are_those_of_the_socket_module(new_loop: NewLoop) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with (
            tempfile.TemporaryDirectory() as folder,
            opened(socket.AF_UNIX, socket.SOCK_DGRAM) as near,
            opened(socket.AF_UNIX, socket.SOCK_DGRAM) as far,
        ):
            near.bind(f"{folder}/near")
            far.sendto(b"from nobody", f"{folder}/near")
            assert await loop.sock_recvfrom(near, 100) == (b"from nobody", None)
            far.bind(f"{folder}/fär")
            far.sendto(b"from somebody", f"{folder}/near")
            assert await loop.sock_recvfrom(near, 100) == (b"from somebody", f"{folder}/fär")

    run(new_loop, main())


# Accepting and connecting.


def test_a_connection_is_accepted_and_does_not_block(new_loop: NewLoop) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with listening() as listener, opened() as client:
            accepting = await begun(loop.sock_accept(listener))
            await loop.sock_connect(client, listener.getsockname())
            connection, address = await accepting
            with connection:
                assert type(connection) is socket.socket
                assert connection.gettimeout() == 0
                assert connection.type == socket.SOCK_STREAM
                assert address == client.getsockname()
                assert not os.get_inheritable(connection.fileno())
                with pytest.raises(BlockingIOError):
                    connection.recv(1)

    run(new_loop, main())


def test_a_unix_connection_is_accepted(new_loop: NewLoop) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with (
            tempfile.TemporaryDirectory() as folder,
            opened(socket.AF_UNIX) as listener,
            opened(socket.AF_UNIX) as client,
        ):
            listener.bind(f"{folder}/socket")
            listener.listen()
            await loop.sock_connect(client, f"{folder}/socket")
            connection, address = await loop.sock_accept(listener)
            connection.close()
            assert address == ""

    run(new_loop, main())


@not_on("uvloop", reason="libuv keeps descriptors of its own")
def test_an_accept_that_is_cancelled_loses_no_connection(new_loop: NewLoop) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with listening() as listener, opened() as client:
            accepting = await begun(loop.sock_accept(listener))
            client.settimeout(None)
            client.connect(listener.getsockname())
            await cancelled(accepting)
            connection, _ = await loop.sock_accept(listener)
            connection.close()

    before = open_descriptors()
    run(new_loop, main())
    assert open_descriptors() == before


@HELD
@not_on("asyncio", reason="what was received before the task runs is lost")
def test_what_arrives_for_a_cancelled_operation_is_still_there(new_loop: NewLoop) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with pair() as (near, far):
            task = await begun(loop.sock_recv(near, 10))
            far.send(b"data")
            # The event has been heard when this runs, and the task has not.
            ready: Any = loop.create_future()
            other, another = socket.socketpair()
            with other, another:
                loop.add_reader(other.fileno(), lambda: ready.done() or ready.set_result(None))
                ready.add_done_callback(lambda _: task.cancel())
                another.send(b"x")
                await ready
                loop.remove_reader(other.fileno())
            with contextlib.suppress(asyncio.CancelledError):
                assert await task == b"data"
                return
            assert await loop.sock_recv(near, 10) == b"data"

    run(new_loop, main())


def test_a_refused_connection_says_where(new_loop: NewLoop) -> None:
    async def main() -> None:
        with listening() as listener:
            address = listener.getsockname()
        with opened() as client, pytest.raises(ConnectionRefusedError) as caught:
            await asyncio.get_running_loop().sock_connect(client, address)
        if new_loop.__module__.startswith("treadle"):
            assert str(caught.value).endswith(f"Connect call failed {address}")

    run(new_loop, main())


def test_numeric_addresses_need_no_resolver(new_loop: NewLoop) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with (
            listening() as listener,
            opened() as client,
            mock.patch("socket.getaddrinfo", side_effect=AssertionError),
        ):
            await loop.sock_connect(client, listener.getsockname())
            transport, _ = await loop.create_connection(asyncio.Protocol, *listener.getsockname())
            transport.close()
            await asyncio.sleep(0)

    run(new_loop, main())


def test_names_are_looked_up(new_loop: NewLoop) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with listening() as listener, opened() as client:
            await loop.sock_connect(client, ("localhost", listener.getsockname()[1]))
            assert client.getpeername() == listener.getsockname()

    run(new_loop, main())


@not_on("asyncio", reason="it takes a full queue for a connection")
@not_on("uvloop", reason="it waits for a descriptor that is ready at once")
def test_a_full_queue_of_a_unix_server_is_an_error(new_loop: NewLoop) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with (
            tempfile.TemporaryDirectory() as folder,
            opened(socket.AF_UNIX) as listener,
            contextlib.ExitStack() as stack,
        ):
            listener.bind(f"{folder}/socket")
            listener.listen(0)
            clients = [stack.enter_context(opened(socket.AF_UNIX)) for _ in range(3)]
            with pytest.raises(BlockingIOError):
                await asyncio.gather(*(loop.sock_connect(client, f"{folder}/socket") for client in clients))

    run(new_loop, main())


# What is refused.


@not_on("uvloop", reason="it takes them")
def test_tls_sockets_are_refused(new_loop: NewLoop) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with pair(family=socket.AF_UNIX) as (near, _):
            context = ssl.create_default_context()
            context.check_hostname = False
            tls = context.wrap_socket(near, do_handshake_on_connect=False)
            with tls, pytest.raises(TypeError, match="SSLSocket"):
                await loop.sock_recv(tls, 10)

    run(new_loop, main())


def test_debug_mode_refuses_blocking_sockets(new_loop: NewLoop) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_debug(True)
        with pair() as (near, _):
            near.settimeout(None)
            for operation in (
                loop.sock_recv(near, 10),
                loop.sock_sendall(near, b""),
                loop.sock_accept(near),
                loop.sock_connect(near, ("127.0.0.1", 1)),
            ):
                with pytest.raises(ValueError, match="non-blocking"):
                    await operation

    run(new_loop, main())


def test_wrong_arguments_are_type_errors(new_loop: NewLoop) -> None:
    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        with pair() as (near, far):
            far.send(b"data")
            with pytest.raises(TypeError):
                await loop.sock_recv(near, "ten")
            with pytest.raises(TypeError):
                await loop.sock_recv_into(near, "ten")
            with pytest.raises(TypeError):
                await loop.sock_sendall(near, "text")
            with pytest.raises(TypeError):
                await loop.sock_recv(near)
            with pytest.raises(TypeError):
                await loop.sock_recv(near, 1, size=2)

    run(new_loop, main())


@not_on("uvloop", reason="it uses the descriptor")
def test_what_looks_like_a_socket_is_called_by_name(new_loop: NewLoop) -> None:
    class Counting(socket.socket):
        calls = 0

        def recv(self, *arguments: Any) -> bytes:
            self.calls += 1
            return super().recv(*arguments)

        def send(self, *arguments: Any) -> int:
            self.calls += 1
            return super().send(memoryview(arguments[0])[:2])

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with pair() as (near, far), Counting(fileno=os.dup(near.fileno()), family=socket.AF_UNIX) as sock:
            sock.settimeout(0)
            task = await begun(loop.sock_recv(sock, 10))
            far.send(b"x")
            assert await task == b"x"
            assert sock.calls == 2
            await loop.sock_sendall(sock, b"abcde")
            assert sock.calls == 5
            assert far.recv(10) == b"abcde"
            fake = mock.Mock(spec=socket.socket)
            fake.gettimeout.return_value = 0
            fake.recv.return_value = b"mocked"
            assert await loop.sock_recv(fake, 10) == b"mocked"

    run(new_loop, main())


# Serving.


@not_on("uvloop", reason="its own way to accept")
def test_connections_of_a_server_send_small_segments_at_once(new_loop: NewLoop) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        made: list[asyncio.Transport] = []

        class Noting(asyncio.Protocol):
            def connection_made(self, transport: Any) -> None:
                made.append(transport)

        server = await loop.create_server(Noting, "127.0.0.1", 0)
        address = server.sockets[0].getsockname()
        transport, _ = await loop.create_connection(asyncio.Protocol, *address)
        await until(lambda: bool(made))
        for side, peer in ((made[0], transport), (transport, made[0])):
            sock = side.get_extra_info("socket")
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert side.get_extra_info("peername") == peer.get_extra_info("sockname")
        transport.close()
        server.close()
        await until(made[0].is_closing)

    run(new_loop, main())


@not_on("asyncio", reason="its transport survives the server, and fails when it is dropped")
@not_on("uvloop", reason="it goes on accepting")
def test_a_server_that_is_closed_by_its_factory_accepts_no_more(new_loop: NewLoop) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        # Which would tell of the connection that is refused.
        loop.set_debug(False)
        problems: list[Any] = []
        loop.set_exception_handler(lambda _, context: problems.append(context))

        def factory() -> asyncio.Protocol:
            server.close()
            return asyncio.Protocol()

        server = await loop.create_server(factory, "127.0.0.1", 0)
        address = server.sockets[0].getsockname()
        with socket.create_connection(address), socket.create_connection(address):
            await until(lambda: not server.sockets)
        assert problems == []

    run(new_loop, main())
