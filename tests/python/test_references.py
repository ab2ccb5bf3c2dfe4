"""However often something is done, what everything refers to is referred to as often as before."""

from __future__ import annotations

import asyncio
import gc
import socket
import ssl
import sys
from typing import TYPE_CHECKING, Any

import pytest
import scenarios
import treadle.loop.native
import treadle.patterns.native
from connections import Recorder, is_treadle, running, sockets
from loops import not_on
from test_descriptors import settle

if TYPE_CHECKING:
    from connections import NewLoop
    from scenarios import Scenario

pytestmark = not_on("uvloop", reason="is not ours")

ROUNDS = 30
# Caches of the interpreter come and go.
SLACK = ROUNDS // 3


@pytest.mark.parametrize("name", ["Handle", "TimerHandle", "StreamTransport", "Timeout", "MoveOnAfter"])
def test_classes_that_only_native_code_makes_cannot_be_called(name: str) -> None:
    known = vars(treadle.loop.native) | vars(treadle.patterns.native)
    with pytest.raises(TypeError, match="cannot create"):
        known[name]()


def shared(new_loop: NewLoop) -> dict[str, Any]:
    """Return objects that a loop and its users refer to all the time, by name."""
    names = ("Future", "Task", "Handle", "TimerHandle", "Transport", "StreamReader", "StreamWriter", "Server")
    found: dict[str, Any] = {name: getattr(asyncio, name) for name in names}
    found |= {"None": None, "True": True, "False": False, "()": (), "b''": b"", "''": ""}
    found |= {"socket": socket.socket, "SSLObject": ssl.SSLObject, "MemoryBIO": ssl.MemoryBIO}
    found |= {"Recorder": Recorder, "Echo": scenarios.Echo}
    found |= {"context of servers": scenarios.Tls.server, "context of clients": scenarios.Tls.client}
    with running(new_loop) as loop:
        near, far = sockets()
        with far:
            transport, _ = loop.run_until_complete(loop.create_connection(Recorder, sock=near))
            transport.abort()
            loop.run_until_complete(asyncio.sleep(0))
        plain, timer = loop.call_soon(print), loop.call_later(0, print)
        found |= {"loops": type(loop), "plain handles": type(plain), "timers": type(timer), "streams": type(transport)}
    return found


def counts(objects: dict[str, Any]) -> dict[str, int]:
    """Count the references to each."""
    gc.collect()
    return {name: sys.getrefcount(one) for name, one in objects.items()}


@pytest.mark.parametrize("debug", [False, True], ids=["plain", "debug"])
@pytest.mark.parametrize("scenario", scenarios.ALL, ids=lambda scenario: scenario.__name__)
def test_references_are_as_many_as_before(new_loop: NewLoop, scenario: Scenario, debug: bool) -> None:  # noqa: FBT001
    async def rounds(count: int) -> None:
        for _ in range(count):
            await scenario()
        await settle()

    def use_loop(count: int) -> None:
        # A loop for itself, since each keeps a hundred cancelled timers.
        with asyncio.Runner(debug=debug, loop_factory=new_loop) as runner:
            runner.run(rounds(count))

    if scenario is scenarios.program and not is_treadle(new_loop):
        pytest.skip("takes long, and is asyncio's own matter")
    objects = shared(new_loop)
    use_loop(5)
    # What leaks does so each time; threads that other tests have left refer to more only now and then.
    for _ in range(3):
        before = counts(objects)
        use_loop(ROUNDS)
        after = counts(objects)
        grown = {name: after[name] - before[name] for name in objects if after[name] - before[name] > SLACK}
        if not grown:
            break
    assert grown == {}


def test_allocated_blocks_are_as_many_as_before(new_loop: NewLoop) -> None:
    async def rounds(count: int) -> None:
        for _ in range(count):
            for scenario in scenarios.QUICK:
                await scenario()
        await settle()

    with asyncio.Runner(debug=False, loop_factory=new_loop) as runner:
        runner.run(rounds(10))
        gc.collect()
        before = sys.getallocatedblocks()
        runner.run(rounds(ROUNDS))
        gc.collect()
        assert sys.getallocatedblocks() - before < 10 * ROUNDS
