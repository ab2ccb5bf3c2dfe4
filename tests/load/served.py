"""The servers under test: uvicorn and aiohttp, alone and as workers of gunicorn's, on asyncio's loop or treadle's."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import sysconfig
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.append(str(Path(__file__).resolve().parents[1] / "foreign"))

import servers
from client import BROKEN, Address

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator

INSIDE = Path(__file__).resolve().parent / "inside"
START = 20.0
# Seconds for which a connection is kept on which nothing is asked.
KEPT = 10
END = 15.0
# How many workers gunicorn has.
COUNT = 2
# What gunicorn serves, with the class of its workers: the one that the host has, and ours. Where there is none of ours,
# `treadle run` gives its loop to theirs.
GUNICORN = {
    "gunicorn": ("load_aiohttp:made", "aiohttp.GunicornWebWorker", ""),
    "gunicorn aiohttp": ("load_aiohttp:made", "aiohttp.GunicornWebWorker", "treadle.gunicorn.TreadleWebWorker"),
    "gunicorn uvicorn": ("load_asgi:app", "uvicorn_worker.UvicornWorker", "treadle.gunicorn.TreadleWorker"),
}


@dataclass(frozen=True)
class House:
    """Where servers run: on which loop, by which host, and with what in hand."""

    loop: str
    host: str
    folder: Path
    # The certificate, its key, and who trusts it.
    certificate: Path | None = None
    key: Path | None = None
    trust: ssl.SSLContext | None = None
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def record(self) -> Path:
        """Return where the service writes down what it then acknowledges."""
        return self.folder / "record"

    def command(self, port: int) -> list[str]:
        """Return what starts the server."""
        program = [sys.executable]
        if self.loop == "treadle":
            program = [str(Path(sysconfig.get_path("scripts")) / "treadle"), "run"]
        if self.host in GUNICORN:
            return self.gunicorn(port, program)
        if self.host == "uvicorn":
            tls = ["--ssl-certfile", str(self.certificate), "--ssl-keyfile", str(self.key)] if self.certificate else []
            command = ["-m", "uvicorn", "--loop", "none", "--port", str(port), "--backlog", "4096", *tls]
            command += ["--timeout-keep-alive", str(KEPT), "--timeout-graceful-shutdown", "5"]
            return [*program, *command, "--log-level", "warning", "load_asgi:app"]
        tls = [str(self.certificate), str(self.key)] if self.certificate else []
        return [*program, str(INSIDE / "load_aiohttp.py"), str(port), *tls]

    def gunicorn(self, port: int, program: list[str]) -> list[str]:
        """Return what starts gunicorn."""
        application, worker, ours = GUNICORN[self.host]
        if self.loop == "treadle" and ours:
            program, worker = [sys.executable], ours
        command = ["-m", "gunicorn", "--worker-class", worker, "--workers", str(COUNT), "--keep-alive", str(KEPT)]
        command += ["--certfile", str(self.certificate), "--keyfile", str(self.key)] if self.certificate else []
        # The socket is at home otherwise, which is not the tests' place.
        command += ["--control-socket", "gunicorn.ctl", "--log-level", "warning"]
        return [*program, *command, "--bind", f"127.0.0.1:{port}", application]


@dataclass
class Running:
    """A server that runs."""

    address: Address
    process: subprocess.Popen[bytes]
    log: Path
    # How many processes answer.
    count: int

    def said(self) -> list[str]:
        """Return the lines that it has written; a server that is well has nothing to say."""
        return self.log.read_text(errors="replace").splitlines()

    def serving(self) -> list[int]:
        """Return the processes that answer, the oldest first: the one that we have started, or its workers."""
        first = self.process.pid
        if self.count == 1:
            return [first]
        children = Path(f"/proc/{first}/task/{first}/children").read_text(encoding="ascii").split()
        return [process for _, process in sorted(filter(None, map(birth, map(int, children))))]

    async def ended(self, seconds: float = END) -> int | None:
        """Wait for its end; return its status, or nothing if it goes on."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self.process.poll() is None:  # noqa: ASYNC110 -- nothing tells us.
                    await asyncio.sleep(0.02)
        return self.process.poll()


def birth(process: int) -> tuple[int, int] | None:
    """Return when a process began, with its number; the numbers themselves begin anew some day."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # `starttime` of proc(5), nineteen fields after the state.
    return int(fields[19]), process


@contextlib.asynccontextmanager
async def serving(house: House) -> AsyncIterator[Running]:
    """Start a server in a group of its own, and end the group.

    Raises:
        RuntimeError: it does not answer, or not on the loop that it should be on.

    """
    port = servers.free_port()
    variables = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    variables |= {
        "PYTHONPATH": str(INSIDE),
        # What is left open is said where it is forgotten.
        "PYTHONWARNINGS": "default::ResourceWarning",
        "LOAD_RECORD": str(house.record),
        "LOAD_KEPT": str(KEPT),
        **house.environment,
    }
    log = house.folder / "log"
    with log.open("wb") as file:
        process = subprocess.Popen(  # noqa: ASYNC220 -- nothing else happens meanwhile.
            house.command(port), env=variables, cwd=house.folder, stdout=file, stderr=file, start_new_session=True
        )
    running = Running(Address(port, house.trust), process, log, COUNT if house.host in GUNICORN else 1)
    try:
        facts = await answering(running)
        if facts["loop"] != house.loop:
            raise RuntimeError(f"{house.host} runs on {facts['loop']} where {house.loop} was due")
        yield running
    finally:
        # The group outlives its first process when workers hang.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


async def answering(running: Running) -> dict[str, object]:
    """Wait until a server answers."""
    end = asyncio.get_running_loop().time() + START
    while True:
        try:
            return await running.address.facts()
        except BROKEN:
            if running.process.poll() is not None or asyncio.get_running_loop().time() > end:
                raise RuntimeError(f"the server does not answer: {running.said()[-12:]}") from None
            await asyncio.sleep(0.05)
