"""Errors at every place where a transport calls a program, and peers that behave badly."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import sys
import textwrap
import time
from typing import TYPE_CHECKING, Any, cast

import pytest
from connections import (
    BufferedRecorder,
    Recorder,
    connect,
    is_treadle,
    receive,
    reported,
    reset,
    running,
    sockets,
    until_lost,
)
from loops import not_on, run, until
from mishaps import ENDING, ORDINARY, raiser

if TYPE_CHECKING:
    from collections.abc import Callable

    from connections import NewLoop


READING = ["data_received", "eof_received", "get_buffer", "buffer_updated"]


async def provoke(name: str, action: Callable[[Recorder], object]) -> tuple[Any, Recorder, socket.socket]:
    """Make a connection and have the named callback of its protocol called."""
    kind = BufferedRecorder if name in ("get_buffer", "buffer_updated") else Recorder
    protocol = kind(**{name: action})
    transport, far = await connect(protocol)
    if name == "eof_received":
        far.shutdown(socket.SHUT_WR)
    elif name in READING:
        far.send(b"x")
    elif name in ("pause_writing", "resume_writing"):
        transport.set_write_buffer_limits(1000)
        while "pause_writing" not in protocol.calls:
            transport.write(bytes(100_000))
            await asyncio.sleep(0)
        if name == "resume_writing":
            while name not in protocol.calls:
                with contextlib.suppress(BlockingIOError):
                    far.recv(1 << 20)
                await asyncio.sleep(0)
    elif name == "connection_lost":
        transport.abort()
    await until(lambda: name in protocol.calls)
    return transport, protocol, far


@not_on("uvloop", reason="reports some to nobody")
@pytest.mark.parametrize("error", ORDINARY)
@pytest.mark.parametrize("name", ["connection_made", *READING, "pause_writing", "resume_writing", "connection_lost"])
def test_exception_of_a_protocol_reaches_the_handler(new_loop: NewLoop, name: str, error: type[BaseException]) -> None:
    async def main() -> None:
        failures = reported(asyncio.get_running_loop())
        transport, protocol, far = await provoke(name, raiser(error))
        await until(lambda: bool(failures))
        assert [type(failure["exception"]) for failure in failures] == [error]
        if name in READING:
            assert failures[0]["message"] == f"Fatal error: protocol.{name}() call failed."
            assert failures[0]["transport"] is transport
            assert failures[0]["protocol"] is protocol
            await until_lost(protocol)
            assert type(protocol.error) is error
        transport.abort()
        await until_lost(protocol)
        await asyncio.sleep(0)
        with contextlib.suppress(ConnectionError):
            await receive(far)
        assert len(failures) == 1
        assert protocol.calls.count("connection_lost") == 1
        assert transport.get_extra_info("socket").fileno() == -1
        far.close()

    run(new_loop, main())


@not_on("uvloop", reason="ends the loop later")
@pytest.mark.parametrize("error", ENDING)
@pytest.mark.parametrize("name", ["connection_made", *READING, "resume_writing", "connection_lost"])
def test_exception_that_ends_programs_comes_out_of_a_protocol(
    new_loop: NewLoop, name: str, error: type[BaseException]
) -> None:
    with running(new_loop) as loop:
        failures = reported(loop)

        def fail_once(protocol: Recorder) -> None:
            protocol.actions.clear()
            raise error("on purpose")

        task = loop.create_task(provoke(name, fail_once))
        with pytest.raises(error):
            loop.run_forever()
        # It goes on as if nothing had been.
        transport, protocol, far = loop.run_until_complete(task)
        transport.abort()
        loop.run_until_complete(until_lost(protocol))
        loop.run_until_complete(asyncio.sleep(0))
        assert transport.get_extra_info("socket").fileno() == -1
        assert not failures
        far.close()


@not_on("uvloop", reason="crashes the process: uvloop #706")
@pytest.mark.parametrize(
    "how", ["close", "abort", "both", "stop", "pause_reading", "write", "write_eof", "set_protocol"]
)
@pytest.mark.parametrize("name", ["connection_made", *READING, "pause_writing", "resume_writing", "connection_lost"])
def test_transport_survives_whatever_its_callbacks_do_to_it(new_loop: NewLoop, name: str, how: str) -> None:  # noqa: C901
    def act(protocol: Recorder) -> None:
        transport = protocol.transport
        if how in ("close", "both"):
            transport.close()
        if how in ("abort", "both"):
            transport.abort()
            transport.close()
        if how == "stop":
            asyncio.get_running_loop().stop()
        if how == "pause_reading":
            transport.pause_reading()
            transport.resume_reading()
            transport.pause_reading()
        if how == "write" and not protocol.is_lost:
            transport.write(b"x")
            transport.write(bytes(100_000))
        if how == "write_eof" and not protocol.is_lost:
            transport.write_eof()
        if how == "set_protocol":
            protocol.calls.append("lost it")
            successor = type(protocol)()
            successor.transport = transport
            transport.set_protocol(successor)

    if new_loop is asyncio.SelectorEventLoop and name == "resume_writing" and how in ("close", "abort", "both"):
        pytest.skip("asyncio calls connection_lost twice")
    with running(new_loop) as loop:
        failures = reported(loop)
        task = loop.create_task(provoke(name, act))
        while not task.done():
            loop.call_soon(loop.stop)
            loop.run_forever()
        transport, protocol, far = task.result()
        transport.abort()
        loop.call_soon(loop.stop)
        loop.run_forever()
        loop.call_soon(loop.stop)
        loop.run_forever()
        assert protocol.calls.count("connection_lost") == (
            0 if how == "set_protocol" and name != "connection_lost" else 1
        )
        assert not failures
        del task, transport, protocol
        far.close()


@pytest.mark.parametrize("buffered", [False, True])
def test_protocol_that_is_exchanged_gets_what_comes_from_then_on(new_loop: NewLoop, buffered: bool) -> None:  # noqa: FBT001
    async def main() -> None:
        second: Recorder = BufferedRecorder() if buffered else Recorder()

        def exchange(protocol: Recorder) -> None:
            protocol.transport.set_protocol(second)

        first: Recorder = (Recorder if buffered else BufferedRecorder)()
        first.actions = {"data_received": exchange, "buffer_updated": exchange}
        transport, far = await connect(first)
        far.send(b"for the first")
        await until(lambda: bool(first.data))
        assert transport.get_protocol() is second
        far.send(b"for the second")
        await until(lambda: bool(second.data))
        far.close()
        await until_lost(second)
        assert first.data == b"for the first"
        assert second.data == b"for the second"
        assert not first.is_lost

    run(new_loop, main())


@pytest.mark.parametrize("tcp", [False, True], ids=["unix", "tcp"])
def test_pause_holds_what_is_in_flight_until_it_ends(new_loop: NewLoop, tcp: bool) -> None:  # noqa: FBT001
    async def main() -> None:
        def pause(protocol: Recorder) -> None:
            protocol.transport.pause_reading()
            assert not protocol.transport.is_reading()

        protocol = Recorder(data_received=pause)
        transport, far = await connect(protocol, tcp=tcp)
        far.send(b"first")
        await until(lambda: bool(protocol.data))
        far.send(b"second")
        far.close()
        for _ in range(20):
            await asyncio.sleep(0)
        assert protocol.calls == ["connection_made", "data_received"]
        protocol.actions.clear()
        transport.resume_reading()
        await until_lost(protocol)
        assert protocol.data == b"firstsecond"
        assert protocol.calls[-3:] == ["data_received", "eof_received", "connection_lost"]

    run(new_loop, main())


@pytest.mark.parametrize("state", ["paused", "half-closed"])
def test_loop_sleeps_beside_a_connection_that_was_reset_unnoticed(new_loop: NewLoop, state: str) -> None:
    async def main() -> None:
        protocol = Recorder(eof_received=lambda _: True)
        transport, far = await connect(protocol, tcp=True)
        if state == "paused":
            transport.pause_reading()
        else:
            far.shutdown(socket.SHUT_WR)
            await until(lambda: "eof_received" in protocol.calls)
            # Nobody reads this, so closing resets.
            transport.write(b"x")
            await asyncio.sleep(0)
        await asyncio.sleep(0.002)
        reset(far)
        before = time.thread_time()
        await asyncio.sleep(0.1)
        assert time.thread_time() - before < 0.05
        transport.abort()
        await until_lost(protocol)

    run(new_loop, main())


def test_peer_that_resets_is_an_error_for_the_protocol_and_for_nobody_else(new_loop: NewLoop) -> None:
    async def main() -> None:
        failures = reported(asyncio.get_running_loop())
        protocol = Recorder()
        _, far = await connect(protocol, tcp=True)
        reset(far)
        await until_lost(protocol)
        assert isinstance(protocol.error, ConnectionResetError)
        assert protocol.calls == ["connection_made", "connection_lost"]
        assert not failures

    run(new_loop, main())


def test_peer_that_half_closes_still_gets_its_answer(new_loop: NewLoop) -> None:
    async def main() -> None:
        def answer(protocol: Recorder) -> bool:
            protocol.transport.write(protocol.data[::-1] + bytes(500_000))
            asyncio.get_running_loop().call_later(0.002, protocol.transport.close)
            return True

        protocol = Recorder(eof_received=answer)
        _, far = await connect(protocol, tcp=True)
        far.send(b"question")
        far.shutdown(socket.SHUT_WR)
        assert await receive(far) == b"noitseuq" + bytes(500_000)
        await until_lost(protocol)
        assert protocol.calls.count("eof_received") == 1
        far.close()

    run(new_loop, main())


def test_peer_that_sends_one_byte_at_a_time_is_understood(new_loop: NewLoop) -> None:
    async def main() -> None:
        near, far = sockets(tcp=True)
        far.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        reader, writer = await asyncio.open_connection(sock=near)
        lines = asyncio.ensure_future(asyncio.gather(reader.readline(), reader.readexactly(5), reader.readuntil(b"--")))

        async def drip() -> None:
            for byte in b"a line\n12345until--":
                far.send(bytes([byte]))
                await asyncio.sleep(0)

        async def read() -> list[bytes]:
            return [await reader.readline(), await reader.readexactly(5), await reader.readuntil(b"--")]

        lines.cancel()
        reading = asyncio.ensure_future(read())
        await drip()
        assert await reading == [b"a line\n", b"12345", b"until--"]
        writer.close()
        await writer.wait_closed()
        far.close()

    run(new_loop, main())


@not_on("uvloop", reason="has other words")
@pytest.mark.parametrize("error", [*ORDINARY, *ENDING])
def test_protocol_factory_that_fails_costs_one_connection(new_loop: NewLoop, error: type[BaseException]) -> None:
    if new_loop is asyncio.SelectorEventLoop and error in ENDING:
        pytest.skip("asyncio forgets the connection")
    with running(new_loop) as loop:
        # In debug mode asyncio keeps the connection with the report.
        loop.set_debug(False)
        failures = reported(loop)
        made: list[Recorder] = []

        def factory() -> Recorder:
            if not made:
                made.append(Recorder())
                raise error("on purpose")
            made.append(Recorder())
            return made[-1]

        server = loop.run_until_complete(loop.create_server(factory, "127.0.0.1", 0))
        address = server.sockets[0].getsockname()

        async def main() -> None:
            with socket.create_connection(address) as first:
                first.settimeout(0)
                assert await receive(first) == b""
            with socket.create_connection(address):
                await until(lambda: len(made) == 2 and bool(made[1].calls))
            await until_lost(made[1])

        task = loop.create_task(main())
        if error in ENDING:
            with pytest.raises(error):
                loop.run_until_complete(asyncio.shield(task))
        loop.run_until_complete(task)
        server.close()
        loop.run_until_complete(server.wait_closed())
        assert not failures
        made.clear()
        with pytest.raises(error):
            loop.run_until_complete(refused(loop, factory))


async def refused(loop: asyncio.AbstractEventLoop, factory: Any) -> None:
    """Make a connection for which there is no protocol, and see that its socket is closed."""
    near, far = sockets()
    try:
        await loop.create_connection(factory, sock=near)
    finally:
        near.close()
        assert await receive(far) == b""
        far.close()


@not_on("uvloop", reason="writes to stderr")
def test_eof_answer_without_a_truth_ends_the_connection_and_not_the_loop(new_loop: NewLoop) -> None:
    class Undecided(Recorder):
        def eof_received(self) -> Any:
            class Answer:
                def __bool__(self) -> bool:
                    raise ValueError

            return Answer()

    async def main() -> None:
        failures = reported(asyncio.get_running_loop())
        protocol = Undecided()
        transport, far = await connect(protocol)
        far.close()
        await until(lambda: bool(failures))
        transport.abort()
        await until_lost(protocol)

    run(new_loop, main())


@not_on("uvloop", reason="has no sendfile: uvloop #561")
def test_file_that_waits_for_a_connection_fails_with_it(new_loop: NewLoop) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        protocol = Recorder()
        transport, far = await connect(protocol)
        transport.write(bytes(1 << 20))
        with open(__file__, "rb") as file:  # noqa: ASYNC230, PTH123
            task = asyncio.ensure_future(loop.sendfile(transport, file))
            await asyncio.sleep(0)
            with pytest.raises(RuntimeError, match="sendfile is in progress"):
                transport.write(b"x")
            transport.abort()
            with pytest.raises(ConnectionError):
                await asyncio.wait_for(task, 5)
        far.close()

    run(new_loop, main())


@not_on("asyncio", "uvloop", reason="leaves the transport unusable, or has no sendfile")
def test_file_that_nobody_waits_for_any_more_leaves_the_transport_usable(new_loop: NewLoop) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        protocol = Recorder()
        transport, far = await connect(protocol)
        transport.write(bytes(1 << 20))
        with open(__file__, "rb") as file:  # noqa: ASYNC230, PTH123
            task = asyncio.ensure_future(loop.sendfile(transport, file))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        transport.write(b"the end")
        far.send(b"x")
        await until(lambda: bool(protocol.data))
        transport.close()
        assert await receive(far) == bytes(1 << 20) + b"the end"
        far.close()

    run(new_loop, main())


EMFILE = """
    import asyncio, resource, socket, sys
    from {module} import {name} as new_loop

    async def main():
        loop = asyncio.get_running_loop()
        failures = []
        loop.set_exception_handler(lambda _, context: failures.append(context))
        asyncio.constants.ACCEPT_RETRY_DELAY = 0.01
        served = []
        async def serve(reader, writer):
            served.append(await reader.read())
            writer.close()
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        clients = [socket.socket() for _ in range(4)]
        full = []
        resource.setrlimit(resource.RLIMIT_NOFILE, (60, 60))
        try:
            while True:
                full.append(socket.socket())
        except OSError:
            pass
        for client in clients:
            client.connect(server.sockets[0].getsockname())
            client.send(b"x")
            client.shutdown(socket.SHUT_WR)
        while len(failures) < 2:
            await asyncio.sleep(0.001)
        assert failures[0]["exception"].errno == 24, failures
        assert failures[0]["message"] == "socket.accept() out of system resource"
        for end in full:
            end.close()
        while len(served) < 4:
            await asyncio.sleep(0.001)
        assert served == [b"x"] * 4
        assert len(failures) < {most}, len(failures)
        server.close()
        await server.wait_closed()

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(asyncio.wait_for(main(), 10))
    print("recovered")
"""


@not_on("uvloop", reason="never recovers")
def test_server_without_descriptors_waits_and_recovers(new_loop: NewLoop) -> None:
    # asyncio tells a hundred times of each attempt.
    most = 100 if is_treadle(new_loop) else 10_000
    script = textwrap.dedent(EMFILE).format(module=new_loop.__module__, name=cast("type", new_loop).__name__, most=most)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=30)
    assert done.stdout == "recovered\n", done.stderr
