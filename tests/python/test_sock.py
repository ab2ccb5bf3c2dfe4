"""The ``sock_*`` operations, and what becomes of their descriptors."""

from __future__ import annotations

import array
import asyncio
import collections.abc
import contextlib
import functools
import gc
import os
import socket
import ssl
import sys
import tempfile
import time
import warnings
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest
from connections import is_treadle
from loops import not_on, open_descriptors, run, until

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    NewLoop = Callable[[], asyncio.AbstractEventLoop]

HELD = not_on("uvloop", reason="it takes what is received and loses it with the task")


@contextlib.contextmanager
def pair(kind: int = socket.SOCK_STREAM, family: int = socket.AF_UNIX) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Make two sockets that are connected and do not block."""
    near, far = socket.socketpair(family, kind)
    with near, far:
        near.settimeout(0)
        far.settimeout(0)
        yield near, far


@contextlib.contextmanager
def listening(backlog: int = 10) -> Iterator[socket.socket]:
    """Make a listening socket that does not block."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(backlog)
        listener.settimeout(0)
        yield listener


@contextlib.contextmanager
def opened(family: int = socket.AF_INET, kind: int = socket.SOCK_STREAM) -> Iterator[socket.socket]:
    """Make a socket that does not block."""
    with socket.socket(family, kind) as sock:
        sock.settimeout(0)
        yield sock


def fill(sock: socket.socket) -> int:
    """Write until no more goes in; return how much that was."""
    sent = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            sent += sock.send(bytes(1 << 16))
    return sent


async def begun(operation: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    """Have an operation begin, and wait."""
    task = asyncio.get_running_loop().create_task(operation)
    for _ in range(3):
        await asyncio.sleep(0)
    assert not task.done()
    return task


async def cancelled(task: asyncio.Task[Any]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert task.cancelled()


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


# What makes them coroutines.


@not_on("uvloop", "asyncio", reason="theirs are made by a compiler")
def test_an_operation_is_a_coroutine(new_loop: NewLoop) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with pair() as (near, far):
            operation: Any = loop.sock_recv(near, 10)
            assert asyncio.iscoroutine(operation) is isinstance(operation, collections.abc.Coroutine) is True
            assert operation.__qualname__ == "sock_recv"
            assert repr(operation).startswith("<coroutine object sock_recv at 0x")
            task = await begun(operation)
            assert "coro=<sock_recv()>" in repr(task)
            assert operation.cr_await is not None
            assert not operation.cr_running
            assert task.get_stack() == []
            far.send(b"x")
            assert await task == b"x"
            assert operation.cr_await is None
            assert weakref.ref(operation)() is operation

    run(new_loop, main())


@not_on("uvloop", reason="it has another error for a closed socket")
def test_nothing_happens_before_it_is_awaited(new_loop: NewLoop) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with pair() as (near, far):
            far.send(b"data")
            operation = loop.sock_recv(near, 10)
            assert near.recv(10, socket.MSG_PEEK) == b"data"
            near.close()
            with pytest.raises(OSError, match="Bad file descriptor"):
                await operation

    run(new_loop, main())


@not_on("uvloop", reason="its methods are compiled")
def test_a_coroutine_that_nobody_awaits_is_told(new_loop: NewLoop) -> None:
    async def main() -> None:
        with pair() as (near, _), warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            operation: Any = asyncio.get_running_loop().sock_recv(near, 10)
            name = operation.__qualname__
            del operation
            gc.collect()
        assert [str(warning.message) for warning in caught] == [f"coroutine '{name}' was never awaited"]
        assert caught[0].category is RuntimeWarning

    run(new_loop, main())


@not_on("uvloop", reason="its methods are compiled")
def test_a_coroutine_is_awaited_once(new_loop: NewLoop) -> None:
    async def main() -> None:
        with pair() as (near, far):
            far.send(b"data")
            operation = asyncio.get_running_loop().sock_recv(near, 10)
            await operation
            with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
                await operation
            closed = asyncio.get_running_loop().sock_recv(near, 10)
            closed.close()
            closed.close()
            with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
                await closed

    run(new_loop, main())


@pytest.mark.filterwarnings("ignore:the .* signature of throw:DeprecationWarning")
@pytest.mark.parametrize("has_begun", [False, True])
def test_an_exception_can_be_thrown_into_it(new_loop: NewLoop, has_begun: bool) -> None:  # noqa: FBT001
    async def main() -> None:
        with pair() as (near, _):
            for thrown in [(KeyError("x"),), (KeyError,), (KeyError, "x"), (KeyError, KeyError("x"), None)]:
                operation: Any = asyncio.get_running_loop().sock_recv(near, 10)
                if has_begun:
                    operation.send(None)
                with pytest.raises(KeyError):
                    operation.throw(*thrown)

    run(new_loop, main())


@not_on("uvloop", reason="its methods are compiled")
def test_what_is_sent_first_is_none(new_loop: NewLoop) -> None:
    async def main() -> None:
        with pair() as (near, _):
            operation = asyncio.get_running_loop().sock_recv(near, 10)
            with pytest.raises(TypeError, match="can't send non-None value to a just-started coroutine"):
                operation.send(1)
            operation.close()

    run(new_loop, main())


def test_wait_for_and_gather_take_operations(new_loop: NewLoop) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with pair() as (near, far):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(loop.sock_recv(near, 10), 0.001)
            received, _ = await asyncio.gather(loop.sock_recv(near, 10), loop.sock_sendall(far, b"data"))
            assert received == b"data"

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


# Who waits, and what becomes of it.


def test_a_waiting_operation_can_be_cancelled_and_repeated(new_loop: NewLoop) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with pair() as (near, far):
            for _ in range(3):
                await cancelled(await begun(loop.sock_recv(near, 10)))
                assert not loop.remove_reader(near.fileno())
            far.send(b"data")
            assert await loop.sock_recv(near, 10) == b"data"
            sent = fill(near)
            await cancelled(await begun(loop.sock_sendall(near, b"more")))
            while sent:
                sent -= len(far.recv(1 << 20))
            await loop.sock_sendall(near, b"rest")
            assert (await loop.sock_recv(far, 100)).endswith(b"rest")

    run(new_loop, main())


def test_reading_and_writing_wait_independently(new_loop: NewLoop) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with pair() as (near, far):
            sent = fill(near)
            reading = await begun(loop.sock_recv(near, 10))
            writing = await begun(loop.sock_sendall(near, b"end"))
            far.send(b"data")
            assert await reading == b"data"
            assert not writing.done()
            reading = await begun(loop.sock_recv(near, 10))
            received = bytearray()
            while len(received) < sent + 3:
                received += await loop.sock_recv(far, 1 << 20)
            await writing
            assert received.endswith(b"end")
            far.send(b"more")
            assert await reading == b"more"

    run(new_loop, main())


@not_on("uvloop", reason="it refuses the second")
def test_a_second_reader_takes_the_place_of_the_first(new_loop: NewLoop) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with pair() as (near, far):
            first = await begun(loop.sock_recv(near, 10))
            second = await begun(loop.sock_recv(near, 10))
            far.send(b"data")
            assert await second == b"data"
            assert not first.done()
            third = await begun(loop.sock_recv(near, 10))
            await cancelled(first)
            far.send(b"more")
            assert await third == b"more"

    run(new_loop, main())


@not_on("uvloop", reason="it does not say whether there was a reader")
def test_a_programs_reader_takes_turns_with_operations(new_loop: NewLoop) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with pair() as (near, far):
            for number in range(3):
                task = await begun(loop.sock_recv(near, 10))
                far.send(b"%d" % number)
                assert await task == b"%d" % number
                got: list[bytes] = []
                loop.add_reader(near.fileno(), receive, near, got)
                far.send(b"xyz")
                await until(functools.partial(has_three, got))
                assert loop.remove_reader(near.fileno())
                assert not loop.remove_reader(near.fileno())

    run(new_loop, main())


def receive(sock: socket.socket, got: list[bytes]) -> None:
    got.append(sock.recv(1))


def has_three(got: list[bytes]) -> bool:
    return len(got) == 3


@not_on("uvloop", reason="it does not say whether there was a writer")
def test_a_programs_writer_stays_beside_a_waiting_reader(new_loop: NewLoop) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with pair() as (near, far):
            task = await begun(loop.sock_recv(near, 10))
            written: list[int] = []
            loop.add_writer(near.fileno(), lambda: written.append(1))
            await until(lambda: len(written) > 2)
            far.send(b"data")
            assert await task == b"data"
            assert loop.remove_writer(near.fileno())
            task = await begun(loop.sock_recv(near, 10))
            far.send(b"more")
            assert await task == b"more"

    run(new_loop, main())


@not_on("uvloop", reason="libuv keeps descriptors of its own")
def test_a_transport_takes_over_a_socket_that_was_waited_for(new_loop: NewLoop) -> None:
    class Keeping(asyncio.Protocol):
        def __init__(self) -> None:
            self.received = b""

        def data_received(self, data: bytes) -> None:
            self.received += data

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with listening() as listener, opened() as client:
            await loop.sock_connect(client, listener.getsockname())
            connection, _ = await loop.sock_accept(listener)
            greeting = await begun(loop.sock_recv(connection, 2))
            await loop.sock_sendall(client, b"hi")
            assert await greeting == b"hi"
            transport, protocol = await loop.connect_accepted_socket(Keeping, connection)
            await loop.sock_sendall(client, b"rest")
            await until(lambda: protocol.received == b"rest")
            if new_loop.__module__.startswith("treadle"):
                with pytest.raises(RuntimeError, match="is used by transport"):
                    await loop.sock_recv(connection, 2)
            transport.abort()
            await until(lambda: connection.fileno() == -1)

    before = open_descriptors()
    run(new_loop, main())
    assert open_descriptors() == before


# Descriptors that are closed, and numbers that are used again.


def test_a_number_that_is_used_again_is_watched_anew(new_loop: NewLoop) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        numbers = set()
        for _ in range(5):
            with pair() as (near, far):
                numbers.add(near.fileno())
                task = await begun(loop.sock_recv(near, 10))
                far.send(b"data")
                assert await task == b"data"
        assert len(numbers) == 1

    run(new_loop, main())


def test_a_number_is_used_again_while_a_duplicate_lives(new_loop: NewLoop) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with contextlib.ExitStack() as stack:
            near, far = stack.enter_context(pair())
            task = await begun(loop.sock_recv(near, 10))
            far.send(b"data")
            assert await task == b"data"
            number = near.fileno()
            copy = stack.enter_context(near.dup())
            near.close()
            another, other = stack.enter_context(pair())
            assert another.fileno() == number
            # The kernel still watches the old file under this number.
            far.send(b"for the duplicate")
            task = await begun(loop.sock_recv(another, 10))
            other.send(b"new")
            assert await task == b"new"
            assert await loop.sock_recv(copy, 100) == b"for the duplicate"

    run(new_loop, main())


@not_on("uvloop", reason="its loop cannot be asked how busy it is")
def test_a_duplicate_does_not_keep_the_loop_busy(new_loop: NewLoop) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with pair() as (near, far):
            task = await begun(loop.sock_recv(near, 10))
            far.send(b"data")
            await task
            with near.dup():
                near.close()
                far.send(b"nobody reads this")
                used = time.process_time()
                await asyncio.sleep(0.05)
                assert time.process_time() - used < 0.04

    run(new_loop, main())


@not_on("uvloop", reason="it has another error for a closed socket")
def test_a_socket_object_with_another_ones_descriptor_is_another(new_loop: NewLoop) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with pair() as (near, far):
            task = await begun(loop.sock_recv(near, 10))
            far.send(b"data")
            await task
            with socket.socket(fileno=near.detach()) as same:
                same.settimeout(0)
                task = await begun(loop.sock_recv(same, 10))
                far.send(b"more")
                assert await task == b"more"
            with pytest.raises(OSError, match="Bad file descriptor"):
                await loop.sock_recv(near, 10)

    run(new_loop, main())


@not_on("uvloop", reason="it keeps the socket open")
def test_a_socket_that_is_closed_while_it_is_waited_for_harms_nobody(new_loop: NewLoop) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with pair() as (near, _):
            number = near.fileno()
            task = await begun(loop.sock_recv(near, 10))
            near.close()
            await cancelled(task)
            with pair() as (another, other):
                assert another.fileno() == number
                waiting = await begun(loop.sock_recv(another, 10))
                other.send(b"data")
                assert await waiting == b"data"

    run(new_loop, main())


@not_on("asyncio", "uvloop", reason="there the operation waits for ever, or the new socket cannot be watched")
def test_an_operation_on_a_closed_socket_fails_when_its_number_is_used_again(new_loop: NewLoop) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with pair() as (near, _):
            number = near.fileno()
            task = await begun(loop.sock_recv(near, 10))
            near.close()
            with pair() as (another, other):
                assert another.fileno() == number
                waiting = await begun(loop.sock_recv(another, 10))
                with pytest.raises(OSError, match="Bad file descriptor"):
                    await task
                other.send(b"data")
                assert await waiting == b"data"

    run(new_loop, main())


@not_on("uvloop", reason="it makes a crash of it")
def test_a_loop_is_closed_while_operations_wait(new_loop: NewLoop) -> None:
    with pair() as (near, far):
        loop = new_loop()
        operation = loop.sock_recv(near, 10)
        operation.send(None)
        loop.close()
        operation.close()
        other = new_loop()
        task = other.create_task(other.sock_recv(near, 10))
        far.send(b"data")
        assert other.run_until_complete(task) == b"data"
        other.close()


def test_a_waiting_operation_that_is_dropped_lets_go_of_everything(new_loop: NewLoop) -> None:
    loop = new_loop()
    near, far = socket.socketpair()
    near.settimeout(0)
    buffer = Buffer(10)
    seen = weakref.ref(near), weakref.ref(buffer)
    operation: Any = loop.sock_recv_into(near, buffer)
    with contextlib.suppress(StopIteration):
        operation.send(None)
    near.close()
    del operation, near, buffer
    if not is_treadle(new_loop):
        # Theirs hold it until the loop is closed.
        loop.close()
    gc.collect()
    assert [reference() for reference in seen] == [None, None]
    far.close()
    loop.close()


class Buffer(bytearray):
    """A buffer that can be referred to weakly."""


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


def test_a_child_of_a_fork_does_not_disturb_its_parent(new_loop: NewLoop) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with pair() as (near, far):
            task = await begun(loop.sock_recv(near, 10))
            far.send(b"data")
            await task
            reading, writing = os.pipe()
            child = os.fork()
            if child == 0:
                os.read(reading, 1)
                os._exit(0)
            near.close()
            with pair() as (another, other):
                task = await begun(loop.sock_recv(another, 10))
                other.send(b"more")
                assert await task == b"more"
            os.write(writing, b"x")
            os.close(reading)
            os.close(writing)
            os.waitpid(child, 0)  # noqa: ASYNC222 -- it ends at once.

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        run(new_loop, main())


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's words are Linux's")
@not_on("asyncio", "uvloop", reason="they change what is watched for each message")
def test_a_conversation_changes_nothing_in_the_kernels_set(new_loop: NewLoop) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with pair() as (near, far):

            async def talk() -> list[str]:
                task = await begun(loop.sock_recv(near, 10))
                far.send(b"data")
                await task
                return watched(near.fileno())

            first = await talk()
            assert first == await talk() != []

    run(new_loop, main())


def watched(descriptor: int) -> list[str]:
    """Return what epoll descriptors of this process say of a descriptor."""
    found = []
    for name in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            if str(name.readlink()) == "anon_inode:[eventpoll]":
                lines = Path(f"/proc/self/fdinfo/{name.name}").read_text().splitlines()
                found += [line for line in lines if line.split()[:2] == ["tfd:", str(descriptor)]]
    return found
