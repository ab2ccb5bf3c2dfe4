"""Writing to peers that are slow: marks, pauses, and that exactly what was written arrives."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import random
import socket
import time
from typing import TYPE_CHECKING, Any

import pytest
from connections import Recorder, connect, is_treadle, receive, reported, sockets, until_lost
from loops import not_on, run, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from connections import NewLoop


SEEDS = range(8)
# More than any socket takes at once.
PLENTY = 8 << 20


class Marks(Recorder):
    """Checks that pauses and resumptions come in turns, and when."""

    def __init__(self) -> None:
        """Begin unpaused."""
        super().__init__()
        self.is_paused = False

    def pause_writing(self) -> None:
        """Come only above the high mark."""
        super().pause_writing()
        assert not self.is_paused
        self.is_paused = True
        _, high = self.transport.get_write_buffer_limits()
        assert self.transport.get_write_buffer_size() > high

    def resume_writing(self) -> None:
        """Come only at the low mark or below."""
        super().resume_writing()
        assert self.is_paused
        self.is_paused = False
        low, _ = self.transport.get_write_buffer_limits()
        assert self.transport.get_write_buffer_size() <= low


def shapes(draw: random.Random, data: bytes) -> tuple[Any, Callable[[], object]]:
    """Return the data as some bytes-like object, and what spoils that object after it was written."""
    kind = draw.randrange(4)
    if kind == 0:
        return data, lambda: None
    if kind == 1:
        return memoryview(b"before" + data + b"after")[6 : 6 + len(data)], lambda: None
    array = bytearray(data)
    if kind == 2:
        return array, array.clear
    return memoryview(array), lambda: array.__setitem__(slice(None), bytes(len(array)))


@pytest.mark.parametrize("tcp", [False, True], ids=["unix", "tcp"])
@pytest.mark.parametrize("seed", SEEDS)
def test_slow_peer_gets_what_was_written_between_pauses_at_the_marks(  # noqa: C901, PLR0915 -- a script.
    new_loop: NewLoop, seed: int, *, tcp: bool
) -> None:
    draw = random.Random(seed)  # noqa: S311

    async def main() -> None:  # noqa: C901, PLR0912
        loop = asyncio.get_running_loop()
        failures = reported(loop)
        near, far = sockets(tcp=tcp)
        # So that little is much.
        near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
        transport, protocol = await loop.create_connection(Marks, sock=near)
        written, received = hashlib.sha256(), hashlib.sha256()
        total = 0

        def read(most: int) -> None:
            with contextlib.suppress(BlockingIOError):
                received.update(far.recv(most))

        for _ in range(150):
            action = draw.randrange(10)
            if action == 0:
                high = draw.choice([0, 1, 100, 5_000, 70_000])
                transport.set_write_buffer_limits(high, draw.randrange(high + 1))
            elif action <= 5:
                data = draw.randbytes(draw.choice([0, 1, 10, 1000, 1000, 8000, 40_000]))
                shape, spoil = shapes(draw, data)
                transport.write(shape)
                if is_treadle(new_loop):
                    # asyncio and uvloop send what is in there when they come to it.
                    spoil()
                written.update(data)
                total += len(data)
            elif action == 6:
                pieces = [draw.randbytes(draw.choice([0, 1, 500, 20_000])) for _ in range(draw.randrange(5))]
                if is_treadle(new_loop):
                    transport.writelines(pieces)
                else:
                    # asyncio's forgets the marks in some versions.
                    transport.write(b"".join(pieces))
                written.update(b"".join(pieces))
                total += sum(map(len, pieces))
            elif action == 7:
                await asyncio.sleep(0)
            else:
                read(draw.choice([100, 5_000, 100_000]))
            if transport.get_write_buffer_size() > transport.get_write_buffer_limits()[1]:
                # asyncio pauses at once; who gathers writes does so before it waits for the system.
                await asyncio.sleep(0)
                assert protocol.is_paused or transport.get_write_buffer_size() <= transport.get_write_buffer_limits()[1]
        if draw.randrange(2):
            transport.write_eof()
        else:
            transport.close()
        received.update(await receive(far))
        if draw.randrange(2):
            await until(lambda: transport.get_write_buffer_size() == 0)
        assert received.digest() == written.digest()
        await until(lambda: not protocol.is_paused or protocol.is_lost)
        far.close()
        await until_lost(protocol)
        assert protocol.error is None
        assert not failures

    run(new_loop, main())


def test_peer_that_never_reads_pauses_the_protocol_once(new_loop: NewLoop) -> None:
    async def main() -> None:
        protocol = Marks()
        transport, far = await connect(protocol)
        for _ in range(100):
            transport.write(bytes(PLENTY // 100))
            await asyncio.sleep(0)
        assert protocol.calls == ["connection_made", "pause_writing"]
        transport.abort()
        await until_lost(protocol)
        assert "resume_writing" not in protocol.calls
        far.close()

    run(new_loop, main())


@pytest.mark.parametrize("kind", ["stream", "datagram", "pipe"])
def test_loop_sleeps_beside_data_that_is_not_read(new_loop: NewLoop, kind: str) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        near, far = sockets() if kind != "datagram" else socket.socketpair(type=socket.SOCK_DGRAM)
        near.setblocking(False)  # noqa: FBT003
        protocol: Any = Recorder() if kind != "datagram" else asyncio.DatagramProtocol()
        transport: Any
        if kind == "stream":
            transport, _ = await loop.create_connection(lambda: protocol, sock=near)
        elif kind == "pipe":
            transport, _ = await loop.connect_read_pipe(lambda: protocol, near)
        else:
            transport, _ = await loop.create_datagram_endpoint(lambda: protocol, sock=near)
        if kind == "datagram" and not hasattr(transport, "pause_reading"):
            transport.close()
            pytest.skip("no such method")
        transport.pause_reading()
        far.send(b"hello")
        before = time.thread_time()
        await asyncio.sleep(0.05)
        assert time.thread_time() - before < 0.02
        transport.close()
        await asyncio.sleep(0)
        far.close()

    run(new_loop, main())


@not_on("uvloop", reason="resumes when all is sent")
def test_protocol_is_resumed_as_soon_as_the_low_mark_is_reached(new_loop: NewLoop) -> None:
    sizes: list[int] = []
    low, high = 3 << 20, 4 << 20

    async def main() -> None:
        protocol = Recorder(resume_writing=lambda protocol: sizes.append(protocol.transport.get_write_buffer_size()))
        transport, far = await connect(protocol)
        transport.set_write_buffer_limits(high, low)
        transport.write(bytes(PLENTY))
        await until(lambda: "pause_writing" in protocol.calls)
        while not sizes:
            with contextlib.suppress(BlockingIOError):
                far.recv(1 << 16)
            await asyncio.sleep(0)
        # Each step sends what the peer has read, which is never a megabyte.
        assert low - (1 << 20) < sizes[0] <= low
        transport.abort()
        await until_lost(protocol)
        far.close()

    run(new_loop, main())


@not_on("uvloop", reason="finds 16 bytes low enough")
def test_marks_are_those_of_asyncio(new_loop: NewLoop) -> None:
    async def main() -> None:
        transport, far = await connect(Recorder())
        default = transport.get_write_buffer_limits()
        seen = [default]
        for limits in (
            {"high": 100},
            {"low": 50},
            {"high": 0},
            {"high": 30, "low": 30},
            {},
            {"high": None, "low": None},
        ):
            transport.set_write_buffer_limits(**limits)
            seen.append(transport.get_write_buffer_limits())
        assert seen == [(16384, 65536), (25, 100), (50, 200), (0, 0), (30, 30), default, default]
        for limits in ({"high": 1, "low": 2}, {"low": -1}, {"high": -1}):
            with pytest.raises(ValueError, match="must be >="):
                transport.set_write_buffer_limits(**limits)
        assert transport.get_write_buffer_limits() == default
        transport.close()
        far.close()

    run(new_loop, main())


@not_on("uvloop", reason="counts what it gathers")
@pytest.mark.parametrize("high", [0, 10])
def test_limit_that_is_lowered_after_a_small_write_pauses_nobody_for_ever(new_loop: NewLoop, high: int) -> None:
    async def main() -> None:
        protocol = Recorder()
        transport, far = await connect(protocol)
        transport.write(b"a few bytes that the socket takes")
        transport.set_write_buffer_limits(high=high)
        await receive(far, 33)
        await asyncio.sleep(0)
        assert protocol.calls.count("pause_writing") == protocol.calls.count("resume_writing")
        transport.close()
        await until_lost(protocol)
        far.close()

    run(new_loop, main())


@not_on("uvloop", reason="does not tell")
@pytest.mark.parametrize("what", ["write_eof", "sendfile", "close", "writes"])
def test_paused_protocol_is_resumed_also_when_something_else_finds_the_socket_free(
    new_loop: NewLoop, what: str
) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        protocol = Marks()
        transport, far = await connect(protocol)
        far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        while not protocol.is_paused:
            transport.write(bytes(10_000))
        count = transport.get_write_buffer_size()
        # All that was taken is read before the loop hears of it, so there is room for what is left.
        while True:
            try:
                count -= len(far.recv(1 << 20))
            except BlockingIOError:
                break
        task = None
        if what == "write_eof":
            transport.write_eof()
        elif what == "close":
            transport.close()
        elif what == "writes":
            transport.write(b"x")
        else:
            with open(__file__, "rb") as file:  # noqa: ASYNC230, PTH123
                task = asyncio.ensure_future(loop.sendfile(transport, file))
                await asyncio.sleep(0)
                reading = asyncio.ensure_future(receive(far))
                await task
                transport.close()
                await reading
        if task is None:
            reading = asyncio.ensure_future(receive(far))
        await until(lambda: not protocol.is_paused or protocol.is_lost)
        assert protocol.calls[:3] == ["connection_made", "pause_writing", "resume_writing"]
        transport.close()
        await until_lost(protocol)
        await reading
        far.close()

    run(new_loop, main())


@pytest.mark.parametrize("tcp", [False, True], ids=["unix", "tcp"])
@pytest.mark.parametrize("how", ["close", "write_eof"])
def test_what_was_written_goes_out_before_the_end(new_loop: NewLoop, how: str, tcp: bool) -> None:  # noqa: FBT001
    data = random.Random(1).randbytes(PLENTY)  # noqa: S311

    async def main() -> None:
        protocol = Recorder()
        transport, far = await connect(protocol, tcp=tcp)
        transport.write(data)
        transport.write(b"the end")
        getattr(transport, how)()
        assert not protocol.is_lost
        received = await receive(far)
        assert received == data + b"the end"
        if how == "write_eof":
            with pytest.raises(RuntimeError):
                transport.write(b"too late")
            far.send(b"the other way")
            await until(lambda: bool(protocol.data))
            assert protocol.data == b"the other way"
            far.close()
        await until_lost(protocol)
        assert protocol.error is None
        far.close()

    run(new_loop, main())


def test_small_writes_stay_in_order_with_big_ones(new_loop: NewLoop) -> None:
    async def main() -> None:
        transport, far = await connect(Recorder())
        expected = bytearray()
        for size in [1, 100, 40_000, 1, 200_000, 3, 0, 32_768, 32_769, 5]:
            for kind in (bytes, bytearray):
                data = kind(expected_byte % 251 for expected_byte in range(len(expected), len(expected) + size))
                transport.write(data)
                expected += data
        transport.close()
        assert await receive(far) == expected
        far.close()

    run(new_loop, main())


@not_on("uvloop", reason="finds out later")
def test_what_is_no_buffer_is_refused_and_disturbs_nothing(new_loop: NewLoop) -> None:
    async def main() -> None:
        protocol = Recorder()
        transport, far = await connect(protocol)
        for wrong in ("text", 1.5, None, [1], object()):
            with pytest.raises(TypeError):
                transport.write(wrong)
        transport.write(b"right")
        transport.close()
        assert await receive(far) == b"right"
        await until_lost(protocol)
        assert protocol.error is None
        far.close()

    run(new_loop, main())


@not_on("uvloop", reason="refuses some")
def test_writelines_takes_any_iterable(new_loop: NewLoop) -> None:
    async def main() -> None:
        transport, far = await connect(Recorder())
        transport.writelines([b"a", bytearray(b"b"), memoryview(b"c")])
        transport.writelines(part for part in (b"d", b"", b"e"))
        transport.writelines([])
        transport.close()
        assert await receive(far) == b"abcde"
        far.close()

    run(new_loop, main())


@not_on("uvloop", reason="raises when the connection is gone")
def test_writes_to_a_connection_that_is_gone_are_dropped(new_loop: NewLoop) -> None:
    async def main() -> None:
        failures = reported(asyncio.get_running_loop())
        protocol = Recorder()
        transport, far = await connect(protocol)
        transport.abort()
        for size in (1, 100_000, 1):
            transport.write(bytes(size))
            transport.write(bytearray(size))
        await until_lost(protocol)
        transport.write(b"x")
        assert transport.get_write_buffer_size() == 0
        assert await receive(far) == b""
        assert not failures
        far.close()

    run(new_loop, main())


def test_drain_of_many_tasks_ends_when_the_peer_reads(new_loop: NewLoop) -> None:
    async def main() -> None:
        near, far = sockets()
        reader, writer = await asyncio.open_connection(sock=near)

        async def send() -> None:
            for _ in range(4):
                writer.write(bytes(100_000))
                await writer.drain()

        tasks = [asyncio.ensure_future(send()) for _ in range(4)]
        assert len(await receive(far, 1_600_000)) == 1_600_000
        await asyncio.gather(*tasks)
        far.close()
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()

    run(new_loop, main())
