"""Files without blocking the loop: ``treadle.files.open``, ``read_text``, ``lines``, ….

Calls that can wait are made in threads, which are not those of :func:`treadle.to_thread`. What is read inline is what
the kernel says it has in memory, of file systems of this machine; nothing is ever written inline. Errors are those of
the standard library. Names are those of aiofiles.
"""

# What is given as text or bytes stays what it is.
# ruff: noqa: PTH116, PTH123

import asyncio
import builtins
import contextlib
import io
import itertools
import locale
import os
import secrets
import sys
from collections.abc import AsyncGenerator, Callable
from typing import Any, Literal, TypeAlias, overload

from treadle._native import learn_file_system, read_cached
from treadle.patterns.file_objects import AsyncFile, EachLine, Opening, file_threads
from treadle.patterns.offload import call_in

__all__ = ["AsyncFile", "lines", "open", "read_bytes", "read_text", "write_bytes", "write_text"]

Path: TypeAlias = str | bytes | os.PathLike[str] | os.PathLike[bytes]
TextMode: TypeAlias = Literal["r", "w", "a", "x", "r+", "w+", "a+", "x+", "rt", "wt", "at", "xt", "r+t", "w+t", "a+t"]
BytesMode: TypeAlias = Literal["rb", "wb", "ab", "xb", "r+b", "w+b", "a+b", "x+b", "rb+", "wb+", "ab+", "xb+"]

# Bigger files are read by a thread: copying would keep the loop.
INLINE = 1 << 17
# After so many inline reads the loop has its turn.
IN_A_ROW = 64
# What is decoded here, and what `newline=` may be.
PLAIN = {"utf-8", "UTF-8", "utf8", "ascii", "latin-1", "iso-8859-1", "ISO-8859-1", "ANSI_X3.4-1968"}
NEWLINES = {None, "", "\n", "\r", "\r\n"}

_inline_reads = itertools.count(1)


@overload
def open(  # noqa: A001 - so it is called
    file: Path | int,
    mode: BytesMode,
    buffering: int = -1,
    encoding: None = None,
    errors: None = None,
    newline: None = None,
    closefd: bool = True,  # noqa: FBT001, FBT002 - the standard library's
    opener: Callable[[str, int], int] | None = None,
    *,
    name: str | None = None,
) -> Opening[bytes]: ...


@overload
def open(  # noqa: A001
    file: Path | int,
    mode: TextMode = "r",
    buffering: int = -1,
    encoding: str | None = None,
    errors: str | None = None,
    newline: str | None = None,
    closefd: bool = True,  # noqa: FBT001, FBT002
    opener: Callable[[str, int], int] | None = None,
    *,
    name: str | None = None,
) -> Opening[str]: ...


@overload
def open(  # noqa: A001
    file: Path | int,
    mode: str,
    buffering: int = -1,
    encoding: str | None = None,
    errors: str | None = None,
    newline: str | None = None,
    closefd: bool = True,  # noqa: FBT001, FBT002
    opener: Callable[[str, int], int] | None = None,
    *,
    name: str | None = None,
) -> Opening[Any]: ...


def open(  # noqa: A001, PLR0913, PLR0917
    file: Path | int,
    mode: str = "r",
    buffering: int = -1,
    encoding: str | None = None,
    errors: str | None = None,
    newline: str | None = None,
    closefd: bool = True,  # noqa: FBT001, FBT002
    opener: Callable[[str, int], int] | None = None,
    *,
    name: str | None = None,
) -> Opening[Any]:
    """Open a file: ``async with treadle.files.open(path) as file: async for line in file: …``.

    What is not an ordinary file (a FIFO, a terminal) has a thread of its own, so that it keeps no other file waiting.

    Args:
        file: a path, or a descriptor.
        mode: as :func:`open` has it, and so the rest.
        buffering: the size of the buffer; 0 for none, of bytes.
        encoding: of text; the locale's by default.
        errors: what is done about what cannot be decoded.
        newline: how ends of lines are translated.
        closefd: whether to close a descriptor that was given.
        opener: what makes the descriptor, in a thread.
        name: what statistics call it.

    Raises:
        OSError: as :func:`open` does, when it is awaited or entered.

    """
    return Opening((file, mode, buffering, encoding, errors, newline, closefd, opener), name)


async def read_bytes(path: Path) -> bytes:
    """Return the content of a file.

    Raises:
        OSError: as :meth:`pathlib.Path.read_bytes` does.

    """
    content = read_cached(path, INLINE)
    if content is None:
        return await call_in(file_threads(), read_whole, (path,), {})
    if not next(_inline_reads) % IN_A_ROW:
        await asyncio.sleep(0)
    return content


async def read_text(
    path: Path, encoding: str | None = None, errors: str | None = None, newline: str | None = None
) -> str:
    """Return the text of a file.

    Args:
        path: the file.
        encoding: the locale's by default.
        errors: what is done about what cannot be decoded.
        newline: how ends of lines are translated, as for :func:`open`.

    Raises:
        OSError: as :meth:`pathlib.Path.read_text` does.
        UnicodeDecodeError: it is no text of this encoding.

    """
    content = read_cached(path, INLINE)
    if content is None:
        return await call_in(file_threads(), read_whole_text, (path, encoding, errors, newline), {})
    if not next(_inline_reads) % IN_A_ROW:
        await asyncio.sleep(0)
    return decode(content, encoding, errors, newline)


async def write_bytes(path: Path, data: "bytes | bytearray | memoryview", *, atomic: bool = False) -> int:
    """Write a file, and return how many bytes. If the caller is cancelled, a write that has begun is ended.

    Args:
        path: the file.
        data: all that will be in it.
        atomic: write it beside the file, onto the disk, and put it in the file's place: whoever reads sees the old
            content or the new, and so it is after a crash. The mode of the file is kept, and a link is followed.

    Raises:
        OSError: as :meth:`pathlib.Path.write_bytes` does.

    """
    return await call_in(file_threads(), write_atomically if atomic else write_whole, (path, data), {})


async def write_text(  # noqa: PLR0913
    path: Path,
    data: str,
    encoding: str | None = None,
    errors: str | None = None,
    newline: str | None = None,
    *,
    atomic: bool = False,
) -> int:
    """Write a text file, and return how many characters; see :func:`write_bytes`.

    Raises:
        OSError: as :meth:`pathlib.Path.write_text` does.
        UnicodeEncodeError: the encoding has no such characters.

    """
    return await call_in(file_threads(), write_whole_text, (path, data, encoding, errors, newline, atomic), {})


def lines(
    path: Path, encoding: str | None = None, errors: str | None = None, newline: str | None = None
) -> AsyncGenerator[str, None]:
    """Iterate over a text file line by line, with ``async for``; it is closed at the end.

    Whoever may leave the loop early iterates inside ``async with contextlib.aclosing(…)``, or uses :func:`open`.

    Raises:
        OSError: as :func:`open` does, at the first line.

    """
    return EachLine(open(path, "r", -1, encoding, errors, newline))


def decode(content: bytes, encoding: str | None, errors: str | None, newline: str | None) -> str:
    """Decode as a text file does."""
    if encoding is None and not sys.flags.warn_default_encoding:
        encoding = "utf-8" if sys.flags.utf8_mode else locale.getencoding()
    if encoding in PLAIN and newline in NEWLINES:
        # What a text file does takes as long as reading it.
        text = content.decode(encoding, errors or "strict")
        return text.replace("\r\n", "\n").replace("\r", "\n") if newline is None and "\r" in text else text
    return io.TextIOWrapper(io.BytesIO(content), encoding, errors, newline).read()


# In threads.


def read_whole(path: Path) -> bytes:
    """Read a file, and look whether others like it can be read inline."""
    with builtins.open(path, "rb") as file:
        learn_file_system(file.fileno())
        return file.read()


def read_whole_text(path: Path, encoding: str | None, errors: str | None, newline: str | None) -> str:
    """Read a text file."""
    with builtins.open(path, encoding=encoding, errors=errors, newline=newline) as file:
        learn_file_system(file.fileno())
        return file.read()


def write_whole(path: Path, data: Any) -> int:
    """Write a file."""
    view = memoryview(data)
    with builtins.open(path, "wb") as file:
        return file.write(view)


def write_whole_text(  # noqa: PLR0913, PLR0917 - handed over to a thread
    path: Path,
    data: str,
    encoding: str | None,
    errors: str | None,
    newline: str | None,
    atomic: bool,  # noqa: FBT001
) -> int:
    """Write a text file."""
    if not isinstance(data, str):
        raise TypeError(f"data must be str, not {type(data).__name__}")
    if atomic:
        content = io.BytesIO()
        with io.TextIOWrapper(content, encoding, errors, newline) as file:
            file.write(data)
            file.flush()
            write_atomically(path, content.getvalue())
        return len(data)
    with builtins.open(path, "w", encoding=encoding, errors=errors, newline=newline) as file:
        return file.write(data)


def write_atomically(path: Path, data: Any) -> int:
    """Write a file beside the one that is meant, and put it in its place."""
    view = memoryview(data)
    target = os.path.realpath(os.fsdecode(path))
    directory, base = os.path.split(target)
    beside = os.path.join(directory, f".{base[:200]}.{secrets.token_hex(6)}")  # noqa: PTH118 - text is what it is
    try:
        mode = os.stat(target).st_mode & 0o7777
    except FileNotFoundError:
        mode = None
    try:
        with builtins.open(beside, "xb") as file:
            count = file.write(view)
            file.flush()
            if mode is not None:
                os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        os.replace(beside, target)  # noqa: PTH105
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(beside)  # noqa: PTH108
        raise
    fd = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
    return count
