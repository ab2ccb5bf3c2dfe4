"""What the tests of other projects have found: see tests/foreign."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING
from unittest import mock

import pytest
from connections import Recorder, sockets, until_lost
from loops import not_on, run

if TYPE_CHECKING:
    from collections.abc import Callable
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


@not_on("uvloop", reason="rounds to milliseconds")
def test_a_timer_that_is_due_within_the_turn_runs_in_the_next_one(new_loop: NewLoop) -> None:
    async def main() -> list[str]:
        loop = asyncio.get_running_loop()
        ran: list[str] = []
        # Whatever the count of turns is at which the loop looks at the clock by itself.
        for number in range(10):
            await until_next_turn_after(loop.call_later(0.000_001, ran.append, f"later {number}"))
            ran.append("the turn after")
            await until_next_turn_after(loop.call_at(loop.time() + 0.000_001, ran.append, f"at {number}"))
            ran.append("the turn after")
        return ran

    async def until_next_turn_after(timer: asyncio.TimerHandle) -> None:
        while asyncio.get_running_loop().time() <= timer.when():
            pass
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    expected = [(f"{call} {number}", "the turn after") for number in range(10) for call in ("later", "at")]
    assert run(new_loop, main()) == [line for lines in expected for line in lines]


@not_on("uvloop", reason="gives a float")
def test_a_timer_says_the_very_time_it_was_given(new_loop: NewLoop) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        for when in (int(loop.time()) + 3600, loop.time() + 3600.1):
            timer = loop.call_at(when, print)
            assert (timer.when(), type(timer.when())) == (when, type(when))
            timer.cancel()

    run(new_loop, main())


@not_on("asyncio", reason="known by the file it is in")
def test_the_path_of_a_server_may_be_looked_at_where_blocking_calls_are_forbidden(
    new_loop: NewLoop, tmp_path: Path
) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        # Which looks at the files of whoever schedules something.
        loop.set_debug(False)
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


async def turns_until(heard: Callable[[], bool]) -> int:
    """Count the turns of a busy loop until something is heard."""
    for turns in range(200):
        if heard():
            return turns
        await asyncio.sleep(0)
    return 200


class Arrivals(asyncio.DatagramProtocol):
    """Keeps the datagrams that arrive."""

    def __init__(self) -> None:
        """Begin with none."""
        self.data: list[bytes] = []

    def datagram_received(self, data: bytes, addr: object) -> None:
        """Keep one."""
        assert addr
        self.data.append(data)


@pytest.mark.parametrize("way", ["transport", "end", "sock_sendall", "writer"])
@not_on("uvloop", reason="asks the system later")
def test_peer_in_the_same_loop_hears_within_a_few_turns_also_of_a_busy_one(new_loop: NewLoop, way: str) -> None:
    async def main() -> int:
        loop = asyncio.get_running_loop()
        near, far = sockets()
        peer, sender = Recorder(), Recorder()
        await loop.create_connection(lambda: peer, sock=near)
        if way in ("transport", "end"):
            await loop.create_connection(lambda: sender, sock=far)
        await turns_until(lambda: False)
        if way == "transport":
            sender.transport.write(b"x")
        elif way == "end":
            sender.transport.write_eof()
        elif way == "sock_sendall":
            await loop.sock_sendall(far, b"x")
        else:
            # Somebody's own input and output, which the loop does not see.
            loop.add_writer(far, lambda: (loop.remove_writer(far), far.send(b"x")))
        turns = await turns_until(lambda: bool(peer.data) or "eof_received" in peer.calls)
        peer.transport.close()
        far.close() if way in ("sock_sendall", "writer") else sender.transport.close()
        await until_lost(peer)
        return turns

    # asyncio takes one or two, and one more for a writer; so do we for what we send at the end of the turn.
    assert run(new_loop, main()) <= 4


@not_on("uvloop", reason="asks the system later")
def test_datagram_within_the_loop_arrives_within_a_few_turns_also_of_a_busy_one(new_loop: NewLoop) -> None:
    async def main() -> int:
        loop = asyncio.get_running_loop()
        near, peer = await loop.create_datagram_endpoint(Arrivals, local_addr=("127.0.0.1", 0))
        far, _ = await loop.create_datagram_endpoint(
            asyncio.DatagramProtocol, remote_addr=near.get_extra_info("sockname")
        )
        await turns_until(lambda: False)
        far.sendto(b"x")
        turns = await turns_until(lambda: bool(peer.data))
        near.close()
        far.close()
        await asyncio.sleep(0)
        return turns

    assert run(new_loop, main()) <= 3
