"""TLS, between a transport of each loop and a peer that does what the test says."""

from __future__ import annotations

import asyncio
import gc
import socket
import ssl
import weakref
from asyncio import sslproto
from typing import TYPE_CHECKING, Any

import pytest
from loops import not_on, run, until
from tls_peer import Application, Buffered, Certificate, Peer, connected

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

NewLoop = "Callable[[], asyncio.AbstractEventLoop]"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return Certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def play(new_loop: Any, certificate: Certificate) -> Callable[[Callable[[Peer, ssl.SSLContext], Any]], Any]:
    """Return what runs a scene with a peer, within two seconds."""

    def play(scene: Callable[[Peer, ssl.SSLContext], Coroutine[Any, Any, Any]]) -> Any:
        async def main() -> Any:
            async with asyncio.timeout(2), Peer(certificate.server()) as peer:
                return await scene(peer, certificate.client())

        return run(new_loop, main())

    return play


Play = Any


def handled(loop: asyncio.AbstractEventLoop) -> list[dict[str, Any]]:
    """Return what will be given to the exception handler."""
    contexts: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: contexts.append(context))
    return contexts


@pytest.mark.parametrize("piece", [1, 5, 7, 1000, 100_000])
def test_records_cut_into_pieces_arrive_whole(play: Play, piece: int) -> None:
    sent = [bytes([size % 251]) * size for size in (1, 2, 3, 300, 0, 20, *([40_000] if piece > 100 else []))]

    async def scene(peer: Peer, context: ssl.SSLContext) -> None:
        application = Application()
        await connected(peer, application, context)
        sealed = b"".join(map(peer.seal, sent))
        for start in range(0, len(sealed), piece):
            await peer._loop.sock_sendall(peer.sock, sealed[start : start + piece])
        await until(lambda: len(application.data) == sum(map(len, sent)))
        assert application.data == b"".join(sent)
        application.transport.abort()

    play(scene)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("size", [1, 1000, 16_384, 16_385, 500_000])
def test_echo_gives_back_every_byte(play: Play, version: ssl.TLSVersion, size: int) -> None:
    async def scene(peer: Peer, context: ssl.SSLContext) -> None:
        context.maximum_version = version
        application = Application(lambda transport, data: transport.write(data))
        transport = await connected(peer, application, context)
        data = bytes(range(256)) * (size // 256 + 1)
        for _ in range(2):
            _, received = await asyncio.gather(peer.send(data[:size]), peer.receive(size))
            assert received == data[:size]
        transport.abort()

    play(scene)


def test_writes_keep_their_order_whatever_their_size(play: Play) -> None:
    sizes = [1, 5, 20_000, 3, 0, 16_384, 100_000, 2, 2, 70_000, 1]
    pieces = [bytes([number]) * size for number, size in enumerate(sizes)]

    async def scene(peer: Peer, context: ssl.SSLContext) -> None:
        transport = await connected(peer, Application(), context)
        for piece in pieces[:7]:
            transport.write(piece)
        transport.writelines(pieces[7:])
        assert await peer.receive(sum(sizes)) == b"".join(pieces)
        transport.abort()

    play(scene)


@not_on("asyncio", "uvloop", reason="each write is a record of its own")
def test_small_writes_of_a_turn_share_a_record(play: Play) -> None:
    async def scene(peer: Peer, context: ssl.SSLContext) -> None:
        transport = await connected(peer, Application(), context)
        for _ in range(100):
            transport.write(b"word ")
        assert await peer.receive(500) == b"word " * 100
        assert peer.records == 1
        transport.abort()

    play(scene)


def test_buffer_may_change_after_it_was_written(play: Play) -> None:
    async def scene(peer: Peer, context: ssl.SSLContext) -> None:
        transport = await connected(peer, Application(), context)
        for size in (10, 100_000):
            data = bytearray(b"a" * size)
            transport.write(data)
            transport.write(memoryview(data)[:5])
            data[:] = b"b" * size
            assert await peer.receive(size + 5) == b"a" * (size + 5)
        transport.abort()

    play(scene)


def test_what_was_written_goes_out_before_the_end(play: Play) -> None:
    async def scene(peer: Peer, context: ssl.SSLContext) -> None:
        application = Application()
        transport = await connected(peer, application, context)
        transport.write(b"last words")
        transport.close()
        transport.write(b"too late")
        assert await peer.receive_all() == b"last words"
        peer.sock.close()
        assert await application.lost is None
        assert application.calls[-1] == "lost"

    play(scene)


def test_what_was_written_while_reading_is_paused_goes_out_before_the_end(play: Play) -> None:
    async def scene(peer: Peer, context: ssl.SSLContext) -> None:
        transport = await connected(peer, Application(), context)
        transport.pause_reading()
        transport.write(b"last words")
        transport.close()
        assert await peer.receive_all() == b"last words"

    play(scene)


def test_much_that_was_written_goes_out_before_the_end(play: Play) -> None:
    async def scene(peer: Peer, context: ssl.SSLContext) -> None:
        application = Application()
        transport = await connected(peer, application, context)
        transport.write(b"x" * 3_000_000)
        transport.close()
        assert len(await peer.receive_all()) == 3_000_000
        assert peer.was_told

    play(scene)


def test_farewell_is_answered_after_all_that_was_written(play: Play) -> None:
    async def scene(peer: Peer, context: ssl.SSLContext) -> None:
        application = Application()
        transport = await connected(peer, application, context)
        transport.write(b"x" * 3_000_000)
        await peer._loop.sock_sendall(peer.sock, peer.farewell())
        await until(lambda: "eof" in application.calls)
        assert len(await peer.receive_all()) == 3_000_000
        assert peer.was_told
        await application.lost

    play(scene)


def test_data_before_the_end_is_received_and_answered(play: Play) -> None:
    async def scene(peer: Peer, context: ssl.SSLContext) -> None:
        application = Application(lambda transport, data: transport.write(data.upper()))
        await connected(peer, application, context)
        await peer._loop.sock_sendall(peer.sock, peer.seal(b"words") + peer.farewell())
        assert await peer.receive_all() == b"WORDS"
        peer.sock.close()
        assert await application.lost is None
        assert application.calls == ["made", "data", "eof", "lost"]

    play(scene)


@not_on("uvloop", reason="does not tell the protocol of the end")
def test_end_without_farewell_is_an_end(play: Play) -> None:
    async def scene(peer: Peer, context: ssl.SSLContext) -> None:
        application = Application()
        await connected(peer, application, context)
        await peer.send(b"words")
        peer.sock.close()
        await application.lost
        assert application.calls == ["made", "data", "eof", "lost"]

    play(scene)


def test_paused_protocol_gets_nothing_until_it_resumes(play: Play) -> None:
    async def scene(peer: Peer, context: ssl.SSLContext) -> None:
        application = Application()
        transport = await connected(peer, application, context)
        transport.pause_reading()
        assert not transport.is_reading()
        sealed = peer.seal(b"x" * 4_000_000)
        sending = asyncio.ensure_future(peer._loop.sock_sendall(peer.sock, sealed))
        await until(lambda: transport.get_read_buffer_size() >= transport.get_read_buffer_limits()[1])
        for _ in range(20):
            await asyncio.sleep(0)
        # What is not taken from the socket is the sender's to keep.
        assert not sending.done()
        assert transport.get_read_buffer_size() < 1_000_000
        assert not application.data
        transport.resume_reading()
        await sending
        await until(lambda: len(application.data) == 4_000_000)
        transport.abort()

    play(scene)


def test_pausing_and_resuming_with_each_message_loses_nothing(play: Play) -> None:
    async def scene(peer: Peer, context: ssl.SSLContext) -> None:
        def on_data(transport: asyncio.Transport, _: bytes) -> None:
            transport.pause_reading()
            peer._loop.call_soon(transport.resume_reading)

        application = Application(on_data)
        transport = await connected(peer, application, context)
        data = b"".join(number.to_bytes(4, "big") for number in range(30_000))
        await asyncio.gather(peer.send(data), until(lambda: len(application.data) == len(data)))
        assert application.data == data
        transport.abort()

    play(scene)


def test_writer_is_paused_while_the_peer_does_not_read(play: Play) -> None:
    async def scene(peer: Peer, context: ssl.SSLContext) -> None:
        application = Application()
        transport = await connected(peer, application, context)
        assert transport.get_write_buffer_limits() == (128 * 1024, 512 * 1024)
        written = 0
        while "pause" not in application.calls:
            transport.write(b"x" * 60_000)
            written += 60_000
            assert written < 20_000_000
        assert transport.get_write_buffer_size() >= 512 * 1024
        await peer.receive(written)
        await until(lambda: application.calls == ["made", "pause", "resume"])
        assert transport.get_write_buffer_size() == 0
        transport.abort()

    play(scene)


def test_resumed_writer_may_write_at_once(play: Play) -> None:
    async def scene(peer: Peer, context: ssl.SSLContext) -> None:
        class Refilling(Application):
            def resume_writing(self) -> None:
                super().resume_writing()
                self.transport.write(b"y" * 10)

        application = Refilling()
        transport = await connected(peer, application, context)
        for _ in range(2):
            transport.write(b"x" * 2_000_000)
        assert application.calls == ["made", "pause"]
        assert await peer.receive(4_000_010) == b"x" * 4_000_000 + b"y" * 10
        transport.abort()

    play(scene)


@pytest.mark.parametrize("room", [1, 10, 100, 100_000])
def test_buffered_protocol_gets_every_byte(play: Play, room: int) -> None:
    async def scene(peer: Peer, context: ssl.SSLContext) -> None:
        application = Buffered(room)
        transport = await connected(peer, application, context)
        data = bytes(range(200)) * (1 if room < 100 else 500)
        await asyncio.gather(peer.send(data), until(lambda: len(application.data) == len(data)))
        assert application.data == data
        await peer._loop.sock_sendall(peer.sock, peer.farewell())
        await peer.receive_all()
        peer.sock.close()
        assert await application.lost is None
        assert transport.is_closing()

    play(scene)


def test_new_protocol_gets_what_comes_next(play: Play) -> None:
    async def scene(peer: Peer, context: ssl.SSLContext) -> None:
        second, third = Application(), Buffered(10)
        first = Application(lambda transport, _: transport.set_protocol(second))
        transport = await connected(peer, first, context)
        await peer.send(b"one")
        await until(lambda: bool(first.data))
        await peer.send(b"two")
        await until(lambda: bool(second.data))
        transport.set_protocol(third)
        assert transport.get_protocol() is third
        await peer.send(b"three")
        await until(lambda: len(third.data) == 5)
        assert [first.data, second.data, third.data] == [b"one", b"two", b"three"]
        transport.abort()

    play(scene)


def test_failing_protocol_is_reported_and_ends_the_connection(play: Play) -> None:
    async def scene(peer: Peer, context: ssl.SSLContext) -> None:
        contexts = handled(peer._loop)

        def fail(_: asyncio.Transport, __: bytes) -> None:
            raise LookupError("mine")

        application = Application(fail)
        await connected(peer, application, context)
        await peer.send(b"words")
        assert isinstance(await application.lost, LookupError)
        assert [type(context["exception"]) for context in contexts] == [LookupError]

    play(scene)


@not_on("uvloop", reason="keeps them to itself")
@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_exceptions_that_end_programs_come_through(new_loop: Any, certificate: Certificate, kind: type) -> None:
    loop = new_loop()

    def fail(_: asyncio.Transport, __: bytes) -> None:
        raise kind

    async def begin() -> tuple[Peer, Application]:
        peer = Peer(certificate.server())
        application = Application(fail)
        await connected(peer, application, certificate.client())
        await peer.send(b"words")
        return peer, application

    try:
        # In the first run already, if the words are there soon.
        with pytest.raises(kind):  # noqa: PT012 -- whichever it is.
            _, application = loop.run_until_complete(begin())
            loop.run_until_complete(application.lost)
    finally:
        loop.close()
        gc.collect()


def test_garbage_ends_the_connection_and_is_reported(play: Play) -> None:
    async def scene(peer: Peer, context: ssl.SSLContext) -> None:
        handled(peer._loop)
        application = Application()
        await connected(peer, application, context)
        await peer._loop.sock_sendall(peer.sock, b"HTTP/1.1 400 Bad Request\r\n\r\n")
        assert isinstance(await application.lost, ssl.SSLError)
        assert application.data == b""

    play(scene)


def test_forged_record_ends_the_connection(play: Play) -> None:
    async def scene(peer: Peer, context: ssl.SSLContext) -> None:
        handled(peer._loop)
        application = Application()
        await connected(peer, application, context)
        sealed = bytearray(peer.seal(b"words"))
        sealed[-1] ^= 1
        await peer._loop.sock_sendall(peer.sock, sealed)
        assert isinstance(await application.lost, ssl.SSLError)
        assert application.data == b""

    play(scene)


@not_on("uvloop", reason="does not end such a connection in time")
def test_handshake_that_takes_too_long_is_given_up(play: Play) -> None:
    async def scene(peer: Peer, context: ssl.SSLContext) -> None:
        options: dict[str, Any] = {"sock": peer.other, "ssl": context, "server_hostname": "localhost"}
        with pytest.raises(ConnectionAbortedError, match="handshake is taking longer"):
            await peer._loop.create_connection(Application, **options, ssl_handshake_timeout=0.01)

    play(scene)


def test_cancelled_handshake_closes_the_socket(play: Play) -> None:
    async def scene(peer: Peer, context: ssl.SSLContext) -> None:
        options: dict[str, Any] = {"sock": peer.other, "ssl": context, "server_hostname": "localhost"}
        connecting = asyncio.ensure_future(peer._loop.create_connection(Application, **options))
        await peer._loop.sock_recv(peer.sock, 5)
        connecting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await connecting
        while await peer._loop.sock_recv(peer.sock, 1000):
            pass

    play(scene)


@not_on("uvloop", reason="does not end such a connection in time")
def test_shutdown_that_takes_too_long_is_given_up(play: Play) -> None:
    async def scene(peer: Peer, context: ssl.SSLContext) -> None:
        handled(peer._loop)
        application = Application()
        transport = await connected(peer, application, context, ssl_shutdown_timeout=0.01)
        transport.close()
        assert isinstance(await application.lost, TimeoutError)

    play(scene)


def test_abort_within_a_callback_is_safe(play: Play) -> None:
    async def scene(peer: Peer, context: ssl.SSLContext) -> None:
        def on_data(transport: asyncio.Transport, _: bytes) -> None:
            transport.write(b"never sent")
            transport.abort()
            transport.write(b"nor this")

        application = Application(on_data)
        await connected(peer, application, context)
        await peer.send(b"words")
        assert await application.lost is None
        assert application.calls == ["made", "data", "lost"]

    play(scene)


def test_close_within_a_callback_sends_what_it_wrote(play: Play) -> None:
    async def scene(peer: Peer, context: ssl.SSLContext) -> None:
        def on_data(transport: asyncio.Transport, data: bytes) -> None:
            transport.write(data)
            transport.close()

        application = Application(on_data)
        await connected(peer, application, context)
        await peer.send(b"words")
        assert await peer.receive_all() == b"words"

    play(scene)


def test_transport_knows_the_connection(play: Play) -> None:
    async def scene(peer: Peer, context: ssl.SSLContext) -> None:
        context.set_alpn_protocols(["h2", "http/1.1"])
        peer.tls.context.set_alpn_protocols(["http/1.1"])
        transport = await connected(peer, Application(), context)
        tls = transport.get_extra_info("ssl_object")
        assert tls.selected_alpn_protocol() == "http/1.1"
        assert tls.server_hostname == "localhost"
        assert transport.get_extra_info("sslcontext") is context
        assert transport.get_extra_info("peercert")["subject"] == ((("commonName", "localhost"),),)
        assert transport.get_extra_info("cipher")[1] == "TLSv1.3"
        assert transport.get_extra_info("compression") is None
        assert transport.get_extra_info("socket").fileno() == peer.other.fileno()
        assert transport.get_extra_info("nonsense", 5) == 5
        assert not transport.can_write_eof()
        with pytest.raises(NotImplementedError):
            transport.write_eof()
        with pytest.raises(TypeError):
            transport.write("text")
        transport.abort()

    play(scene)


@not_on("uvloop", reason="its transports are no instances of asyncio's")
def test_transport_is_one_of_asyncio(play: Play) -> None:
    async def scene(peer: Peer, context: ssl.SSLContext) -> None:
        transport = await connected(peer, Application(), context)
        assert isinstance(transport, asyncio.Transport)
        assert isinstance(transport._ssl_protocol, sslproto.SSLProtocol)  # type: ignore[attr-defined]
        transport.abort()

    play(scene)


def test_certificate_of_a_client_is_known_to_the_server(new_loop: Any, certificate: Certificate) -> None:
    async def main() -> None:
        server_context, context = certificate.server(), certificate.client()
        server_context.load_verify_locations(certificate.path)
        server_context.verify_mode = ssl.CERT_REQUIRED
        context.load_cert_chain(certificate.path, certificate.key)

        async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(str(writer.get_extra_info("peercert")["subject"]).encode())
            writer.close()
            await writer.wait_closed()

        async with asyncio.timeout(2), await asyncio.start_server(serve, "127.0.0.1", 0, ssl=server_context) as server:
            address = server.sockets[0].getsockname()
            reader, writer = await asyncio.open_connection(*address, ssl=context, server_hostname="localhost")
            assert b"localhost" in await reader.read()
            writer.close()
            await writer.wait_closed()

    run(new_loop, main())


def test_untrusted_certificate_is_refused(play: Play) -> None:
    async def scene(peer: Peer, _: ssl.SSLContext) -> None:
        options: dict[str, Any] = {"sock": peer.other, "server_hostname": "localhost"}
        connecting = peer._loop.create_connection(Application, ssl=ssl.create_default_context(), **options)
        results = await asyncio.gather(connecting, peer.shake_hands(), return_exceptions=True)
        assert isinstance(results[0], ssl.SSLCertVerificationError)

    play(scene)


@pytest.mark.parametrize("room", [None, 10])
def test_connection_goes_over_to_tls(play: Play, room: int | None) -> None:
    async def scene(peer: Peer, context: ssl.SSLContext) -> None:
        application: Any = Application() if room is None else Buffered(room)
        loop = peer._loop
        plain, _ = await loop.create_connection(lambda: application, sock=peer.other)
        await loop.sock_sendall(peer.sock, b"go ahead")
        await until(lambda: application.data == b"go ahead")
        starting = loop.start_tls(plain, application, context, server_hostname="localhost")
        transport, _ = await asyncio.gather(starting, peer.shake_hands())
        assert transport is not None
        transport.write(b"hidden")
        assert await peer.receive(6) == b"hidden"
        await peer.send(b", too")
        await until(lambda: application.data == b"go ahead, too")
        transport.close()
        assert await peer.receive_all() == b""
        peer.sock.close()
        assert await application.lost is None

    play(scene)


@not_on("asyncio", "uvloop", reason="what the reader holds already is lost")
def test_reader_that_holds_half_a_record_gives_it_to_tls(new_loop: Any, certificate: Certificate) -> None:
    async def main() -> None:
        async with asyncio.timeout(2):
            loop = asyncio.get_running_loop()
            left, right = socket.socketpair()
            right.settimeout(0)
            reader, writer = await asyncio.open_connection(sock=left)
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            client = certificate.client().wrap_bio(incoming, outgoing, server_hostname="localhost")
            with pytest.raises(ssl.SSLWantReadError):
                client.do_handshake()
            hello = outgoing.read()
            await loop.sock_sendall(right, hello[:7])
            await until(lambda: len(reader._buffer) == 7)  # type: ignore[attr-defined]
            transport: Any = writer.transport
            start = loop.start_tls(transport, transport.get_protocol(), certificate.server(), server_side=True)
            starting = asyncio.ensure_future(start)
            await loop.sock_sendall(right, hello[7:])
            while True:
                try:
                    client.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    incoming.write(await loop.sock_recv(right, 65536))
            for words in (b"words", b"more"):
                client.write(words)
                await loop.sock_sendall(right, outgoing.read())
                await starting
                assert await reader.readexactly(len(words)) == words
            transport.abort()
            right.close()

    run(new_loop, main())


@not_on("asyncio", "uvloop", reason="what the reader holds already is lost")
def test_reader_that_holds_the_first_records_gives_them_to_tls(new_loop: Any, certificate: Certificate) -> None:
    async def main() -> None:
        done = asyncio.get_running_loop().create_future()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            assert await reader.readline() == b"begin\n"
            await until(lambda: bool(reader._buffer))  # type: ignore[attr-defined]
            await writer.start_tls(certificate.server())
            done.set_result(await reader.readexactly(5))
            writer.close()

        async with asyncio.timeout(2), await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            # The client does not wait for an answer before it begins.
            writer.write(b"begin\n")
            await writer.start_tls(certificate.client(), server_hostname="localhost")
            writer.write(b"words")
            assert await done == b"words"
            assert await reader.read() == b""
            writer.close()

    run(new_loop, main())


def test_tls_within_tls_carries_every_byte(new_loop: Any, certificate: Certificate) -> None:
    async def main() -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await writer.start_tls(certificate.server())
            while data := await reader.read(100_000):
                writer.write(data)
                await writer.drain()
            writer.close()

        context = certificate.server()
        async with asyncio.timeout(2), await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context) as server:
            address, hostname = server.sockets[0].getsockname(), "localhost"
            client = certificate.client()
            reader, writer = await asyncio.open_connection(*address, ssl=client, server_hostname=hostname)
            await writer.start_tls(client, server_hostname=hostname)
            for size in (1, 1000, 300_000):
                writer.write(b"x" * size)
                assert len(await reader.readexactly(size)) == size
            writer.close()
            await writer.wait_closed()

    run(new_loop, main())


@not_on("uvloop", reason="its transports cannot be referred to weakly")
def test_nothing_of_a_closed_connection_stays_in_memory(play: Play) -> None:
    async def scene(peer: Peer, context: ssl.SSLContext) -> list[weakref.ref[Any]]:
        application = Application()
        transport = await connected(peer, application, context)
        await peer.send(b"words")
        await until(lambda: bool(application.data))
        transport.write(b"words")
        transport.close()
        await peer.receive_all()
        peer.sock.close()
        await application.lost
        return [weakref.ref(thing) for thing in (application, transport, context)]

    references = play(scene)
    gc.collect()
    assert [reference() for reference in references] == [None, None, None]
