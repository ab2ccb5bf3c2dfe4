"""Children of the loop: their pipes, their ends, and what is left of them."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import stat
import subprocess
import threading
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from typing import TYPE_CHECKING, Any, cast

import loops
import pytest
from connections import is_treadle
from loops import not_on, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    NewLoop = Callable[[], asyncio.AbstractEventLoop]


@pytest.fixture(autouse=True)
def _nothing_is_left(new_loop: NewLoop) -> Iterator[None]:
    # What a loop opens once for the whole process is open from here on.
    run(new_loop, asyncio.sleep(0))
    gc.collect()
    before = loops.open_descriptors()
    yield
    gc.collect()
    children = loops.has_children()
    while loops.has_children():
        # The next test is not to fail for this one.
        os.waitpid(-1, 0)
    assert not children
    assert loops.open_descriptors() == before


@pytest.fixture(params=["pidfd", "thread"])
def _either_watch(request: pytest.FixtureRequest, new_loop: NewLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "thread":
        if not is_treadle(new_loop):
            pytest.skip("asyncio and uvloop choose by themselves")

        def pidfd_open(pid: int, flags: int = 0) -> int:
            raise PermissionError(pid, flags)

        monkeypatch.setattr(os, "pidfd_open", pidfd_open)


either_watch = pytest.mark.usefixtures("_either_watch")


class Recorder(asyncio.SubprocessProtocol):
    """Remembers what it is called with."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.calls: list[tuple[Any, ...]] = []
        self.over = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Come first."""
        self.transport = transport
        self.calls.append(("made",))

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """Tell of the child's words."""
        self.calls.append(("data", fd, data))

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        """Tell of a pipe's end."""
        self.calls.append(("pipe lost", fd, exc))

    def process_exited(self) -> None:
        """Tell of the child's end."""
        self.calls.append(("exited",))

    def connection_lost(self, exc: Exception | None) -> None:
        """Come last."""
        self.calls.append(("lost", exc))
        self.over.set_result(None)


async def start(*command: str, **options: Any) -> tuple[asyncio.SubprocessTransport, Recorder]:
    """Start a program with nothing but a recorder between the test and the transport."""
    return await asyncio.get_running_loop().subprocess_exec(Recorder, *command, **options)


async def end(process: asyncio.subprocess.Process) -> None:
    """Kill a child if it runs, and wait for it."""
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    await process.wait()


async def cat() -> None:
    """Say something to `cat` and hear it again."""
    process = await asyncio.create_subprocess_exec("cat", stdin=PIPE, stdout=PIPE, stderr=PIPE)
    try:
        assert await process.communicate(b"hello") == (b"hello", b"")
        assert process.returncode == 0
    finally:
        await end(process)


@either_watch
def test_program_hears_and_is_heard(new_loop: NewLoop) -> None:
    run(new_loop, cat())


@either_watch
@pytest.mark.parametrize(
    ("script", "returncode"), [("exit 0", 0), ("exit 3", 3), ("kill -TERM $$", -15), ("kill -KILL $$", -9)]
)
def test_returncode_is_the_exit_status_or_the_signal(new_loop: NewLoop, script: str, returncode: int) -> None:
    async def main() -> None:
        process = await asyncio.create_subprocess_shell(script)
        assert await process.wait() == returncode
        assert process.returncode == returncode

    run(new_loop, main())


@either_watch
def test_all_that_wait_are_told(new_loop: NewLoop) -> None:
    async def main() -> None:
        process = await asyncio.create_subprocess_exec("cat", stdin=PIPE)
        waiting = [asyncio.create_task(process.wait()) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        process.terminate()
        assert await asyncio.gather(*waiting[1:]) == [-15, -15]
        assert waiting[0].cancelled()
        assert await process.wait() == -15

    run(new_loop, main())


@either_watch
def test_child_that_ends_before_anybody_looks_is_reaped(new_loop: NewLoop) -> None:
    async def main() -> None:
        process = await asyncio.create_subprocess_exec("true")
        with contextlib.suppress(ChildProcessError):
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # noqa: ASYNC222
        assert await process.wait() == 0

    run(new_loop, main())


@either_watch
def test_many_children_at_once(new_loop: NewLoop) -> None:
    async def child(number: int) -> tuple[bytes, int | None]:
        process = await asyncio.create_subprocess_shell(f"echo {number}; exit {number}", stdout=PIPE)
        output, _ = await process.communicate()
        return output, process.returncode

    async def main() -> None:
        answers = await asyncio.gather(*map(child, range(20)))
        assert answers == [(b"%d\n" % number, number) for number in range(20)]

    run(new_loop, main())


@not_on("uvloop", reason="children belong to the main thread's loop")
@either_watch
def test_loops_in_many_threads_have_children(new_loop: NewLoop) -> None:
    failures: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(3):
                run(new_loop, cat())
        except BaseException as exception:  # noqa: BLE001 -- handed to the test's thread.
            failures.append(exception)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


@either_watch
def test_protocol_hears_everything_once_and_in_order(new_loop: NewLoop) -> None:
    async def main() -> list[tuple[Any, ...]]:
        transport, protocol = await start("sh", "-c", "cat; echo err >&2")
        assert protocol.transport is transport
        assert protocol.calls == [("made",)]
        stdin = cast("asyncio.WriteTransport", transport.get_pipe_transport(0))
        stdin.write(b"in")
        stdin.close()
        await protocol.over
        assert transport.get_returncode() == 0
        transport.close()
        return protocol.calls

    calls = run(new_loop, main())
    assert calls[0] == ("made",)
    assert calls[-1] == ("lost", None)
    assert sorted(calls[1:-1], key=repr) == [
        ("data", 1, b"in"),
        ("data", 2, b"err\n"),
        ("exited",),
        ("pipe lost", 0, None),
        ("pipe lost", 1, None),
        ("pipe lost", 2, None),
    ]
    assert calls.index(("data", 1, b"in")) < calls.index(("pipe lost", 1, None))


def test_streams_go_where_they_are_sent(new_loop: NewLoop, tmp_path: Path) -> None:
    script = "echo out; echo err >&2"

    async def outputs(**options: Any) -> tuple[bytes | None, bytes | None]:
        process = await asyncio.create_subprocess_shell(script, **options)
        return await process.communicate()

    async def main() -> None:
        assert await outputs(stdout=PIPE, stderr=STDOUT) == (b"out\nerr\n", None)
        assert await outputs(stdout=DEVNULL, stderr=PIPE) == (None, b"err\n")
        with (tmp_path / "file").open("wb") as file:
            assert await outputs(stdout=file, stderr=file.fileno()) == (None, None)
        assert (tmp_path / "file").read_bytes() == b"out\nerr\n"
        with (tmp_path / "file").open("rb") as file:
            process = await asyncio.create_subprocess_exec("cat", stdin=file, stdout=PIPE)
            assert (await process.communicate())[0] == b"out\nerr\n"

    run(new_loop, main())


def test_options_of_popen_are_passed_on(new_loop: NewLoop, tmp_path: Path) -> None:
    async def main() -> None:
        process = await asyncio.create_subprocess_exec(
            "not sh", "-c", "pwd; echo $X; cat", executable="/bin/sh", cwd=tmp_path, env={"X": "y"},
            start_new_session=True, stdin=PIPE, stdout=PIPE,
        )  # fmt: skip
        assert os.getsid(process.pid) == process.pid
        assert (await process.communicate(b"z"))[0] == f"{tmp_path}\ny\nz".encode()

    run(new_loop, main())


@not_on("uvloop", reason="does not know them at all")
def test_text_mode_is_refused(new_loop: NewLoop) -> None:
    async def main() -> None:
        for options in ({"text": True}, {"encoding": "utf-8"}, {"universal_newlines": True}, {"bufsize": 1}):
            with pytest.raises(ValueError, match="must be"):
                await asyncio.create_subprocess_exec("true", **cast("dict[str, Any]", options))

    run(new_loop, main())


@not_on("uvloop", reason="names no directory")
@pytest.mark.parametrize("pipe", [None, PIPE])
def test_program_that_cannot_be_started_raises_what_popen_raises(
    new_loop: NewLoop, tmp_path: Path, pipe: int | None
) -> None:
    unreadable = tmp_path / "program"
    unreadable.touch(mode=stat.S_IRUSR)

    async def main() -> None:
        cases: list[tuple[str, dict[str, Any]]] = [
            (str(tmp_path / "absent"), {}),
            ("absent-from-path", {}),
            (str(unreadable), {}),
            ("true", {"cwd": str(tmp_path / "absent")}),
        ]
        for command, options in cases:
            with pytest.raises(OSError, match=r"\[Errno") as expected:
                subprocess.Popen([command], **options)  # noqa: ASYNC220 -- it fails.
            with pytest.raises(type(expected.value)) as raised:
                await asyncio.create_subprocess_exec(command, stdin=pipe, stdout=pipe, stderr=pipe, **options)
            assert (raised.value.errno, raised.value.filename) == (expected.value.errno, expected.value.filename)

    run(new_loop, main())


@not_on("uvloop", reason="hands down whatever is inheritable")
def test_inheritable_descriptors_stay_here_unless_passed(new_loop: NewLoop) -> None:
    async def knows(descriptor: int, **options: Any) -> bool:
        process = await asyncio.create_subprocess_exec("test", "-e", f"/dev/fd/{descriptor}", **options)
        return await process.wait() == 0

    async def main() -> None:
        descriptor = os.open(os.devnull, os.O_RDONLY)
        os.set_inheritable(descriptor, True)  # noqa: FBT003
        assert not await knows(descriptor)
        assert await knows(descriptor, pass_fds=(descriptor,))
        assert await knows(descriptor, close_fds=False)
        os.close(descriptor)

    run(new_loop, main())


def test_signals_that_python_ignores_are_restored(new_loop: NewLoop) -> None:
    async def main() -> None:
        process = await asyncio.create_subprocess_shell("kill -PIPE $$")
        assert await process.wait() == -signal.SIGPIPE

    run(new_loop, main())


@not_on("uvloop", reason="takes SIGCHLD")
def test_sigchld_is_the_programs_own(new_loop: NewLoop) -> None:
    arrived: list[int] = []
    before = signal.signal(signal.SIGCHLD, lambda number, _: arrived.append(number))
    try:
        handler = signal.getsignal(signal.SIGCHLD)
        run(new_loop, cat())
        assert signal.getsignal(signal.SIGCHLD) is handler
    finally:
        signal.signal(signal.SIGCHLD, before)
    assert arrived


@not_on("uvloop", reason="does not tell how its pipes end after close")
@either_watch
def test_closing_the_transport_kills_the_child(new_loop: NewLoop) -> None:
    async def main() -> None:
        transport, protocol = await start("cat")
        assert not transport.is_closing()
        transport.close()
        assert transport.is_closing()
        transport.close()
        await protocol.over
        assert transport.get_returncode() == -9
        assert [name for name, *_ in protocol.calls].count("pipe lost") == 3

    run(new_loop, main())


@either_watch
def test_signals_to_a_child_that_is_gone_reach_nobody(new_loop: NewLoop) -> None:
    async def main() -> None:
        transport, protocol = await start("true", stdin=None, stdout=None, stderr=None)
        await protocol.over
        for send in (transport.kill, transport.terminate, lambda: transport.send_signal(signal.SIGUSR1)):
            with pytest.raises(ProcessLookupError):
                send()
        transport.close()

    run(new_loop, main())


@not_on("uvloop", reason="has no Popen")
def test_popen_of_the_transport_agrees_with_it(new_loop: NewLoop) -> None:
    async def main() -> None:
        transport, protocol = await start("cat", stdout=None, stderr=None)
        popen = transport.get_extra_info("subprocess")
        assert isinstance(popen, subprocess.Popen)
        assert (popen.pid, popen.poll()) == (transport.get_pid(), None)
        popen.send_signal(signal.SIGTERM)
        await protocol.over
        assert (popen.returncode, popen.poll(), transport.get_returncode()) == (-15, -15, -15)
        transport.close()

    run(new_loop, main())


@not_on("asyncio", "uvloop", reason="255, or no Popen")
@either_watch
def test_status_read_through_popen_is_not_lost(new_loop: NewLoop) -> None:
    async def main() -> None:
        transport, protocol = await start("sh", "-c", "exit 7", stdin=None, stdout=None, stderr=None)
        assert transport.get_extra_info("subprocess").wait() == 7
        await protocol.over
        assert transport.get_returncode() == 7
        transport.close()

    run(new_loop, main())


@not_on("asyncio", "uvloop", reason="a thread may be faster, or -9")
@either_watch
def test_status_read_by_a_stranger_is_255(new_loop: NewLoop, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        process = await asyncio.create_subprocess_exec("cat", stdin=PIPE)
        os.kill(process.pid, signal.SIGKILL)
        os.waitpid(process.pid, 0)  # noqa: ASYNC222
        assert await process.wait() == 255

    run(new_loop, main())
    assert "255" in caplog.text


@not_on("asyncio", reason="waits for the pipes too, up to 3.14")
def test_waiting_is_for_the_child_and_not_for_who_holds_its_pipes(new_loop: NewLoop) -> None:
    async def main() -> None:
        reader, writer = os.pipe()
        process = await asyncio.create_subprocess_shell("exec 3<&0; cat <&3 & exit 5", stdin=reader, stdout=PIPE)
        os.close(reader)
        assert await process.wait() == 5
        os.write(writer, b"still here")
        os.close(writer)
        assert await cast("asyncio.StreamReader", process.stdout).read() == b"still here"

    run(new_loop, main())


@not_on("uvloop", reason="keeps descriptors")
@pytest.mark.parametrize("again", [False, True], ids=["once", "twice"])
@either_watch
def test_cancelling_at_any_step_leaves_nothing_open(new_loop: NewLoop, again: bool) -> None:  # noqa: FBT001
    async def main() -> None:
        before = loops.open_descriptors()
        for step in range(50):
            steps = (step, step + 1) if again else (step,)
            try:
                await loops.cancelled_at(cat(), *steps)
            except asyncio.CancelledError:
                await loops.until(lambda: loops.open_descriptors() == before and not loops.has_children())
            else:
                assert step
                break

    run(new_loop, main())


@not_on("asyncio", "uvloop", reason="keeps the pidfd, or has no Popen")
@either_watch
def test_closed_loop_leaves_a_running_child_alone(new_loop: NewLoop) -> None:
    loop = new_loop()
    # The log of that would keep the transport.
    loop.set_debug(False)
    before = loops.open_descriptors()

    async def main() -> asyncio.SubprocessTransport:
        transport, _ = await start("cat", stdout=None, stderr=None)
        return transport

    transport = loop.run_until_complete(main())
    loop.close()
    assert len(loops.open_descriptors()) <= len(before)
    popen = transport.get_extra_info("subprocess")
    assert popen.poll() is None
    transport.close()
    assert popen.wait() == -9
