"""What it costs a program to be looked at by ``treadle top``, and how fast the screen follows.

A program with many waiting tasks is looked at by nobody, then by ``treadle top`` on each of its tabs. Printed are
the processor time of the program's doctor as a part of one processor, how much of it is for the screen, the time
of ``treadle top`` itself, and how long after a key the screen has changed. On a machine that does nothing else. ::

    python benches/doctor/top.py --tasks 100000
"""

import argparse
import contextlib
import fcntl
import os
import pty
import select
import signal
import statistics
import struct
import subprocess
import sys
import sysconfig
import tempfile
import termios
import time
from pathlib import Path

TREADLE = str(Path(sysconfig.get_path("scripts")) / "treadle")

# Half of the tasks are a coroutine deeper, and hold a lock.
PROGRAM = """
import asyncio, sys
import treadle

async def inner(event):
    await event.wait()

async def outer(event, lock):
    async with lock:
        await inner(event)

async def main():
    event = asyncio.Event()
    count = int(sys.argv[1])
    tasks = [asyncio.create_task(inner(event)) for _ in range(count // 2)]
    tasks += [asyncio.create_task(outer(event, asyncio.Lock())) for _ in range(count - len(tasks))]
    await asyncio.sleep(3)
    print("here", flush=True)
    while True:
        await asyncio.sleep(0.1)

treadle.watch(output="silent", settings=False)
treadle.run(main())
"""

# Each row: what is on the screen, the tab, and keys that are pressed first.
VIEWS = [
    ("findings", "findings", ""),
    ("tasks", "tasks", ""),
    ("tasks by name", "tasks", "sssss"),
    ("tasks filtered", "tasks", "/77\r"),
    ("tasks grouped", "tasks", "g"),
    ("tasks as a tree", "tasks", "t"),
    ("a task", "tasks", "\r"),
    ("waits", "waits", ""),
    ("loop", "loop", ""),
    ("io", "io", ""),
    ("threads", "threads", ""),
]


def doctor_time(process: int) -> float:
    """Return the seconds that the doctor's thread of a process has had a processor."""
    for thread in Path(f"/proc/{process}/task").iterdir():
        if (thread / "comm").read_text().strip() == "treadle-doctor":
            return int((thread / "schedstat").read_text().split()[0]) / 1e9
    return 0.0


def process_time(process: int) -> float:
    """Return the seconds that a process has had a processor."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Screen:
    """``treadle top`` on a terminal that nobody looks at."""

    def __init__(self, process: int, tab: str) -> None:
        """Start it."""
        self.process, self.terminal = pty.fork()
        if self.process == 0:
            os.execv(TREADLE, [TREADLE, "top", str(process), "--tab", tab])  # noqa: S606
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 160, 0, 0))

    def read(self, seconds: float, *, until_changed: bool = False) -> bool:
        """Take what is drawn in a time; say whether that is anything."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if select.select([self.terminal], [], [], left)[0]:
                with contextlib.suppress(OSError):
                    os.read(self.terminal, 1 << 16)
                if until_changed:
                    return True
        return False

    def press(self, keys: str) -> None:
        """Press keys."""
        for key in keys:
            os.write(self.terminal, key.encode())
            self.read(0.3)

    def latency(self) -> float:
        """Return how many seconds after a key the screen changes: it opens the help, and closes it."""
        self.read(0.2)
        began = time.perf_counter()
        os.write(self.terminal, b"?")
        self.read(2, until_changed=True)
        return time.perf_counter() - began

    def end(self) -> None:
        """Quit."""
        with contextlib.suppress(OSError):
            os.write(self.terminal, b"q")
            self.read(1)
        os.kill(self.process, signal.SIGKILL)
        os.waitpid(self.process, 0)
        os.close(self.terminal)


def measure(process: int, tab: str, keys: str, seconds: float) -> tuple[float, float, float]:
    """Return the parts of a processor that the doctor and the screen take, and the time from a key to the screen."""
    screen = Screen(process, tab)
    screen.read(2)
    screen.press(keys)
    before = doctor_time(process), process_time(screen.process)
    began = time.monotonic()
    screen.read(seconds)
    took = time.monotonic() - began
    doctor, own = doctor_time(process) - before[0], process_time(screen.process) - before[1]
    latency = statistics.median(screen.latency() for _ in range(9))
    screen.end()
    return doctor / took, own / took, latency


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=10)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        os.environ["XDG_RUNTIME_DIR"] = directory
        command = [sys.executable, "-c", PROGRAM, str(arguments.tasks)]
        program = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert program.stdout is not None
        program.stdout.readline()
        try:
            table(program.pid, arguments.seconds)
        finally:
            program.kill()
            program.wait()


def table(process: int, seconds: float) -> None:
    """Print the rows for a program."""
    # Between the rows too: what the doctor takes by itself is not always the same.
    print(f"{'':18}{'doctor':>10}{'for it':>10}{'top':>10}{'key':>10}")
    for name, tab, keys in VIEWS:
        before = doctor_time(process)
        began = time.monotonic()
        time.sleep(seconds)
        alone = (doctor_time(process) - before) / (time.monotonic() - began)
        doctor, own, latency = measure(process, tab, keys, seconds)
        print(f"{name:18}{doctor:10.2%}{doctor - alone:+10.2%}{own:10.2%}{latency * 1e3:7.1f} ms", flush=True)


if __name__ == "__main__":
    main()
