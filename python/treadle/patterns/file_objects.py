"""Files that a loop can use. One call at a time, in a thread; lines come in batches, cut in one go.

A call whose caller is cancelled is taken back if it has not begun. If it has, it ends, the next one waits for it, and
what it has read is put back: a file is never left in the middle of something, and loses nothing. Lines that were read
ahead are given by native code (`files/lines.rs`), which asks here when there are none left.
"""

import asyncio
import contextlib
import functools
import io
import os
import stat
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterable
from contextvars import copy_context
from types import TracebackType
from typing import IO, Any, AnyStr, Generic, TypeVar

from treadle._native import Lines
from treadle.patterns.thread_pool import Crew, Drain, Job, ThreadCrew, drain_of, the_threads

__all__ = ["AsyncFile", "EachLine", "Opening", "Turns"]

R = TypeVar("R")

# Lines are read so many characters or bytes at a time.
BATCH = 1 << 18
# A loop is not kept for longer, in seconds.
SLICE = 0.002
# Kinds of files that are read and written without waiting for anybody but a disk.
STEADY = (stat.S_IFREG, stat.S_IFDIR, stat.S_IFBLK)


class Lone(ThreadCrew):
    """A thread for one file that may keep it for ever, a FIFO for one. Nobody waits for it at exit."""

    def __init__(self, name: str) -> None:
        """Make a crew of one."""
        super().__init__(1, None, None, name, daemon=True)


class Turn:
    """A call that waits for its turn with a file, or has it."""

    __slots__ = ("args", "fn", "future", "is_needed", "job", "keep", "prepare", "undo")

    def __init__(  # noqa: PLR0913, PLR0917 - made in one place
        self,
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        future: "asyncio.Future[Any]",
        prepare: Callable[[], Any] | None,
        undo: Callable[[Any], object] | None,
        keep: Callable[[Any], object] | None,
        *,
        is_needed: bool,
    ) -> None:
        """Make a turn that has not come yet."""
        self.fn = fn
        self.args = args
        self.future = future
        # Asked on the loop when the turn comes, for the first argument; given that back if nothing was done with it;
        # told what nobody has waited for.
        self.prepare = prepare
        self.undo = undo
        self.keep = keep
        # It is to be done even if nobody waits.
        self.is_needed = is_needed
        self.job: Job | None = None


class Turns:
    """Calls in threads, one after the other. A turn is over when its caller knows what came of it."""

    __slots__ = ("_current", "_drain", "_line", "_loop", "calls", "crew")

    def __init__(self, loop: asyncio.AbstractEventLoop, crew: Crew) -> None:
        """Let calls of this loop be done by this crew."""
        self._loop = loop
        self._drain: Drain = drain_of(loop)
        self._line: deque[Turn] = deque()
        self._current: Turn | None = None
        self.crew = crew
        self.calls = 0

    @property
    def is_stuck(self) -> bool:
        """Whether a call runs that nobody waits for."""
        return self._current is not None and self._current.future.cancelled()

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._line)

    async def take(  # noqa: PLR0913 - said by name
        self,
        fn: Callable[..., R],
        *args: Any,
        prepare: Callable[[], Any] | None = None,
        undo: Callable[[Any], object] | None = None,
        keep: Callable[[R], object] | None = None,
        then: Callable[[R], object] | None = None,
        is_needed: bool = False,
    ) -> R:
        """Call ``fn`` in a thread when it is its turn.

        Before the next one has its turn, ``then`` gets the result, or ``keep`` if nobody has waited for it.
        """
        if asyncio.get_running_loop() is not self._loop:
            raise RuntimeError("the file belongs to another event loop")
        turn = Turn(fn, args, self._loop.create_future(), prepare, undo, keep, is_needed=is_needed)
        self._line.append(turn)
        self._next()
        try:
            result: R = await turn.future
        except (asyncio.CancelledError, GeneratorExit):
            self._give_up(turn)
            raise
        except BaseException:
            self._over()
            raise
        else:
            if then is not None:
                then(result)
            self._over()
            return result
        finally:
            del turn

    def leave(self, fn: Callable[..., Any], *args: Any) -> None:
        """Call ``fn`` in a thread when it is its turn, and wait for nothing."""
        future = self._loop.create_future()
        future.cancel()
        self._line.append(Turn(fn, args, future, None, None, None, is_needed=True))
        self._next()

    def lost(self, turn: Turn, job: Job, *, failed: bool) -> None:
        """Take note that a call has ended that nobody waits for."""
        if turn.keep is not None and not failed:
            turn.keep(job.result)
        self._over()

    def _give_up(self, turn: Turn) -> None:
        """Take a turn back, or let it end."""
        future = turn.future
        if not future.done():
            future.cancel()
        if turn.job is None:
            # Its turn has not come.
            if not turn.is_needed:
                self._line.remove(turn)
        elif not future.cancelled():
            # It was over, but its caller was cancelled before it could know.
            if turn.keep is not None and future.exception() is None:
                turn.keep(future.result())
            self._over()
        elif not turn.is_needed and self.crew.abandon(turn.job):
            if turn.undo is not None:
                turn.undo(turn.job.args[0])
            self._over()

    def _next(self) -> None:
        """Let the next one have its turn, if nobody has."""
        if self._current is not None or not self._line:
            return
        turn = self._current = self._line.popleft()
        args = turn.args if turn.prepare is None else (turn.prepare(), *turn.args)
        turn.job = FileJob(self, turn, args, self._drain)
        self.calls += 1
        try:
            self.crew.put(turn.job)
        except RuntimeError as error:
            # No thread can be had.
            if turn.future.done():
                self._over()
            else:
                turn.future.set_exception(error)

    def _over(self) -> None:
        self._current = None
        self._next()


class FileJob(Job):
    """A call of a file on its way through a pool."""

    def __init__(self, turns: Turns, turn: Turn, args: tuple[Any, ...], drain: Drain) -> None:
        """Make the job of a turn."""
        super().__init__(turn.fn, args, {}, copy_context(), turn.future, drain)
        self._turns = turns
        self._turn = turn

    def give_up(self, error: BaseException | None) -> None:
        """End with nobody who waits for it."""
        try:
            super().give_up(error)
        finally:
            self._turns.lost(self._turn, self, failed=error is not None)


class AsyncFile(Generic[AnyStr]):
    """An open file; what :func:`treadle.files.open` gives.

    Methods are those of the standard library's files, and are awaited; they raise what those raise. Tasks that use one
    file at the same time get their turns in the order of coming.
    """

    def __init__(
        self, file: IO[AnyStr], turns: Turns, newline: str | None, *, is_steady: bool, name: str | None
    ) -> None:
        """Take a file that is open."""
        self._file: Any = file
        self._turns = turns
        self._newline = newline
        self._is_steady = is_steady
        self._is_text = isinstance(file, io.TextIOBase)
        self._label = name
        self._is_closing = False
        # Lines that were read ahead, what is left of them, and where the file was before them.
        self._lines: tuple[AnyStr, ...] = ()
        self._ahead: Lines[AnyStr] = Lines()
        self._before = 0
        # Where to go back to, because what was read from there was for somebody who was cancelled.
        self._return_to: tuple[int, int] | None = None
        # The same of a file that cannot go back.
        self._left: Any = "" if self._is_text else b""

    def __del__(self) -> None:
        """Let a thread of its own go."""
        turns = getattr(self, "_turns", None)
        if turns is not None and isinstance(turns.crew, Lone):
            turns.crew.close(wait=False)

    def __repr__(self) -> str:
        """Return the kind and the name."""
        return f"<AsyncFile {self.name!r} mode={self.mode!r}{' closed' if self.closed else ''}>"

    # What needs no waiting.

    @property
    def name(self) -> Any:
        """The path or descriptor it was opened with."""
        return getattr(self._file, "name", None)

    @property
    def mode(self) -> str:
        """The mode it was opened with."""
        return str(getattr(self._file, "mode", ""))

    @property
    def closed(self) -> bool:
        """Whether it is closed, or about to be."""
        return self._is_closing or bool(self._file.closed)

    @property
    def encoding(self) -> str | None:
        """The encoding, of a text file."""
        encoding: str | None = getattr(self._file, "encoding", None)
        return encoding

    @property
    def errors(self) -> str | None:
        """What is done about what cannot be decoded, of a text file."""
        errors: str | None = getattr(self._file, "errors", None)
        return errors

    @property
    def newlines(self) -> Any:
        """The ends of lines that were met, of a text file that translates them."""
        return getattr(self._file, "newlines", None)

    def fileno(self) -> int:
        """Return the descriptor."""
        number: int = self._file.fileno()
        return number

    def stats(self) -> dict[str, Any]:
        """Return ``closed``, ``calls`` made in threads, ``waiting``, and ``ahead``, the lines read ahead."""
        return {
            "kind": "AsyncFile",
            "name": self._label,
            "closed": self.closed,
            "calls": self._turns.calls,
            "waiting": self._turns.waiting,
            "ahead": self._ahead.left,
        }

    # What is awaited.

    async def read(self, size: int | None = -1) -> AnyStr:
        """Read at most ``size`` characters or bytes; all that are left without one."""
        data: AnyStr = await self._taking(self._read, -1 if size is None else size)
        return data

    async def readall(self) -> AnyStr:
        """Read all that is left."""
        data: AnyStr = await self._taking(self._read, -1)
        return data

    async def read1(self, size: int = -1) -> AnyStr:
        """Read at most ``size`` bytes, with one call of the system at most."""
        data: AnyStr = await self._taking(self._read1, size)
        return data

    async def readinto(self, buffer: Any) -> int:
        """Read into a buffer of bytes, and return how many."""
        view = memoryview(buffer).cast("B")
        data = await self._taking(self._read, len(view))
        view[: len(data)] = data
        return len(data)

    async def peek(self, size: int = 0) -> AnyStr:
        """Return bytes without moving on, of a buffered file."""
        data: AnyStr = await self._call("peek", size)
        return data

    async def readline(self, size: int | None = -1) -> AnyStr:
        """Read a line with its end; nothing at the end of the file."""
        self._check()
        if not self._is_steady or (size is not None and size >= 0):
            data: AnyStr = await self._taking(self._readline, -1 if size is None else size)
            return data
        while (line := self._ahead.take()) is None:
            # Another task may have taken them all by now.
            if not await self._fill():
                return self._left[:0]  # type: ignore[no-any-return]
        return line

    async def readlines(self, hint: int = -1) -> list[AnyStr]:
        """Read lines until they have ``hint`` characters or bytes; all without one."""
        lines: list[AnyStr] = await self._taking(self._readlines, hint)
        return lines

    async def write(self, data: Any) -> int:
        """Write, and return how much; it is in the file after :meth:`flush` or :meth:`close`."""
        return int(await self._call("write", data))

    async def writelines(self, lines: Iterable[Any]) -> None:
        """Write all; ``lines`` is iterated here, not in a thread."""
        await self._call("writelines", list(lines))

    async def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place, and return it."""
        if whence == os.SEEK_SET:
            self._check()
            return await self._turns.take(self._seek, offset, prepare=self._stop_ahead, undo=self._return)
        return int(await self._call("seek", offset, whence))

    async def tell(self) -> int:
        """Return where the file is; of a text file a number that only :meth:`seek` understands."""
        return int(await self._call("tell"))

    async def truncate(self, size: int | None = None) -> int:
        """Cut the file, here by default."""
        return int(await self._call("truncate", size))

    async def flush(self) -> None:
        """Give what was written to the system."""
        await self._call("flush")

    async def isatty(self) -> bool:
        """Return whether it is a terminal."""
        return bool(await self._call("isatty"))

    async def readable(self) -> bool:
        """Return whether it can be read."""
        return bool(await self._call("readable"))

    async def writable(self) -> bool:
        """Return whether it can be written."""
        return bool(await self._call("writable"))

    async def seekable(self) -> bool:
        """Return whether it can seek."""
        return bool(await self._call("seekable"))

    async def close(self) -> None:
        """Write what is left and close; closing twice is fine.

        If a call of a caller who was cancelled is stuck in it, as with a FIFO that nobody writes to, it is closed when
        that call ends, and this returns at once.
        """
        if self._is_closing:
            return
        self._is_closing = True
        self._forget()
        if self._turns.is_stuck and not self._is_steady:
            self._turns.leave(self._close)
        else:
            await self._turns.take(self._close, is_needed=True)

    async def __aenter__(self) -> "AsyncFile[AnyStr]":
        """Return itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close it."""
        await self.close()

    def __aiter__(self) -> AsyncIterator[AnyStr]:
        """Iterate over the lines that are left."""
        return self._ahead.each(self._next_line, SLICE)

    async def _next_line(self) -> AnyStr:
        """Return a line when it is the loop's turn to read some, or to do something else."""
        if self._ahead.left:
            await asyncio.sleep(0)
        line = await self.readline()
        if not line:
            raise StopAsyncIteration
        return line

    def _check(self) -> None:
        if self._is_closing:
            raise ValueError("I/O operation on closed file.")

    async def _call(self, method: str, *args: Any) -> Any:
        """Call a method when it is this call's turn."""
        self._check()
        return await self._turns.take(self._settled, method, *args, prepare=self._stop_ahead, undo=self._return)

    async def _taking(self, fn: Callable[[int], Any], size: int) -> Any:
        """Call what reads; what nobody has waited for is put back."""
        self._check()
        _, data = await self._turns.take(
            self._noting, fn, size, prepare=self._stop_ahead, undo=self._return, keep=self._put_back
        )
        return data

    async def _fill(self) -> bool:
        """Read lines ahead, if there are none, and return whether there are some."""
        read = await self._turns.take(
            self._read_ahead,
            prepare=self._begin_ahead,
            undo=self._end_ahead,
            keep=self._have_ahead,
            then=self._have_ahead,
        )
        # Lines that are there already, or some that were read.
        return read is None or bool(read[1])

    # On the loop, when a turn comes or is over.

    def _stop_ahead(self) -> tuple[int, int] | None:
        """Return where the file is for its reader, if it is not there: a place, and how much behind it."""
        if self._return_to is not None:
            place = self._return_to
        elif self._ahead.left:
            place = (self._before, sum(map(len, self._lines[: self._ahead.taken])))
        else:
            return None
        self._forget()
        return place

    def _forget(self) -> None:
        """Have read nothing ahead."""
        self._return_to = None
        self._ahead.clear()
        self._lines = ()

    def _begin_ahead(self) -> tuple[bool, tuple[int, int] | None]:
        """Return whether lines are needed, and where from."""
        is_needed = not self._ahead.left
        return is_needed, self._stop_ahead() if is_needed else None

    def _return(self, place: tuple[int, int] | None) -> None:
        """Go back with the next call, for this one was not made."""
        if place is not None:
            self._return_to = place

    def _end_ahead(self, needed: tuple[bool, tuple[int, int] | None]) -> None:
        self._return(needed[1])

    def _have_ahead(self, read: "tuple[int, tuple[AnyStr, ...]] | None") -> None:
        """Take lines that were read ahead."""
        if read is not None:
            self._before, self._lines = read
            self._ahead.fill(self._lines)

    def _put_back(self, taken: tuple[int | None, Any]) -> None:
        """Have what was read, of which nobody knows, be there for the next one."""
        before, data = taken
        if before is not None:
            self._return_to = before, 0
        elif isinstance(data, list):
            self._left = self._left[:0].join(data) + self._left
        elif data:
            self._left = data + self._left

    # In a thread.

    def _go(self, place: tuple[int, int] | None) -> None:
        """Be where the reader thinks the file is."""
        if place is None:
            return
        before, given = place
        if self._is_text:
            self._file.seek(before)
            while given > 0 and (text := self._file.read(given)):
                given -= len(text)
        else:
            self._file.seek(before + given)

    def _settled(self, place: tuple[int, int] | None, method: str, *args: Any) -> Any:
        self._go(place)
        return getattr(self._file, method)(*args)

    def _seek(self, _: None, offset: int) -> Any:
        return self._file.seek(offset)

    def _close(self) -> None:
        try:
            self._file.close()
        finally:
            if isinstance(self._turns.crew, Lone):
                self._turns.crew.close(wait=False)

    def _noting(self, place: tuple[int, int] | None, fn: Callable[[int], Any], size: int) -> tuple[int | None, Any]:
        """Read, and say where that began, so that it can be taken back."""
        self._go(place)
        before = self._file.tell() if self._is_steady else None
        return before, fn(size)

    def _read(self, size: int) -> Any:
        left = self._left
        if not left:
            return self._file.read(size)
        if size < 0:
            data = left + self._file.read()
            self._left = left[:0]
            return data
        self._left = left[size:]
        return left[:size]

    def _read1(self, size: int) -> Any:
        left = self._left
        if not left:
            return self._file.read1(size)
        size = len(left) if size < 0 else size
        self._left = left[size:]
        return left[:size]

    def _readline(self, size: int) -> Any:
        left = self._left
        if not left:
            return self._file.readline(size)
        end = left.find("\n" if self._is_text else b"\n") + 1
        if not end and (size < 0 or len(left) < size):
            line = left + self._file.readline(-1 if size < 0 else size - len(left))
            self._left = left[:0]
            return line
        end = min(end or size, size) if size >= 0 else end
        self._left = left[end:]
        return left[:end]

    def _readlines(self, hint: int) -> Any:
        lines, length = [], 0
        while (hint is None or hint <= 0 or length < hint) and (line := self._readline(-1)):
            lines.append(line)
            length += len(line)
        return lines

    def _read_ahead(self, needed: tuple[bool, tuple[int, int] | None]) -> "tuple[int, tuple[AnyStr, ...]] | None":
        """Read a batch of lines, if they are needed."""
        is_needed, place = needed
        if not is_needed:
            return None
        self._go(place)
        before = self._file.tell()
        data = self._file.read(BATCH)
        # Nothing is half a line but the last one of the file.
        data += self._file.readline()
        return before, tuple(cut(data, self._newline))


class EachLine(AsyncGenerator[AnyStr, None]):
    """The lines of a file that is opened with the first one, and closed with the last one.

    A generator opens it, reads lines ahead, gives one of them, and closes it at the end, or when it is closed or thrown
    away itself; the lines in between are given without it.
    """

    __slots__ = ("_generator", "_lines")

    def __init__(self, opening: "Opening[AnyStr]") -> None:
        """Open nothing yet."""
        ahead: Lines[AnyStr] = Lines()
        self._generator: AsyncGenerator[AnyStr, None] = read_lines(opening, ahead)
        self._lines: AsyncIterator[AnyStr] = ahead.each(self._generator.__anext__, SLICE)

    def __aiter__(self) -> Any:
        """Return what gives the lines."""
        return self._lines

    def __anext__(self) -> Any:
        """Return an awaitable of the next line."""
        return self._lines.__anext__()

    def asend(self, _value: None) -> Any:
        """Return an awaitable of the next line."""
        return self._lines.__anext__()

    def athrow(self, *error: Any) -> Any:
        """Close the file, and raise an exception."""
        return self._generator.athrow(*error)

    def aclose(self) -> Any:
        """Close the file."""
        return self._generator.aclose()


async def read_lines(opening: "Opening[AnyStr]", ahead: "Lines[AnyStr]") -> AsyncGenerator[AnyStr, None]:
    """Give the first of the lines that are read ahead, each time when somebody asks for more."""
    file = await opening
    file._ahead = ahead
    try:
        while True:
            if ahead.left:
                await asyncio.sleep(0)
            line = await file.readline()
            if not line:
                return
            yield line
    finally:
        await file.close()


def cut(data: Any, newline: str | None) -> "list[Any]":
    """Cut into lines at once."""
    if isinstance(data, bytes):
        return io.BytesIO(data).readlines()
    if newline in {None, "\n"}:
        return io.StringIO(data, newline="\n").readlines()
    if newline == "":
        return io.StringIO(data, newline="").readlines()
    lines = [line + newline for line in data.split(newline)]
    lines[-1] = lines[-1][: -len(newline)]
    return lines if lines[-1] else lines[:-1]


class Opening(Generic[AnyStr]):
    """A file that is about to be opened: ``async with`` it, or ``await`` it and close it yourself."""

    __slots__ = ("_arguments", "_file", "_label")

    def __init__(self, arguments: tuple[Any, ...], name: str | None) -> None:
        """Open nothing yet."""
        self._arguments = arguments
        self._label = name
        self._file: AsyncFile[AnyStr] | None = None

    def __await__(self) -> Generator[Any, Any, AsyncFile[AnyStr]]:
        """Open it."""
        return self._open().__await__()

    async def __aenter__(self) -> AsyncFile[AnyStr]:
        """Open it."""
        self._file = await self._open()
        return self._file

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close it."""
        assert self._file is not None
        await self._file.close()

    async def _open(self) -> AsyncFile[AnyStr]:
        turns = Turns(asyncio.get_running_loop(), file_threads())
        opened = await turns.take(open_steady, *self._arguments, keep=functools.partial(close_again, turns))
        if opened is None:
            turns.crew = Lone(f"treadle-file-{self._arguments[0]}")
            try:
                opened = await turns.take(open_now, *self._arguments, keep=functools.partial(close_again, turns))
            except BaseException:
                turns.crew.close(wait=False)
                raise
        file, is_steady = opened
        return AsyncFile(file, turns, self._arguments[5], is_steady=is_steady, name=self._label)


def file_threads() -> Crew:
    """Return the threads for files, which are not those for everything else."""
    return the_threads("treadle-files")._crew


def close_again(turns: Turns, opened: tuple[Any, bool] | None) -> None:
    """Close a file that nobody has waited for, where it was opened: that may wait too."""
    if opened is not None:
        turns.leave(opened[0].close)


def open_steady(*arguments: Any) -> tuple[Any, bool] | None:
    """Open a file as :func:`open_now` does, unless that may wait for somebody: then return None."""
    with contextlib.suppress(OSError, ValueError, TypeError):
        if stat.S_IFMT(os.stat(arguments[0]).st_mode) not in STEADY:  # noqa: PTH116 - a descriptor too
            return None
    return open_now(*arguments)


def open_now(*arguments: Any) -> tuple[Any, bool]:
    """Open a file, and return it and whether it is one on a disk, which can go back."""
    file = open(*arguments)  # noqa: SIM115, PTH123 - closed by who asked for it
    try:
        is_steady = stat.S_IFMT(os.fstat(file.fileno()).st_mode) in STEADY and file.seekable()
    except OSError:
        is_steady = False
    return file, is_steady
