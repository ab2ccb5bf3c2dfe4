"""Files that do not keep the loop waiting."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import io
import os
import random
import stat
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import loops
import pytest
import treadle
from treadle import files
from treadle._native import read_cached
from treadle.patterns import file_objects

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Factory = Callable[[], asyncio.AbstractEventLoop]

WORDS = ["", "a", "line", "größer", "日本語", "🦊" * 3, "x" * 70]


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let many batches meet in small files."""
    monkeypatch.setattr(file_objects, "BATCH", 64)


def text_of(seed: int, end: str) -> str:
    """Return lines of all lengths; every other one ends in nothing."""
    chooser = random.Random(seed)  # noqa: S311
    lines = [chooser.choice(WORDS) for _ in range(chooser.randrange(60))]
    return end.join(lines) + (end if seed % 2 else "")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "latin-1", "shift_jis", "utf-8-sig"])
@pytest.mark.parametrize("newline", [None, "", "\n", "\r", "\r\n"])
def test_lines_are_those_of_the_standard_library(
    new_loop: Factory, tmp_path: Path, encoding: str, newline: str | None
) -> None:
    async def main() -> None:
        for seed in range(6):
            for end in ("\n", "\r\n", "\r"):
                path = tmp_path / "file"
                text = text_of(seed, end).encode(encoding, "replace")
                path.write_bytes(text)
                with path.open(encoding=encoding, newline=newline) as file:
                    expected = list(file)
                assert [line async for line in files.lines(path, encoding, None, newline)] == expected
                async with files.open(path, encoding=encoding, newline=newline) as opened:
                    assert await opened.readlines() == expected
                assert await files.read_text(path, encoding, None, newline) == "".join(expected)

    loops.run(new_loop, main())


@pytest.mark.parametrize(
    "size", [0, 1, 63, 64, 65, 127, 128, 129, 4096, (1 << 17) - 1, 1 << 17, (1 << 17) + 1, 1 << 20]
)
def test_bytes_of_all_sizes_are_read_and_written(new_loop: Factory, tmp_path: Path, size: int) -> None:
    content = random.Random(size).randbytes(size)  # noqa: S311

    async def main() -> None:
        path = tmp_path / "file"
        for atomic in (False, True):
            assert await files.write_bytes(path, content, atomic=atomic) == size
            # A thread the first time, and inline from then on if the system can.
            for _ in range(3):
                assert await files.read_bytes(path) == content
        async with files.open(path, "rb") as file:
            assert b"".join([line async for line in file]) == content

    loops.run(new_loop, main())


@pytest.mark.parametrize("mode", ["r", "rb"])
def test_lines_reads_and_places_mix_as_in_the_standard_library(  # noqa: C901
    new_loop: Factory, tmp_path: Path, mode: str
) -> None:
    path = tmp_path / "file"
    path.write_text(text_of(3, "\r\n") * 3, encoding="utf-8", newline="")
    keywords: dict[str, Any] = {} if "b" in mode else {"encoding": "utf-8"}

    async def step(chooser: random.Random, ours: Any, theirs: Any) -> None:
        size = chooser.randrange(90)
        match chooser.randrange(7):
            case 0 | 1:
                for _ in range(chooser.randrange(6)):
                    assert await anext(aiter(ours), None) == (theirs.readline() or None)
            case 2:
                assert await ours.readline(size) == theirs.readline(size)
            case 3:
                assert await ours.read(size) == theirs.read(size)
            case 4:
                place = theirs.tell()
                if "b" in mode:
                    assert await ours.tell() == place
                mine = await ours.tell()
                assert await ours.readline() == theirs.readline()
                assert await ours.seek(mine) == mine
                theirs.seek(place)
            case 5:
                assert await ours.readlines(size) == [*lines_of(theirs, size)]
            case _:
                assert await ours.seek(0) == theirs.seek(0)

    async def main() -> None:
        for seed in range(30):
            chooser = random.Random(seed)  # noqa: S311
            with path.open(mode, **keywords) as theirs:
                async with files.open(path, mode, **keywords) as ours:
                    for _ in range(25):
                        await step(chooser, ours, theirs)
                    assert await ours.read() == theirs.read()

    loops.run(new_loop, main())


def lines_of(file: Any, hint: int) -> list[Any]:
    """Return what `readlines` gives, without disturbing where the file is."""
    lines: list[Any] = []
    while (hint <= 0 or sum(map(len, lines)) < hint) and (line := file.readline()):
        lines.append(line)
    return lines


def test_writing_appending_truncating_and_exclusive_files(new_loop: Factory, tmp_path: Path) -> None:
    path = tmp_path / "file"

    async def main() -> None:
        async with files.open(path, "w", encoding="utf-8", newline="\r\n") as file:
            assert await file.write("one\ntwo\n") == 8
            await file.writelines(["three\n", "four\n"])
        assert path.read_bytes() == b"one\r\ntwo\r\nthree\r\nfour\r\n"
        async with files.open(path, "ab") as appended:
            await appended.write(b"five")
        with pytest.raises(FileExistsError):
            await files.open(path, "x")
        async with files.open(path, "r+", encoding="utf-8") as both:
            assert [await both.readline(), await both.readline()] == ["one\n", "two\n"]
            # Behind what was read, not behind what was read ahead.
            place = await both.tell()
            await both.seek(place)
            assert await both.truncate() == len(b"one\r\ntwo\r\n")
            await both.write("end")
        assert path.read_bytes() == b"one\r\ntwo\r\nend"
        assert both.closed
        async with files.open(path, "rb") as file2:
            buffer = bytearray(5)
            assert await file2.readinto(buffer) == 5
            assert buffer == b"one\r\n"
            assert (await file2.peek(3))[:3] == b"two"
            assert await file2.read1(3) == b"two"
            assert (await file2.readable(), await file2.writable(), await file2.seekable()) == (True, False, True)
            assert not await file2.isatty()
            assert await file2.seek(-3, os.SEEK_END) == 10
            assert await file2.readall() == b"end"
            assert (file2.name, file2.mode) == (str(path), "rb")
            assert file2.fileno() > 2

    loops.run(new_loop, main())


def test_errors_are_those_of_the_standard_library(new_loop: Factory, tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes("grün".encode("latin-1"))

    async def main() -> None:
        for _ in range(2):
            with pytest.raises(FileNotFoundError, match="missing"):
                await files.read_bytes(tmp_path / "missing")
            with pytest.raises(IsADirectoryError):
                await files.read_bytes(tmp_path)
            with pytest.raises(UnicodeDecodeError):
                await files.read_text(tmp_path / "latin", "utf-8")
        with pytest.raises(IsADirectoryError):
            await files.open(tmp_path)
        with pytest.raises(FileNotFoundError):
            async for _ in files.lines(tmp_path / "missing"):
                pass
        with pytest.raises(NotADirectoryError):
            await files.write_bytes(tmp_path / "latin" / "under", b"", atomic=True)
        with pytest.raises(ValueError, match="null"):
            await files.read_bytes("a\0b")
        with pytest.raises(TypeError):
            await files.read_bytes(None)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="mode"):
            await files.open(tmp_path / "latin", "q")
        file = await files.open(tmp_path / "latin", "rb")
        with pytest.raises(io.UnsupportedOperation):
            await file.write(b"")
        await file.close()
        await file.close()
        for use in (file.read, file.readline, file.tell):
            with pytest.raises(ValueError, match="closed file"):
                await use()

    before = loops.open_descriptors()
    loops.run(new_loop, main())
    # Of tests before this one something may still have been closing.
    assert loops.open_descriptors() <= before


@pytest.mark.parametrize(
    "encoding", [None, "utf-8", "utf8", "UTF-8", "latin-1", "ascii", "utf-16", "utf-8-sig", "locale"]
)
@pytest.mark.parametrize("newline", [None, "", "\n", "\r", "\r\n"])
@pytest.mark.parametrize("errors", [None, "replace", "surrogateescape"])
def test_text_is_decoded_as_a_text_file_decodes_it(
    tmp_path: Path, encoding: str | None, newline: str | None, errors: str | None
) -> None:
    for content in (b"", b"a\r\nb\rc\n\r\n\r", "größer\r\n".encode(), b"\xff\xfeb\r\x00\r"):
        (tmp_path / "file").write_bytes(content)
        with (tmp_path / "file").open(encoding=encoding, errors=errors, newline=newline) as file:
            expected = outcome(file.read)
        assert outcome(lambda: files.decode(content, encoding, errors, newline)) == expected  # noqa: B023 - called here
    with pytest.raises(ValueError, match="illegal newline"):
        files.decode(b"", encoding, errors, "x")
    with pytest.raises(LookupError):
        files.decode(b"", "hex", errors, newline)


def outcome(call: Callable[[], str]) -> str:
    """Return what a call gives, or why it does not."""
    try:
        return call()
    except UnicodeError as error:
        return repr(error)


def test_atomic_writes_keep_mode_and_link_and_leave_nothing_behind(new_loop: Factory, tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"

    async def main() -> None:
        await files.write_text(target, "old", "utf-8")
        target.chmod(0o640)
        link.symlink_to(target)
        assert await files.write_text(link, "new größer\n", "utf-8", newline="\r\n", atomic=True) == 11
        with pytest.raises(UnicodeEncodeError):
            await files.write_text(link, "größer", "ascii", atomic=True)
        with pytest.raises(TypeError):
            await files.write_bytes(link, "text", atomic=True)  # type: ignore[arg-type]

    loops.run(new_loop, main())
    assert link.is_symlink()
    assert target.read_bytes() == "new größer\r\n".encode()
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "target"]


def test_tasks_that_share_a_file_get_each_line_once(new_loop: Factory, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("".join(f"{number}\n" for number in range(2000)), encoding="ascii")

    async def main() -> None:
        async with files.open(path) as file:

            async def take(way: int) -> list[int]:
                if way:
                    return [int(line) async for line in file]
                taken = []
                while line := await file.readline():
                    taken.append(int(line))
                    if len(taken) % 7 == 0:
                        await file.tell()
                return taken

            taken = await asyncio.gather(*(take(number % 2) for number in range(6)))
        assert sorted(number for numbers in taken for number in numbers) == list(range(2000))

    loops.run(new_loop, main())


def test_a_line_is_taken_when_it_is_awaited_and_by_one_only(new_loop: Factory, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("".join(f"{number}\n" for number in range(200)), encoding="ascii")

    async def take(coming: Any) -> Any:
        return await coming

    async def main() -> None:
        async with files.open(path) as file:
            lines: Any = aiter(file)
            assert await anext(lines) == "0\n"
            never, coming = anext(lines), anext(lines)
            assert await coming == "1\n"
            with pytest.raises(RuntimeError, match="already awaited"):
                await coming
            never.close()
            with pytest.raises(RuntimeError, match="already awaited"):
                await never
            cancelled = anext(lines)
            with pytest.raises(KeyError):
                cancelled.throw(KeyError())
            # What carries lines is used again, but not while somebody has it.
            stops = []
            for _ in range(3):
                with pytest.raises(StopIteration) as stop:
                    anext(lines).send(None)
                stops.append(stop.value)
            assert [stop.value for stop in stops] == ["2\n", "3\n", "4\n"]
            assert await asyncio.create_task(anext(lines)) == "5\n"
            # Somebody else takes all of them between the call and the first step.
            late = [asyncio.create_task(anext(lines)) for _ in range(3)]
            waiting = [take(anext(lines)) for _ in range(3)]
            rest = await file.read()
            assert rest.split() == [str(number) for number in range(6, 200)]
            assert await asyncio.gather(*late, *waiting, return_exceptions=True)
            assert all(isinstance(task.exception(), StopAsyncIteration) for task in late)
            assert await anext(lines, "default") == "default"
            assert await file.seek(0) == 0
            assert await anext(lines, "default") == "0\n"
            # One that is late waits for what is read anew.
            while file.stats()["ahead"] > 1:
                await anext(lines)
            late = [asyncio.create_task(anext(lines)), asyncio.create_task(anext(lines))]
            first, second = [int(await task) for task in late]
            assert second == first + 1

    loops.run(new_loop, main())


def test_lines_that_are_left_early_close_their_file(new_loop: Factory, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("".join(f"{number}\n" for number in range(200)), encoding="ascii")

    async def main() -> None:
        before = loops.open_descriptors()
        lines = files.lines(path)
        assert [await anext(lines), await anext(lines)] == ["0\n", "1\n"]
        assert [line async for line in lines][-1] == "199\n"
        with pytest.raises(StopAsyncIteration):
            await anext(lines)
        # Closed, thrown at, and forgotten.
        lines = files.lines(path)
        async for _ in lines:
            await lines.aclose()
        lines = files.lines(path)
        assert await anext(lines) == "0\n"
        with pytest.raises(KeyError):
            await lines.athrow(KeyError())
        assert await anext(lines, None) is None
        async for _ in files.lines(path):
            break
        gc.collect()
        await loops.until(lambda: loops.open_descriptors() <= before)

    # Threads of files are there.
    loops.run(new_loop, files.read_bytes("/dev/null"))
    loops.run(new_loop, main())


def test_writers_of_one_file_write_one_after_the_other(new_loop: Factory, tmp_path: Path) -> None:
    async def main() -> None:
        async with files.open(tmp_path / "file", "w") as file:
            await asyncio.gather(*(file.write(f"{number}\n" * 50) for number in range(50)))

    loops.run(new_loop, main())
    expected = [str(number) for number in range(50) for _ in range(50)]
    assert (tmp_path / "file").read_text(encoding="ascii").split() == expected


USES: dict[str, Callable[[Any], Any]] = {
    "read": lambda file: file.read(10),
    "readline": lambda file: file.readline(),
    "readline-size": lambda file: file.readline(5),
    "readlines": lambda file: file.readlines(30),
    "next": lambda file: anext(aiter(file)),
    "tell": lambda file: file.tell(),
    "flush": lambda file: file.flush(),
}


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("mode", ["r", "rb"])
def test_cancelled_at_every_point_a_file_stays_usable_and_loses_nothing(
    new_loop: Factory, tmp_path: Path, mode: str, use: str
) -> None:
    path = tmp_path / "file"
    content = "".join(f"line {number}\n" for number in range(100))
    path.write_text(content, encoding="ascii")
    expected: Any = content if mode == "r" else content.encode()

    async def main() -> None:
        for lines_before in (0, 2):
            for turns in range(4):
                async with files.open(path, mode) as file:
                    got = [await file.readline() for _ in range(lines_before)]
                    task = asyncio.create_task(USES[use](file))
                    # Before it begins, while it waits, while a thread runs or has just ended.
                    for _ in range(turns):
                        await asyncio.sleep(0)
                    task.cancel()
                    await asyncio.wait([task])
                    if not task.cancelled() and use.startswith(("read", "next")):
                        result = task.result()
                        got += result if isinstance(result, list) else [result]
                    got.append(await file.read())
                    assert expected[:0].join(got) == expected

    before = loops.open_descriptors()
    loops.run(new_loop, main())
    # Of tests before this one something may still have been closing.
    assert loops.open_descriptors() <= before


def test_cancelled_at_every_point_of_a_life_no_descriptor_is_left(new_loop: Factory, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("line\n" * 100, encoding="ascii")

    async def life() -> None:
        async with files.open(path, "r+") as file:
            async for _ in file:
                break
            await file.read(3)
            await file.write("x")
            await file.seek(0)
        async with contextlib.aclosing(files.lines(path)) as lines:
            async for _ in lines:
                pass
        await files.write_text(path, "line\n" * 100, atomic=True)
        await files.read_bytes(path)

    async def main() -> int:
        for step in range(60):
            task = asyncio.create_task(loops.cancelled_at(life(), step))
            await asyncio.wait([task])
            if not task.cancelled():
                await task
                break
        # What was begun ends.
        await loops.until(lambda: file_objects.file_threads().stats()["in_use"] == 0)
        await asyncio.sleep(0.01)
        return step

    before = loops.open_descriptors()
    assert 8 < loops.run(new_loop, main()) < 59
    assert loops.open_descriptors() <= before


def test_a_slow_fifo_keeps_neither_the_loop_nor_other_files(new_loop: Factory, tmp_path: Path) -> None:
    fifo, other = tmp_path / "fifo", tmp_path / "other"
    os.mkfifo(fifo)
    other.write_bytes(b"content" * 100_000)

    async def main() -> None:
        got = []

        async def read() -> None:
            async with files.open(fifo, "rb") as file:
                async for line in file:
                    got.append(line)  # noqa: PERF401 - looked at meanwhile

        # More of them than there are threads for files.
        stuck = [asyncio.create_task(consume(tmp_path, number)) for number in range(40)]
        reader = asyncio.create_task(read())
        for _ in range(20):
            await asyncio.sleep(0)
        assert len(await files.read_bytes(other)) == 700_000
        writer = await treadle.to_thread(os.open, fifo, os.O_WRONLY)
        for number in range(3):
            # Half a line is none.
            os.write(writer, b"begun ")
            assert len(await files.read_bytes(other)) == 700_000
            assert len(got) == number
            os.write(writer, b"line\n")
            await loops.until(lambda: len(got) == number + 1)  # noqa: B023 - awaited here
        os.close(writer)
        await reader
        assert got == [b"begun line\n"] * 3
        for number, task in enumerate(stuck):
            os.close(await treadle.to_thread(os.open, tmp_path / f"stuck{number}", os.O_WRONLY))
            await task

    async def consume(directory: Path, number: int) -> None:
        os.mkfifo(directory / f"stuck{number}")
        async with files.open(directory / f"stuck{number}") as file:
            assert await file.read() == ""

    before = loops.open_descriptors()
    loops.run(new_loop, main())
    # Of tests before this one something may still have been closing.
    assert loops.open_descriptors() <= before


def test_a_cancelled_read_of_a_fifo_neither_hangs_nor_loses_anything(new_loop: Factory, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)

    async def main() -> None:
        ends = os.open(fifo, os.O_RDWR)
        file = await files.open(fifo)
        for size in (None, 5):
            task = asyncio.create_task(file.readline() if size is None else file.read(size))
            for _ in range(20):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()
            os.write(ends, b"first\nsecond\n")
            assert [await file.readline() for _ in range(2)] == ["first\n", "second\n"]
        # A block that is left in time, although a thread hangs in it.
        async with files.open(fifo) as stuck:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.02):
                    await stuck.read(5)
        assert stuck.closed
        os.write(ends, b"hello\nhello\n")
        await loops.until(lambda: stuck._file.closed)
        await file.close()
        os.close(ends)

    before = loops.open_descriptors()
    loops.run(new_loop, main())
    # Of tests before this one something may still have been closing.
    assert loops.open_descriptors() <= before


def test_the_loop_runs_between_many_lines_and_many_small_reads(
    new_loop: Factory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_objects, "BATCH", 1 << 18)
    monkeypatch.setattr(file_objects, "SLICE", 0.0)
    path = tmp_path / "file"
    path.write_text("line\n" * 10_000, encoding="ascii")
    small = tmp_path / "small"
    small.write_bytes(b"x")

    async def main() -> None:
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        counter = asyncio.create_task(count())
        async for _ in files.lines(path):
            pass
        assert turns > 100
        turns = 0
        for _ in range(1000):
            await files.read_bytes(small)
        assert turns > 10
        counter.cancel()

    loops.run(new_loop, main())


@pytest.mark.skipif(sys.platform != "linux", reason="inline reads are Linux's")
def test_a_cached_file_is_read_inline_and_a_changed_one_is_read_anew(new_loop: Factory, tmp_path: Path) -> None:
    path = tmp_path / "file"

    async def main() -> None:
        for content in (b"first", b"second, longer", b"3"):
            path.write_bytes(content)
            assert await files.read_bytes(path) == content
            assert read_cached(path, files.INLINE) in {None, content}
        path.unlink()
        assert read_cached(path, files.INLINE) is None
        with pytest.raises(FileNotFoundError):
            await files.read_bytes(path)
        assert read_cached("/proc/self/status", files.INLINE) is None
        assert b"Name:" in await files.read_bytes("/proc/self/status")

    loops.run(new_loop, main())


def test_a_program_ends_with_a_read_that_hangs(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    program = (
        "import asyncio, sys, treadle\n"
        "async def main():\n"
        "    task = asyncio.create_task(treadle.files.open(sys.argv[1])._open())\n"
        "    await asyncio.sleep(0.05)\n"
        "asyncio.run(main())\n"
        "print('ended')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "fifo"], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout, done.stderr, done.returncode) == ("ended\n", "", 0)


def test_a_file_says_what_it_does(new_loop: Factory, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("line\n" * 3, encoding="ascii")

    async def main() -> None:
        async with files.open(path, name="rows") as file:
            await file.readline()
            assert file.stats() == {
                "kind": "AsyncFile",
                "name": "rows",
                "closed": False,
                "calls": 2,
                "waiting": 0,
                "ahead": 2,
            }

    loops.run(new_loop, main())
