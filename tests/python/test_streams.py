"""Readers and writers: one script on the standard library's and on the loop's own, and ordinary use on every loop."""

from __future__ import annotations

import asyncio
import collections.abc
import contextlib
import functools
import gc
import inspect
import random
import re
import socket
import sys
import warnings
import weakref
from asyncio import streams as stock
from typing import TYPE_CHECKING, Any, cast

import pytest
import treadle.loop
from loops import run, until
from treadle.loop import streams

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine

    NewLoop = Callable[[], asyncio.AbstractEventLoop]


class Transport(asyncio.Transport):
    """Remembers what a reader wants of it."""

    def __init__(self, trace: list[object], *, pausable: bool) -> None:
        """Begin with nothing asked."""
        super().__init__()
        self.trace = trace
        self.pausable = pausable

    def pause_reading(self) -> None:
        """Say that a pause was asked for."""
        if not self.pausable:
            raise NotImplementedError
        self.trace.append("pause")

    def resume_reading(self) -> None:
        """Say that the pause was ended."""
        self.trace.append("resume")

    def get_extra_info(self, _name: str, default: Any = None) -> Any:
        """Know nothing."""
        return default


class Script:
    """Random actions on a reader, and what came of them."""

    def __init__(self, seed: int) -> None:
        """Prepare a script that is the same for a seed."""
        self.random = random.Random(seed)  # noqa: S311 -- for tests.
        self.trace: list[object] = []
        self.tasks: list[asyncio.Task[object]] = []
        self.is_full_of_ends = self.random.random() < 0.2
        self.limit = self.random.choice([1, 4, 16, 64, 2**16])

    async def play(self, adopt: Callable[[stock.StreamReaderProtocol], object]) -> list[object]:
        """Act on a new reader, after ``adopt``; return the trace."""
        loop = asyncio.get_running_loop()
        self.reader: Any = asyncio.StreamReader(self.limit, loop)
        self.protocol: Any = asyncio.StreamReaderProtocol(self.reader, loop=loop)
        if self.random.random() < 0.2:
            self.reader.feed_data(b"early\n")
        adopt(self.protocol)
        transport = Transport(self.trace, pausable=self.random.random() < 0.9)
        if self.random.random() < 0.9:
            self.reader.set_transport(transport)
        for _ in range(self.random.randrange(60)):
            await self.act()
        self.reader.feed_eof()
        for _ in range(4):
            await asyncio.sleep(0)
        self.look()
        for task in self.tasks:
            task.cancel()
        results = await asyncio.gather(*self.tasks, return_exceptions=True)
        return [*self.trace, *map(shown, results), shown(self.reader.exception()), self.seen()]

    async def act(self) -> None:
        """Do one thing."""
        choice = self.random.random()
        if choice < 0.35:
            self.feed()
        elif choice < 0.65:
            self.tasks.append(asyncio.get_running_loop().create_task(self.noted(self.read())))
        elif choice < 0.85:
            await asyncio.sleep(0)
        elif choice < 0.90 and self.tasks:
            self.trace.append(("cancelled", self.random.choice(self.tasks).cancel()))
        elif choice < 0.94:
            self.look()
        elif choice < 0.96:
            self.change()
        elif self.is_full_of_ends:
            self.end()

    def feed(self) -> None:
        """Feed a chunk of one of the kinds that are taken."""
        size = self.random.choice([0, 1, 1, 2, 5, 20, 100])
        data = bytes(self.random.choices(b"ab\r\n", k=size))
        kind = self.random.choice([bytes, bytes, bytes, bytearray, memoryview])
        feed = self.random.choice([self.reader.feed_data, self.protocol.data_received])
        try:
            feed(kind(data))
        except AssertionError as error:
            self.trace.append(shown(error))

    def read(self) -> Callable[[], Awaitable[object]]:
        """Choose a read."""
        pick = self.random.choice
        reads: list[tuple[Any, ...]] = [
            (self.reader.read, pick([-1, 0, 1, 3, 50, 1000, 2**70])),
            (self.reader.read, pick([1, 3, 50, 1000])),
            (self.reader.readline,),
            (self.reader.readline,),
            (self.reader.readexactly, pick([-1, 0, 1, 2, 7, 40])),
            (self.reader.readuntil, pick([b"\n", b"\r\n", b"ab\n", b"", bytearray(b"b")])),
            (self.reader.readuntil,),
            (self.reader.__anext__,),
        ]
        if sys.version_info >= (3, 13):
            reads.append((self.reader.readuntil, pick([(b"a", b"b\n"), ()])))
        method, *arguments = pick(reads)
        return lambda: method(*arguments)

    async def noted(self, read: Callable[[], Awaitable[object]]) -> object:
        """Await a read and note when it ends."""
        try:
            result = await read()
        except StopAsyncIteration:
            result = "no more"
        except BaseException as error:
            self.trace.append((shown(error), shown(error.__context__)))
            raise
        self.trace.append(shown(result))
        return result

    def look(self) -> None:
        """Note what the attributes show."""
        self.trace.append(self.seen())

    def seen(self) -> object:
        """Return what the attributes show."""
        reader = self.reader
        shown_reader = re.sub(r"0x[0-9a-f]+|cb=\[.*?\]|created at .*?(?=[>\]])", "", repr(reader))
        flags = (reader.at_eof(), reader._paused, reader._eof, reader._limit, reader._waiter is None)
        return (bytes(reader._buffer), *flags, shown(reader._exception), shown_reader)

    def change(self) -> None:
        """Reach into the reader as some programs do."""
        match self.random.randrange(5):
            case 0:
                self.reader._buffer.clear()
            case 1:
                self.reader._buffer = bytearray(b"changed\n")
            case 2:
                self.reader._limit = 10
            case 3:
                self.reader._buffer += b"more"
            case _:
                self.kept = self.reader._buffer

    def end(self) -> None:
        """End the stream in one of three ways."""
        match self.random.randrange(3):
            case 0:
                self.reader.feed_eof()
            case 1:
                self.reader.set_exception(self.random.choice([OSError("broken"), asyncio.IncompleteReadError(b"a", 2)]))
            case _:
                self.protocol.connection_lost(self.random.choice([None, ConnectionResetError("gone")]))


def shown(value: object) -> object:
    """Return what tells results and exceptions of two runs apart."""
    if isinstance(value, asyncio.LimitOverrunError):
        return (type(value), str(value), value.consumed)
    if isinstance(value, asyncio.IncompleteReadError):
        return (type(value), str(value), value.partial, value.expected)
    if isinstance(value, BaseException):
        return (type(value), str(value))
    return (type(value), value)


@pytest.mark.parametrize("batch", range(20))
def test_native_reader_does_what_the_stock_one_does(batch: int) -> None:
    scripts = range(batch * 40, (batch + 1) * 40)

    async def all_of(adopt: Callable[[stock.StreamReaderProtocol], object]) -> list[list[object]]:
        return [await Script(seed).play(adopt) for seed in scripts]

    expected = run(asyncio.SelectorEventLoop, all_of(lambda _: None))
    found = run(treadle.loop.new_event_loop, all_of(streams.adopt))
    for seed, ours, theirs in zip(scripts, found, expected, strict=True):
        assert ours == theirs, f"script {seed}"


class Connection:
    """A stream pair: the side of the loop, and a plain socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, peer: socket.socket) -> None:
        """Hold the three."""
        self.reader, self.writer, self.peer = reader, writer, peer


@contextlib.asynccontextmanager
async def connected(limit: int = 2**16) -> AsyncIterator[Connection]:
    """Serve one connection; its peer is a blocking socket."""
    accepted: asyncio.Future[tuple[Any, Any]] = asyncio.get_running_loop().create_future()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.set_result((reader, writer))

    server = await asyncio.start_server(accept, "127.0.0.1", 0, limit=limit)
    with socket.create_connection(server.sockets[0].getsockname()) as peer:
        reader, writer = await accepted
        try:
            yield Connection(reader, writer, peer)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
            server.close()


def test_lines_come_one_by_one_and_the_last_without_its_end(new_loop: NewLoop) -> None:
    async def main() -> list[bytes]:
        async with connected() as connection:
            connection.peer.sendall(b"one\n\nthree\nfo")
            first = await connection.reader.readline()
            connection.peer.sendall(b"ur")
            connection.peer.shutdown(socket.SHUT_WR)
            return [first] + [line async for line in connection.reader]

    assert run(new_loop, main()) == [b"one\n", b"\n", b"three\n", b"four"]


def test_what_one_read_leaves_the_next_one_gets(new_loop: NewLoop) -> None:
    async def main() -> list[bytes]:
        async with connected() as connection:
            reader = connection.reader
            connection.peer.sendall(b"0123456789ab--cd")
            found = [await reader.readexactly(1), await reader.read(2), await reader.readexactly(3)]
            connection.peer.sendall(b"ef\n")
            return [*found, await reader.readuntil(b"--"), await reader.readline()]

    assert run(new_loop, main()) == [b"0", b"12", b"345", b"6789ab--", b"cdef\n"]


def test_megabytes_arrive_whole_through_a_small_limit(new_loop: NewLoop) -> None:
    sent = random.Random(7).randbytes(3_000_000)  # noqa: S311 -- for tests.

    async def main() -> bytes:
        async with connected(limit=1000) as connection:
            sending = asyncio.get_running_loop().run_in_executor(None, connection.peer.sendall, sent)
            head = await connection.reader.readexactly(100_000)
            parts = [head, await connection.reader.readexactly(len(sent) - 100_000 - 10)]
            await sending
            connection.peer.shutdown(socket.SHUT_WR)
            return b"".join([*parts, await connection.reader.read()])

    assert run(new_loop, main()) == sent


def test_reader_that_is_full_pauses_its_transport_until_it_is_read(new_loop: NewLoop) -> None:
    async def main() -> None:
        async with connected(limit=10) as connection:
            transport = cast("asyncio.ReadTransport", connection.writer.transport)
            connection.peer.sendall(b"x" * 21)
            await until(lambda: not transport.is_reading())
            assert await connection.reader.read(10) == b"x" * 10
            assert not transport.is_reading()
            assert await connection.reader.read(1) == b"x"
            assert transport.is_reading()

    run(new_loop, main())


def test_cancelled_read_loses_nothing(new_loop: NewLoop) -> None:
    async def main() -> bytes:
        async with connected() as connection:
            task = asyncio.ensure_future(connection.reader.readexactly(5))
            await asyncio.sleep(0)
            connection.peer.sendall(b"ab")
            await until(lambda: bool(connection.reader._buffer))  # type: ignore[attr-defined]
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            connection.peer.sendall(b"cde")
            return await asyncio.wait_for(connection.reader.readexactly(5), 5)

    assert run(new_loop, main()) == b"abcde"


def test_read_that_times_out_can_be_repeated(new_loop: NewLoop) -> None:
    async def main() -> bytes:
        async with connected() as connection:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(connection.reader.readline(), 0.001)
            connection.peer.sendall(b"late\n")
            return await asyncio.wait_for(connection.reader.readline(), 5)

    assert run(new_loop, main()) == b"late\n"


def test_only_one_read_may_wait(new_loop: NewLoop) -> None:
    async def main() -> None:
        async with connected() as connection:
            first = asyncio.ensure_future(connection.reader.read(5))
            await asyncio.sleep(0)
            text = "readline() called while another coroutine is already waiting for incoming data"
            with pytest.raises(RuntimeError, match=re.escape(text.replace("readline", "readuntil"))):
                await connection.reader.readline()
            connection.peer.sendall(b"data")
            assert await first == b"data"

    run(new_loop, main())


def test_reset_connection_ends_the_read_with_an_error(new_loop: NewLoop) -> None:
    async def main() -> None:
        async with connected() as connection:
            reading = asyncio.ensure_future(connection.reader.read(5))
            await asyncio.sleep(0)
            connection.peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            connection.peer.close()
            with pytest.raises(ConnectionResetError):
                await reading
            with pytest.raises(ConnectionResetError):
                await connection.reader.readline()
            with pytest.raises(ConnectionResetError):
                await connection.writer.drain()

    run(new_loop, main())


def test_drain_waits_until_the_peer_has_read(new_loop: NewLoop) -> None:
    async def main() -> None:
        async with connected() as connection:
            connection.writer.write(bytes(20_000_000))
            draining = asyncio.ensure_future(connection.writer.drain())
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert not draining.done()
            receive = asyncio.get_running_loop().run_in_executor(None, _received, connection.peer, 20_000_000)
            await asyncio.wait_for(draining, 5)
            assert await receive == 20_000_000

    run(new_loop, main())


def _received(peer: socket.socket, wanted: int) -> int:
    count = 0
    while count < wanted:
        count += len(peer.recv(1 << 20))
    return count


def test_drain_of_a_closing_writer_lets_the_loop_turn_and_fails(new_loop: NewLoop) -> None:
    async def main() -> None:
        async with connected() as connection:
            connection.writer.close()
            # The first one may come before `connection_lost`.
            with contextlib.suppress(ConnectionResetError):
                await connection.writer.drain()
            with pytest.raises(ConnectionResetError):
                await connection.writer.drain()

    run(new_loop, main())


# What only the loop's own classes must be shown to do: not to be noticed.


def native(main: Coroutine[Any, Any, None]) -> None:
    """Run on treadle."""
    run(treadle.loop.new_event_loop, main)


def test_stock_streams_become_native_and_others_do_not() -> None:
    class Mine(asyncio.StreamReader):
        pass

    class MyProtocol(asyncio.StreamReaderProtocol):
        pass

    async def main() -> None:
        async with connected() as connection:
            assert type(connection.reader) is streams.StreamReader
            assert type(connection.writer) is streams.StreamWriter
            reader, writer = await asyncio.open_connection(*connection.writer.get_extra_info("sockname"))
            assert type(reader) is streams.StreamReader
            writer.close()
        loop = asyncio.get_running_loop()
        for made in (Mine(loop=loop), asyncio.StreamReader(loop=loop)):
            kept = type(made)
            ours, theirs = socket.socketpair()
            with theirs:
                protocol = (asyncio.StreamReaderProtocol if kept is Mine else MyProtocol)(made, loop=loop)
                transport, _ = await loop.create_connection(functools.partial(_itself, protocol), sock=ours)
                theirs.sendall(b"data")
                assert await made.read(10) == b"data"
                assert type(made) is kept
                transport.close()

    native(main())


def _itself(protocol: asyncio.StreamReaderProtocol) -> asyncio.StreamReaderProtocol:
    return protocol


def test_protocol_that_is_set_later_is_fed_directly() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        with theirs:
            transport, _ = await loop.create_connection(asyncio.Protocol, sock=ours)
            reader = asyncio.StreamReader(loop=loop)
            protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
            transport.set_protocol(protocol)
            assert type(reader) is streams.StreamReader
            theirs.sendall(b"data")
            assert await reader.read(10) == b"data"
            transport.close()

    native(main())


@pytest.mark.parametrize("owner", [asyncio.StreamReader, asyncio.StreamReaderProtocol, None])
@pytest.mark.parametrize("early", [True, False])
def test_patched_way_of_data_is_taken(owner: type | None, monkeypatch: pytest.MonkeyPatch, early: bool) -> None:  # noqa: FBT001
    seen: list[bytes] = []

    def patch() -> None:
        name = "data_received" if owner is asyncio.StreamReaderProtocol else "feed_data"
        original = getattr(owner, name)

        def spy(self: object, data: bytes) -> None:
            seen.append(data)
            original(self, data)

        monkeypatch.setattr(owner, name, spy)

    async def main() -> None:
        if early and owner:
            patch()
        async with connected() as connection:
            if owner is None:
                monkeypatch.setattr(connection.reader, "feed_data", seen.append)
                connection.peer.sendall(b"data")
                await until(lambda: seen == [b"data"])
                return
            if not early:
                patch()
            connection.peer.sendall(b"data")
            assert await connection.reader.read(10) == b"data"
            assert seen == [b"data"]

    native(main())


@pytest.mark.parametrize("name", ["read", "readline", "readuntil", "readexactly", "at_eof"])
def test_patched_method_of_the_class_is_called(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with connected() as connection:
            monkeypatch.setattr(asyncio.StreamReader, name, lambda *_arguments: "patched")
            assert getattr(connection.reader, name)() == "patched"

    native(main())


def test_readline_uses_a_patched_readuntil(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fake(*_arguments: object) -> bytes:
        return b"patched"

    async def main() -> None:
        async with connected() as connection:
            with monkeypatch.context() as patches:
                patches.setattr(asyncio.StreamReader, "readuntil", fake)
                assert await connection.reader.readline() == b"patched"
            monkeypatch.setattr(connection.reader, "readuntil", fake)
            assert await connection.reader.readline() == b"patched"
            assert await anext(connection.reader) == b"patched"

    native(main())


def test_patched_write_and_drain_are_called(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with connected() as connection:
            monkeypatch.setattr(asyncio.StreamWriter, "write", lambda _self, data: ("write", data))
            monkeypatch.setattr(asyncio.StreamWriter, "drain", lambda _self: "drain")
            writer: Any = connection.writer
            assert (writer.write(b"x"), writer.drain()) == (("write", b"x"), "drain")

    native(main())


def test_reads_are_coroutines_in_all_but_type() -> None:
    async def main() -> None:
        async with connected() as connection:
            read: Any = connection.reader.read(1)
            names = (read.__name__, read.__qualname__)
            assert asyncio.iscoroutine(read)
            assert inspect.isawaitable(read)
            assert isinstance(read, collections.abc.Coroutine)
            assert names == ("read", "StreamReader.read")
            assert re.fullmatch("<coroutine object StreamReader.read at 0x[0-9a-f]+>", repr(read))
            with pytest.raises(TypeError, match="can't send non-None value to a just-started coroutine"):
                read.send(1)
            connection.peer.sendall(b"x")
            task = asyncio.get_running_loop().create_task(read)
            assert "StreamReader.read()" in repr(task)
            assert task.get_stack() == []
            assert await task == b"x"
            assert inspect.getcoroutinestate(read) == inspect.CORO_CLOSED
            with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
                await read

    native(main())


def test_read_begins_only_when_it_is_awaited() -> None:
    async def main() -> None:
        async with connected() as connection:
            read, other = connection.reader.read(1), connection.reader.read(2)
            connection.peer.sendall(b"abc")
            assert (await other, await read) == (b"ab", b"c")

    native(main())


def test_read_that_is_awaited_already_cannot_be_awaited_by_others() -> None:
    async def main() -> None:
        async with connected() as connection:
            read = connection.reader.read(1)
            task = asyncio.get_running_loop().create_task(read)
            await asyncio.sleep(0)
            with pytest.raises(RuntimeError, match="coroutine is being awaited already"):
                await read
            connection.peer.sendall(b"x")
            assert await task == b"x"

    native(main())


@pytest.mark.parametrize("name", ["StreamReader.read", "StreamWriter.drain"])
def test_coroutine_that_nobody_awaits_is_warned_of(name: str) -> None:
    async def main() -> None:
        async with connected() as connection:
            with pytest.warns(RuntimeWarning, match=f"coroutine '{name}' was never awaited"):
                connection.reader.read(1) if "Reader" in name else connection.writer.drain()
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                connection.reader.read(1).close()
                with pytest.raises(KeyError):
                    connection.reader.read(1).throw(KeyError)

    native(main())


def test_read_that_is_dropped_or_closed_waits_no_more() -> None:
    async def main() -> None:
        async with connected() as connection:
            for end in ("close", "drop", "throw"):
                read: Any = connection.reader.read(1)
                read.send(None)
                assert connection.reader._waiter is not None  # type: ignore[attr-defined]
                if end == "close":
                    read.close()
                elif end == "throw":
                    with pytest.raises(KeyError):
                        read.throw(KeyError("thrown"))
                del read
                assert connection.reader._waiter is None  # type: ignore[attr-defined]

    native(main())


def test_reader_and_writer_that_nobody_has_are_freed() -> None:
    async def main() -> None:
        kept: list[Any] = []
        server = await asyncio.start_server(lambda *pair: kept.extend(pair), "127.0.0.1", 0)
        with socket.create_connection(server.sockets[0].getsockname()) as peer:
            await until(lambda: bool(kept))
            peer.sendall(b"data")
            assert await kept[0].read(2) == b"da"
            references = [weakref.ref(one) for one in kept]
            kept[1].close()
            await kept[1].wait_closed()
            kept.clear()
            gc.collect()
            assert [reference() for reference in references] == [None, None]
        server.close()

    native(main())


def test_task_that_waits_for_ever_is_collected_with_its_reader() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(loop=loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        assert streams.adopt(protocol) is not None
        gone = weakref.ref(reader)
        task = loop.create_task(reader.read(1))
        await asyncio.sleep(0)
        del reader, protocol
        loop.set_exception_handler(lambda _loop, _context: None)
        del task
        gc.collect()
        assert gone() is None

    native(main())
