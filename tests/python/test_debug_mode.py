"""The debug mode tells of whatever takes long, also of protocols, which the loop calls without a handle."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from connections import BufferedRecorder, Recorder, connect, is_treadle, running, sockets, tls_contexts, until_lost
from loops import not_on, until

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from connections import NewLoop

pytestmark = not_on("uvloop", reason="uvloop #656")

# More than a busy machine takes for anything in here.
LIMIT = 2


class Clock:
    """A loop's clock, which goes forward at once when something is to take long."""

    offset = 0.0

    @classmethod
    def time(cls) -> float:
        """Return the time."""
        return time.monotonic() + cls.offset

    @classmethod
    def take_long(cls) -> None:
        """Let time pass."""
        cls.offset += LIMIT


class SlowRecorder(Recorder):
    """A protocol with a name to be found in the log."""


class SlowBufferedRecorder(BufferedRecorder):
    """The same with a buffer."""


class SlowDatagrams(asyncio.DatagramProtocol):
    """Takes long to receive."""

    came = False

    def datagram_received(self, _data: bytes, _addr: object) -> None:
        """Take long."""
        Clock.take_long()
        self.came = True


def slowly(protocol: Recorder) -> None:
    """Take long, the first time."""
    if protocol.calls.count(protocol.calls[-1]) == 1:
        Clock.take_long()


def complaints(new_loop: NewLoop, main: Coroutine[Any, Any, None], log: pytest.LogCaptureFixture) -> list[str]:
    """Run something in debug mode; return what the log says of slow callbacks, but for the program's own tasks."""
    with running(new_loop) as loop, log.at_level(logging.WARNING, "asyncio"):
        loop.set_debug(True)
        loop.slow_callback_duration = LIMIT
        loop.time = Clock.time
        loop.run_until_complete(main)
    slow = [one for one in log.records if "took" in one.getMessage() and "<Task" not in one.getMessage()]
    assert all(one.name == "asyncio" and one.levelno == logging.WARNING for one in slow)
    return [one.getMessage() for one in slow]


async def play(protocol: Recorder) -> None:
    """Have a connection do everything that protocols hear of."""
    transport, far = await connect(protocol)
    with far:
        transport.write(bytes(1 << 20))
        await until(lambda: "pause_writing" in protocol.calls)
        while "resume_writing" not in protocol.calls:
            with contextlib.suppress(BlockingIOError):
                far.recv(1 << 16)
            await asyncio.sleep(0)
        far.send(b"hello")
        await until(lambda: bool(protocol.data))
        far.shutdown(socket.SHUT_WR)
        await until_lost(protocol)


STREAM = ("connection_made", "data_received", "eof_received", "resume_writing", "connection_lost")


@pytest.mark.parametrize("name", STREAM)
def test_slow_protocol_is_told_of(new_loop: NewLoop, name: str, caplog: pytest.LogCaptureFixture) -> None:
    protocol = SlowRecorder(**{name: slowly})
    [complaint] = complaints(new_loop, play(protocol), caplog)
    assert complaint.startswith("Executing <")
    if is_treadle(new_loop) and name not in ("connection_made", "connection_lost"):
        # Those two are handles, and named as by asyncio.
        assert "SlowRecorder" in complaint


@pytest.mark.parametrize("name", ["get_buffer", "buffer_updated"])
def test_slow_buffered_protocol_is_told_of(new_loop: NewLoop, name: str, caplog: pytest.LogCaptureFixture) -> None:
    protocol = SlowBufferedRecorder(**{name: slowly})
    [complaint] = complaints(new_loop, play(protocol), caplog)
    if is_treadle(new_loop):
        assert "SlowBufferedRecorder" in complaint


def test_slow_protocol_behind_tls_is_told_of(new_loop: NewLoop, caplog: pytest.LogCaptureFixture) -> None:
    contexts = tls_contexts()
    protocol = SlowRecorder(data_received=slowly)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        near, far = sockets()
        server = loop.connect_accepted_socket(lambda: protocol, near, ssl=contexts[0])
        client = loop.create_connection(Recorder, sock=far, ssl=contexts[1], server_hostname="")
        (transport, _), (other, _) = await asyncio.gather(server, client)
        other.write(b"hello")
        await until(lambda: bool(protocol.data))
        transport.close()
        await until_lost(protocol)
        other.close()

    slow = [one for one in complaints(new_loop, main(), caplog) if "andshake" not in one]
    assert len(slow) == 1
    if is_treadle(new_loop):
        assert "SlowRecorder" in slow[0]


def test_slow_datagram_protocol_is_told_of(new_loop: NewLoop, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.create_datagram_endpoint(SlowDatagrams, ("127.0.0.1", 0))
        transport.sendto(b"hello", transport.get_extra_info("sockname"))
        await until(lambda: protocol.came)
        transport.close()

    [complaint] = complaints(new_loop, main(), caplog)
    if is_treadle(new_loop):
        assert "SlowDatagrams" in complaint


def test_slow_reader_of_a_pipe_is_told_of(new_loop: NewLoop, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        reader, writer = os.pipe()
        with open(reader, "rb", 0) as pipe, open(writer, "wb", 0) as other:  # noqa: ASYNC230, PTH123
            protocol = SlowRecorder(data_received=slowly)
            transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, pipe)
            other.write(b"hello")
            await until(lambda: bool(protocol.data))
            transport.close()
            await until_lost(protocol)

    [complaint] = complaints(new_loop, main(), caplog)
    if is_treadle(new_loop):
        assert "SlowRecorder" in complaint


@pytest.mark.parametrize("kind", ["call_soon", "call_later", "add_reader", "signal"])
def test_slow_callback_is_told_of_by_name(new_loop: NewLoop, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        done = loop.create_future()

        def slow_one() -> None:
            Clock.take_long()
            loop.remove_reader(near)
            done.set_result(None)

        near, far = sockets()
        with near, far:
            if kind == "call_soon":
                loop.call_soon(slow_one)
            elif kind == "call_later":
                loop.call_later(0, slow_one)
            elif kind == "add_reader":
                loop.add_reader(near, slow_one)
                far.send(b"x")
            else:
                loop.add_signal_handler(10, slow_one)
                os.kill(os.getpid(), 10)
            await done
            loop.remove_signal_handler(10)

    [complaint] = complaints(new_loop, main(), caplog)
    assert "slow_one" in complaint
    assert __file__ in complaint


def test_quick_protocols_are_not_told_of(new_loop: NewLoop, caplog: pytest.LogCaptureFixture) -> None:
    assert complaints(new_loop, play(SlowRecorder()), caplog) == []


def test_what_is_slow_is_nobodys_business_without_the_debug_mode(
    new_loop: NewLoop, caplog: pytest.LogCaptureFixture
) -> None:
    with running(new_loop) as loop:
        loop.set_debug(False)
        loop.slow_callback_duration = LIMIT
        loop.time = Clock.time
        loop.run_until_complete(play(SlowRecorder(data_received=slowly)))
    assert "took" not in caplog.text


def test_exception_of_a_slow_protocol_is_reported_as_ever(new_loop: NewLoop, caplog: pytest.LogCaptureFixture) -> None:
    def fail(protocol: Recorder) -> None:
        slowly(protocol)
        raise ValueError("the protocol's fault")

    reports: list[dict[str, Any]] = []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: reports.append(context))
        protocol = SlowRecorder(data_received=fail)
        _, far = await connect(protocol)
        with far:
            far.send(b"hello")
            await until_lost(protocol)

    complaints(new_loop, main(), caplog)
    assert [str(report["exception"]) for report in reports] == ["the protocol's fault"]


@pytest.mark.parametrize("method", ["call_soon", "call_later", "call_at", "create_task"])
def test_other_threads_are_refused(new_loop: NewLoop, method: str) -> None:
    raised: list[BaseException] = []

    async def nothing() -> None: ...

    with running(new_loop) as loop:
        loop.set_debug(True)

        def call() -> None:
            coroutine = nothing()
            arguments = {"call_soon": (print,), "create_task": (coroutine,)}.get(method, (0, print))
            try:
                getattr(loop, method)(*arguments)
            except RuntimeError as error:
                raised.append(error)
            finally:
                coroutine.close()

        def start() -> None:
            thread = threading.Thread(target=call)
            thread.start()
            thread.join()
            loop.stop()

        loop.call_soon(start)
        loop.run_forever()
    assert "Non-thread-safe operation" in str(raised[0])


@pytest.mark.parametrize("method", ["call_soon", "call_soon_threadsafe", "call_later", "call_at"])
def test_what_cannot_be_called_is_refused_when_it_is_scheduled(new_loop: NewLoop, method: str) -> None:
    async def nothing() -> None: ...

    with running(new_loop) as loop:
        loop.set_debug(True)
        schedule = getattr(loop, method)
        before = (0,) if method in ("call_later", "call_at") else ()
        with pytest.raises(TypeError, match="coroutines cannot be used"):
            schedule(*before, nothing)
        with pytest.raises(TypeError, match="a callable object was expected"):
            schedule(*before, 7)


def test_handle_and_task_know_where_they_were_made(new_loop: NewLoop) -> None:
    async def nothing() -> None: ...

    with running(new_loop) as loop:
        loop.set_debug(True)
        handle = loop.call_later(100, print)
        assert f"created at {__file__}" in repr(handle)
        handle.cancel()
        assert "cancelled" in repr(handle)
        assert "print" in repr(handle)
        task = loop.create_task(nothing())
        assert f"created at {__file__}" in repr(task)
        loop.run_until_complete(task)
