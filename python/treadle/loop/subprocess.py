"""Children of the loop: how they are started, watched, reaped, and shown to protocols.

``BaseEventLoop`` checks the arguments and ends in ``_make_subprocess_transport``, which is here; ``subprocess.Popen``
starts the program. Nothing here installs signal handlers, child watchers or fork hooks, and nothing is shared between
loops, so each may run in any thread.

Invariants: a ``Watch`` alone owns the descriptor that tells of an exit, and closes it once. A pipe's file is owned by
``Popen`` until the loop has made a transport of it, and by that from then on.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import threading
import warnings
from asyncio.log import logger
from typing import IO, TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Callable

    Loop = asyncio.BaseEventLoop
else:
    Loop = object

# What asyncio reports for a child whose status somebody else has read.
STATUS_LOST = 255


class Subprocesses(Loop):
    """The part of a loop that starts programs; to be inherited before ``asyncio.BaseEventLoop``."""

    _watches: set[Watch] | None = None

    async def _make_subprocess_transport(  # noqa: PLR0913, PLR0917 -- asyncio's signature.
        self,
        protocol: asyncio.SubprocessProtocol,
        args: Any,
        shell: bool,  # noqa: FBT001
        stdin: int | IO[Any] | None,
        stdout: int | IO[Any] | None,
        stderr: int | IO[Any] | None,
        bufsize: int,
        extra: Any = None,
        **kwargs: Any,
    ) -> SubprocessTransport:
        # `Popen` costs what a bare `os.posix_spawn` costs: 94 against 105 us of CPU, 160 against 158 of time, and the
        # child runs for another 600. It uses vfork, lets the kernel close descriptors, and reports errors; only a
        # program that is looked for in PATH takes 35 us more. So there is no other way to spawn here.
        process: subprocess.Popen[bytes] = subprocess.Popen(  # noqa: ASYNC220 -- returns once the program runs.
            args, shell=shell, stdin=stdin, stdout=stdout, stderr=stderr, bufsize=bufsize, **kwargs
        )
        transport = SubprocessTransport(self, protocol, process, extra)
        try:
            self._watch(process, transport._on_exit)
        except BaseException:
            transport._abandon()
            raise
        try:
            await transport._connect()
        except BaseException as exception:
            transport._abandon()
            if not isinstance(exception, (SystemExit, KeyboardInterrupt)):
                await transport._wait()
            raise
        return transport

    def close(self) -> None:
        """Close the loop, and what is left of watching children, which go on running."""
        super().close()
        for watch in list(self._watches or ()):
            watch.close()

    def _watch(self, process: subprocess.Popen[bytes], on_exit: Callable[[int], None]) -> None:
        if self._watches is None:
            self._watches = set()
        Watch(self, process, on_exit, self._watches)


class SubprocessTransport(asyncio.SubprocessTransport):
    """A child and its pipes, and the order in which the protocol hears of them."""

    def __init__(
        self,
        loop: Subprocesses,
        protocol: asyncio.SubprocessProtocol,
        process: subprocess.Popen[bytes],
        extra: Any,
    ) -> None:
        """Take over a child that has just been started."""
        super().__init__(extra)
        self._extra: dict[str, Any]
        self._extra["subprocess"] = process
        self._loop: Subprocesses | None = loop
        self._protocol: asyncio.SubprocessProtocol | None = protocol
        self._proc: subprocess.Popen[bytes] | None = process
        self._pid = process.pid
        self._returncode: int | None = None
        self._closed = False
        self._finished = False
        self._waiters: list[asyncio.Future[int]] = []
        # Calls that came before `connection_made`; afterwards None.
        self._early: list[tuple[Callable[..., object], tuple[Any, ...]]] | None = []
        files = (process.stdin, process.stdout, process.stderr)
        self._pipes = {number: Pipe(self, number, file) for number, file in enumerate(files) if file is not None}
        if loop.get_debug():
            logger.debug("process %r created: pid %s", process.args, self._pid)

    def __repr__(self) -> str:
        """Describe the child and those of its pipes that are open."""
        state = "running" if self._returncode is None else f"returncode={self._returncode}"
        pipes = [f"{pipe.name}={pipe.transport}" for pipe in self._pipes.values() if pipe.transport is not None]
        words = [type(self).__name__, *["closed"] * self._closed, f"pid={self._pid}", state, *pipes]
        return f"<{' '.join(words)}>"

    def __del__(self) -> None:
        """Kill a child that nobody can reach any more."""
        if not getattr(self, "_closed", True):
            warnings.warn(f"unclosed transport {self!r}", ResourceWarning, source=self, stacklevel=1)
            self.close()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Send what is to come to another protocol."""
        self._protocol = cast("asyncio.SubprocessProtocol", protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Return the protocol, until its connection is lost."""
        return cast("asyncio.BaseProtocol", self._protocol)

    def is_closing(self) -> bool:
        """Return whether the transport has been closed."""
        return self._closed

    def get_pid(self) -> int:
        """Return the child's number."""
        return self._pid

    def get_returncode(self) -> int | None:
        """Return the child's exit code once the loop has noticed its end."""
        return self._returncode

    def get_pipe_transport(self, fd: int) -> asyncio.BaseTransport | None:
        """Return the transport of the child's descriptor 0, 1 or 2."""
        pipe = self._pipes.get(fd)
        return None if pipe is None else pipe.transport

    def send_signal(self, signal: int) -> None:
        """Send a signal to the child if it still runs."""
        self._running().send_signal(signal)

    def terminate(self) -> None:
        """Ask the child to end."""
        self._running().terminate()

    def kill(self) -> None:
        """Kill the child."""
        self._running().kill()

    def close(self) -> None:
        """Close the pipes, and kill the child if it still runs."""
        if self._closed:
            return
        self._closed = True
        if self._loop is not None and not self._loop.is_closed():
            for pipe in self._pipes.values():
                pipe.close()
        process = self._proc
        if process is None or self._returncode is not None or process.poll() is not None:
            return
        if self._loop is not None and self._loop.get_debug():
            logger.warning("Close running child process: kill %r", self)
        # It may run as another user.
        with contextlib.suppress(PermissionError):
            process.kill()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._proc is None:
            raise ProcessLookupError
        return self._proc

    async def _connect(self) -> None:
        loop = self._loop
        assert loop is not None
        for pipe in self._pipes.values():
            await pipe.connect(loop)
        assert self._protocol is not None
        loop.call_soon(self._protocol.connection_made, self)
        early, self._early = self._early, None
        for callback, arguments in early or ():
            loop.call_soon(callback, *arguments)
        # Whoever started the child goes on after `connection_made`.
        await asyncio.sleep(0)

    def _abandon(self) -> None:
        """Close what could not be connected; a protocol that has heard of no connection hears of no loss either."""
        if self._early is not None:
            self._early = None
            self._protocol = asyncio.SubprocessProtocol()
        self.close()

    async def _wait(self) -> int:
        """Wait for the child's end; `asyncio.subprocess.Process` calls this."""
        if self._returncode is not None:
            return self._returncode
        assert self._loop is not None
        waiter: asyncio.Future[int] = self._loop.create_future()
        self._waiters.append(waiter)
        return await waiter

    def _on_exit(self, returncode: int) -> None:
        assert self._protocol is not None
        self._returncode = returncode
        if self._loop is not None and self._loop.get_debug():
            logger.info("%r exited with return code %r", self, returncode)
        self._call(self._protocol.process_exited)
        self._finish_if_over()
        if not self._finished and self._loop is not None:
            # A grandchild may hold the pipes for ever, and `wait` is about the child.
            self._loop.call_soon(self._wake_waiters)

    def _on_data(self, number: int, data: bytes) -> None:
        if self._protocol is not None:
            self._call(self._protocol.pipe_data_received, number, data)

    def _on_pipe_lost(self, number: int, exception: Exception | None) -> None:
        if self._protocol is not None:
            self._call(self._protocol.pipe_connection_lost, number, exception)
        self._finish_if_over()

    def _finish_if_over(self) -> None:
        over = self._returncode is not None and all(pipe.lost for pipe in self._pipes.values())
        if over and not self._finished:
            self._finished = True
            self._call(self._lose_connection)

    def _lose_connection(self) -> None:
        try:
            assert self._protocol is not None
            self._protocol.connection_lost(None)
        finally:
            self._wake_waiters()
            self._loop = self._proc = self._protocol = None

    def _wake_waiters(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(cast("int", self._returncode))

    def _call(self, callback: Callable[..., object], *arguments: Any) -> None:
        if self._early is not None:
            self._early.append((callback, arguments))
        elif self._loop is not None:
            self._loop.call_soon(callback, *arguments)


class Pipe(asyncio.Protocol):
    """The protocol of one of the child's pipes, which passes everything on to the child's."""

    def __init__(self, owner: SubprocessTransport, number: int, file: IO[bytes]) -> None:
        """Take one of the files that ``Popen`` has opened."""
        self.number = number
        self.name = ("stdin", "stdout", "stderr")[number]
        self.transport: asyncio.BaseTransport | None = None
        self.lost = False
        self._owner = owner
        self._file: IO[bytes] | None = file

    async def connect(self, loop: asyncio.AbstractEventLoop) -> None:
        """Hand the file over to a transport."""
        connect = loop.connect_read_pipe if self.number else loop.connect_write_pipe
        await connect(lambda: self, self._file)

    def close(self) -> None:
        """Close the transport, or the file if there is none yet."""
        if self.transport is not None:
            self.transport.close()
        elif self._file is not None:
            self._file.close()
            self._file = None
            self.lost = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Learn who owns the file from now on."""
        self.transport = transport
        self._file = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass on that the pipe is closed."""
        self.lost = True
        self._owner._on_pipe_lost(self.number, exc)

    def data_received(self, data: bytes) -> None:
        """Pass on what the child has written."""
        self._owner._on_data(self.number, data)

    def pause_writing(self) -> None:
        """Pass on that the child reads slower than it is written to."""
        if self._owner._protocol is not None:
            self._owner._protocol.pause_writing()

    def resume_writing(self) -> None:
        """Pass on that the child has caught up."""
        if self._owner._protocol is not None:
            self._owner._protocol.resume_writing()


class Watch:
    """Waits for the end of one child, on a pidfd or in a thread, and reaps it in the loop's thread."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        process: subprocess.Popen[bytes],
        on_exit: Callable[[int], None],
        watches: set[Watch],
    ) -> None:
        """Begin to watch; who watches is among the loop's `watches` until it is closed."""
        self._loop = loop
        self._process = process
        self._on_exit: Callable[[int], None] | None = on_exit
        self._watches = watches
        self._descriptor = open_pidfd(process.pid)
        watches.add(self)
        try:
            if self._descriptor is not None:
                loop.add_reader(self._descriptor, self._on_ready)
            else:
                name = f"treadle-waitpid-{process.pid}"
                threading.Thread(target=self._wait_in_thread, name=name, daemon=True).start()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Stop watching; the child is nobody's then."""
        self._on_exit = None
        self._watches.discard(self)
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def _on_ready(self) -> None:
        on_exit = self._on_exit
        if on_exit is None:
            return
        try:
            if self._descriptor is not None:
                self._loop.remove_reader(self._descriptor)
        finally:
            self.close()
        on_exit(reap(self._process))

    def _wait_in_thread(self) -> None:
        wait_for_end(self._process)
        try:
            self._loop.call_soon_threadsafe(self._on_ready)
        except RuntimeError:
            logger.warning("Loop %r that handles pid %r is closed", self._loop, self._process.pid)
            reap(self._process)


def open_pidfd(pid: int) -> int | None:
    """Return a descriptor that is readable when the process has ended, or None where there are none."""
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        # Not Linux, or a sandbox that forbids it, or no descriptors are left; a thread can wait anyway.
        return None


def wait_for_end(process: subprocess.Popen[bytes]) -> None:
    """Block until the child has ended, and leave it unreaped where that is possible."""
    if not hasattr(os, "waitid"):
        reap(process)
        return
    try:
        # Nobody else gets the child's number before it is reaped. That happens in the loop's thread, as do signals
        # to the child, so these never reach a stranger.
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    except ChildProcessError:
        return


def reap(process: subprocess.Popen[bytes]) -> int:
    """Read the status of a child that has ended, unless somebody has done it already."""
    # Another thread may be in `Popen.wait`, have the status, and not have stored it yet.
    with getattr(process, "_waitpid_lock", contextlib.nullcontext()):
        if process.returncode is None:
            try:
                _, status = os.waitpid(process.pid, 0)
            except ChildProcessError:
                process.returncode = STATUS_LOST
                logger.warning(
                    "child process pid %d exit status already read: will report returncode %d", process.pid, STATUS_LOST
                )
            else:
                process.returncode = os.waitstatus_to_exitcode(status)
        return process.returncode
