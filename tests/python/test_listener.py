"""Whoever listens to the loop hears of callbacks, tasks, transports and executor jobs, and cannot disturb it."""

import asyncio
import sys
from collections.abc import Iterator

import pytest
import treadle


class Listener:
    """Notes what it hears."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.heard: list[str] = []

    def callback(self, handle: asyncio.Handle) -> None:
        """Hear of a callback that is about to run."""
        assert isinstance(handle, asyncio.Handle)
        self.heard.append("callback")

    def task(self, task: "asyncio.Task[None]") -> None:
        """Hear of a new task."""
        self.heard.append(f"task {task.get_name()}")

    def transport(self, transport: asyncio.BaseTransport) -> None:
        """Hear of a new transport."""
        assert isinstance(transport, asyncio.BaseTransport)
        self.heard.append("transport")

    def ready(self, transport: asyncio.BaseTransport) -> None:
        """Hear of a transport that is about to be called."""
        assert isinstance(transport, asyncio.BaseTransport)
        self.heard.append("ready")

    def lost(self, transport: asyncio.BaseTransport) -> None:
        """Hear of a transport that has ended."""
        assert transport.is_closing()
        self.heard.append("lost")

    def job(self, function: object) -> None:
        """Hear of a job for an executor."""
        self.heard.append(f"job {getattr(function, '__name__', '?')}")


@pytest.fixture
def loop() -> Iterator[treadle.EventLoop]:
    loop = treadle.new_event_loop()
    yield loop
    loop.close()


async def work(loop: asyncio.AbstractEventLoop) -> int:
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    await loop.create_task(asyncio.sleep(0), name="short")
    await reader.read()
    writer.close()
    server.close()
    await writer.wait_closed()
    return await loop.run_in_executor(None, int, "7")


@pytest.mark.parametrize("debug", [False, True])
def test_listener_hears_of_each_kind_of_event(loop: treadle.EventLoop, debug: bool) -> None:  # noqa: FBT001
    loop.set_debug(debug)
    listener = loop._listener = Listener()
    assert loop.run_until_complete(work(loop)) == 7
    assert listener.heard.count("transport") == listener.heard.count("lost") == 2
    assert listener.heard.count("ready") >= 1
    assert listener.heard.index("transport") < listener.heard.index("ready")
    assert listener.heard.count("task short") == 1
    assert listener.heard.count("job int") == 1
    assert listener.heard.count("callback") > 5


def test_nothing_is_heard_any_more_once_the_listener_is_gone(loop: treadle.EventLoop) -> None:
    listener = loop._listener = Listener()
    loop._listener = None
    assert loop.run_until_complete(work(loop)) == 7
    assert listener.heard == []


@pytest.mark.parametrize("method", ["callback", "task", "transport", "ready", "lost", "job"])
def test_exceptions_of_a_listener_do_not_reach_the_program(
    loop: treadle.EventLoop, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    def fail(_listener: Listener, _subject: object) -> None:
        raise ValueError("a listener's fault")

    monkeypatch.setattr(Listener, method, fail)

    hidden: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: hidden.append(unraisable.exc_value))
    loop._listener = Listener()
    assert loop.run_until_complete(work(loop)) == 7
    assert all(isinstance(error, ValueError) for error in hidden)
    assert hidden
