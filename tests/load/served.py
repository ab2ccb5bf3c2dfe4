"""The servers under test: uvicorn, aiohttp, and aiohttp's worker under gunicorn, on asyncio's loop or treadle's."""

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


@dataclass(frozen=True)
class House:
    """Where servers run: on which loop, by which host, and with what in hand."""

    loop: str
    host: str
    folder: Path
    # The certificate and its key in one file, and who trusts it.
    certificate: Path | None = None
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
        certificate = [str(self.certificate)] if self.certificate else []
        if self.host == "uvicorn":
            tls = ["--ssl-certfile", *certificate] if certificate else []
            command = ["-m", "uvicorn", "--loop", "none", "--port", str(port), "--backlog", "4096", *tls]
            command += ["--timeout-keep-alive", str(KEPT), "--timeout-graceful-shutdown", "5"]
            return [*program, *command, "--log-level", "warning", "load_asgi:app"]
        if self.host == "aiohttp":
            return [*program, str(INSIDE / "load_aiohttp.py"), str(port), *certificate]
        command = [
            "-m",
            "gunicorn",
            "--worker-class",
            "aiohttp.GunicornWebWorker",
            "--workers",
            "2",
            "--keep-alive",
            str(KEPT),
        ]
        return [*program, *command, "--log-level", "critical", "--bind", f"127.0.0.1:{port}", "load_aiohttp:made"]


@dataclass
class Running:
    """A server that runs."""

    address: Address
    process: subprocess.Popen[bytes]
    log: Path

    def complaints(self) -> str:
        """Return what it has said."""
        return self.log.read_text(errors="replace")

    async def ended(self, seconds: float = END) -> int | None:
        """Wait for its end; return its status, or nothing if it goes on."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self.process.poll() is None:  # noqa: ASYNC110 -- nothing tells us.
                    await asyncio.sleep(0.02)
        return self.process.poll()


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
        "LOAD_RECORD": str(house.record),
        "LOAD_KEPT": str(KEPT),
        **house.environment,
    }
    log = house.folder / "log"
    with log.open("wb") as file:
        process = subprocess.Popen(  # noqa: ASYNC220 -- nothing else happens meanwhile.
            house.command(port), env=variables, cwd=house.folder, stdout=file, stderr=file, start_new_session=True
        )
    running = Running(Address(port, house.trust), process, log)
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
                raise RuntimeError(f"the server does not answer: {running.complaints()[-2000:]}") from None
            await asyncio.sleep(0.05)
