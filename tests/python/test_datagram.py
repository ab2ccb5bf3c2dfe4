"""Datagram endpoints: what arrives, what is sent, what fails, and how they end."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import socket
import sys
from typing import TYPE_CHECKING, Any

import pytest
from connections import is_treadle
from loops import not_on, open_descriptors, run, until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    NewLoop = Callable[[], asyncio.AbstractEventLoop]

# Where nobody listens: reserved, and refused on every machine.
NOBODY = ("127.0.0.1", 1)


class Peer(asyncio.DatagramProtocol):
    """Remembers what it is told."""

    def __init__(self) -> None:
        """Have heard nothing."""
        self.transport: Any = None
        self.received: list[tuple[bytes, Any]] = []
        self.errors: list[Exception] = []
        self.lost: list[Exception | None] = []
        self.flow: list[str] = []

    @property
    def data(self) -> list[bytes]:
        """What has arrived."""
        return [data for data, _ in self.received]

    @property
    def name(self) -> Any:
        """The address of this end."""
        return self.transport.get_extra_info("sockname")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """Remember a datagram and its sender."""
        self.received.append((data, addr))

    def error_received(self, exc: Exception) -> None:
        """Remember an error."""
        self.errors.append(exc)

    def connection_lost(self, exc: Exception | None) -> None:
        """Remember the end."""
        self.lost.append(exc)

    def pause_writing(self) -> None:
        """Remember the pause."""
        self.flow.append("pause")

    def resume_writing(self) -> None:
        """Remember the end of the pause."""
        self.flow.append("resume")

    async def closed(self) -> None:
        """Close the transport and wait until it is gone."""
        self.transport.close()
        await until(lambda: bool(self.lost))


async def endpoint(protocol: Callable[[], Peer] = Peer, host: str = "127.0.0.1", **options: Any) -> Peer:
    """Make an endpoint, on a port of its own unless the options say otherwise."""
    if not options:
        options = {"local_addr": (host, 0)}
    _, peer = await asyncio.get_running_loop().create_datagram_endpoint(protocol, **options)
    return peer


async def unix_pair(protocol: Callable[[], Peer] = Peer) -> tuple[Peer, socket.socket]:
    """Make an endpoint and the socket it is connected to, which takes few datagrams before it must be read."""
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    near.settimeout(0)
    far.settimeout(0)
    return await endpoint(protocol, sock=near), far


def drained(sock: socket.socket) -> list[bytes]:
    """Read all that is there."""
    found = []
    while True:
        try:
            found.append(sock.recv(100_000))
        except BlockingIOError:
            return found


def forget(objects: list[Any]) -> None:
    """Give up the last references to these."""
    objects.clear()
    gc.collect()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_datagram_goes_there_and_back_with_its_address(new_loop: NewLoop, host: str) -> None:
    async def main() -> None:
        server, client = await endpoint(host=host), await endpoint(host=host)
        client.transport.sendto(b"there", server.name)
        await until(lambda: bool(server.received))
        assert server.received == [(b"there", client.name)]
        server.transport.sendto(b"back", server.received[0][1])
        await until(lambda: bool(client.received))
        assert client.received == [(b"back", server.name)]
        await server.closed()
        await client.closed()

    run(new_loop, main())


def test_a_short_ipv6_address_will_do(new_loop: NewLoop) -> None:
    async def main() -> None:
        server, client = await endpoint(host="::1"), await endpoint(host="::1")
        client.transport.sendto(b"there", server.name[:2])
        await until(lambda: bool(server.received))
        await server.closed()
        await client.closed()

    run(new_loop, main())


@not_on("uvloop", reason="takes numbers only")
def test_a_host_name_is_looked_up(new_loop: NewLoop) -> None:
    async def main() -> None:
        server, client = await endpoint(), await endpoint()
        client.transport.sendto(b"there", ("localhost", server.name[1]))
        await until(lambda: bool(server.received))
        await server.closed()
        await client.closed()

    run(new_loop, main())


def test_many_senders_are_told_apart(new_loop: NewLoop) -> None:
    async def main() -> None:
        server = await endpoint()
        clients = [await endpoint() for _ in range(5)]
        for number in range(20):
            clients[number % 5].transport.sendto(b"%d" % number, server.name)
        await until(lambda: len(server.received) == 20)
        assert {(int(data) % 5, sender) for data, sender in server.received} == {
            (number, client.name) for number, client in enumerate(clients)
        }
        for data, sender in server.received:
            server.transport.sendto(data, sender)
        for number, client in enumerate(clients):
            await until(lambda client=client: len(client.received) == 4)  # type: ignore[misc]
            assert client.data == [b"%d" % n for n in range(number, 20, 5)]
        for peer in (server, *clients):
            await peer.closed()

    run(new_loop, main())


@not_on("uvloop", reason="takes tuples only")
def test_unix_datagrams_have_paths_for_addresses(new_loop: NewLoop, tmp_path: Path) -> None:
    async def main() -> None:
        names = [str(tmp_path / name) for name in ("server", "cliënt")]
        server, client = [await endpoint(local_addr=name, family=socket.AF_UNIX) for name in names]
        client.transport.sendto(b"there", names[0])
        await until(lambda: bool(server.received))
        assert server.received == [(b"there", names[1])]
        server.transport.sendto(b"back", names[1])
        await until(lambda: bool(client.received))
        await server.closed()
        await client.closed()

    run(new_loop, main())


@pytest.mark.skipif(sys.platform != "linux", reason="abstract names are Linux's")
@not_on("uvloop", reason="gives no address")
def test_abstract_names_are_bytes(new_loop: NewLoop) -> None:
    async def main() -> None:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        sock.bind("")
        name = sock.getsockname()
        server, client = await endpoint(sock=sock), await endpoint(local_addr="", family=socket.AF_UNIX)
        client.transport.sendto(b"there", name)
        await until(lambda: bool(server.received))
        assert server.received == [(b"there", None)]
        server.transport.sendto(b"here", name)
        await until(lambda: len(server.received) == 2)
        assert server.received[1] == (b"here", name)
        await server.closed()
        await client.closed()

    run(new_loop, main())


@not_on("uvloop", reason="closes the transport, https://github.com/MagicStack/uvloop/issues/601")
def test_a_refused_port_is_an_error_received_and_leaves_the_transport_open(new_loop: NewLoop) -> None:
    async def main() -> None:
        client, other = await endpoint(remote_addr=NOBODY), await endpoint()
        client.transport.sendto(b"knock")
        await until(lambda: bool(client.errors))
        client.transport.sendto(b"knock")
        await until(lambda: len(client.errors) == 2)
        assert {type(error) for error in client.errors} == {ConnectionRefusedError}
        assert not client.transport.is_closing()
        other.transport.sendto(b"ignored", NOBODY)
        other.transport.sendto(b"self", other.name)
        await until(lambda: bool(other.received))
        await client.closed()
        await other.closed()
        assert client.lost == [None]

    run(new_loop, main())


@not_on("uvloop", reason="closes the transport, https://github.com/MagicStack/uvloop/issues/545")
def test_what_cannot_be_sent_is_an_error_received_and_leaves_the_transport_open(new_loop: NewLoop) -> None:
    async def main() -> None:
        server, client = await endpoint(), await endpoint()
        client.transport.sendto(bytes(70_000), server.name)
        assert [type(error) for error in client.errors] == [OSError]
        client.transport.sendto(b"short", server.name)
        await until(lambda: bool(server.received))
        assert server.data == [b"short"]
        await server.closed()
        await client.closed()

    run(new_loop, main())


def test_a_burst_arrives_in_order(new_loop: NewLoop) -> None:
    async def main() -> None:
        server, client = await endpoint(), await endpoint()
        sent = [b"%d" % number for number in range(100)]
        for data in sent:
            client.transport.sendto(data, server.name)
        await until(lambda: len(server.received) == 100)
        assert server.data == sent
        await server.closed()
        await client.closed()

    run(new_loop, main())


def test_a_burst_is_no_reason_for_others_to_starve(new_loop: NewLoop) -> None:
    async def main() -> None:
        server, client = await endpoint(), await endpoint()
        for _ in range(100):
            client.transport.sendto(b"x", server.name)
        seen = []
        loop = asyncio.get_running_loop()

        def look() -> None:
            seen.append(len(server.received))
            if seen[-1] < 100:
                loop.call_soon(look)

        look()
        await until(lambda: seen[-1] == 100)
        assert len(set(seen)) > 2
        await server.closed()
        await client.closed()

    run(new_loop, main())


@not_on("asyncio", "uvloop", reason="cannot send to a peer without a name")
def test_what_the_kernel_does_not_take_waits_and_keeps_its_order(new_loop: NewLoop) -> None:
    async def main() -> None:
        peer, far = await unix_pair()
        sent = [b"%d" % number for number in range(1000)]
        for data in sent:
            peer.transport.sendto(data)
        assert peer.transport.get_write_buffer_size() > 0
        peer.transport.close()
        received: list[bytes] = []
        while not peer.lost:
            received += drained(far)
            await asyncio.sleep(0)
        assert received + drained(far) == sent
        far.close()

    run(new_loop, main())


@not_on("uvloop", reason="uvloop #601")
def test_what_waits_and_cannot_be_sent_counts_no_more(new_loop: NewLoop, tmp_path: Path) -> None:
    async def main() -> None:
        far = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        far.bind(str(tmp_path / "far"))
        far.settimeout(0)
        near = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        near.settimeout(0)
        peer = await endpoint(sock=near)
        while not peer.transport.get_write_buffer_size():
            peer.transport.sendto(bytes(1000), str(tmp_path / "far"))
        peer.transport.sendto(b"lost", str(tmp_path / "nobody"))
        peer.transport.sendto(b"last", str(tmp_path / "far"))
        received: list[bytes] = []
        while b"last" not in received:
            received += drained(far)
            await asyncio.sleep(0)
        assert [type(error) for error in peer.errors] == [FileNotFoundError]
        # Python 3.13.0 forgets the headers.
        assert peer.transport.get_write_buffer_size() <= (0 if is_treadle(new_loop) else 8 * 3)
        await peer.closed()
        far.close()

    run(new_loop, main())


async def connected(path: Path, protocol: Callable[[], Peer] = Peer) -> tuple[Peer, socket.socket]:
    """Make an endpoint and the named socket it is connected to."""
    far = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    far.bind(str(path / "far"))
    far.settimeout(0)
    near = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    near.connect(str(path / "far"))
    return await endpoint(protocol, sock=near), far


def test_flow_control_pauses_and_resumes_the_protocol(new_loop: NewLoop, tmp_path: Path) -> None:
    async def main() -> None:
        peer, far = await connected(tmp_path)
        peer.transport.set_write_buffer_limits(high=10_000)
        assert peer.transport.get_write_buffer_limits() == (2_500, 10_000)
        count = 0
        while not peer.flow:
            peer.transport.sendto(bytes(1000))
            count += 1
        assert peer.flow == ["pause"]
        assert peer.transport.get_write_buffer_size() > 10_000
        received: list[bytes] = []
        while len(peer.flow) < 2:
            received += drained(far)
            await asyncio.sleep(0)
        assert peer.flow == ["pause", "resume"]
        while len(received) < count:
            received += drained(far)
            await asyncio.sleep(0)
        assert peer.transport.get_write_buffer_size() <= 8 * count
        await peer.closed()
        far.close()

    run(new_loop, main())


@pytest.mark.parametrize("kind", [bytearray, lambda data: memoryview(bytearray(data))])
@not_on("uvloop", reason="sends what it is later")
def test_mutable_data_is_sent_as_it_was(new_loop: NewLoop, tmp_path: Path, kind: Callable[[bytes], Any]) -> None:
    async def main() -> None:
        peer, far = await connected(tmp_path)
        data = kind(b"first")
        count = 0
        while not peer.transport.get_write_buffer_size():
            peer.transport.sendto(data)
            count += 1
        data[:] = b"later"
        received: list[bytes] = []
        while len(received) < count:
            received += drained(far)
            await asyncio.sleep(0)
        assert set(received) == {b"first"}
        await peer.closed()
        far.close()

    run(new_loop, main())


def test_abort_drops_what_waits(new_loop: NewLoop, tmp_path: Path) -> None:
    async def main() -> None:
        peer, far = await connected(tmp_path)
        while not peer.transport.get_write_buffer_size():
            peer.transport.sendto(b"x")
        peer.transport.abort()
        assert peer.transport.get_write_buffer_size() in (0, 1, 9)
        await until(lambda: bool(peer.lost))
        assert peer.lost == [None]
        far.close()

    run(new_loop, main())


@not_on("uvloop", reason="sends none")
def test_empty_datagrams_are_sent_since_3_13(new_loop: NewLoop) -> None:
    async def main() -> None:
        server, client = await endpoint(), await endpoint()
        for data in (b"", bytearray(), b"end"):
            client.transport.sendto(data, server.name)
        await until(lambda: b"end" in server.data)
        assert server.data == ([b"", b"", b"end"] if sys.version_info >= (3, 13) else [b"end"])
        await server.closed()
        await client.closed()

    run(new_loop, main())


def test_a_connected_endpoint_sends_to_its_peer_only(new_loop: NewLoop) -> None:
    async def main() -> None:
        server = await endpoint()
        client = await endpoint(remote_addr=server.name)
        with pytest.raises(ValueError, match="Invalid address"):
            client.transport.sendto(b"x", NOBODY)
        client.transport.sendto(b"1")
        client.transport.sendto(b"2", server.name)
        client.transport.sendto(b"3", addr=None)
        await until(lambda: len(server.received) == 3)
        assert client.transport.get_extra_info("peername") == server.name
        await server.closed()
        await client.closed()

    run(new_loop, main())


def test_only_bytes_can_be_sent(new_loop: NewLoop) -> None:
    async def main() -> None:
        client = await endpoint()
        with pytest.raises(TypeError):
            client.transport.sendto("text", NOBODY)
        await client.closed()

    run(new_loop, main())


def test_the_transport_can_be_closed_in_datagram_received(new_loop: NewLoop) -> None:
    class Once(Peer):
        def datagram_received(self, data: bytes, addr: Any) -> None:
            super().datagram_received(data, addr)
            self.transport.close()

    async def main() -> None:
        server, client = await endpoint(Once), await endpoint()
        for _ in range(10):
            client.transport.sendto(b"x", server.name)
        await until(lambda: bool(server.lost))
        assert (server.data, server.lost) == ([b"x"], [None])
        assert server.transport.is_closing()
        await client.closed()

    run(new_loop, main())


def test_the_transport_can_be_aborted_in_error_received(new_loop: NewLoop) -> None:
    class Once(Peer):
        def error_received(self, exc: Exception) -> None:
            super().error_received(exc)
            self.transport.abort()

    async def main() -> None:
        client = await endpoint(Once, remote_addr=NOBODY)
        client.transport.sendto(b"x")
        await until(lambda: bool(client.lost))
        assert (len(client.errors), client.lost) == (1, [None])

    run(new_loop, main())


@not_on("uvloop", reason="closes the transport")
def test_exceptions_of_the_protocol_reach_the_handler_and_end_nothing(new_loop: NewLoop) -> None:
    class Faulty(Peer):
        def datagram_received(self, data: bytes, addr: Any) -> None:
            super().datagram_received(data, addr)
            raise ZeroDivisionError

        def error_received(self, exc: Exception) -> None:
            super().error_received(exc)
            raise OSError

    async def main() -> None:
        seen: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: seen.append(context))
        server, client = await endpoint(Faulty), await endpoint(Faulty, remote_addr=NOBODY)
        for _ in range(2):
            server.transport.sendto(b"x", server.name)
        await until(lambda: len(server.received) == 2)
        client.transport.sendto(b"x")
        await until(lambda: len(seen) == 3)
        assert [type(context["exception"]) for context in seen] == [ZeroDivisionError, ZeroDivisionError, OSError]
        assert not server.lost + client.lost
        await server.closed()
        await client.closed()

    run(new_loop, main())


@pytest.mark.parametrize("exception", [SystemExit, KeyboardInterrupt])
@not_on("uvloop", reason="swallows them")
def test_exceptions_that_end_programs_end_the_loop(new_loop: NewLoop, exception: type[BaseException]) -> None:
    class Ending(Peer):
        def datagram_received(self, data: bytes, addr: Any) -> None:
            super().datagram_received(data, addr)
            raise exception

    loop = new_loop()
    server = loop.run_until_complete(endpoint(Ending))
    server.transport.sendto(b"x", server.name)
    with pytest.raises(exception):
        loop.run_until_complete(until(lambda: bool(server.lost)))
    loop.run_until_complete(server.closed())
    loop.close()


def test_callbacks_run_in_the_context_of_the_endpoints_making(new_loop: NewLoop) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="outside")

    class Looking(Peer):
        def datagram_received(self, data: bytes, addr: Any) -> None:
            super().datagram_received(data + variable.get().encode(), addr)

    async def made() -> Peer:
        variable.set("inside")
        return await endpoint(Looking)

    async def main() -> None:
        server = await asyncio.create_task(made())
        server.transport.sendto(b"from ", server.name)
        await until(lambda: bool(server.received))
        assert server.data == [b"from inside"]
        await server.closed()

    run(new_loop, main())


@not_on("uvloop", reason="has no such methods")
def test_reading_can_be_paused(new_loop: NewLoop) -> None:
    async def main() -> None:
        server = await endpoint()
        server.transport.pause_reading()
        server.transport.sendto(b"x", server.name)
        for _ in range(20):
            await asyncio.sleep(0)
        assert (server.data, server.transport.is_reading()) == ([], False)
        server.transport.resume_reading()
        await until(lambda: bool(server.received))
        await server.closed()

    run(new_loop, main())


def test_another_protocol_can_take_over(new_loop: NewLoop) -> None:
    async def main() -> None:
        first, second = await endpoint(), Peer()
        second.transport = first.transport
        first.transport.set_protocol(second)
        assert first.transport.get_protocol() is second
        first.transport.sendto(b"x", first.name)
        await until(lambda: bool(second.received))
        await second.closed()
        assert not first.received
        assert not first.lost

    run(new_loop, main())


@not_on("asyncio", reason="an AttributeError of its own")
def test_nothing_is_sent_after_the_end(new_loop: NewLoop) -> None:
    async def main() -> None:
        client = await endpoint()
        await client.closed()
        for _ in range(7):
            client.transport.sendto(b"x", NOBODY)
        client.transport.close()
        client.transport.abort()
        await asyncio.sleep(0)
        assert client.lost == [None]

    run(new_loop, main())


@not_on("uvloop", reason="closes the transport silently")
def test_what_is_no_address_ends_the_transport(new_loop: NewLoop) -> None:
    async def main() -> None:
        seen: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: seen.append(context))
        client = await endpoint()
        client.transport.sendto(b"x", 5)
        await until(lambda: bool(client.lost))
        assert [type(exception) for exception in client.lost] == [TypeError]
        assert [context["message"] for context in seen] == ["Fatal write error on datagram transport"]

    run(new_loop, main())


@not_on("uvloop", reason="warns of nothing")
def test_an_endpoint_that_nobody_closed_is_warned_of(new_loop: NewLoop) -> None:
    async def main() -> list[Any]:
        return [(await endpoint()).transport]

    gc.collect()
    before = open_descriptors()
    loop = new_loop()
    transports = loop.run_until_complete(main())
    loop.close()
    with pytest.warns(ResourceWarning, match="unclosed transport"):
        forget(transports)
    del loop
    gc.collect()
    assert open_descriptors() == before


def test_no_descriptor_is_left(new_loop: NewLoop) -> None:
    async def main() -> None:
        peers = [await endpoint(), await endpoint(host="::1"), await endpoint(remote_addr=NOBODY)]
        for peer in peers[:2]:
            await peer.closed()
        peers[2].transport.abort()
        await until(lambda: bool(peers[2].lost))

    run(new_loop, main())
    before = open_descriptors()
    run(new_loop, main())
    assert open_descriptors() == before
