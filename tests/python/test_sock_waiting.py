"""Who waits in a ``sock_*`` operation, and what becomes of the descriptors."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import os
import socket
import sys
import time
import warnings
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from connections import is_treadle
from loops import not_on, open_descriptors, run, until
from operations import begun, cancelled, fill, listening, opened, pair

if TYPE_CHECKING:
    from collections.abc import Callable

    NewLoop = Callable[[], asyncio.AbstractEventLoop]


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
