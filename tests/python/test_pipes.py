"""Pipes of one direction: pipes, FIFOs, sockets and terminals, read, written, and gone."""

from __future__ import annotations

import asyncio
import gc
import os
import select
import socket
import sys
import tty
from typing import IO, TYPE_CHECKING, Any

import pytest
from loops import not_on, open_descriptors, run, until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    NewLoop = Callable[[], asyncio.AbstractEventLoop]


class End(asyncio.Protocol):
    """Remembers what it is told, in order."""

    def __init__(self) -> None:
        """Have heard nothing."""
        self.transport: Any = None
        self.received = b""
        self.events: list[str] = []
        self.error: Exception | None = None

    @property
    def lost(self) -> bool:
        """Whether this is over."""
        return "lost" in self.events

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Keep the data."""
        self.received += data

    def eof_received(self) -> None:
        """Remember the end of file."""
        self.events.append("eof")

    def pause_writing(self) -> None:
        """Remember the pause."""
        self.events.append("pause")

    def resume_writing(self) -> None:
        """Remember the end of the pause."""
        self.events.append("resume")

    def connection_lost(self, exc: Exception | None) -> None:
        """Remember the end."""
        self.events.append("lost")
        self.error = exc

    async def closed(self) -> None:
        """Close the transport and wait until it is gone."""
        self.transport.close()
        await until(lambda: self.lost)


async def reader(file: Any, protocol: Callable[[], End] = End) -> End:
    """Connect to the reading end of something."""
    _, end = await asyncio.get_running_loop().connect_read_pipe(protocol, file)
    return end


async def writer(file: Any, protocol: Callable[[], End] = End) -> End:
    """Connect to the writing end of something."""
    _, end = await asyncio.get_running_loop().connect_write_pipe(protocol, file)
    return end


def pipe() -> tuple[IO[bytes], IO[bytes]]:
    """Open a pipe."""
    read, write = os.pipe()
    return os.fdopen(read, "rb", 0), os.fdopen(write, "wb", 0)


def raw_pty() -> tuple[IO[bytes], IO[bytes]]:
    """Open a terminal that passes on what it is given."""
    master, slave = os.openpty()
    tty.setraw(slave)
    return os.fdopen(master, "r+b", 0), os.fdopen(slave, "r+b", 0)


def is_readable(file: IO[bytes]) -> bool:
    """Return whether there is something to read."""
    return bool(select.select([file], [], [], 0)[0])


def forget(objects: list[Any]) -> None:
    """Give up the last references to these."""
    objects.clear()
    gc.collect()


@not_on("uvloop", reason="`write_eof` is for sockets only")
def test_what_is_written_is_read_and_the_end_is_seen(new_loop: NewLoop) -> None:
    async def main() -> None:
        read, write = pipe()
        near, far = await reader(read), await writer(write)
        far.transport.write(b"one ")
        far.transport.writelines([b"two ", bytearray(b"three "), memoryview(b"four")])
        await until(lambda: near.received == b"one two three four")
        assert far.transport.can_write_eof()
        far.transport.write_eof()
        await until(lambda: near.lost and far.lost)
        assert (near.events, near.error) == (["eof", "lost"], None)
        assert (far.events, far.error) == (["lost"], None)
        assert near.transport.get_extra_info("pipe") is read
        assert far.transport.get_extra_info("pipe") is write
        assert read.closed
        assert write.closed

    run(new_loop, main())


@not_on("uvloop", reason="its transports of pipes are below no class of asyncio")
def test_a_writer_is_a_transport_that_refuses_to_read(new_loop: NewLoop) -> None:
    async def main() -> None:
        read, write = pipe()
        far = await writer(write)
        assert isinstance(far.transport, asyncio.Transport)
        with pytest.raises(NotImplementedError):
            far.transport.pause_reading()
        await far.closed()
        read.close()

    run(new_loop, main())


def test_a_fifo_is_a_pipe(new_loop: NewLoop, tmp_path: Path) -> None:
    async def main() -> None:
        path = tmp_path / "fifo"
        os.mkfifo(path)
        near = await reader(os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb", 0))
        far = await writer(path.open("wb", 0))
        far.transport.write(b"data")
        await until(lambda: near.received == b"data")
        await far.closed()
        await until(lambda: near.lost)

    run(new_loop, main())


def test_a_socket_is_a_pipe(new_loop: NewLoop) -> None:
    async def main() -> None:
        left, right = socket.socketpair()
        near, far = await reader(left), await writer(right)
        far.transport.write(b"data")
        await until(lambda: near.received == b"data")
        await far.closed()
        await until(lambda: near.lost)

    run(new_loop, main())


@not_on("uvloop", reason="opens nothing but pipes for writing, and aborts")
def test_a_file_is_no_pipe(new_loop: NewLoop, tmp_path: Path) -> None:
    async def main() -> None:
        with (tmp_path / "file").open("w+b", 0) as file:
            with pytest.raises(ValueError, match="Pipe transport is for pipes/sockets only"):
                await reader(file)
            with pytest.raises(ValueError, match="Pipe transport is only for pipes, sockets and character devices"):
                await writer(file)
            assert not file.closed

    run(new_loop, main())


@not_on("uvloop", reason="opens nothing but pipes for writing, and aborts")
def test_the_null_device_can_be_written_to(new_loop: NewLoop) -> None:
    async def main() -> None:
        end = await writer(open(os.devnull, "wb", 0))  # noqa: ASYNC230, PTH123, SIM115 -- the transport closes it.
        end.transport.write(bytes(100_000))
        await end.closed()
        assert end.error is None

    run(new_loop, main())


@not_on("uvloop", reason="raises RuntimeError from `write`")
def test_a_writer_notices_that_nobody_reads_any_more(new_loop: NewLoop) -> None:
    async def main() -> None:
        read, write = pipe()
        end = await writer(write)
        read.close()
        await until(lambda: end.lost)
        assert end.transport.is_closing()
        for _ in range(7):
            end.transport.write(b"nowhere")

    run(new_loop, main())


def test_what_nobody_read_is_a_broken_pipe(new_loop: NewLoop) -> None:
    async def main() -> None:
        read, write = pipe()
        end = await writer(write)
        end.transport.write(bytes(1 << 20))
        assert end.transport.get_write_buffer_size() > 0
        read.close()
        await until(lambda: end.lost)
        assert isinstance(end.error, BrokenPipeError)

    run(new_loop, main())


def test_a_write_to_nobody_is_a_broken_pipe(new_loop: NewLoop) -> None:
    async def main() -> None:
        read, write = pipe()
        end = await writer(write)
        read.close()
        end.transport.write(b"nowhere")
        await until(lambda: end.lost)
        assert isinstance(end.error, BrokenPipeError)

    run(new_loop, main())


def test_flow_control_pauses_and_resumes_the_protocol(new_loop: NewLoop) -> None:
    async def main() -> None:
        read, write = pipe()
        near, far = await reader(read), await writer(write)
        near.transport.pause_reading()
        far.transport.set_write_buffer_limits(high=1000, low=100)
        far.transport.write(bytes(1 << 20))
        assert far.events == ["pause"]
        near.transport.resume_reading()
        await until(lambda: len(near.received) == 1 << 20)
        assert far.events == ["pause", "resume"]
        assert far.transport.get_write_buffer_size() == 0
        await far.closed()
        await until(lambda: near.lost)

    run(new_loop, main())


@not_on("uvloop", reason="sends what is written after `close`")
def test_close_sends_what_was_written(new_loop: NewLoop) -> None:
    async def main() -> None:
        read, write = pipe()
        near, far = await reader(read), await writer(write)
        data = os.urandom(1 << 20)
        far.transport.write(data)
        far.transport.close()
        far.transport.write(b"too late")
        await until(lambda: near.lost)
        assert near.received == data
        assert far.error is None

    run(new_loop, main())


def test_abort_drops_what_was_written(new_loop: NewLoop) -> None:
    async def main() -> None:
        read, write = pipe()
        near, far = await reader(read), await writer(write)
        near.transport.pause_reading()
        far.transport.write(bytes(1 << 20))
        far.transport.abort()
        await until(lambda: far.lost)
        near.transport.resume_reading()
        await until(lambda: near.lost)
        assert len(near.received) < 1 << 20
        assert far.error is None

    run(new_loop, main())


def test_writes_before_the_loop_runs_go_out_at_once(new_loop: NewLoop) -> None:
    loop = new_loop()
    read, write = pipe()
    end = loop.run_until_complete(writer(write))
    end.transport.write(b"now")
    assert read.read(10) == b"now"
    loop.run_until_complete(end.closed())
    read.close()
    loop.close()


@not_on("uvloop", reason="sends what it is later")
def test_data_that_changes_after_the_write_is_sent_as_it_was(new_loop: NewLoop) -> None:
    async def main() -> None:
        read, write = pipe()
        near, far = await reader(read), await writer(write)
        data = bytearray(b"x" * 200_000)
        far.transport.write(b"first")
        far.transport.write(data)
        data[:] = b"y" * 200_000
        await until(lambda: len(near.received) == 200_005)
        assert set(near.received[5:]) == {ord("x")}
        await far.closed()
        await until(lambda: near.lost)

    run(new_loop, main())


def test_the_reader_can_be_closed_in_data_received(new_loop: NewLoop) -> None:
    class Once(End):
        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self.transport.close()

    async def main() -> None:
        read, write = pipe()
        near = await reader(read, Once)
        write.write(b"data")
        await until(lambda: near.lost)
        assert near.events == ["lost"]
        write.close()

    run(new_loop, main())


@not_on("uvloop", reason="closes the transport")
def test_exceptions_of_the_protocol_reach_the_handler_and_reading_goes_on(new_loop: NewLoop) -> None:
    class Faulty(End):
        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            raise ZeroDivisionError

        def eof_received(self) -> None:
            super().eof_received()
            raise OSError

    async def main() -> None:
        seen: list[Any] = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: seen.append(type(context["exception"])))
        read, write = pipe()
        near = await reader(read, Faulty)
        write.write(b"1")
        await until(lambda: near.received == b"1")
        write.write(b"2")
        await until(lambda: near.received == b"12")
        write.close()
        await until(lambda: near.lost)
        assert seen == [ZeroDivisionError, ZeroDivisionError, OSError]

    run(new_loop, main())


@pytest.mark.parametrize("exception", [SystemExit, KeyboardInterrupt])
@not_on("uvloop", reason="swallows them")
def test_exceptions_that_end_programs_end_the_loop(new_loop: NewLoop, exception: type[BaseException]) -> None:
    class Ending(End):
        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            raise exception

    loop = new_loop()
    read, write = pipe()
    near = loop.run_until_complete(reader(read, Ending))
    write.write(b"x")
    with pytest.raises(exception):
        loop.run_until_complete(until(lambda: near.lost))
    loop.run_until_complete(near.closed())
    write.close()
    loop.close()


@not_on("asyncio", reason="closing one transport stops the other")
@not_on("uvloop", reason="opens terminals as pipes, which they are not")
def test_a_terminal_is_read_and_written_by_one_descriptor(new_loop: NewLoop) -> None:
    async def main() -> None:
        master, slave = raw_pty()
        near, far = await reader(master), await writer(slave)
        back = await writer(os.fdopen(master.fileno(), "wb", 0, closefd=False))
        far.transport.write(b"from the program")
        await until(lambda: near.received == b"from the program")
        back.transport.write(b"from the user")
        await until(lambda: is_readable(slave))
        assert os.read(slave.fileno(), 100) == b"from the user"
        back.transport.write(bytes(100_000))
        assert back.transport.get_write_buffer_size() > 0
        far.transport.write(b"!")
        await until(lambda: near.received.endswith(b"!"))
        back.transport.abort()
        await until(lambda: back.lost)
        far.transport.write(b"?")
        await until(lambda: near.received.endswith(b"?"))
        await far.closed()
        await until(lambda: near.lost)

    run(new_loop, main())


@pytest.mark.skipif(sys.platform != "linux", reason="EIO is Linux's way to say it")
@not_on("uvloop", reason="takes it for an end of file")
def test_a_terminal_that_hangs_up_is_an_error_and_no_end_of_file(new_loop: NewLoop) -> None:
    async def main() -> None:
        seen: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: seen.append(context))
        master, slave = raw_pty()
        near = await reader(master)
        slave.write(b"last words")
        slave.close()
        await until(lambda: near.lost)
        assert near.received == b"last words"
        assert near.events == ["lost"]
        assert isinstance(near.error, OSError)
        assert not seen

    run(new_loop, main())


@not_on("asyncio", "uvloop", reason="lets the transport's watch be replaced")
def test_a_descriptor_of_a_transport_is_nobody_elses(new_loop: NewLoop) -> None:
    async def main() -> None:
        read, write = pipe()
        near, far = await reader(read), await writer(write)
        loop = asyncio.get_running_loop()
        with pytest.raises(RuntimeError, match="is used by transport"):
            loop.add_reader(read, print)
        with pytest.raises(RuntimeError, match="is used by transport"):
            loop.remove_writer(write)
        await far.closed()
        await until(lambda: near.lost)

    run(new_loop, main())


@not_on("asyncio", "uvloop", reason="goes on waiting for the old file")
def test_a_number_that_was_closed_while_watched_can_be_used_again(new_loop: NewLoop) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        left, right = pipe()
        loop.add_reader(left.fileno(), print)
        number = left.fileno()
        left.close()
        right.close()
        read, write = pipe()
        assert read.fileno() == number
        near, far = await reader(read), await writer(write)
        far.transport.write(b"data")
        await until(lambda: near.received == b"data")
        await far.closed()
        await until(lambda: near.lost)

    run(new_loop, main())


@not_on("uvloop", reason="closes it twice, https://github.com/MagicStack/uvloop/issues/763")
def test_a_cancelled_connection_closes_its_file_once(new_loop: NewLoop) -> None:
    async def main() -> None:
        for connect in (reader, writer):
            read, write = pipe()
            file, other = (read, write) if connect is reader else (write, read)
            task = asyncio.ensure_future(connect(file))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await until(lambda file=file: file.closed)  # type: ignore[misc]
            other.close()

    before = open_descriptors()
    run(new_loop, main())
    assert open_descriptors() == before


@not_on("uvloop", reason="warns of nothing")
def test_a_pipe_that_nobody_closed_is_warned_of(new_loop: NewLoop) -> None:
    async def main() -> list[Any]:
        read, write = pipe()
        return [(await reader(read)).transport, (await writer(write)).transport]

    gc.collect()
    before = open_descriptors()
    loop = new_loop()
    transports = loop.run_until_complete(main())
    loop.close()
    with pytest.warns(ResourceWarning, match="unclosed transport") as warned:
        forget(transports)
    assert sum("unclosed transport" in str(warning.message) for warning in warned) == 2
    del loop
    gc.collect()
    assert open_descriptors() == before


def test_no_descriptor_is_left(new_loop: NewLoop) -> None:
    async def main() -> None:
        read, write = pipe()
        near, far = await reader(read), await writer(write)
        far.transport.write(bytes(300_000))
        far.transport.abort()
        near.transport.close()
        await until(lambda: near.lost and far.lost)

    run(new_loop, main())
    before = open_descriptors()
    run(new_loop, main())
    assert open_descriptors() == before
