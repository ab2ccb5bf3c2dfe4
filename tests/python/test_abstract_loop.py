"""What `asyncio.AbstractEventLoop` promises and no other test is about."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import os
import shutil
import socket
import ssl
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
from connections import Recorder, is_treadle, reported, running, sockets, tls_contexts, until_lost
from loops import not_on, run, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from connections import NewLoop

WORD = contextvars.ContextVar("WORD", default="nothing")
LOCAL = "127.0.0.1"


def test_generators_that_nobody_finishes_are_closed(new_loop: NewLoop) -> None:
    trace: list[str] = []

    async def count(name: str) -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        finally:
            await asyncio.sleep(0)
            trace.append(name)

    async def main() -> AsyncIterator[int]:
        async for _ in count("dropped"):
            break
        await until(lambda: trace == ["dropped"])
        kept = count("kept")
        assert await anext(kept) == 1
        return kept

    kept = run(new_loop, main())
    assert trace == ["dropped", "kept"]
    del kept


def test_default_executor_is_used_and_shut_down(new_loop: NewLoop) -> None:
    class Executor(concurrent.futures.ThreadPoolExecutor):
        """One of the program's own."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(Executor(1, "mine"))
        name = await loop.run_in_executor(None, lambda: threading.current_thread().name)
        assert name.startswith("mine")
        with concurrent.futures.ThreadPoolExecutor(1, "other") as other:
            name = await loop.run_in_executor(other, lambda: threading.current_thread().name)
        assert name.startswith("other")
        done: list[bool] = []
        job = loop.run_in_executor(None, lambda: done.append(True))
        await loop.shutdown_default_executor()
        assert done == [True]
        await job
        with pytest.raises(RuntimeError, match="Executor shutdown has been called"):
            loop.run_in_executor(None, print)

    run(new_loop, main())


def test_tasks_have_names_contexts_and_factories(new_loop: NewLoop) -> None:
    made: list[dict[str, Any]] = []

    def factory(loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> Any:
        made.append(options)
        return asyncio.Task(coro, loop=loop, **options)

    async def say() -> str:
        return WORD.get()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        context = contextvars.copy_context()
        context.run(WORD.set, "inside")
        named = loop.create_task(say(), name="named")
        assert named.get_name() == "named"
        assert await loop.create_task(say(), context=context) == "inside"
        assert await named == "nothing"
        assert loop.get_task_factory() is None
        loop.set_task_factory(factory)
        assert loop.get_task_factory() is factory
        assert await loop.create_task(say(), context=context, name="by factory") == "inside"
        assert made
        with pytest.raises(TypeError):
            loop.set_task_factory(7)  # type: ignore[arg-type]
        loop.set_task_factory(None)

    run(new_loop, main())


@not_on("uvloop", reason="knows of no eager tasks")
@pytest.mark.skipif(sys.version_info < (3, 12), reason="came with Python 3.12")
def test_eager_tasks_begin_at_once(new_loop: NewLoop) -> None:
    trace: list[str] = []

    async def quick() -> int:
        trace.append("quick")
        return 7

    async def slow() -> int:
        trace.append("slow begins")
        await asyncio.sleep(0)
        trace.append("slow ends")
        return 8

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined]
        first = loop.create_task(quick())
        assert first.done()
        second = loop.create_task(slow(), name="second")
        assert trace == ["quick", "slow begins"]
        assert asyncio.current_task() is not second
        assert [await first, await second] == [7, 8]
        async with asyncio.TaskGroup() as group:
            group.create_task(slow())

    run(new_loop, main())


def test_names_and_addresses_are_looked_up(new_loop: NewLoop) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        for host in (LOCAL, "::1", "localhost"):
            found = await loop.getaddrinfo(host, 80, type=socket.SOCK_STREAM)
            assert found == socket.getaddrinfo(host, 80, type=socket.SOCK_STREAM)
        flags = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
        assert await loop.getnameinfo((LOCAL, 80), flags) == (LOCAL, "80")
        with pytest.raises(socket.gaierror):
            await loop.getaddrinfo("no-such-name.invalid", 80)

    run(new_loop, main())


@pytest.mark.parametrize("delay", [None, 0.001])
@not_on("uvloop", reason="has no such argument")
def test_the_first_address_that_answers_is_taken(
    new_loop: NewLoop, delay: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with socket.socket() as silent:
            silent.bind((LOCAL, 0))
            server = await loop.create_server(asyncio.Protocol, LOCAL, 0)
            good, bad = server.sockets[0].getsockname(), silent.getsockname()

            async def look_up(*_: object, **__: object) -> list[Any]:
                return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in addresses]

            monkeypatch.setattr(loop, "getaddrinfo", look_up)
            addresses = [bad, bad, good]
            transport, protocol = await loop.create_connection(Recorder, "name", 80, happy_eyeballs_delay=delay)
            assert transport.get_extra_info("peername") == good
            transport.close()
            await until_lost(protocol)
            addresses = [bad, bad]
            with pytest.raises(OSError, match=r"Connect call failed|Multiple exceptions"):
                await loop.create_connection(Recorder, "name", 80, happy_eyeballs_delay=delay)
            if sys.version_info >= (3, 12):
                with pytest.raises(ExceptionGroup) as caught:
                    await loop.create_connection(Recorder, "name", 80, happy_eyeballs_delay=delay, all_errors=True)
                assert len(caught.value.exceptions) == 2
            server.close()

    run(new_loop, main())


@not_on("uvloop", reason="finds the words of its own")
def test_unix_socket_that_is_left_over_is_replaced_and_a_file_is_not(new_loop: NewLoop, tmp_path: Path) -> None:
    stale, file = tmp_path / "stale", tmp_path / "file"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(stale))
    file.write_text("precious")

    async def main() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_unix_server(asyncio.Protocol, stale)
        transport, protocol = await loop.create_unix_connection(Recorder, str(stale))
        transport.close()
        await until_lost(protocol)
        server.close()
        with pytest.raises(OSError, match="in use"):
            await loop.create_unix_server(asyncio.Protocol, file)
        if os.uname().sysname == "Linux":
            name = f"\0treadle-{os.getpid()}"
            server = await loop.create_unix_server(asyncio.Protocol, name)
            transport, protocol = await loop.create_unix_connection(Recorder, name)
            transport.close()
            await until_lost(protocol)
            server.close()

    run(new_loop, main())
    assert file.read_text() == "precious"


@not_on("uvloop", reason="has a class of its own")
def test_server_serves_when_it_is_told_to(new_loop: NewLoop) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(asyncio.Protocol, LOCAL, 0, start_serving=False)
        assert isinstance(server, asyncio.AbstractServer)
        assert server.get_loop() is loop
        assert not server.is_serving()
        async with server:
            await server.start_serving()
            await server.start_serving()
            assert server.is_serving()
            address = server.sockets[0].getsockname()
            serving = asyncio.ensure_future(server.serve_forever())
            transport, protocol = await loop.create_connection(Recorder, *address)
            with pytest.raises(RuntimeError, match="already"):
                await server.serve_forever()
            transport.close()
            await until_lost(protocol)
            serving.cancel()
            with pytest.raises(asyncio.CancelledError):
                await serving
        assert not server.is_serving()
        assert tuple(server.sockets) == ()
        with pytest.raises(ConnectionError):
            await loop.create_connection(Recorder, *address)
        with pytest.raises(RuntimeError, match="closed"):
            await server.serve_forever()

    run(new_loop, main())


def test_exception_handler_can_be_set_asked_for_and_taken_back(
    new_loop: NewLoop, caplog: pytest.LogCaptureFixture
) -> None:
    contexts: list[dict[str, Any]] = []

    def handler(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        contexts.append(context)
        loop.default_exception_handler(context)

    with running(new_loop) as loop:
        assert loop.get_exception_handler() is None
        loop.set_exception_handler(handler)
        assert loop.get_exception_handler() is handler
        loop.call_exception_handler({"message": "a message"})
        loop.set_exception_handler(None)
        loop.call_exception_handler({"message": "another message"})
        with pytest.raises(TypeError):
            loop.set_exception_handler(7)
    assert contexts == [{"message": "a message"}]
    assert [record.message for record in caplog.records if record.name == "asyncio"] == ["a message", "another message"]


@not_on("uvloop", reason="gives its own protocol")
def test_name_that_a_tls_client_asks_for_is_seen(new_loop: NewLoop) -> None:
    server_context, client_context = tls_contexts()
    asked: list[str] = []
    server_context.sni_callback = lambda _socket, name, _context: asked.append(name)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        near, far = sockets()
        accepting = loop.connect_accepted_socket(Recorder, near, ssl=server_context)
        connecting = loop.create_connection(Recorder, sock=far, ssl=client_context, server_hostname="asked.example")
        (first, one), (second, other) = await asyncio.gather(accepting, connecting)
        first.close()
        second.close()
        await until_lost(one)
        await until_lost(other)

    run(new_loop, main())
    assert asked == ["asked.example"]


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl program")
def test_renegotiation_is_refused(new_loop: NewLoop) -> None:
    async def main() -> tuple[bytes, int | None]:
        loop = asyncio.get_running_loop()
        failures = reported(loop)
        context, _ = tls_contexts()
        context.options |= ssl.OP_NO_RENEGOTIATION
        served: list[Recorder] = []

        def factory() -> Recorder:
            served.append(Recorder())
            return served[-1]

        server = await loop.create_server(factory, LOCAL, 0, ssl=context)
        port = server.sockets[0].getsockname()[1]
        command = f"openssl s_client -connect {LOCAL}:{port} -tls1_2 -cipher AECDH-AES256-SHA:@SECLEVEL=0"
        # In a thread, so that every loop can be asked.
        with subprocess.Popen(command.split(), stdin=-1, stdout=-1, stderr=-1) as client:  # noqa: ASYNC220
            assert client.stdin
            client.stdin.write(b"hello\n")
            client.stdin.flush()
            await until(lambda: bool(served and served[0].data))
            client.stdin.write(b"R\n")
            client.stdin.flush()
            _, errors = await asyncio.to_thread(client.communicate)
        await until_lost(served[0])
        server.close()
        assert served[0].data == b"hello\n"
        assert not [failure for failure in failures if not isinstance(failure.get("exception"), OSError)]
        return errors, client.returncode

    errors, _ = run(new_loop, main())
    assert b"RENEGOTIATING" in errors or b"renegotiat" in errors


@not_on("uvloop", reason="has classes of its own")
def test_classes_are_those_that_programs_test_for(new_loop: NewLoop) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, asyncio.AbstractEventLoop)
        near, far = sockets()
        transport, _ = await loop.create_connection(Recorder, sock=near)
        assert isinstance(transport, asyncio.Transport)
        datagrams, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, (LOCAL, 0))
        for handle in (loop.call_soon(int), loop.call_later(1, int)):
            assert isinstance(handle, asyncio.Handle)
            handle.cancel()
        assert isinstance(handle, asyncio.TimerHandle)
        if is_treadle(new_loop):
            assert isinstance(loop, asyncio.BaseEventLoop)
            # asyncio's own is none before Python 3.12.
            assert isinstance(datagrams, asyncio.DatagramTransport)
        assert isinstance(loop.create_future(), asyncio.Future)
        transport.close()
        datagrams.close()
        far.close()

    run(new_loop, main())
