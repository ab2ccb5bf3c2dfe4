"""A terminal without anybody in front of it: a program in it is driven by keys, and what it shows is read."""

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

import pyte

# How long a screen may take to show something, on a machine that has much else to do.
PATIENCE = 40.0


class Terminal:
    """A program in a terminal of its own."""

    def __init__(
        self, command: list[str], *, columns: int = 120, rows: int = 30, environment: Mapping[str, str] | None = None
    ) -> None:
        """Start it."""
        self.screen = pyte.Screen(columns, rows)
        self.stream = pyte.ByteStream(self.screen)
        self.seen = b""
        self.status: int | None = None
        self.master, self.slave = pty.openpty()
        self.before = termios.tcgetattr(self.slave)
        self.resize(columns, rows)
        self.process = os.fork()
        if self.process == 0:
            with contextlib.suppress(BaseException):
                os.setsid()
                fcntl.ioctl(self.slave, termios.TIOCSCTTY, 0)
                for descriptor in range(3):
                    os.dup2(self.slave, descriptor)
                os.closerange(3, 256)
                os.execve(command[0], command, {**os.environ, "TERM": "xterm-256color", **(environment or {})})  # noqa: S606
            os._exit(127)

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the program if it has not ended."""
        if error is not None:
            sys.stderr.write(f"the screen was:\n{self.text()}\n")
        if self.status is None:
            os.kill(self.process, signal.SIGKILL)
            os.waitpid(self.process, 0)
        os.close(self.master)
        os.close(self.slave)

    def resize(self, columns: int, rows: int) -> None:
        """Have another size from now on."""
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.screen.resize(rows, columns)

    def press(self, keys: str) -> None:
        """Press keys."""
        os.write(self.master, keys.encode())

    def click(self, column: int, row: int) -> None:
        """Click at a place, from 0."""
        self.press(f"\x1b[<0;{column + 1};{row + 1}M\x1b[<0;{column + 1};{row + 1}m")

    def text(self) -> str:
        """Return what is on the screen."""
        return "\n".join(line.rstrip() for line in self.screen.display)

    def read(self, seconds: float) -> None:
        """Take what is written next, if anything is within a time."""
        if select.select([self.master], [], [], seconds)[0]:
            written = os.read(self.master, 1 << 16)
            self.seen += written
            self.stream.feed(written)

    def wait(self, is_there: Callable[[str], bool]) -> str:
        """Wait until the screen is as wanted, and return it."""
        end = time.monotonic() + PATIENCE
        while not is_there(self.text()):
            assert time.monotonic() < end, "the screen does not become what was expected"
            self.read(0.1)
        return self.text()

    def wait_for(self, *words: str) -> str:
        """Wait until all of these words are on the screen, and return it."""
        return self.wait(lambda text: all(word in text for word in words))

    def wait_for_end(self) -> int:
        """Wait until the program has ended, and return its status as a shell has it, negative for a signal."""
        end = time.monotonic() + PATIENCE
        while True:
            ended, status = os.waitpid(self.process, os.WNOHANG)
            self.read(0.05)
            if ended:
                break
            assert time.monotonic() < end, "the program does not end"
        while select.select([self.master], [], [], 0)[0]:
            self.read(0)
        self.status = os.waitstatus_to_exitcode(status)
        return self.status

    def is_restored(self) -> bool:
        """Say whether the terminal is as it was before: its settings, its screen, its mouse, its cursor."""
        is_left = self.seen.rfind(b"\x1b[?1049l") > self.seen.rfind(b"\x1b[?1049h")
        is_free = self.seen.rfind(b"\x1b[?1000l") > self.seen.rfind(b"\x1b[?1000h")
        is_shown = self.seen.rfind(b"\x1b[?25h") > self.seen.rfind(b"\x1b[?25l")
        # Above the lower half of the third are speeds, which a terminal that is none does not have.
        then, now = (
            [*flags[:2], flags[2] & 0xFFFF, flags[3]] for flags in (self.before, termios.tcgetattr(self.slave))
        )
        return then == now and is_left and is_free and is_shown
