"""What the tests of other projects have found: see tests/foreign."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest
from connections import Recorder, connect, is_treadle, receive, sockets, tls_contexts
from loops import not_on, run, until

if TYPE_CHECKING:
    from pathlib import Path

    from connections import NewLoop


@pytest.mark.parametrize("late", [0, -1])
@not_on("uvloop", reason="timers of no delay wait for a tick of its clock")
def test_a_timer_that_is_due_runs_in_the_next_turn(new_loop: NewLoop, late: float) -> None:
    async def main() -> list[str]:
        loop = asyncio.get_running_loop()
        ran: list[str] = []
        # Once the loop has asked the system it lets a few turns pass.
        for _ in range(3):
            await asyncio.sleep(0)
        loop.call_later(late, ran.append, "later")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        loop.call_at(loop.time() + late, ran.append, "at")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return ran

    assert run(new_loop, main()) == ["later", "at"]


@not_on("uvloop", reason="timers go by its own clock")
def test_a_clock_in_place_of_the_loops_moves_the_timers(new_loop: NewLoop) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        ran: list[str] = []
        with mock.patch.object(loop, "time", return_value=loop.time()) as clock:
            loop.call_later(3600, ran.append, "later")
            loop.call_at(clock.return_value + 7200, ran.append, "at")
            await asyncio.sleep(0)
            for expected in ([], ["later"], ["later", "at"]):
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                assert ran == expected
                clock.return_value += 3600
        # Back on its own clock, which is far behind.
        loop.call_later(0.001, ran.append, "soon")
        await until(lambda: "soon" in ran)

    run(new_loop, main())


def test_a_subclass_may_have_a_clock_of_its_own(new_loop: NewLoop) -> None:
    if not is_treadle(new_loop) and new_loop is not asyncio.SelectorEventLoop:
        pytest.skip("timers of uvloop go by its own clock")
    base: Any = new_loop

    class Quick(base):  # type: ignore[misc]
        passed = 0.0

        def time(self) -> float:
            return float(super().time()) + self.passed

    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        loop.call_later(3600, loop.create_task, asyncio.sleep(0))
        asleep = asyncio.ensure_future(asyncio.sleep(3600))
        await asyncio.sleep(0)
        loop.passed = 3601
        await asyncio.wait_for(asleep, 5)

    run(Quick, main())


@not_on("uvloop", reason="gives a float")
def test_a_timer_says_the_very_time_it_was_given(new_loop: NewLoop) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        for when in (int(loop.time()) + 3600, loop.time() + 3600.1):
            timer = loop.call_at(when, print)
            assert (timer.when(), type(timer.when())) == (when, type(when))
            timer.cancel()

    run(new_loop, main())


@not_on("uvloop", reason="drops what was written in the turn of an abort")
@pytest.mark.parametrize("tls", [False, True])
def test_what_was_written_before_an_abort_has_been_sent(new_loop: NewLoop, *, tls: bool) -> None:
    async def over_tcp() -> None:
        transport, peer = await connect(Recorder(), tcp=True)
        with peer:
            transport.write(b"last ")
            transport.write(b"words")
            transport.abort()
            assert await receive(peer) == b"last words"

    async def over_tls() -> None:
        server_context, client_context = tls_contexts()
        heard: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"last words")
            writer.transport.abort()

        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=server_context)
        async with server:
            address = server.sockets[0].getsockname()
            reader, writer = await asyncio.open_connection(*address, ssl=client_context)
            heard.set_result(await reader.readexactly(10))
            writer.transport.abort()
        assert heard.result() == b"last words"

    run(new_loop, over_tls() if tls else over_tcp())


@not_on("asyncio", reason="known by the file it is in")
def test_the_path_of_a_server_may_be_looked_at_where_blocking_calls_are_forbidden(
    new_loop: NewLoop, tmp_path: Path
) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        path = str(tmp_path / "socket")
        for _ in range(2):
            with mock.patch.multiple(os, stat=forbidden, unlink=forbidden, remove=forbidden):
                server = await loop.create_unix_server(asyncio.Protocol, path)
                server.close()
                await server.wait_closed()

    run(new_loop, main())


def forbidden(*_arguments: object, **_options: object) -> None:
    """Refuse, as tools do that look for blocking calls."""
    pytest.fail("a blocking call")


@not_on("uvloop", reason="knows descriptors by their numbers")
def test_a_socket_that_is_closed_can_still_be_removed(new_loop: NewLoop) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        stranger, _ = sockets()
        stranger.close()
        for add, remove in ((loop.add_reader, loop.remove_reader), (loop.add_writer, loop.remove_writer)):
            near, far = sockets()
            with far:
                add(near, int)
                near.close()
                with pytest.raises(ValueError, match="Invalid file"):
                    remove(stranger)
                assert remove(near)
                with pytest.raises(ValueError, match="Invalid file"):
                    remove(near)

    run(new_loop, main())
