"""What users complain of in other loops: one test for each complaint, which its docstring names."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import gc
import inspect
import io
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import weakref
from typing import TYPE_CHECKING, Any

import pytest
from connections import (
    BufferedRecorder,
    Recorder,
    connect,
    is_treadle,
    receive,
    reported,
    running,
    sockets,
    tls_contexts,
    until_lost,
)
from loops import cancelled_at, not_on, run, until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from connections import NewLoop


async def cancelled_everywhere(make: Callable[[], Any]) -> None:
    """Cancel a coroutine at each step in turn, while descriptors of others take every number that becomes free."""
    for step in range(30):
        async with asyncio.timeout(5):
            try:
                await cancelled_at(make(), step)
            except asyncio.CancelledError:
                pass
            else:
                break
        canaries = [socket.socketpair() for _ in range(4)]
        gc.collect()
        for _ in range(3):
            await asyncio.sleep(0)
        gc.collect()
        for near, far in canaries:
            # Nobody has closed them, and nobody listens.
            near.send(b"alive")
            assert far.recv(10) == b"alive"
            near.close()
            far.close()


@not_on("uvloop", reason="uvloop #738")
def test_cancelled_connection_closes_its_socket_once(new_loop: NewLoop) -> None:
    """Descriptors closed twice after a cancelled ``create_connection(sock=)``: uvloop #738, aiohttp #10464."""

    async def attempt() -> None:
        near, far = sockets()
        with far:
            transport, _ = await asyncio.get_running_loop().create_connection(Recorder, sock=near)
            transport.close()

    run(new_loop, cancelled_everywhere(attempt))


@not_on("uvloop", reason="uvloop #763")
def test_cancelled_pipe_closes_its_descriptor_once(new_loop: NewLoop) -> None:
    """Descriptors closed twice after a cancelled ``connect_read_pipe``: uvloop #763."""

    async def attempt() -> None:
        reader, writer = os.pipe()
        try:
            with open(reader, "rb", 0) as pipe:  # noqa: ASYNC230, PTH123
                transport, _ = await asyncio.get_running_loop().connect_read_pipe(Recorder, pipe)
                transport.close()
        finally:
            os.close(writer)

    run(new_loop, cancelled_everywhere(attempt))


@not_on("uvloop", reason="uvloop #653")
def test_cancelled_start_tls_closes_its_socket_once(new_loop: NewLoop) -> None:
    """Descriptors closed twice after a cancelled ``start_tls``: uvloop #653."""
    _, client = tls_contexts()

    async def attempt() -> None:
        near, far = sockets()
        with far:
            loop = asyncio.get_running_loop()
            transport, protocol = await loop.create_connection(Recorder, sock=near)
            try:
                # The peer says nothing, so this ends when it goes.
                loop.call_soon(far.shutdown, socket.SHUT_RDWR)
                with contextlib.suppress(ConnectionError):
                    await loop.start_tls(transport, protocol, client, server_hostname="")
            finally:
                transport.abort()

    run(new_loop, cancelled_everywhere(attempt))


@not_on("uvloop", reason="uvloop #706 and #538")
@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("how", ["close", "abort"])
def test_transport_closed_in_its_own_callback(new_loop: NewLoop, how: str, tls: bool) -> None:  # noqa: FBT001
    """Crashes when a transport is closed inside its own callback: uvloop #706, #538."""

    def end(protocol: Recorder) -> None:
        getattr(protocol.transport, how)()
        gc.collect()

    async def main() -> None:
        for name in ("connection_made", "data_received", "eof_received", "connection_lost"):
            protocol = Recorder(**{name: end})
            if tls:
                # Who is closed in its first callback shakes no hands.
                with contextlib.suppress(ConnectionError):
                    _, transport, _, _ = await secure(Recorder(), protocol)
                    transport.write(b"x")
                    await asyncio.sleep(0)
                    transport.close()
            else:
                _, far = await connect(protocol)
                with contextlib.suppress(BrokenPipeError):
                    far.send(b"x")
                await asyncio.sleep(0)
                far.close()
            await until_lost(protocol)
            await asyncio.sleep(0)

    run(new_loop, main())


async def secure(first: Recorder, second: Recorder) -> tuple[Recorder, Any, Any, Recorder]:
    """Return two protocols whose transports speak TLS with each other."""
    loop = asyncio.get_running_loop()
    server, client = tls_contexts()
    near, far = sockets()
    (one, _), (two, _) = await asyncio.gather(
        loop.create_connection(lambda: first, sock=near, ssl=client, server_hostname=""),
        loop.connect_accepted_socket(lambda: second, far, ssl=server),
    )
    return first, one, two, second


@not_on("uvloop", reason="uvloop #739")
def test_timers_are_never_early(new_loop: NewLoop) -> None:
    """Timers up to a millisecond early: uvloop #739."""
    early: list[float] = []
    with running(new_loop) as loop:

        def look(when: float) -> None:
            early.append(when - loop.time())

        for microseconds in range(0, 3000, 37):
            when = loop.time() + microseconds / 1e6
            loop.call_at(when, look, when)
        loop.call_later(0.004, loop.stop)
        loop.run_forever()
    assert len(early) == 82
    # asyncio rounds by the clock's resolution.
    assert max(early) <= (0 if is_treadle(new_loop) else 1e-9)


@not_on("uvloop", reason="uvloop #359 and #233")
def test_call_later_without_a_delay_gives_a_timer(new_loop: NewLoop) -> None:
    """``call_later(0)`` gives a plain handle: uvloop #359, #233."""
    with running(new_loop) as loop:
        before = loop.time()
        handle = loop.call_later(0, print)
        assert isinstance(handle, asyncio.TimerHandle)
        assert before <= handle.when() <= loop.time()
        handle.cancel()


@not_on("uvloop", reason="uvloop #707")
@pytest.mark.parametrize("buffered", [False, True])
def test_start_tls_loses_nothing_that_came_before(new_loop: NewLoop, buffered: bool) -> None:  # noqa: FBT001
    """``start_tls`` loses what was read or written around it: uvloop #707."""
    server, client = tls_contexts()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        first: Recorder = BufferedRecorder() if buffered else Recorder()
        second = Recorder()
        near, far = sockets()
        one, _ = await loop.create_connection(lambda: first, sock=near)
        two, _ = await loop.create_connection(lambda: second, sock=far)
        one.write(b"before one")
        two.write(b"before two" * 10_000)
        await until(lambda: len(first.data) == 100_000 and len(second.data) == 10)
        secure_one, secure_two = await asyncio.gather(
            loop.start_tls(one, first, client, server_hostname=""),
            loop.start_tls(two, second, server, server_side=True),
        )
        assert secure_one
        assert secure_two
        secure_one.write(b"after one" * 20_000)
        secure_two.write(b"after two")
        await until(lambda: len(first.data) == 100_009 and len(second.data) == 180_010)
        assert first.data.endswith(b"twoafter two")
        assert second.data.startswith(b"before oneafter one")
        secure_one.close()
        await until(lambda: first.is_lost and second.is_lost)

    run(new_loop, main())


def test_closed_transport_downloads_nothing_more(new_loop: NewLoop) -> None:
    """A transport that was closed goes on reading: uvloop #471."""

    async def main() -> None:
        protocol = Recorder(data_received=lambda protocol: protocol.transport.close())
        _, far = await connect(protocol)
        sent = 0
        with contextlib.suppress(BlockingIOError):
            while sent < 8 << 20:
                sent += far.send(bytes(1 << 20))
        await until_lost(protocol)
        assert len(protocol.data) <= 1 << 18
        assert protocol.calls == ["connection_made", "data_received", "connection_lost"]
        far.close()

    run(new_loop, main())


@pytest.mark.parametrize("tls", [False, True])
def test_writes_from_inside_of_callbacks_stay_in_order(new_loop: NewLoop, tls: bool) -> None:  # noqa: FBT001
    """Writing in ``data_received`` while a write is under way breaks TLS: picows #40."""

    async def main() -> None:
        def answer(protocol: Recorder) -> None:
            while len(protocol.data) >= 1000:
                taken = bytes(protocol.data[:1000])
                del protocol.data[:1000]
                protocol.transport.write(taken[:500])
                protocol.transport.write(taken[500:])

        question = bytes(number % 251 for number in range(300_000))
        first, second = Recorder(), Recorder(data_received=answer)
        if tls:
            _, transport, other, _ = await secure(first, second)
        else:
            near, far = sockets()
            loop = asyncio.get_running_loop()
            transport, _ = await loop.create_connection(lambda: first, sock=near)
            other, _ = await loop.create_connection(lambda: second, sock=far)
        for start in range(0, len(question), 7000):
            transport.write(question[start : start + 7000])
            await asyncio.sleep(0)
        await until(lambda: len(first.data) == len(question))
        assert first.data == question
        transport.abort()
        other.abort()
        await until(lambda: first.is_lost and second.is_lost)

    run(new_loop, main())


@not_on("uvloop", reason="uvloop #561 and #228")
def test_all_of_the_abstract_loop_is_there(new_loop: NewLoop) -> None:
    """``sendfile``, ``sock_sendfile``, ``sock_recvfrom``, ``sock_sendto`` are missing: uvloop #561, #228."""
    with running(new_loop) as loop:
        for name, method in inspect.getmembers(asyncio.AbstractEventLoop, inspect.isfunction):
            if not name.startswith("_"):
                assert getattr(type(loop), name) is not method, name


@not_on("uvloop", reason="uvloop #561")
@pytest.mark.parametrize("raw", [False, True], ids=["sendfile", "sock_sendfile"])
def test_files_are_sent(new_loop: NewLoop, tmp_path: Path, raw: bool) -> None:  # noqa: FBT001
    """``sendfile`` and ``sock_sendfile`` are missing: uvloop #561."""
    content = bytes(number % 251 for number in range(300_000))
    (tmp_path / "file").write_bytes(content)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        near, far = sockets(tcp=True)
        reading = asyncio.ensure_future(receive(far))
        with (tmp_path / "file").open("rb") as file:
            if raw:
                with near:
                    assert await loop.sock_sendfile(near, file, 10, 250_000) == 250_000
                assert file.tell() == 250_010
                expected = content[10:250_010]
            else:
                transport, _ = await loop.create_connection(Recorder, sock=near)
                transport.write(b"before ")
                assert await loop.sendfile(transport, file) == len(content)
                transport.write(b" after")
                transport.close()
                expected = b"before " + content + b" after"
        assert await reading == expected
        far.close()

    run(new_loop, main())


@not_on("uvloop", reason="uvloop #561")
@pytest.mark.skipif(sys.version_info < (3, 14), reason="older versions of asyncio keep the position")
@pytest.mark.parametrize("offset", [0, 5, 10])
@pytest.mark.parametrize("way", ["native", "by reading", "sock_sendfile"])
def test_files_are_sent_from_the_offset_wherever_they_are(
    new_loop: NewLoop, tmp_path: Path, offset: int, way: str
) -> None:
    content = b"0123456789"
    (tmp_path / "file").write_bytes(content)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        near, far = sockets(tcp=True)
        reading = asyncio.ensure_future(receive(far))
        with (tmp_path / "file").open("rb") as file:
            file.seek(7)
            if way == "sock_sendfile":
                with near:
                    assert await loop.sock_sendfile(near, file, offset) == 10 - offset
            else:
                transport, _ = await loop.create_connection(Recorder, sock=near)
                send: Any = loop.sendfile if way == "native" else loop._sendfile_fallback  # type: ignore[attr-defined]
                assert await send(transport, file, offset, None) == 10 - offset
                transport.close()
            assert file.tell() == 10
        assert await reading == content[offset:]
        far.close()

    run(new_loop, main())


@pytest.mark.skipif(sys.version_info < (3, 14), reason="older versions of asyncio never accept")
def test_a_server_without_a_backlog_accepts(new_loop: NewLoop) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        accepted = Recorder()
        server = await loop.create_server(lambda: accepted, "127.0.0.1", 0, backlog=0)
        transport, _ = await loop.create_connection(Recorder, *server.sockets[0].getsockname())
        await until(lambda: bool(accepted.calls))
        transport.close()
        server.close()
        await server.wait_closed()

    run(new_loop, main())


@not_on("uvloop", reason="uvloop #228")
def test_datagrams_of_plain_sockets(new_loop: NewLoop) -> None:
    """``sock_recvfrom``, ``sock_recvfrom_into`` and ``sock_sendto`` are missing: uvloop #228."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with socket.socket(type=socket.SOCK_DGRAM) as one, socket.socket(type=socket.SOCK_DGRAM) as two:
            for each in (one, two):
                each.settimeout(0)
                each.bind(("127.0.0.1", 0))
            waiting = asyncio.ensure_future(loop.sock_recvfrom(two, 100))
            await asyncio.sleep(0)
            assert await loop.sock_sendto(one, b"hello", two.getsockname()) == 5
            assert await waiting == (b"hello", one.getsockname())
            buffer = bytearray(100)
            await loop.sock_sendto(two, b"hi", one.getsockname())
            assert await loop.sock_recvfrom_into(one, buffer) == (2, two.getsockname())
            assert buffer[:2] == b"hi"

    run(new_loop, main())


class Datagrams(asyncio.DatagramProtocol):
    """Remembers what came, and what went wrong."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.received: list[bytes] = []
        self.errors: list[Exception] = []
        self.is_lost = False

    def datagram_received(self, data: bytes, addr: Any) -> None:  # noqa: ARG002
        """Keep it."""
        self.received.append(data)

    def error_received(self, exc: Exception) -> None:
        """Keep it."""
        self.errors.append(exc)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Keep it."""
        self.is_lost = True


@not_on("uvloop", reason="uvloop #601 and #545")
def test_datagram_that_cannot_be_sent_is_the_protocols_business(new_loop: NewLoop) -> None:
    """An error of sending a datagram closes the transport: uvloop #601, #545."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with socket.socket(type=socket.SOCK_DGRAM) as nobody:
            nobody.bind(("127.0.0.1", 0))
            address = nobody.getsockname()
        transport, protocol = await loop.create_datagram_endpoint(Datagrams, remote_addr=address)
        # Nobody is there, which the system says at the next use.
        for _ in range(100):
            transport.sendto(b"x")
            await asyncio.sleep(0.0005)
            if protocol.errors:
                break
        assert isinstance(protocol.errors[0], ConnectionRefusedError)
        assert not protocol.is_lost
        assert not transport.is_closing()
        transport.close()
        await until(lambda: protocol.is_lost)

    if has_datagrams(new_loop):
        run(new_loop, main())
    else:
        pytest.skip("no datagrams yet")


def has_datagrams(new_loop: NewLoop) -> bool:
    """Return whether the loop has datagram endpoints at all."""

    async def attempt() -> None:
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Datagrams, ("127.0.0.1", 0))
        transport.close()

    with running(new_loop) as loop:
        loop.set_exception_handler(lambda *_: None)
        try:
            loop.run_until_complete(asyncio.wait_for(attempt(), 0.1))
        except (AttributeError, TimeoutError):
            return False
    return True


@not_on("uvloop", reason="uvloop #656")
def test_slow_callbacks_are_told_of_in_debug_mode(new_loop: NewLoop, caplog: pytest.LogCaptureFixture) -> None:
    """Slow callbacks are invisible: uvloop #656, logfire PR 2186."""
    with running(new_loop) as loop, caplog.at_level(logging.WARNING):
        loop.set_debug(True)
        loop.slow_callback_duration = 0

        def slow_one() -> None:
            loop.stop()

        loop.call_soon(slow_one)
        loop.run_forever()
    assert "slow_one" in caplog.text
    assert "took" in caplog.text


def test_interrupt_ends_a_loop_that_waits(new_loop: NewLoop) -> None:
    """Ctrl-C is swallowed or late: uvloop #295, #335; more in ``test_processes_and_threads.py``."""
    thread = threading.Timer(0.005, os.kill, (os.getpid(), signal.SIGINT))

    async def main() -> None:
        thread.start()
        await asyncio.get_running_loop().create_future()

    with pytest.raises(KeyboardInterrupt):
        run(new_loop, main())
    thread.join()


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_others_may_fork_while_a_program_is_started(new_loop: NewLoop) -> None:
    """Hooks around ``fork`` deadlock the forks of others: uvloop #118."""
    codes: list[int] = []

    def others() -> None:
        codes.extend(subprocess.call([sys.executable, "-SEc", ""]) for _ in range(2))

    async def main() -> None:
        thread = threading.Thread(target=others)
        thread.start()
        while thread.is_alive():
            process = await asyncio.create_subprocess_exec("true")
            assert await process.wait() == 0
            pid = os.fork()
            if not pid:
                os._exit(3)
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 3  # noqa: ASYNC222
        thread.join()

    run(new_loop, main())
    assert codes == [0, 0]


def test_what_callbacks_held_is_given_back(new_loop: NewLoop) -> None:
    """Memory grows: uvloop #252, #565; more in ``test_descriptors.py``."""

    class Thing:
        """Something big."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        thing = Thing()
        dead = weakref.ref(thing)
        done = loop.call_soon(lambda _: None, thing)
        cancelled = loop.call_later(1000, lambda _: None, thing)
        repeated = [loop.call_later(1000, lambda _: None, thing) for _ in range(1000)]
        cancelled.cancel()
        for handle in repeated:
            handle.cancel()
        future = loop.create_future()
        future.add_done_callback(functools.partial(print, thing, file=io.StringIO()))
        future.set_result(None)
        await asyncio.sleep(0)
        del thing, future, done
        gc.collect()
        assert dead() is None
        assert cancelled.cancelled()

    run(new_loop, main())


@not_on("uvloop", reason="has 16 bytes")
def test_low_mark_is_a_quarter_of_the_high_one(new_loop: NewLoop) -> None:
    """The default low-water mark is 16 bytes: uvloop."""

    async def main() -> None:
        transport, far = await connect(Recorder())
        assert transport.get_write_buffer_limits() == (16 * 1024, 64 * 1024)
        transport.close()
        far.close()

    run(new_loop, main())


def test_exception_of_data_received_is_reported_and_ends_the_connection(new_loop: NewLoop) -> None:
    """Exceptions of ``data_received`` are dropped: rloop."""

    def fail(_: Recorder) -> None:
        raise ZeroDivisionError

    async def main() -> None:
        failures = reported(asyncio.get_running_loop())
        protocol = Recorder(data_received=fail)
        _, far = await connect(protocol)
        far.send(b"x")
        await until_lost(protocol)
        assert [type(failure["exception"]) for failure in failures] == [ZeroDivisionError]
        assert isinstance(protocol.error, ZeroDivisionError)
        far.close()

    run(new_loop, main())


@not_on("uvloop", reason="calls some in the context of whoever runs the loop")
def test_callbacks_run_in_the_context_they_were_made_in(new_loop: NewLoop) -> None:
    """Callbacks run outside of any context: rloop."""
    place: contextvars.ContextVar[str] = contextvars.ContextVar("place", default="nowhere")
    seen: dict[str, str] = {}

    def note(name: str) -> None:
        seen[name] = place.get()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        place.set("here")
        near, far = sockets()
        loop.call_soon(note, "call_soon")
        loop.call_later(0, note, "call_later")
        loop.call_soon_threadsafe(note, "call_soon_threadsafe")

        def ready(name: str, remove: Callable[[Any], bool]) -> None:
            note(name)
            remove(near)

        loop.add_reader(near, ready, "reader", loop.remove_reader)
        loop.add_writer(near, ready, "writer", loop.remove_writer)
        loop.add_signal_handler(signal.SIGUSR1, note, "signal")
        names = (
            "connection_made",
            "data_received",
            "pause_writing",
            "resume_writing",
            "eof_received",
            "connection_lost",
        )

        def action(name: str) -> Callable[[Recorder], None]:
            return lambda _: note(name)

        protocol = Recorder(**{name: action(name) for name in names})
        transport, other = await connect(protocol)
        place.set("elsewhere")
        far.send(b"x")
        os.kill(os.getpid(), signal.SIGUSR1)
        other.send(b"x")
        await until(lambda: len(seen) == 8)
        place.set("here")
        transport.write(bytes(1 << 20))
        await receive(other, 1 << 20)
        place.set("elsewhere")
        other.close()
        await until_lost(protocol)
        loop.remove_signal_handler(signal.SIGUSR1)
        near.close()
        far.close()

    run(new_loop, main())
    assert set(seen.values()) == {"here"}
    assert len(seen) == 12
