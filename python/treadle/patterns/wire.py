"""What a pool and its processes say to each other: small things over a socket, big ones in shared memory.

One message is under way at a time, request or answer. What is big lies in memory that its sender owns, has no name, and
is gone with the last process that has it. Objects that the receiver has made of it may still lie there: then it says so
with its next message, and the sender takes other memory.
"""

import copyreg
import mmap
import os
import pickle
import secrets
import socket
import struct
import sys
from collections.abc import Callable, Sequence
from typing import Any

__all__ = ["Letter", "Line", "Parcel", "dump", "size_of"]

# More than this goes by shared memory.
INLINE = 1 << 15
# No memory is smaller than this, and of bigger one this much stays when nothing is in it.
LEAST, KEPT = 1 << 20, 1 << 24
# So much is copied at a time, so that other threads get their turn.
STEP = 1 << 20
ALIGNMENT = 64
# All pages are made with the mapping: a tenth less for the first big message. Later ones find them there.
MAPPING = mmap.MAP_SHARED | getattr(mmap, "MAP_POPULATE", 0)

# Kind, flags, number of buffers beside the stream, size of the memory that comes with it, bytes that follow.
HEADER = struct.Struct("<BBIQQ")
# Where a piece is, and how big it is. What is a stream alone, and came over the socket, has none.
PIECE = struct.Struct("<QQ")
IN_MEMORY, HELD, NEW_MEMORY = 1, 2, 4
DONT_WAIT = socket.MSG_DONTWAIT
START, ROOM, ANCILLARY = HEADER.size, INLINE + HEADER.size, socket.CMSG_SPACE(4)

# What makes the stream of a pickle, and its buffers.
Letter = tuple[list[Any], list[Any]]


class Sink(list[Any]):
    """A file for the pickler. Big bytes come as they are and are not copied together with small ones."""

    write = list.append


class Reducers(dict[type, Callable[[Any], Any]]):
    """How things are pickled, where that is not as everywhere; asked by the pickler without running Python code."""

    __missing__ = copyreg.dispatch_table.__getitem__


def reduce_view(view: memoryview) -> Any:
    """Return how a view is made again."""
    if view.c_contiguous and view.format == "B" and view.ndim == 1:
        return memoryview, (pickle.PickleBuffer(view),)
    return memoryview, (view.tobytes(),)


class Pickler(pickle.Pickler):
    """Pickles views too."""

    dispatch_table = Reducers({memoryview: reduce_view})


def dump(thing: object) -> Letter:
    """Pickle something."""
    sink = Sink()
    buffers: list[Any] = []
    Pickler(sink, protocol=5, buffer_callback=buffers.append).dump(thing)
    return sink, [buffer.raw() for buffer in buffers] if buffers else buffers


def size_of(letter: Letter) -> int:
    """Return how many bytes that is."""
    return sum(map(len, letter[0])) + sum(map(len, letter[1]))


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


def room_for(total: int) -> int:
    """Return how big memory is made for so much: at most an eighth more, for others a bit bigger."""
    step = max(1 << 12, 1 << (max(total, LEAST).bit_length() - 4))
    return max(LEAST, -(-total // step) * step)


class Line:
    """One end of the line between a pool and one of its processes."""

    def __init__(self, peer: socket.socket) -> None:
        """Take a connected socket."""
        self.socket = peer
        self.sent = self.received = 0
        # There may be something to reclaim.
        self.has_much = False
        self._outgoing: mmap.mmap | None = None
        self._incoming: mmap.mmap | None = None
        self._references = 0
        # What has come of a message that is not complete, and the descriptors that came with it.
        self._begun = b""
        self._fds: list[int] = []

    def close(self) -> None:
        """Hang up. Objects in shared memory stay where they are."""
        self.socket.close()
        self._drop_descriptors()
        self._outgoing = self._incoming = None

    def send(self, kind: int, letter: Letter) -> None:
        """Send a message."""
        chunks, buffers = letter
        flags = 0
        # Objects lie in the memory that the other end has sent.
        if self._incoming is not None and sys.getrefcount(self._incoming) > self._references:
            flags, self._incoming = HELD, None
        if not buffers and len(chunks) == 1 and (size := len(chunks[0])) <= INLINE:
            self.sent += size
            self.socket.sendall(HEADER.pack(kind, flags, 0, 0, size) + chunks[0])
            return
        sizes = [sum(map(len, chunks)), *map(len, buffers)]
        self.sent += (total := sum(sizes))
        if total + PIECE.size * len(sizes) > INLINE:
            self._send_in_memory(kind, flags | IN_MEMORY, letter, sizes)
            return
        table = b"".join([PIECE.pack(0, size) for size in sizes]) if buffers else b""
        header = HEADER.pack(kind, flags, len(buffers), 0, len(table) + total)
        self.socket.sendall(b"".join([header, table, *chunks, *buffers]))

    def reclaim(self) -> None:
        """Give back what a big message took that the other end has read."""
        self.has_much = False
        memory = self._outgoing
        if memory is not None and len(memory) > KEPT and hasattr(mmap, "MADV_REMOVE"):
            memory.madvise(mmap.MADV_REMOVE, KEPT, len(memory) - KEPT)

    def receive(self) -> "Parcel":
        """Wait for a message.

        Raises:
            EOFError: the other end has hung up.

        """
        while (parcel := self._take(*self.socket.recvmsg(ROOM, ANCILLARY)[:2])) is None:
            pass
        return parcel

    def receive_nowait(self) -> "Parcel | None":
        """Return a message, if all of it has come.

        Raises:
            EOFError: the other end has hung up.

        """
        try:
            data, ancillary, _, _ = self.socket.recvmsg(ROOM, ANCILLARY, DONT_WAIT)
        except BlockingIOError:
            return None
        return self._take(data, ancillary)

    def _take(self, data: bytes, ancillary: list[Any]) -> "Parcel | None":
        """Return a message, if this is all of it or the rest."""
        if not data:
            raise EOFError
        if ancillary:
            self._fds += [struct.unpack("i", item)[0] for _, what, item in ancillary if what == socket.SCM_RIGHTS]
        if self._begun:
            data = self._begun + data
        if len(data) < START:
            self._begun = data
            return None
        kind, flags, count, size, length = HEADER.unpack_from(data)
        if len(data) < START + length:
            self._begun = data
            return None
        self._begun = b""
        if flags or count:
            return self._unpack(data, kind, flags, count, size)
        self.received += length
        return Parcel(kind, memoryview(data)[START:], (), length)

    def _unpack(self, data: bytes, kind: int, flags: int, count: int, size: int) -> "Parcel":
        """Return what a message says that is more than a stream over the socket."""
        if flags & HELD:
            # What we have sent is the other end's now.
            self._outgoing = None
        if flags & NEW_MEMORY:
            try:
                self._incoming = mmap.mmap(self._fds[0], size, MAPPING)
                self._references = sys.getrefcount(self._incoming)
            finally:
                self._drop_descriptors()
        view = memoryview(data)
        buffers: Sequence[Any] = ()
        if flags & IN_MEMORY:
            table = [PIECE.unpack_from(data, START + PIECE.size * index) for index in range(count + 1)]
            view = memoryview(self._incoming)  # type: ignore[arg-type]
            stream, *buffers = [view[offset : offset + length] for offset, length in table]
        elif count:
            table = [PIECE.unpack_from(data, START + PIECE.size * index) for index in range(count + 1)]
            offset = START + PIECE.size * (count + 1)
            stream = view[offset : (offset := offset + table[0][1])]
            # They may be written to where that was so before.
            buffers = [bytearray(view[offset : (offset := offset + length)]) for _, length in table[1:]]
        else:
            table, stream = [(0, len(data) - START)], view[START:]
        total = sum([length for _, length in table])
        self.received += total
        return Parcel(kind, stream, buffers, total)

    def _drop_descriptors(self) -> None:
        while self._fds:
            os.close(self._fds.pop())

    def _send_in_memory(self, kind: int, flags: int, letter: Letter, sizes: list[int]) -> None:
        total = sum(size + ALIGNMENT for size in sizes)
        self.has_much = total > KEPT
        memory, fd = self._outgoing, None
        if memory is None or len(memory) < total:
            self._outgoing = memory = None
            length = room_for(total)
            fd = make_memory(length)
            flags |= NEW_MEMORY
        try:
            if fd is not None:
                memory = self._outgoing = mmap.mmap(fd, length, MAPPING)
            assert memory is not None
            table, offset = [], 0
            for chunks, size in zip([letter[0], *([buffer] for buffer in letter[1])], sizes, strict=True):
                table.append(PIECE.pack(offset, size))
                for chunk in chunks:
                    copy(memory, offset, chunk)
                    offset += len(chunk)
                offset = -(-offset // ALIGNMENT) * ALIGNMENT
            body = b"".join(table)
            message = HEADER.pack(kind, flags, len(letter[1]), len(memory), len(body)) + body
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

    __slots__ = ("_buffers", "_stream", "kind", "size")

    def __init__(self, kind: int, stream: memoryview, buffers: Sequence[Any], size: int) -> None:
        """Take the pieces of a message."""
        self.kind = kind
        self._stream: memoryview | None = stream
        self._buffers = buffers
        self.size = size

    def open(self) -> Any:
        """Return what was sent."""
        stream, buffers = self._stream, self._buffers
        # Nothing may refer to the memory but the objects that are made of it.
        self._stream, self._buffers = None, ()
        return pickle.loads(stream, buffers=buffers)  # type: ignore[arg-type]  # noqa: S301 - from our own process
