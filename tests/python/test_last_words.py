"""What was written right before the end: asyncio has sent it by then, so it arrives however the connection ends."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

import pytest
from connections import Recorder, connect, receive, reported, running, sockets, tls_contexts, until_lost
from loops import not_on, run, until

if TYPE_CHECKING:
    from connections import NewLoop

# Of uvloop nothing else is known.
pytestmark = not_on("uvloop", reason="gathers writes and drops them")

WORDS = b"these are my last words"


def write_and_raise(protocol: Recorder) -> None:
    """Answer, and fail."""
    protocol.transport.write(WORDS)
    raise ValueError("the protocol's fault")


@pytest.mark.parametrize("tcp", [False, True], ids=["unix", "tcp"])
@pytest.mark.parametrize("count", [1, 3])
def test_small_writes_before_an_abort_arrive(new_loop: NewLoop, count: int, tcp: bool) -> None:  # noqa: FBT001
    async def main() -> None:
        protocol = Recorder()
        transport, far = await connect(protocol, tcp=tcp)
        for _ in range(count):
            transport.write(WORDS)
        transport.abort()
        transport.abort()
        assert transport.get_write_buffer_size() == 0
        assert await receive(far) == WORDS * count
        await until_lost(protocol)
        assert protocol.error is None
        far.close()

    run(new_loop, main())


@pytest.mark.parametrize("name", ["data_received", "eof_received"])
def test_small_writes_before_an_exception_arrive(new_loop: NewLoop, name: str) -> None:
    async def main() -> None:
        failures = reported(asyncio.get_running_loop())
        protocol = Recorder(**{name: write_and_raise})
        _, far = await connect(protocol)
        far.send(b"hello")
        if name == "eof_received":
            far.shutdown(1)
        assert await receive(far) == WORDS
        await until_lost(protocol)
        assert [str(failure["exception"]) for failure in failures] == ["the protocol's fault"]
        far.close()

    run(new_loop, main())


def test_small_writes_arrive_though_the_loop_stops(new_loop: NewLoop) -> None:
    near, far = sockets()
    with running(new_loop) as loop, far:

        async def main() -> Any:
            transport, _ = await loop.create_connection(Recorder, sock=near)
            transport.write(WORDS)
            # The loop stops in this turn, or in the next one.
            return transport

        transport = loop.run_until_complete(main())
        assert far.recv(100) == WORDS
        loop.call_soon(transport.write, WORDS)
        loop.stop()
        loop.run_forever()
        assert far.recv(100) == WORDS
        transport.write(WORDS)
        assert far.recv(100) == WORDS
        transport.abort()
        loop.stop()
        loop.run_forever()


def test_abort_of_a_connection_whose_peer_is_gone_fails_nobody(new_loop: NewLoop) -> None:
    async def main() -> None:
        failures = reported(asyncio.get_running_loop())
        protocol = Recorder()
        transport, far = await connect(protocol)
        far.close()
        transport.write(WORDS)
        transport.abort()
        await until_lost(protocol)
        assert not failures

    run(new_loop, main())


def test_abort_does_not_wait_for_a_slow_peer(new_loop: NewLoop) -> None:
    async def main() -> None:
        protocol = Recorder()
        transport, far = await connect(protocol)
        transport.write(bytes(8 << 20))
        await until(lambda: "pause_writing" in protocol.calls)
        transport.write(WORDS)
        transport.abort()
        await until_lost(protocol)
        assert not (await receive(far)).endswith(WORDS)
        far.close()

    run(new_loop, main())


def test_small_writes_to_a_pipe_before_an_abort_arrive(new_loop: NewLoop) -> None:
    async def main() -> None:
        reader, writer = os.pipe()
        with open(reader, "rb", 0) as far, open(writer, "wb", 0) as pipe:  # noqa: ASYNC230, PTH123
            protocol = Recorder()
            transport, _ = await asyncio.get_running_loop().connect_write_pipe(lambda: protocol, pipe)
            transport.write(WORDS)
            transport.write(WORDS)
            transport.abort()
            await until_lost(protocol)
            assert far.read() == WORDS * 2

    run(new_loop, main())


@pytest.mark.parametrize("how", ["abort", "raise"])
def test_small_writes_to_tls_before_the_end_arrive(new_loop: NewLoop, how: str) -> None:
    contexts = tls_contexts()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        failures = reported(loop)
        near, far = sockets()
        ours = Recorder(**({"data_received": write_and_raise} if how == "raise" else {}))
        theirs = Recorder()
        server = loop.connect_accepted_socket(lambda: ours, near, ssl=contexts[0])
        client = loop.create_connection(lambda: theirs, sock=far, ssl=contexts[1], server_hostname="")
        (transport, _), (other, _) = await asyncio.gather(server, client)
        if how == "abort":
            transport.write(WORDS)
            transport.abort()
        else:
            other.write(b"hello")
        await until_lost(ours)
        await until_lost(theirs)
        assert theirs.data == WORDS
        assert [str(failure["exception"]) for failure in failures] == ["the protocol's fault"] * (how == "raise")
        other.close()

    run(new_loop, main())
