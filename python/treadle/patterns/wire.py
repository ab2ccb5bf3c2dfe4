"""What a pool and its processes say to each other: small things over a socket, big ones in shared memory.

One message is under way at a time, request or answer. What is big lies in memory that its sender owns, has no name, and
is gone with the last process that has it. Objects that the receiver has made of it may still lie there: then it says so
with its next message, and the sender takes other memory.
"""

import mmap
import os
import pickle
import secrets
import socket
import struct
import sys
from collections.abc import Sequence
from typing import Any

__all__ = ["Line", "Pieces", "dump"]

# More than this goes by shared memory.
INLINE = 1 << 15
# No memory is smaller than this, and of bigger one this much stays when nothing is in it.
LEAST, KEPT = 1 << 20, 1 << 24
# So much is copied at a time, so that other threads get their turn.
STEP = 1 << 20
ALIGNMENT = 64

# Kind, flags, number of pieces, size of the memory that comes with it, bytes that follow.
HEADER = struct.Struct("<BBIQQ")
PIECE = struct.Struct("<QQ")
IN_MEMORY, HELD, NEW_MEMORY = 1, 2, 4

Pieces = list[Any]


class Sink:
    """A file for the pickler. Big bytes come as they are and are not copied together with small ones."""

    def __init__(self) -> None:
        """Make it empty."""
        self.chunks: Pieces = []

    def write(self, chunk: Any) -> int:
        """Take the next bytes."""
        self.chunks.append(chunk)
        return len(chunk)


def view_of(buffer: Any) -> memoryview:
    """Return a view of a buffer that was pickled as one."""
    return memoryview(buffer)


class Pickler(pickle.Pickler):
    """Pickles views too."""

    def reducer_override(self, thing: object) -> Any:
        """Return how a view is made again."""
        if type(thing) is memoryview:
            if thing.c_contiguous and thing.format == "B" and thing.ndim == 1:
                return view_of, (pickle.PickleBuffer(thing),)
            return view_of, (thing.tobytes(),)
        return NotImplemented


def dump(thing: object) -> Pieces:
    """Pickle something; the first piece is a list of what makes the stream, the others are its buffers."""
    sink, buffers = Sink(), []
    Pickler(sink, protocol=5, buffer_callback=lambda buffer: buffers.append(buffer.raw())).dump(thing)
    return [sink.chunks, *([buffer] for buffer in buffers)]


def size_of(chunks: Sequence[Any]) -> int:
    return sum(map(len, chunks))


def make_memory(size: int) -> int:
    """Return a descriptor of shared memory without a name."""
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("treadle")
    else:
        import _posixshmem  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415 - where there is no such call

        name = f"/treadle-{secrets.token_hex(8)}"
        fd = _posixshmem.shm_open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL, mode=0o600)
        _posixshmem.shm_unlink(name)
    try:
        os.ftruncate(fd, size)
    except OSError:
        os.close(fd)
        raise
    return fd


class Line:
    """One end of the line between a pool and one of its processes."""

    def __init__(self, peer: socket.socket) -> None:
        """Take a connected socket."""
        self.socket = peer
        self.sent = self.received = 0
        self._outgoing: mmap.mmap | None = None
        self._incoming: mmap.mmap | None = None
        self._references = 0

    def close(self) -> None:
        """Hang up. Objects in shared memory stay where they are."""
        self.socket.close()
        self._outgoing = self._incoming = None

    def send(self, kind: int, pieces: Pieces) -> None:
        """Send a message."""
        flags = HELD if self._holds() else 0
        if flags:
            self._incoming = None
        sizes = [size_of(chunks) for chunks in pieces]
        self.sent += sum(sizes)
        if sum(sizes) + PIECE.size * len(sizes) <= INLINE:
            table = b"".join(PIECE.pack(0, size) for size in sizes)
            body = b"".join([table, *(bytes(chunk) for chunks in pieces for chunk in chunks)])
            self.socket.sendall(HEADER.pack(kind, flags, len(sizes), 0, len(body)) + body)
            return
        self._send_in_memory(kind, flags | IN_MEMORY, pieces, sizes)

    def reclaim(self) -> None:
        """Give back what big messages took, if it is much."""
        memory = self._outgoing
        if memory is not None and len(memory) > KEPT and hasattr(mmap, "MADV_REMOVE"):
            memory.madvise(mmap.MADV_REMOVE, KEPT, len(memory) - KEPT)

    def receive(self) -> tuple[int, "Parcel"]:
        """Wait for a message.

        Raises:
            EOFError: the other end has hung up.

        """
        data, ancillary, _, _ = self.socket.recvmsg(INLINE + HEADER.size, socket.CMSG_SPACE(4))
        fds = [struct.unpack("i", item)[0] for level, what, item in ancillary if what == socket.SCM_RIGHTS]
        try:
            data += self._rest(HEADER.size - len(data))
            kind, flags, count, size, length = HEADER.unpack_from(data)
            data += self._rest(HEADER.size + length - len(data))
            if flags & HELD:
                # What we have sent is the other end's now.
                self._outgoing = None
            if flags & NEW_MEMORY:
                self._incoming = mmap.mmap(fds[0], size)
                self._references = sys.getrefcount(self._incoming)
        finally:
            for fd in fds:
                os.close(fd)
        table = [PIECE.unpack_from(data, HEADER.size + PIECE.size * index) for index in range(count)]
        if flags & IN_MEMORY:
            view = memoryview(self._incoming)  # type: ignore[arg-type]
            views = [view[offset : offset + size] for offset, size in table]
        else:
            view, offset, views = memoryview(data), HEADER.size + PIECE.size * count, []
            for _, size in table:
                views.append(view[offset : offset + size])
                offset += size
        self.received += sum(size for _, size in table)
        return kind, Parcel(views, is_ours=not flags & IN_MEMORY)

    def _holds(self) -> bool:
        """Return whether objects lie in the memory that the other end has sent."""
        return self._incoming is not None and sys.getrefcount(self._incoming) > self._references

    def _rest(self, missing: int) -> bytes:
        """Read what is missing of a message."""
        chunks = []
        while missing > 0:
            chunk = self.socket.recv(missing)
            if not chunk:
                raise EOFError
            chunks.append(chunk)
            missing -= len(chunk)
        return b"".join(chunks)

    def _send_in_memory(self, kind: int, flags: int, pieces: Pieces, sizes: list[int]) -> None:
        total = sum(size + ALIGNMENT for size in sizes)
        memory, fd = self._outgoing, None
        if memory is None or len(memory) < total:
            self._outgoing = memory = None
            length = max(LEAST, 1 << (total - 1).bit_length())
            fd = make_memory(length)
            flags |= NEW_MEMORY
        try:
            if fd is not None:
                memory = self._outgoing = mmap.mmap(fd, length)
            assert memory is not None
            table, offset = [], 0
            for chunks, size in zip(pieces, sizes, strict=True):
                table.append(PIECE.pack(offset, size))
                for chunk in chunks:
                    copy(memory, offset, chunk)
                    offset += len(chunk)
                offset = -(-offset // ALIGNMENT) * ALIGNMENT
            body = b"".join(table)
            message = HEADER.pack(kind, flags, len(sizes), len(memory), len(body)) + body
            if fd is None:
                self.socket.sendall(message)
            else:
                sent = socket.send_fds(self.socket, [message], [fd])
                self.socket.sendall(message[sent:])
        except BaseException:
            # The other end may not have it.
            self._outgoing = None
            raise
        finally:
            if fd is not None:
                os.close(fd)


def copy(memory: mmap.mmap, offset: int, chunk: Any) -> None:
    """Copy bytes into memory."""
    if len(chunk) <= STEP:
        memory[offset : offset + len(chunk)] = chunk
        return
    view = memoryview(chunk)
    for begin in range(0, len(view), STEP):
        part = view[begin : begin + STEP]
        memory[offset + begin : offset + begin + len(part)] = part


class Parcel:
    """What has been received, and can be opened once."""

    __slots__ = ("_is_ours", "_views")

    def __init__(self, views: list[memoryview], *, is_ours: bool) -> None:
        """Take the pieces of a message."""
        self._views = views
        self._is_ours = is_ours

    def open(self) -> Any:
        """Return what was sent."""
        views = self._views
        self._views = []
        # What came over the socket is bytes, and may be written to where that was so before.
        buffers: list[Any] = [bytearray(view) for view in views[1:]] if self._is_ours else views[1:]
        return pickle.loads(views[0], buffers=buffers)  # noqa: S301 - from a process of our own
