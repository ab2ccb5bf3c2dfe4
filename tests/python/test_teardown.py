"""The end of a loop: closing it, and what becomes of everything that it had."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import signal
import weakref
from typing import TYPE_CHECKING, Any

import pytest
from connections import Recorder, connect, is_treadle, running, sockets, until_lost
from loops import not_on, run, until
from mishaps import KINDS, once

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from connections import NewLoop


@not_on("uvloop", reason="loses a signal that comes before it runs")
def test_closing_a_running_loop_is_refused_everywhere(new_loop: NewLoop) -> None:
    refusals: list[str] = []
    with running(new_loop) as loop, contextlib.ExitStack() as undo:

        def close() -> None:
            with pytest.raises(RuntimeError, match=r"[Rr]unning|Cannot close"):
                loop.close()
            refusals.append("refused")

        for kind in KINDS:
            once(loop, kind, close, undo)
        loop.run_until_complete(until(lambda: len(refusals) == len(KINDS)))


def test_closed_loop_does_nothing_any_more(new_loop: NewLoop) -> None:
    loop = new_loop()
    loop.close()
    loop.close()
    assert loop.is_closed()
    assert not loop.is_running()

    async def nothing() -> None:
        pass

    near, far = sockets()
    coroutine = nothing()
    calls: list[Callable[[], object]] = [
        lambda: loop.call_soon(print),
        lambda: loop.call_soon_threadsafe(print),
        lambda: loop.call_later(0, print),
        lambda: loop.call_at(0, print),
        lambda: loop.add_reader(near, print),
        lambda: loop.add_writer(near, print),
        lambda: loop.add_signal_handler(signal.SIGUSR1, print),
        lambda: loop.run_in_executor(None, print),
        lambda: loop.run_until_complete(coroutine),
        loop.run_forever,
    ]
    for call in calls:
        with pytest.raises(RuntimeError, match="closed"):
            call()
    coroutine.close()
    near.close()
    far.close()


def test_loop_that_is_closed_with_everything_pending_lets_go_of_everything(new_loop: NewLoop) -> None:
    class Thing:
        """Holds what may hold it."""

    things: list[weakref.ref[Thing]] = []
    closed: list[socket.socket] = []

    def thing() -> Any:
        one = Thing()
        things.append(weakref.ref(one))
        return one

    def prepare(loop: asyncio.AbstractEventLoop) -> None:
        for schedule in (loop.call_soon, functools.partial(loop.call_later, 3600)):
            holder = thing()
            # The object keeps the handle and the handle the object.
            holder.handle = schedule(lambda _: None, holder)
            handle = schedule(lambda _: None, thing())
            handle.cancel()
        near, far = sockets()
        closed.extend([near, far])
        loop.add_reader(near, lambda _: None, thing())
        loop.add_writer(near, lambda _: None, thing())
        loop.add_signal_handler(signal.SIGUSR1, lambda _: None, thing())

    loop = new_loop()
    loop.call_soon(loop.stop)
    loop.run_forever()
    prepare(loop)
    loop.close()
    gc.collect()
    if not new_loop.__module__.startswith("uvloop"):
        assert [one() for one in things] == [None] * len(things)
    for end in closed:
        end.close()
    assert loop.is_closed()


@not_on("uvloop", reason="says nothing")
def test_loop_that_is_dropped_unclosed_is_warned_of(new_loop: NewLoop) -> None:
    near, far = sockets()
    loop = new_loop()
    loop.call_later(3600, print, loop)
    loop.add_reader(near, print, loop)
    loop.call_soon(print, loop)
    dead = weakref.ref(loop)
    del loop
    with pytest.warns(ResourceWarning, match="unclosed event loop"):
        gc.collect()
    assert dead() is None
    near.close()
    far.close()


@not_on("uvloop", reason="closes it silently")
@pytest.mark.parametrize("closed", [False, True], ids=["running", "closed"])
def test_transport_that_is_dropped_unclosed_is_warned_of(new_loop: NewLoop, closed: bool) -> None:  # noqa: FBT001
    with running(new_loop) as loop:

        async def main() -> socket.socket:
            transport, far = await connect(Recorder())
            if not closed:
                # Who reads is kept by the loop.
                transport.pause_reading()
            return far

        far = loop.run_until_complete(main())

        def drop() -> None:
            if closed or is_treadle(new_loop):
                loop.close()
            gc.collect()

        with pytest.warns(ResourceWarning, match="unclosed transport"):
            drop()
        far.settimeout(5)
        assert far.recv(1) == b""
        far.close()


@not_on("asyncio", "uvloop", reason="raises, or has closed it")
def test_transport_can_be_closed_after_its_loop(new_loop: NewLoop) -> None:
    loop = new_loop()
    transport, far = loop.run_until_complete(connect(Recorder()))
    loop.close()
    transport.close()
    transport.abort()
    assert transport.get_extra_info("socket").fileno() == -1
    assert far.recv(1) == b""
    far.close()


@not_on("asyncio", "uvloop", reason="loses the events of the new one")
def test_descriptor_that_was_watched_and_closed_may_be_used_again(new_loop: NewLoop) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        near, far = sockets()
        number = near.fileno()
        loop.add_reader(near, lambda: None)
        near.close()
        far.close()
        protocol = Recorder()
        transport, far = await asyncio.wait_for(connect(protocol), 5)
        assert transport.get_extra_info("socket").fileno() == number
        far.send(b"x")
        await until(lambda: bool(protocol.data))
        transport.close()
        await until_lost(protocol)
        far.close()

    run(new_loop, main())
